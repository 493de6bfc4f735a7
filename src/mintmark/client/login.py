"""Signing somebody in: the authorization code flow, from redirect to ID token (OIDC Core §3.1)."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import final

from mintmark.client.authority import Authority
from mintmark.client.dpop import DPoP, dump_key, load_key
from mintmark.client.errors import LoginFailed, LoginRequired, TokenRefused
from mintmark.client.stores import StoredToken, UserTokens
from mintmark.client.token_endpoint import ClientIdentity, request_tokens
from mintmark.clock import Clock
from mintmark.jose.algorithms import ALL_ALGORITHMS
from mintmark.jose.errors import JoseError
from mintmark.jose.jws import parse
from mintmark.protocol.authorization import (
    AuthorizationRequest,
    AuthorizationResponse,
    Prompt,
    redirect_with,
)
from mintmark.protocol.errors import OAuthError
from mintmark.protocol.id_token import IdToken, check_id_token
from mintmark.protocol.pkce import challenge_of, make_verifier
from mintmark.protocol.scope import Scope
from mintmark.protocol.token import AuthorizationCodeRequest, TokenResponse
from mintmark.secret import Secret

__all__ = ["LoginAttempt", "LoginFlow", "SignedIn"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginAttempt:
    """What must be remembered, where nobody else can read it, until the browser comes back."""

    url: str = field(repr=False)  # send the browser here
    state: Secret
    nonce: Secret
    code_verifier: Secret
    max_age: timedelta | None = None
    proof_key: Secret | None = None  # the tokens will be bound to it


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedIn:
    """A completed sign-in."""

    id_token: IdToken
    tokens: UserTokens


@final
class LoginFlow:
    """Begins and finishes sign-ins of one client; it remembers nothing between the two."""

    def __init__(
        self,
        authority: Authority,
        identity: ClientIdentity,
        clock: Clock,
        *,
        redirect_uri: str,
        scope: Scope,
        resource: frozenset[str],
        binding: DPoP | None = None,
    ) -> None:
        self._binding = binding
        self._authority = authority
        self._identity = identity
        self._clock = clock
        self._redirect_uri = redirect_uri
        self._scope = scope
        self._resource = resource

    def begin(
        self, *, prompt: frozenset[Prompt] = frozenset(), max_age: timedelta | None = None
    ) -> LoginAttempt:
        """A fresh attempt. Raises `AuthorityUnavailable`."""
        state, nonce, code_verifier = Secret.generate(), Secret.generate(), make_verifier()
        request = AuthorizationRequest(
            client_id=self._identity.client_id,
            redirect_uri=self._redirect_uri,
            scope=self._scope,
            state=state,
            nonce=nonce,
            code_challenge=challenge_of(code_verifier),
            resource=tuple(sorted(self._resource)),
            prompt=prompt,
            max_age=max_age,
        )
        endpoint = self._authority.endpoint("authorization_endpoint")
        # RFC 9449 §10: the code is bound to the session's key before the session is there.
        key = self._binding.new_key() if self._binding else None
        bound = [("dpop_jkt", key.public.thumbprint())] if key else []
        return LoginAttempt(
            url=redirect_with(endpoint, [*request.parameters(), *bound]),
            proof_key=dump_key(key) if key else None,
            state=state,
            nonce=nonce,
            code_verifier=code_verifier,
            max_age=max_age,
        )

    def finish(self, query: str, attempt: LoginAttempt) -> SignedIn:
        """Judge what the browser brought back, and fetch the tokens.

        Raises:
            LoginFailed: somebody else's answer, a refusal, or tokens that do not hold.
            AuthorityUnavailable: the server cannot be reached; the code may be lost.
        """
        code = self._require_code(query, attempt)
        # With several resources one is chosen; the others come by refresh (RFC 8707 §2.2).
        resource = tuple(sorted(self._resource))[:1] if len(self._resource) > 1 else ()
        request = AuthorizationCodeRequest(
            code=code,
            redirect_uri=self._redirect_uri,
            code_verifier=attempt.code_verifier,
            resource=resource,
        )
        try:
            response = request_tokens(self._authority, self._bound_to(attempt), request)
        except TokenRefused as refusal:
            raise LoginFailed(f"the code was refused: {refusal}", refusal.error) from None
        now = self._clock.now()
        id_token = self._require_id_token(response, attempt, now)
        tokens = self._tokens(response, id_token, resource, now)
        return SignedIn(id_token=id_token, tokens=replace(tokens, proof_key=attempt.proof_key))

    def _bound_to(self, attempt: LoginAttempt) -> ClientIdentity:
        if self._binding is None:
            return self._identity
        # No downgrade: an attempt that was begun before binding was switched on begins again.
        if attempt.proof_key is None:
            raise LoginFailed("the attempt is bound to no key")
        try:
            key = load_key(attempt.proof_key)
        except LoginRequired as failure:
            raise LoginFailed(str(failure)) from None
        return replace(self._identity, sender=self._binding.with_key(key, self._clock))

    def _require_code(self, query: str, attempt: LoginAttempt) -> Secret:
        try:
            response = AuthorizationResponse.parse(query)
        except OAuthError as refusal:
            raise LoginFailed(refusal.description) from None
        # RFC 6749 §10.12: an answer to a question that this browser did not ask.
        if response.state != attempt.state:
            raise LoginFailed("state is not the one that was sent")
        # RFC 9207 §2.4: an answer of another server, made to look like ours.
        announced = self._authority.metadata().authorization_response_iss_parameter_supported
        if response.iss != self._authority.issuer and (announced or response.iss is not None):
            raise LoginFailed("iss is missing or another")
        if response.code is None:
            error = (response.error or "")[:100]
            raise LoginFailed(f"the server refused: {error}", error)
        return response.code

    def _require_id_token(
        self, response: TokenResponse, attempt: LoginAttempt, now: datetime
    ) -> IdToken:
        if response.id_token is None:
            raise LoginFailed("no ID token came")
        try:
            kid = parse(response.id_token.reveal()).header.kid
            return check_id_token(
                response.id_token,
                issuer=self._authority.issuer,
                client_id=self._identity.client_id,
                keys=self._authority.keys_for(kid),
                algorithms=ALL_ALGORITHMS,
                nonce=attempt.nonce,
                now=now,
                max_age=attempt.max_age,
                access_token=response.access_token,
            )
        except JoseError as refusal:
            raise LoginFailed(f"the ID token does not hold: {refusal.reason}") from None

    def _tokens(
        self,
        response: TokenResponse,
        id_token: IdToken,
        resource: tuple[str, ...],
        now: datetime,
    ) -> UserTokens:
        access_token = StoredToken(
            access_token=response.access_token,
            received=now,
            expires_at=now + response.expires_in if response.expires_in else None,
            scope=response.scope if response.scope is not None else self._scope,
            resource=frozenset(resource) or self._resource,
        )
        return UserTokens(
            subject=id_token.sub,
            refresh_token=response.refresh_token,
            id_token=response.id_token,
            access_tokens=(access_token,),
        )
