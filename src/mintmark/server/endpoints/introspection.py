"""What a token is worth, for the API that it is for (RFC 7662, RFC 9701)."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import msgspec

from mintmark.clock import Clock
from mintmark.jose.jws import sign
from mintmark.protocol.errors import ErrorCode, OAuthError
from mintmark.protocol.introspection import MEDIA_TYPE, TYP, IntrospectionRequest
from mintmark.protocol.message import NO_STORE, HttpRequest, HttpResponse, json_answer
from mintmark.protocol.scope import format_scope
from mintmark.secret import Secret
from mintmark.server.client_authentication import ClientAuthentication
from mintmark.server.clients import Client, ClientRegistry
from mintmark.server.config import ServerConfig
from mintmark.server.endpoints.token import client_refusal, require_form
from mintmark.server.first_tokens import details_of
from mintmark.server.mint import GRANT_CLAIM, USERINFO_CLAIM
from mintmark.server.presented import PresentedRefused, PresentedTokens
from mintmark.server.signing_keys import SigningKeys
from mintmark.server.stores import FamilyRevoked, RefreshTokenRecord, RefreshTokenStore

__all__ = ["IntrospectionEndpoint"]

INACTIVE: Final[dict[str, Any]] = {"active": False}
"""RFC 7662 §2.2: no word on why, nor on whose it was."""

INTERNAL: Final = frozenset({GRANT_CLAIM, USERINFO_CLAIM})


@dataclass(frozen=True, slots=True, kw_only=True)
class IntrospectionEndpoint:
    """Answers a token's own API, and the client that it was given to. Others learn nothing."""

    config: ServerConfig
    clients: ClientRegistry
    keys: SigningKeys
    authentication: ClientAuthentication
    presented: PresentedTokens
    refresh_tokens: RefreshTokenStore
    clock: Clock

    async def __call__(self, request: HttpRequest) -> HttpResponse:
        now = self.clock.now()
        try:
            form = require_form(request)
            client = await self.authentication.require_client(request, form, now=now)
            # RFC 7662 §2.1: or anybody could try tokens here.
            if not client.proves_itself:
                raise OAuthError(ErrorCode.UNAUTHORIZED_CLIENT, "this client cannot keep a secret")
            question = IntrospectionRequest.parse(form)
        except OAuthError as refusal:
            return client_refusal(refusal, request)
        members = await self._members(question.token, client, now)
        # RFC 9110 §5.3: several fields of this name are one list.
        accept = b",".join(value for name, value in request.headers if name == b"accept")
        if MEDIA_TYPE.encode("ascii") in accept.lower():
            return self._signed(members, client, now)
        return json_answer(msgspec.json.encode(members))

    async def _members(self, token: Secret, client: Client, now: datetime) -> dict[str, Any]:
        # RFC 7662 §2.1: the hint is no filter. Their forms tell them apart: one has dots.
        if "." in token.reveal():
            return await self._access_token(token, client, now)
        return await self._refresh_token(token, client, now)

    async def _access_token(self, token: Secret, client: Client, now: datetime) -> dict[str, Any]:
        try:
            checked = await self.presented.require_alive(token, now=now)
        except PresentedRefused:
            return INACTIVE
        meant = not self.clients.audiences_of(client).isdisjoint(checked.aud)
        # RFC 7662 §4: what a token says is for whom it is made out to, and whose it is.
        if not meant and checked.client_id != client.client_id:
            return INACTIVE
        kind = "DPoP" if "jkt" in checked.cnf else "Bearer"
        said = {name: value for name, value in checked.claims.items() if name not in INTERNAL}
        return {**said, "active": True, "token_type": kind}

    async def _refresh_token(self, token: Secret, client: Client, now: datetime) -> dict[str, Any]:
        record = await self.refresh_tokens.find_unspent(token.digest())
        if record is None or record.grant.client_id != client.client_id:
            return INACTIVE
        ends = min(record.expires, record.family_expires)
        if now >= ends or not await self._lives(record):
            return INACTIVE
        details = details_of(record.grant)
        return {
            # RFC 9396 §9.2
            **({"authorization_details": details} if details else {}),
            "active": True,
            "iss": self.config.issuer,
            "sub": record.grant.subject,
            "client_id": record.grant.client_id,
            "scope": format_scope(record.grant.scope),
            "iat": int(record.issued.timestamp()),
            "exp": int(ends.timestamp()),
            # Not in the specification, and no `token_type` either: no API may take this for a
            # token that it was called with.
            "token_use": "refresh_token",
        }

    async def _lives(self, record: RefreshTokenRecord) -> bool:
        grant = record.grant
        try:
            await self.refresh_tokens.require_alive(grant.family, grant.session)
        except FamilyRevoked:
            return False
        return await self.presented.accounts.find(grant.subject) is not None

    def _signed(self, members: dict[str, Any], client: Client, now: datetime) -> HttpResponse:
        # RFC 9701 §5: `sub` and `exp` stay inside, or the answer would pass for a token.
        claims = {
            "iss": self.config.issuer,
            "aud": client.client_id,
            "iat": int(now.timestamp()),
            "token_introspection": members,
        }
        jwt = sign(msgspec.json.encode(claims), self.keys.current(), typ=TYP)
        headers = ((b"content-type", MEDIA_TYPE.encode("ascii")), *NO_STORE)
        return HttpResponse(200, headers, jwt.encode("ascii"))
