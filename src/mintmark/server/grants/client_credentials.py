"""A token in the client's own name (RFC 6749 §4.4)."""

from dataclasses import dataclass

from mintmark.protocol.errors import ErrorCode, OAuthError
from mintmark.protocol.scope import Scope
from mintmark.protocol.token import ClientCredentialsRequest, TokenResponse
from mintmark.server.asker import Asker
from mintmark.server.clients import Client
from mintmark.server.mint import Mint

__all__ = ["ClientCredentialsGrant"]

OF_PEOPLE = frozenset({"openid", "profile", "email", "offline_access"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientCredentialsGrant:
    """Gives a client a token for what it may do by itself. There is no refresh token: §4.4.3."""

    mint: Mint

    async def tokens_for(self, request: ClientCredentialsRequest, asker: Asker) -> TokenResponse:
        client = asker.client
        # RFC 6749 §4.4: only for clients that can prove who they are.
        if not client.proves_itself:
            raise OAuthError(ErrorCode.UNAUTHORIZED_CLIENT, "this client cannot keep a secret")
        scope = require_allowed(request.scope, client)
        aud, scope = self.mint.audience(scope, request.resource)
        return TokenResponse(
            access_token=self.mint.for_client(asker, scope, aud),
            token_type=asker.token_type,
            expires_in=self.mint.lifetime(asker),
            scope=scope,
        )


def require_allowed(asked: Scope | None, client: Client) -> Scope:
    """What was asked for, or all the client may have for itself."""
    allowed = client.scope - OF_PEOPLE
    if asked is None:
        return allowed
    # RFC 6749 §5.2
    if not asked <= allowed:
        raise OAuthError(ErrorCode.INVALID_SCOPE, "the scope is not one this client may have")
    return asked
