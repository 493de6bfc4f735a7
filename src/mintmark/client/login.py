"""Signing somebody in: the authorization code flow, from redirect to ID token (OIDC Core §3.1)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, final

import msgspec

from mintmark.client.answer import AnswerReader
from mintmark.client.attempt import LoginAttempt, require_met
from mintmark.client.authority import Authority
from mintmark.client.bound import Binding, bound_to, new_proof_key
from mintmark.client.dpop import load_key
from mintmark.client.errors import LoginFailed, StepUpRequired, TokenRefused
from mintmark.client.id_tokens import ReadIdToken, read_id_token
from mintmark.client.pushing import push
from mintmark.client.request_signing import RequestSigning, signed_request
from mintmark.client.stores import StoredToken, UserTokens
from mintmark.client.token_endpoint import ClientIdentity, request_tokens
from mintmark.client.wishes import Wishes
from mintmark.clock import Clock
from mintmark.jose.errors import JoseError
from mintmark.protocol.authorization import (
    AuthorizationRequest,
    Prompt,
    ResponseMode,
    redirect_with,
)
from mintmark.protocol.authorization_details import AuthorizationDetails
from mintmark.protocol.id_token import IdToken
from mintmark.protocol.pkce import challenge_of, make_verifier
from mintmark.protocol.scope import Scope
from mintmark.protocol.token import AuthorizationCodeRequest, TokenResponse
from mintmark.secret import Secret

__all__ = ["LoginAttempt", "LoginFlow", "SignedIn"]

Parameters = list[tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedIn:
    """A completed sign-in."""

    id_token: IdToken
    tokens: UserTokens
    authorization_details: AuthorizationDetails = ()  # as granted: RFC 9396 §7


@final
class LoginFlow:
    """Begins and finishes sign-ins of one client; it remembers nothing between the two.

    Args:
        par: the request is always pushed (RFC 9126), or there is none. A server that offers it
            is used so in any case.
        request_signing: the request is signed (RFC 9101); so it is if the server wants that and
            the client has a key.
        response_mode: how the answer comes; in an address, unless it says otherwise.
    """

    def __init__(
        self,
        authority: Authority,
        identity: ClientIdentity,
        clock: Clock,
        *,
        redirect_uri: str,
        scope: Scope,
        resource: frozenset[str],
        par: bool = False,
        request_signing: RequestSigning | None = None,
        response_mode: ResponseMode | None = None,
        binding: Binding | None = None,
    ) -> None:
        self._binding = binding
        self._authority = authority
        self._identity = identity
        self._clock = clock
        self._redirect_uri = redirect_uri
        self._scope = scope
        self._resource = resource
        self._par = par
        self._request_signing = request_signing
        self._response_mode = response_mode
        self._answers = AnswerReader(authority, identity, clock, response_mode)

    def begin(
        self,
        *,
        prompt: frozenset[Prompt] = frozenset(),
        max_age: timedelta | None = None,
        acr_values: str | Iterable[str] = (),
        login_hint: str | None = None,
        id_token_hint: Secret | None = None,
        ui_locales: str | None = None,
        display: str | None = None,
        claims: Mapping[str, Any] | None = None,
        authorization_details: Iterable[Mapping[str, Any]] = (),
        dpop_jkt: str | None = None,
        step_up: StepUpRequired | None = None,
        extra: Mapping[str, str] | None = None,
    ) -> LoginAttempt:
        """A fresh attempt.

        Args:
            max_age: how old the sign-in may be; an older one fails.
            acr_values: one of these must come back, or the sign-in fails. For a mere wish use
                `claims`.
            claims: the `claims` parameter (OIDC Core §5.5). An essential `acr` and a `sub` with a
                value must come back.
            authorization_details: what exactly is asked for (RFC 9396 §2).
            dpop_jkt: the thumbprint of the key that the tokens will be bound to (RFC 9449 §10).
            step_up: what an API asked for; it must come of this sign-in.
            extra: further parameters; none of those that are said here in another way.

        Raises:
            AuthorityUnavailable: the server cannot be reached, or cannot do what is asked for.
            LoginFailed: it refused the request, or this application cannot ask for that.
        """
        wishes = Wishes(
            prompt=prompt,
            max_age=max_age,
            acr_values=tuple(acr_values.split() if isinstance(acr_values, str) else acr_values),
            login_hint=login_hint,
            id_token_hint=id_token_hint,
            ui_locales=ui_locales,
            display=display,
            claims=claims or {},
            authorization_details=tuple(authorization_details),
            dpop_jkt=dpop_jkt,
            extra=extra or {},
        )
        return self._begin(wishes.stepped_up(step_up) if step_up is not None else wishes)

    def _begin(self, wishes: Wishes) -> LoginAttempt:
        state, nonce, code_verifier = Secret.generate(), Secret.generate(), make_verifier()
        scope = self._scope | wishes.scope
        # RFC 9449 §10: the code is bound to the session's key before the session is there.
        proof_key = new_proof_key(self._binding)
        if proof_key is not None and wishes.dpop_jkt is not None:
            raise ValueError("dpop_jkt: this client binds its tokens to keys of its own")
        request = AuthorizationRequest(
            client_id=self._identity.client_id,
            redirect_uri=self._redirect_uri,
            scope=scope,
            state=state,
            nonce=nonce,
            code_challenge=challenge_of(code_verifier),
            resource=tuple(sorted(self._resource)),
            prompt=wishes.prompt,
            max_age=wishes.max_age,
            login_hint=wishes.login_hint,
            ui_locales=wishes.ui_locales,
            acr_values=wishes.acr_values,
            id_token_hint=wishes.id_token_hint,
            display=wishes.display,
            claims=_json(wishes.claims),
            authorization_details=_json(wishes.authorization_details),
            dpop_jkt=load_key(proof_key).public.thumbprint() if proof_key else wishes.dpop_jkt,
            response_mode=self._response_mode,
        )
        url, url_ends = self._sent([*request.parameters(), *wishes.extra.items()])
        return LoginAttempt(
            url=url,
            proof_key=proof_key,
            state=state,
            nonce=nonce,
            code_verifier=code_verifier,
            scope=scope,
            demands=wishes.demands(),
            url_ends=url_ends,
        )

    def _sent(self, parameters: Parameters) -> tuple[str, datetime | None]:
        """Where the browser goes with these, and until when it may."""
        metadata = self._authority.metadata()
        endpoint = self._authority.page("authorization_endpoint")
        signing = self._request_signing
        if signing is None and metadata.require_signed_request_object:
            signing = RequestSigning()
        if signing is not None:
            parameters = signed_request(signing, parameters, self._authority, self._identity)
        offered = metadata.pushed_authorization_request_endpoint is not None
        if not (self._par or metadata.require_pushed_authorization_requests or offered):
            return redirect_with(endpoint, parameters), None
        began = self._clock.now()
        pushed = push(self._authority, self._identity, parameters)
        # RFC 9126 §4: the name and nothing else, for nothing else would be looked at.
        named = [("client_id", self._identity.client_id), ("request_uri", pushed.request_uri)]
        return redirect_with(endpoint, named), began + pushed.expires_in

    def state_of(self, answer: str) -> Secret | None:
        """Which attempt an answer says it belongs to; only `finish` proves that it does.

        Raises:
            LoginFailed: it cannot be read.
        """
        return self._answers.state_of(answer)

    def finish(self, answer: str, attempt: LoginAttempt) -> SignedIn:
        """Judge what the browser brought back, and fetch the tokens.

        Args:
            answer: the query of the address it came to, or (`form_post`) the body of its form.

        Raises:
            LoginFailed: somebody else's answer, a refusal, or tokens that do not hold.
            AuthorityUnavailable: the server cannot be reached; the code may be lost.
        """
        code = self._answers.code(answer, attempt)
        # With several resources one is chosen; the others come by refresh (RFC 8707 §2.2).
        resource = tuple(sorted(self._resource))[:1] if len(self._resource) > 1 else ()
        request = AuthorizationCodeRequest(
            code=code,
            redirect_uri=self._redirect_uri,
            code_verifier=attempt.code_verifier,
            resource=resource,
        )
        identity = bound_to(
            self._identity, self._authority, self._binding, attempt.proof_key, self._clock
        )
        try:
            response = request_tokens(self._authority, identity, request)
        except TokenRefused as refusal:
            raise LoginFailed(f"the code was refused: {refusal}", refusal.error) from None
        now = self._clock.now()
        read = self._require_id_token(response, attempt, code, now)
        asked = self._scope if attempt.scope is None else attempt.scope
        granted = response.scope if response.scope is not None else asked
        require_met(attempt.demands, read.id_token, granted)
        held = self._held(response, granted, resource, now)
        tokens = UserTokens(
            subject=read.id_token.sub,
            refresh_token=response.refresh_token,
            id_token=read.signed,
            access_tokens=(replace(held, jkt=identity.thumbprint()),),
            proof_key=attempt.proof_key,
        )
        return SignedIn(
            id_token=read.id_token,
            tokens=tokens,
            authorization_details=response.authorization_details,
        )

    def _require_id_token(
        self, response: TokenResponse, attempt: LoginAttempt, code: Secret, now: datetime
    ) -> ReadIdToken:
        if response.id_token is None:
            raise LoginFailed("no ID token came")
        try:
            return read_id_token(
                response.id_token,
                self._authority,
                self._identity,
                nonce=attempt.nonce,
                now=now,
                access_token=response.access_token,
                code=code,
                max_age=attempt.demands.max_age,
            )
        except JoseError as refusal:
            raise LoginFailed(f"the ID token does not hold: {refusal.reason}") from None

    def _held(
        self, response: TokenResponse, granted: Scope, resource: tuple[str, ...], now: datetime
    ) -> StoredToken:
        return StoredToken(
            access_token=response.access_token,
            received=now,
            expires_at=now + response.expires_in if response.expires_in else None,
            scope=granted,
            resource=frozenset(resource) or self._resource,
            renew_at=now + response.refresh_in if response.refresh_in else None,
        )


def _json(value: Mapping[str, Any] | tuple[Mapping[str, Any], ...]) -> str | None:
    return msgspec.json.encode(value).decode() if value else None
