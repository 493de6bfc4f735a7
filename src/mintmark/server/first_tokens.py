"""The first tokens of a family: what a code and a device code are worth, once they are spent."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from mintmark.protocol.authorization_details import AuthorizationDetails, parse_details
from mintmark.protocol.errors import OAuthError
from mintmark.protocol.token import TokenResponse
from mintmark.secret import Secret
from mintmark.server.accounts import Accounts
from mintmark.server.asker import Asker
from mintmark.server.config import RefreshTokenPolicy
from mintmark.server.mint import Mint
from mintmark.server.stores import FamilyRevoked, Grant, RefreshTokenRecord, RefreshTokenStore

__all__ = ["FirstTokens", "details_of"]


def details_of(grant: Grant) -> AuthorizationDetails:
    """What was granted in detail (RFC 9396 §7)."""
    return parse_details(grant.authorization_details) if grant.authorization_details else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstTokens:
    """Begins a family of tokens."""

    refresh_tokens: RefreshTokenStore
    accounts: Accounts
    mint: Mint
    policy: RefreshTokenPolicy

    async def tokens_for(
        self,
        grant: Grant,
        asker: Asker,
        resource: tuple[str, ...],
        refused: Callable[[str], OAuthError],
    ) -> TokenResponse:
        """Raises `OAuthError`: what `refused` makes of a reason, or INVALID_TARGET."""
        account = await self.accounts.find(grant.subject)
        if account is None:
            raise refused("the account is gone or disabled")
        granted = details_of(grant)
        aud, scope = self.mint.audience(grant.scope, resource, granted)
        details = self.mint.clients.details_at(aud[0], granted)
        access_token = self.mint.for_person(grant, asker, scope, aud, details)
        openid = "openid" in grant.scope
        return TokenResponse(
            access_token=access_token,
            token_type=asker.token_type,
            expires_in=self.mint.lifetime(asker),
            refresh_token=await self._refresh_token(grant, asker, refused),
            id_token=self.mint.id_token(grant, account, access_token, asker.now, nonce=grant.nonce)
            if openid
            else None,
            scope=scope,
            authorization_details=details,
        )

    async def _refresh_token(
        self, grant: Grant, asker: Asker, refused: Callable[[str], OAuthError]
    ) -> Secret | None:
        client, now = asker.client, asker.now
        # OIDC Core §11: offline_access was consented to, or it is not in the grant.
        if "offline_access" not in grant.scope or "refresh_token" not in client.grant_types:
            return None
        token = Secret.generate()
        family_expires = now + self.policy.absolute_lifetime
        first = RefreshTokenRecord(
            digest=token.digest(),
            # RFC 9449 §5: a client with a secret is known by it, and may change its key; for one
            # without, the key is all that tells it from a thief.
            grant=replace(grant, jkt=None if client.proves_itself else asker.jkt),
            issued=now,
            expires=min(now + self.policy.idle_lifetime, family_expires),
            family_expires=family_expires,
        )
        try:
            await self.refresh_tokens.add(first)
        except FamilyRevoked:
            raise refused("revoked meanwhile") from None
        return token
