"""Tokens in exchange for an authorization code (RFC 6749 §4.1.3)."""

from dataclasses import dataclass
from datetime import datetime

from mintmark.events import Events
from mintmark.protocol.errors import ErrorCode, OAuthError
from mintmark.protocol.pkce import require_verifier
from mintmark.protocol.token import AuthorizationCodeRequest, TokenResponse
from mintmark.secret import Secret
from mintmark.server.asker import Asker
from mintmark.server.clients import Client
from mintmark.server.events import CodeReused
from mintmark.server.first_tokens import FirstTokens
from mintmark.server.stores import (
    AlreadyRedeemed,
    CodeRecord,
    CodeStore,
    Redeemed,
    RefreshTokenStore,
    Unknown,
)

__all__ = ["AuthorizationCodeGrant"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationCodeGrant:
    """Spends a code and begins a family of tokens."""

    codes: CodeStore
    refresh_tokens: RefreshTokenStore
    first: FirstTokens
    events: Events

    async def tokens_for(self, request: AuthorizationCodeRequest, asker: Asker) -> TokenResponse:
        client, now = asker.client, asker.now
        # Spent before anything else is looked at: two requests must not both get past this line.
        record = await self._redeem(request.code, client, now)
        require_for(record, asker, request)
        return await self.first.tokens_for(record.grant, asker, request.resource, refused)

    async def _redeem(self, code: Secret, client: Client, now: datetime) -> CodeRecord:
        match await self.codes.redeem(code.digest(), now=now):
            case Redeemed(record):
                return record
            case AlreadyRedeemed(record):
                # RFC 6749 §4.1.2: what came of the code the first time dies with it.
                family = record.grant.family
                await self.refresh_tokens.revoke_family(family, now=now)
                self.events.emit(CodeReused(client_id=client.client_id, family=family))
                raise refused("redeemed before")
            case Unknown():
                raise refused("unknown")


def require_for(record: CodeRecord, asker: Asker, request: AuthorizationCodeRequest) -> CodeRecord:
    """The code, if it was given to this client for this exchange and is still alive."""
    client, now = asker.client, asker.now
    # RFC 6749 §4.1.3
    if record.grant.client_id != client.client_id:
        raise refused("issued to another client")
    if record.redirect_uri != request.redirect_uri:
        raise refused("redirect_uri differs")
    # RFC 6749 §4.1.2
    if now >= record.expires:
        raise refused("expired")
    # RFC 9449 §10
    if record.grant.jkt is not None and record.grant.jkt != asker.jkt:
        raise refused("bound to another key")
    require_verifier(request.code_verifier, record.code_challenge)
    return record


def refused(reason: str) -> OAuthError:
    """One answer for every dead code; only our log learns which kind it was."""
    return OAuthError(ErrorCode.INVALID_GRANT, "the authorization code is not valid", reason=reason)
