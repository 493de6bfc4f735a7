"""A token for the next API, in exchange for the one that came (RFC 8693)."""

from dataclasses import dataclass
from typing import Final

from mintmark.protocol.errors import ErrorCode, OAuthError
from mintmark.protocol.token_exchange import (
    ACCESS_TOKEN,
    JWT,
    TokenExchangeRequest,
    TokenExchangeResponse,
)
from mintmark.server.asker import Asker
from mintmark.server.exchange import Exchange, Wanted
from mintmark.server.presented import PresentedRefused

__all__ = ["TokenExchangeGrant"]

TYPES: Final = frozenset({ACCESS_TOKEN, JWT})
"""RFC 8693 §3: our access tokens are JWTs, so that both names mean them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenExchangeGrant:
    """Exchange in the standard dialect. There is no refresh token: it would outlive the other."""

    exchange: Exchange

    async def tokens_for(
        self, request: TokenExchangeRequest, asker: Asker
    ) -> TokenExchangeResponse:
        issued = require_types(request)
        if request.authorization_details is not None:
            raise OAuthError(ErrorCode.INVALID_REQUEST, "authorization_details is not offered")
        wanted = Wanted(
            subject_token=request.subject_token,
            actor_token=request.actor_token,
            targets=(*request.resource, *request.audience),
            scope=request.scope,
        )
        try:
            exchanged = await self.exchange.exchanged(wanted, asker)
        except PresentedRefused as refusal:
            # RFC 8693 §2.2.2. One answer whatever was wrong; only our log learns what it was.
            raise OAuthError(
                ErrorCode.INVALID_REQUEST, "a token is not acceptable", reason=refusal.reason
            ) from None
        return TokenExchangeResponse(
            access_token=exchanged.access_token,
            issued_token_type=issued,
            token_type=asker.token_type,
            expires_in=exchanged.expires_in,
            scope=exchanged.scope,
        )


def require_types(request: TokenExchangeRequest) -> str:
    """The type of the new token, if all types are ones that are dealt in here."""
    for name in ("subject_token_type", "actor_token_type", "requested_token_type"):
        # RFC 8693 §2.1
        if getattr(request, name) not in {*TYPES, None}:
            raise OAuthError(ErrorCode.INVALID_REQUEST, f"{name} is not offered")
    return request.requested_token_type or ACCESS_TOKEN
