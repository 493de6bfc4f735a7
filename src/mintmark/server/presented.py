"""Access tokens of our own that somebody brings back."""

from dataclasses import dataclass
from datetime import datetime

from mintmark.jose.algorithms import ALL_ALGORITHMS
from mintmark.jose.errors import JoseError
from mintmark.protocol.access_token import AccessToken, read_access_token, require_valid
from mintmark.secret import Secret
from mintmark.server.accounts import Accounts
from mintmark.server.clients import ClientRegistry
from mintmark.server.config import ServerConfig
from mintmark.server.mint import GRANT_CLAIM
from mintmark.server.signing_keys import SigningKeys
from mintmark.server.stores import FamilyRevoked, RefreshTokenStore

__all__ = ["PresentedRefused", "PresentedTokens"]


class PresentedRefused(Exception):
    """This token is worth nothing here. `reason` is for the log: fixed words, none of the token's."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class PresentedTokens:
    """Tells a live token of this server from everything else."""

    config: ServerConfig
    clients: ClientRegistry
    keys: SigningKeys
    accounts: Accounts
    refresh_tokens: RefreshTokenStore

    async def require_alive(self, token: Secret, *, now: datetime) -> AccessToken:
        """The token, unless it is over, revoked, or nobody's any more. Its audience may be any.

        Raises:
            PresentedRefused
        """
        checked = self._require_ours(token, now)
        if self.clients.find(checked.client_id) is None:
            raise PresentedRefused("its client is registered no more")
        family = checked.claims.get(GRANT_CLAIM)
        if family is None:
            # RFC 9068 §5: an application's token names the application twice.
            if checked.sub != checked.client_id:
                raise PresentedRefused("it names a person, and no grant")
            return checked
        session = checked.claims.get("sid", "")
        if type(family) is not str or type(session) is not str:
            raise PresentedRefused("grant_id or sid is no text")
        try:
            await self.refresh_tokens.require_alive(family, session)
        except FamilyRevoked:
            raise PresentedRefused("what it came from was revoked") from None
        if await self.accounts.find(checked.sub) is None:
            raise PresentedRefused("the account is gone or disabled")
        return checked

    def _require_ours(self, token: Secret, now: datetime) -> AccessToken:
        try:
            unchecked = read_access_token(token.reveal())
            aud = unchecked.claims.get("aud")
            return require_valid(
                unchecked,
                issuer=self.config.issuer,
                # Whose it is, the caller judges; that there is one, and of what form, is checked.
                audience=aud if isinstance(aud, str) else self.config.issuer,
                keys=self.keys.key_set,
                algorithms=ALL_ALGORITHMS,
                now=now.timestamp(),
                skew=0.0,  # it was our own clock that said when it ends
            )
        except JoseError as refusal:
            raise PresentedRefused(refusal.reason) from None
