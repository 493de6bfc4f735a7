"""From redirect to session and back out: the callback's checks in their order."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import msgspec

from mintmark.client import (
    AuthorityUnavailable,
    Client,
    LoginAttempt,
    LoginFailed,
    LoginFlow,
    SignedIn,
    StepUpRequired,
    TokenRefused,
)
from mintmark.client.attempt import UnreadableAttempt, dump_attempt, load_attempt
from mintmark.clock import Clock
from mintmark.events import Events
from mintmark.jose.base64url import encode
from mintmark.secret import Secret
from mintmark.webapp.events import RevocationFailed, SignedOut
from mintmark.webapp.events import SignedIn as SignedInEvent
from mintmark.webapp.sessions import AttemptRecord, SessionRecord, SessionStore, User
from mintmark.webapp.vault import Unreadable, Vault

__all__ = ["SignIn", "SignOut", "mark_of"]

ATTEMPT_LIFETIME = timedelta(minutes=10)


class _Attempt(msgspec.Struct, omit_defaults=True):
    attempt: msgspec.Raw
    return_to: str
    previous: bytes = b""  # the SHA-256 of the cookie of the session that this browser had


def mark_of(wanted: StepUpRequired) -> Secret:
    """A name for what an API wants, as short as a cookie: the same for the same."""
    text = repr((sorted(wanted.scope), wanted.acr_values, wanted.max_age, wanted.claims))
    return Secret(encode(hashlib.sha256(text.encode()).digest()))


@dataclass(frozen=True, slots=True, kw_only=True)
class SignIn:
    """Begins and finishes sign-ins. Its methods wait for the network: run them in a thread."""

    flow: LoginFlow
    sessions: SessionStore
    vault: Vault
    clock: Clock
    events: Events
    absolute: timedelta
    options: Mapping[str, Any] = field(
        default_factory=dict
    )  # of `LoginFlow.begin`, always the same

    def begin(
        self,
        browser: Secret,
        return_to: str,
        previous: Secret | None = None,
        step_up: StepUpRequired | None = None,
    ) -> str:
        """Where to send the browser. Raises `AuthorityUnavailable`, `LoginFailed`."""
        attempt, now = self.flow.begin(**self.options, step_up=step_up), self.clock.now()
        digest = attempt.state.digest()
        kept = _Attempt(
            msgspec.Raw(dump_attempt(attempt)),
            return_to,
            previous.digest() if previous is not None else b"",
        )
        self.sessions.add_attempt(
            AttemptRecord(
                digest=digest,
                browser=browser.digest(),
                sealed=self.vault.seal(msgspec.json.encode(kept), digest),
                expires=now + ATTEMPT_LIFETIME,
            ),
            now=now,
        )
        return attempt.url

    def finish(
        self, answer: str, browser: Secret | None, previous: Secret | None
    ) -> tuple[Secret, str]:
        """The new session's cookie value, and where the person wanted to go.

        Args:
            answer: the query of the callback's address, or the form that was posted to it.

        Raises:
            LoginFailed, AuthorityUnavailable: nobody is signed in, and nothing is kept.
        """
        attempt, kept = self._take_attempt(answer, browser)
        signed_in = self.flow.finish(answer, attempt)
        cookie = Secret.generate()
        self.sessions.begin(self._record(signed_in, cookie), signed_in.tokens)
        # The session that this browser had before, under a name that others may know, is over.
        # A form that another site posts brings no such cookie, so the attempt remembers it.
        for over in {previous.digest() if previous is not None else b"", kept.previous} - {b""}:
            self.sessions.end(over)
        self.events.emit(SignedInEvent(subject=signed_in.id_token.sub))
        return cookie, kept.return_to

    def _take_attempt(self, answer: str, browser: Secret | None) -> tuple[LoginAttempt, _Attempt]:
        state = self.flow.state_of(answer)
        if state is None or browser is None:
            raise LoginFailed("no state, or no cookie of the browser that began")
        # RFC 9700 §4.7: once, and only for the browser that it was made for.
        record = self.sessions.take_attempt(state.digest(), now=self.clock.now())
        if record is None:
            raise LoginFailed("state is unknown, used or too old")
        if record.browser != browser.digest():
            raise LoginFailed("another browser began this sign-in")
        try:
            kept = msgspec.json.decode(self.vault.open(record.sealed, record.digest), type=_Attempt)
            return load_attempt(bytes(kept.attempt), state), kept
        except (Unreadable, UnreadableAttempt, msgspec.MsgspecError):
            raise LoginFailed("the attempt cannot be opened") from None

    def _record(self, signed_in: SignedIn, cookie: Secret) -> SessionRecord:
        id_token, now = signed_in.id_token, self.clock.now()
        name = id_token.claims.get("name", id_token.claims.get("preferred_username", ""))
        shown = ("name", "given_name", "family_name", "email", "picture", "preferred_username")
        claims = {key: id_token.claims[key] for key in shown if key in id_token.claims}
        return SessionRecord(
            digest=cookie.digest(),
            user=User(subject=id_token.sub, name=str(name), claims=claims, sid=id_token.sid),
            began=now,
            last_seen=now,
            expires=now + self.absolute,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SignOut:
    """Ends a session here and at the token server."""

    client: Client
    sessions: SessionStore
    events: Events
    back: str

    def end(self, cookie: Secret) -> str:
        """Where to send the browser, so that the session at the token server ends too.

        First what is in our own hands: the session is over whatever else fails.
        """
        tokens = self.sessions.end(cookie.digest())
        self.client.end_session(cookie)
        if tokens is None:
            return self.back
        self.events.emit(SignedOut(subject=tokens.subject))
        try:
            if tokens.refresh_token is not None:
                self.client.revoke(tokens.refresh_token)
        except (AuthorityUnavailable, TokenRefused) as failure:
            self.events.emit(RevocationFailed(reason=str(failure)))
        try:
            return self.client.logout_url(
                id_token=tokens.id_token, post_logout_redirect_uri=self.back
            )
        except AuthorityUnavailable:
            return self.back
