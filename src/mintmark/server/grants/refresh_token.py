"""New tokens in exchange for a refresh token: the rotation rule (RFC 6749 §6, RFC 9700 §4.14.2)."""

from dataclasses import dataclass
from datetime import datetime

from mintmark.events import Events
from mintmark.protocol.authorization_details import AuthorizationDetails, parse_details
from mintmark.protocol.errors import ErrorCode, OAuthError
from mintmark.protocol.scope import require_not_wider
from mintmark.protocol.token import RefreshTokenRequest, TokenResponse
from mintmark.secret import Secret
from mintmark.server.accounts import Accounts
from mintmark.server.asker import Asker
from mintmark.server.clients import Client
from mintmark.server.config import RefreshTokenPolicy
from mintmark.server.events import RefreshTokenReplayed, RefreshTokenReused
from mintmark.server.first_tokens import details_of
from mintmark.server.mint import Mint
from mintmark.server.sealing import open_successor, seal_successor
from mintmark.server.stores import (
    AlreadySpent,
    Grant,
    RefreshTokenRecord,
    RefreshTokenStore,
    Replayed,
    Rotated,
    Unknown,
)

__all__ = ["RefreshTokenGrant"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshTokenGrant:
    """Spends a refresh token and gives out the next one."""

    refresh_tokens: RefreshTokenStore
    accounts: Accounts
    mint: Mint
    policy: RefreshTokenPolicy
    events: Events

    async def tokens_for(self, request: RefreshTokenRequest, asker: Asker) -> TokenResponse:
        client, now = asker.client, asker.now
        token = request.refresh_token
        record = require_live(await self.refresh_tokens.find(token.digest()), asker)
        grant = record.grant
        account = await self.accounts.find(grant.subject)
        if account is None:
            raise refused("the account is gone or disabled")
        asked = require_not_wider(request.scope, grant.scope)
        wanted = require_granted_details(request, grant)
        # Everything that can be refused is refused before the token is spent.
        aud, scope = self.mint.audience(asked, request.resource, wanted)
        details = self.mint.clients.details_at(aud[0], wanted)
        successor = await self._rotate(token, record, client, now)
        access_token = self.mint.for_person(grant, asker, scope, aud, details)
        openid = "openid" in grant.scope
        return TokenResponse(
            access_token=access_token,
            token_type=asker.token_type,
            expires_in=self.mint.lifetime(asker),
            refresh_token=successor,
            # OIDC Core §12.2: the refreshed ID token has no nonce.
            id_token=self.mint.id_token(grant, account, access_token, now, nonce=None)
            if openid
            else None,
            scope=scope,
            authorization_details=details,
        )

    async def _rotate(
        self, token: Secret, record: RefreshTokenRecord, client: Client, now: datetime
    ) -> Secret:
        successor = Secret.generate()
        outcome = await self.refresh_tokens.rotate(
            record.digest,
            successor_of(record, successor, self.policy, now),
            seal_successor(token, successor),
            now=now,
            replay_since=now - self.policy.grace,
        )
        family = record.grant.family
        match outcome:
            case Rotated():
                return successor
            case Replayed(sealed_successor):
                self.events.emit(RefreshTokenReplayed(client_id=client.client_id, family=family))
                return open_successor(token, sealed_successor)
            case AlreadySpent(at):
                # RFC 9700 §4.14.2: thief and owner look alike, so both lose it.
                await self.refresh_tokens.revoke_family(family, now=now)
                self.events.emit(
                    RefreshTokenReused(
                        client_id=client.client_id, family=family, spent_for=now - at
                    )
                )
                raise refused("reused")
            case Unknown():
                raise refused("revoked")


def require_granted_details(request: RefreshTokenRequest, grant: Grant) -> AuthorizationDetails:
    """Those of the request, each of which was granted as it stands; all, if it says nothing."""
    granted = details_of(grant)
    if request.authorization_details is None:
        return granted
    try:
        wanted = parse_details(request.authorization_details)
    except ValueError:
        wanted = ({"type": ""},)
    # RFC 9396 §6.1: what is contained in what, only their own API could say.
    if not all(one in granted for one in wanted):
        raise OAuthError(
            ErrorCode.INVALID_AUTHORIZATION_DETAILS, "authorization_details were not granted"
        )
    return wanted


def require_live(record: RefreshTokenRecord | None, asker: Asker) -> RefreshTokenRecord:
    """The token's record, if it is this client's and neither idle nor absolute life is over."""
    if record is None:
        raise refused("unknown or revoked")
    # RFC 6749 §6
    if record.grant.client_id != asker.client.client_id:
        raise refused("issued to another client")
    # RFC 9449 §5
    if record.grant.jkt is not None and record.grant.jkt != asker.jkt:
        raise refused("bound to another key")
    now = asker.now
    if now >= record.expires or now >= record.family_expires:
        raise refused("expired")
    return record


def successor_of(
    record: RefreshTokenRecord, successor: Secret, policy: RefreshTokenPolicy, now: datetime
) -> RefreshTokenRecord:
    """The next record of the family: a new idle life, the same absolute end."""
    return RefreshTokenRecord(
        digest=successor.digest(),
        grant=record.grant,
        issued=now,
        expires=min(now + policy.idle_lifetime, record.family_expires),
        family_expires=record.family_expires,
    )


def refused(reason: str) -> OAuthError:
    """One answer for every dead token; only our log learns which kind it was."""
    return OAuthError(ErrorCode.INVALID_GRANT, "the refresh token is not valid", reason=reason)
