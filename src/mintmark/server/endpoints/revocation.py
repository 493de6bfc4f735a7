"""The revocation endpoint (RFC 7009)."""

from dataclasses import dataclass

from mintmark.clock import Clock
from mintmark.protocol.errors import OAuthError
from mintmark.protocol.message import NO_STORE, HttpRequest, HttpResponse
from mintmark.protocol.revocation import RevocationRequest
from mintmark.server.client_authentication import ClientAuthentication
from mintmark.server.endpoints.token import client_refusal, require_form
from mintmark.server.stores import RefreshTokenStore

__all__ = ["RevocationEndpoint"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RevocationEndpoint:
    """Ends the family of a refresh token.

    A JWT access token is not kept anywhere and dies by itself within minutes; asking for its
    revocation succeeds and changes nothing.
    """

    authentication: ClientAuthentication
    refresh_tokens: RefreshTokenStore
    clock: Clock

    async def __call__(self, request: HttpRequest) -> HttpResponse:
        now = self.clock.now()
        try:
            form = require_form(request)
            client = await self.authentication.require_client(request, form, now=now)
            revocation = RevocationRequest.parse(form)
        except OAuthError as refusal:
            return client_refusal(refusal, request)
        record = await self.refresh_tokens.find(revocation.token.digest())
        # RFC 7009 §2.1: a client revokes its own tokens. Another's is treated as unknown, so that
        # nobody can ask whose it is.
        if record is not None and record.grant.client_id == client.client_id:
            await self.refresh_tokens.revoke_family(record.grant.family, now=now)
        # RFC 7009 §2.2: 200 also for tokens that never were.
        return HttpResponse(200, NO_STORE)
