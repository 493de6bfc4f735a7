"""What hands tokens out: one object for each request that is wanted."""

from abc import abstractmethod
from typing import Protocol

from mintmark.client.attachable import Attachable
from mintmark.client.authority import Authority
from mintmark.client.errors import TokenRefused
from mintmark.client.manager import Acquired, Slot, TokenKey, TokenManager
from mintmark.client.token_endpoint import ClientIdentity
from mintmark.fetch import FetchPolicy
from mintmark.protocol.scope import Scope
from mintmark.protocol.token import TokenResponse
from mintmark.secret import Secret

__all__ = ["HeldRecipe", "Recipe", "require_scope"]


class Recipe(Protocol):
    """Hands out the token of one request, held or fetched."""

    def token(self) -> Secret:
        """For threads. Raises `TokenUnavailable`."""
        ...

    async def atoken(self) -> Secret:
        """For coroutines. Raises `TokenUnavailable`."""
        ...

    def forget(self, token: Secret) -> None:
        """An API refused exactly this one; the next call fetches another."""
        ...


class HeldRecipe(Attachable):
    """A recipe whose token a manager holds under one key, and fetches once however many ask."""

    def __init__(
        self, authority: Authority, identity: ClientIdentity, manager: TokenManager, key: TokenKey
    ) -> None:
        self._authority = authority
        self._identity = identity
        self._manager = manager
        self._resource = key.resource
        self._slot = manager.slot(key)

    @abstractmethod
    def _acquire(self) -> Acquired:
        """Fetch it, in a thread of the manager's. Raises `TokenUnavailable`."""

    def token(self) -> Secret:
        """For threads. Raises `TokenUnavailable`."""
        return self._manager.get(self._slot, self._acquire)

    async def atoken(self) -> Secret:
        """For coroutines. Raises `TokenUnavailable`."""
        return await self._manager.aget(self._slot, self._acquire)

    def forget(self, token: Secret) -> None:
        """An API refused exactly this one; the next call fetches another."""
        self._manager.forget(self._slot, token)

    def place(self) -> tuple[TokenManager, Slot]:
        """Where its token is held; for whoever explains."""
        return self._manager, self._slot

    def _bounds(self) -> tuple[frozenset[str], FetchPolicy]:
        return self._resource, self._authority.fetcher.policy

    def _acquired(self, response: TokenResponse) -> Acquired:
        """An answer that came this moment."""
        now = self._manager.clock.timestamp()
        lease = self._manager.policy.lease(now, response.expires_in)
        return Acquired(response.access_token, now, lease)


def require_scope(response: TokenResponse, asked: Scope) -> None:
    """Refuse a token that can do less than was asked for, before an API has to."""
    if response.scope is not None and not asked <= response.scope:
        raise TokenRefused("narrower_scope", "the server granted less than was asked for")
