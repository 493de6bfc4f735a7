"""Token exchange and on-behalf-of at the fake authority: real signatures, `act` chains, limits."""

import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, final

from mintmark.jose.algorithms import ALL_ALGORITHMS
from mintmark.jose.errors import JoseError
from mintmark.jose.jws import parse
from mintmark.jose.key_set import KeySet
from mintmark.jose.strict_json import decode_object
from mintmark.protocol.access_token import mint_access_token
from mintmark.protocol.authorization_details import AuthorizationDetails
from mintmark.protocol.errors import ErrorCode, OAuthError
from mintmark.protocol.jwt_bearer import JwtBearerRequest
from mintmark.protocol.scope import Scope, parse_scope
from mintmark.protocol.token import TokenResponse
from mintmark.protocol.token_exchange import (
    ACCESS_TOKEN,
    TokenExchangeRequest,
    TokenExchangeResponse,
)
from mintmark.secret import Secret
from mintmark.testing.asked import Asked
from mintmark.testing.authority import FakeAuthority

__all__ = ["FakeExchange"]


@final
class FakeExchange:
    """Teaches a fake authority to exchange tokens.

    It takes access tokens of its own that a person is in, keeps `sub`, puts whoever acts outermost
    into `act`, and lets no token live longer than the one it was got with.

    Attributes:
        allowed: the resources and audiences that may be asked for; None allows any.
        audience: what a subject token must be made out to; None does not look.
        issued_token_type: told in every answer.
        token_type: told in every answer.
        refresh: whether a refresh token comes along.
        granted: the `authorization_details` of every answer.
        requests: all that came, in order.
    """

    def __init__(self, authority: FakeAuthority, *, client_id: str = "client") -> None:
        self.allowed: frozenset[str] | None = None
        self.audience: str | None = None
        self.issued_token_type = ACCESS_TOKEN
        self.token_type = "Bearer"  # noqa: S105 -- a type's name
        self.refresh = False
        self.granted: AuthorizationDetails = ()
        self.requests: list[TokenExchangeRequest | JwtBearerRequest] = []
        self._authority = authority
        self._client_id = client_id
        self._refresh_tokens: dict[str, tuple[Mapping[str, Any], Scope, tuple[str, ...]]] = {}
        authority.grants[TokenExchangeRequest.grant_type] = self._exchange
        authority.grants[JwtBearerRequest.grant_type] = self._bearer
        authority.grants["refresh_token"] = self._renew

    def _exchange(self, asked: Asked) -> TokenExchangeResponse:
        request = TokenExchangeRequest.parse(asked.form)
        self.requests.append(request)
        subject = self._claims(request.subject_token)
        actor = self._claims(request.actor_token) if request.actor_token else None
        targets = (*request.resource, *request.audience)
        return self._answer(subject, actor, request.scope, targets)

    def _bearer(self, asked: Asked) -> TokenResponse:
        request = JwtBearerRequest.parse(asked.form)
        self.requests.append(request)
        answer = self._answer(
            self._claims(request.assertion), None, request.scope, request.resource
        )
        return TokenResponse(
            access_token=answer.access_token,
            token_type=answer.token_type,
            expires_in=answer.expires_in,
            refresh_token=answer.refresh_token,
            scope=answer.scope,
            authorization_details=answer.authorization_details,
        )

    def _renew(self, asked: Asked) -> TokenResponse:
        known = self._refresh_tokens.pop(asked.form.required("refresh_token", str), None)
        if known is None:
            raise OAuthError(ErrorCode.INVALID_GRANT, "the refresh token is not valid")
        subject, scope, targets = known
        end = self._authority.clock.timestamp() + self._authority.lifetime.total_seconds()
        return self._answer({**subject, "exp": end}, None, scope, targets)

    def _claims(self, token: Secret) -> dict[str, Any]:
        fake = self._authority
        try:
            jws = parse(token.reveal())
            jws.require_signature(KeySet(fake.published), ALL_ALGORITHMS)
            claims = decode_object(jws.payload)
        except JoseError:
            raise OAuthError(ErrorCode.INVALID_REQUEST, "the token does not hold") from None
        audience = claims.get("aud")
        audiences = [audience] if isinstance(audience, str) else audience
        ended = claims.get("exp", 0) <= fake.clock.timestamp()
        foreign = claims.get("iss") != fake.issuer
        elsewhere = self.audience is not None and self.audience not in (audiences or [])
        # RFC 8693 §2.2.2. An application's own token says nothing about a person.
        if ended or foreign or elsewhere or claims.get("sub") == claims.get("client_id"):
            raise OAuthError(ErrorCode.INVALID_REQUEST, "the token does not hold")
        return claims

    def _answer(
        self,
        subject: Mapping[str, Any],
        actor: Mapping[str, Any] | None,
        scope: Scope | None,
        targets: tuple[str, ...],
    ) -> TokenExchangeResponse:
        if self.allowed is not None and not set(targets) <= self.allowed:
            raise OAuthError(ErrorCode.INVALID_TARGET, "this client may not ask for that")
        held = parse_scope(subject["scope"]) if subject.get("scope") else frozenset()
        granted = held if scope is None else scope
        if not granted <= held:
            raise OAuthError(ErrorCode.INVALID_SCOPE, "the scope is wider than what was granted")
        now = self._authority.clock.now()
        left = timedelta(seconds=subject["exp"] - now.timestamp())
        lifetime = min(self._authority.lifetime, left)
        return TokenExchangeResponse(
            access_token=self._mint(subject, actor, granted, targets, now, lifetime),
            token_type=self.token_type,
            expires_in=lifetime,
            refresh_token=self._refresh_token(subject, granted, targets) if self.refresh else None,
            scope=granted or None,
            authorization_details=self.granted,
            issued_token_type=self.issued_token_type,
        )

    def _mint(
        self,
        subject: Mapping[str, Any],
        actor: Mapping[str, Any] | None,
        scope: Scope,
        targets: tuple[str, ...],
        now: datetime,
        lifetime: timedelta,
    ) -> Secret:
        # RFC 8693 §4.1: the latest actor is outermost.
        act = {"sub": actor["sub"] if actor else self._client_id}
        if "act" in subject:
            act["act"] = subject["act"]
        return mint_access_token(
            iss=self._authority.issuer,
            sub=subject["sub"],
            aud=targets or (self._authority.audience,),
            client_id=self._client_id,
            scope=scope,
            jti=secrets.token_hex(16),
            now=now,
            lifetime=lifetime,
            key=self._authority.key,
            extra={"act": act},
        )

    def _refresh_token(
        self, subject: Mapping[str, Any], scope: Scope, targets: tuple[str, ...]
    ) -> Secret:
        token = Secret.generate()
        self._refresh_tokens[token.reveal()] = (subject, scope, targets)
        return token
