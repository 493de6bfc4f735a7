"""Waiting for somebody to approve elsewhere: how often to ask, and what the answers mean."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Protocol, final

from mintmark.client.authority import Authority
from mintmark.client.errors import AuthorityUnavailable, LoginFailed, TokenRefused
from mintmark.client.issued import id_token_of, user_tokens_of
from mintmark.client.stores import UserTokens
from mintmark.client.token_endpoint import ClientIdentity, TokenMessage, request_tokens
from mintmark.clock import Clock
from mintmark.protocol.errors import ErrorCode
from mintmark.protocol.id_token import IdToken
from mintmark.protocol.scope import Scope
from mintmark.protocol.token import TokenResponse
from mintmark.secret import Secret

__all__ = [
    "ApprovalCancelled",
    "ApprovalDenied",
    "ApprovalExpired",
    "Approved",
    "Asking",
    "Cancel",
    "Pace",
    "await_approval",
    "wait_for_approval",
]

SLOWER = 5.0
"""Seconds added by each `slow_down`, for all polls that follow (RFC 8628 §3.5)."""

LONGEST_PAUSE = 300.0
LEAST_PAUSE = 1.0


class ApprovalDenied(LoginFailed):
    """The person said no."""


class ApprovalExpired(LoginFailed):
    """Nobody said anything in time. Begin again if they are still there."""


class ApprovalCancelled(LoginFailed):
    """This program gave up waiting."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Approved:
    """Somebody approved. `store.begin(session, approved.tokens)` keeps what came."""

    id_token: IdToken | None  # None: `openid` was not asked for
    tokens: UserTokens


class Cancel(Protocol):
    """A `threading.Event`, or what waits like one."""

    def wait(self, timeout: float) -> bool:
        """Whether it was set meanwhile."""
        ...


@final
class Pace:
    """How long to wait before the next poll."""

    def __init__(self, *, interval: timedelta, expires_in: timedelta, now: float) -> None:
        self._interval = max(interval.total_seconds(), LEAST_PAUSE)
        self._left = expires_in.total_seconds()
        self._expires_at = now + self._left
        self._failures = 0
        self._asked_pause = 0.0

    def pause(self, now: float) -> float:
        """Seconds until the next poll.

        Raises:
            ApprovalExpired: the codes will have ended by then.
        """
        # RFC 8628 §3.5: after a connection timeout the interval is doubled, each time again.
        backed_off: float = self._interval * 2 ** min(self._failures, 10)
        seconds = max(min(backed_off, max(LONGEST_PAUSE, self._interval)), self._asked_pause)
        # Counted as well as read off the clock: one that is set back must not wait for ever.
        self._left -= seconds
        if self._left <= 0 or now + seconds >= self._expires_at:
            raise ApprovalExpired("nobody approved in time", ErrorCode.EXPIRED_TOKEN.value)
        return seconds

    def answered(self, *, slower: bool) -> None:
        """The server said that nobody has approved yet."""
        self._failures, self._asked_pause = 0, 0.0
        if slower:
            self._interval += SLOWER

    def unanswered(self, retry_after: timedelta | None) -> None:
        """No answer came, or that the server is overloaded."""
        self._failures += 1
        self._asked_pause = retry_after.total_seconds() if retry_after else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """One poll after the other, for one approval."""

    authority: Authority
    identity: ClientIdentity
    clock: Clock
    request: TokenMessage
    scope: Scope
    resource: frozenset[str]
    proof_key: Secret | None = None  # the tokens are bound to it

    def ask(self, pace: Pace) -> Approved | None:
        """Once. None: not yet.

        Raises:
            LoginFailed: and asking again will not help.
        """
        try:
            return self._asked()
        except AuthorityUnavailable as failure:
            pace.unanswered(failure.retry_after)
        except TokenRefused as refusal:
            _require_pending(refusal)
            pace.answered(slower=refusal.error == ErrorCode.SLOW_DOWN)
        return None

    def ask_once(self) -> Approved | None:
        """The same, and whoever asks hears that the server cannot be reached.

        Raises:
            AuthorityUnavailable, LoginFailed.
        """
        try:
            return self._asked()
        except TokenRefused as refusal:
            _require_pending(refusal)
            return None

    def _asked(self) -> Approved:
        return self._approved(request_tokens(self.authority, self.identity, self.request))

    def _approved(self, response: TokenResponse) -> Approved:
        now = self.clock.now()
        try:
            id_token = id_token_of(response, self.authority, self.identity, now=now)
        except TokenRefused as refusal:
            raise LoginFailed(f"the ID token does not hold: {refusal.description}") from None
        except AuthorityUnavailable as failure:
            # Asking again would not help: these tokens were given out once.
            raise LoginFailed(f"the ID token cannot be checked: {failure}") from None
        # OIDC Core §3.1.3.3: whoever asks for `openid` is told who it was.
        if id_token is None and "openid" in self.scope:
            raise LoginFailed("no ID token came")
        tokens = user_tokens_of(
            response,
            id_token,
            now=now,
            scope=self.scope,
            resource=self.resource,
            jkt=self.identity.thumbprint(),
        )
        return Approved(
            id_token=id_token.id_token if id_token else None,
            tokens=replace(tokens, proof_key=self.proof_key),
        )


def _require_pending(refusal: TokenRefused) -> None:
    match refusal.error:
        case ErrorCode.AUTHORIZATION_PENDING | ErrorCode.SLOW_DOWN:
            return
        case ErrorCode.ACCESS_DENIED:
            raise ApprovalDenied("the person refused", refusal.error) from None
        case ErrorCode.EXPIRED_TOKEN:
            raise ApprovalExpired("nobody approved in time", refusal.error) from None
        case _:
            raise LoginFailed(f"the server refused: {refusal.error}", refusal.error) from None


def wait_for_approval(asking: Asking, pace: Pace, cancelled: Cancel | None) -> Approved:
    """Ask until there is an answer.

    Raises:
        LoginFailed: `ApprovalDenied`, `ApprovalExpired`, `ApprovalCancelled`, or a refusal.
    """
    waiting = cancelled or threading.Event()
    while True:
        # RFC 8628 §3.5: at least the interval between two polls; nobody types that fast either.
        if waiting.wait(pace.pause(asking.clock.timestamp())):
            raise ApprovalCancelled("given up")
        approved = asking.ask(pace)
        if approved is not None:
            return approved


async def await_approval(
    asking: Asking, pace: Pace, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
) -> Approved:
    """The same for a coroutine; whoever cancels its task has given up.

    Raises:
        LoginFailed.
    """
    while True:
        await sleep(pace.pause(asking.clock.timestamp()))
        approved = await asyncio.to_thread(asking.ask, pace)
        if approved is not None:
            return approved
