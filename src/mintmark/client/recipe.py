"""What hands tokens out: one object for each request that is wanted."""

import asyncio
from abc import abstractmethod
from dataclasses import replace
from typing import Any, ClassVar, Protocol

from mintmark.client.attachable import Attachable
from mintmark.client.authority import Authority
from mintmark.client.binding import Sender
from mintmark.client.errors import AuthorityUnavailable, TokenRefused
from mintmark.client.held import Acquired, Slot, TokenKey
from mintmark.client.manager import TokenManager
from mintmark.client.token_endpoint import ClientIdentity
from mintmark.fetch import FetchPolicy
from mintmark.protocol.authorization_details import AuthorizationDetails
from mintmark.protocol.scope import Scope
from mintmark.protocol.token import TokenResponse
from mintmark.secret import Secret

__all__ = ["HeldRecipe", "Recipe", "held_details", "require_scope"]


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

    _shared: ClassVar[bool] = True  # False: its tokens are in a store of their own already

    def __init__(
        self, authority: Authority, identity: ClientIdentity, manager: TokenManager, key: TokenKey
    ) -> None:
        self._authority = authority
        self._identity = identity
        self._manager = manager
        self._resource = key.resource
        self._unbound: Any = key  # every kind of key is a dataclass
        self._slot = manager.slot(key, shared=self._shared)

    @abstractmethod
    def _acquire(self) -> Acquired:
        """Fetch it, in a thread of the manager's. Raises `TokenUnavailable`."""

    def token(self) -> Secret:
        """For threads. Raises `TokenUnavailable`."""
        return self._manager.get(self._follow_key(), self._acquire)

    async def atoken(self) -> Secret:
        """For coroutines. Raises `TokenUnavailable`."""
        sender = self.sender
        if sender is None or sender.at_once:
            slot = self._follow_key()
        else:
            slot = await asyncio.to_thread(self._follow_key)
        return await self._manager.aget(slot, self._acquire)

    def forget(self, token: Secret) -> None:
        """An API refused exactly this one; the next call fetches another."""
        # Followed first: this recipe may not have handed out a token yet, and another one did.
        self._manager.forget(self._follow_key(), token)
        if self.sender is not None:
            self.sender.look_again()

    @property
    def sender(self) -> Sender | None:
        """What the token is bound to."""
        return self._identity.sender

    def _follow_key(self) -> Slot:
        """A token belongs to the key it was fetched with: with another key it is another token."""
        sender, slot = self.sender, self._slot
        if sender is not None:
            jkt = sender.thumbprint()
            if slot.jkt != jkt:
                slot = self._slot = self._manager.slot(
                    replace(self._unbound, jkt=jkt), shared=self._shared
                )
        return slot

    def place(self) -> tuple[TokenManager, Slot]:
        """Where its token is held; for whoever explains."""
        return self._manager, self._slot

    def _bounds(self) -> tuple[frozenset[str], FetchPolicy]:
        return self._resource, self._authority.fetcher.policy

    def _acquired(self, response: TokenResponse) -> Acquired:
        """An answer that came this moment."""
        now = self._manager.clock.timestamp()
        lease = self._manager.policy.lease(now, response.expires_in, response.refresh_in)
        details = response.authorization_details
        return Acquired(response.access_token, now, lease, details=details)


def require_scope(response: TokenResponse, asked: Scope) -> None:
    """Refuse a token that can do less than was asked for, before an API has to."""
    if response.scope is not None and not asked <= response.scope:
        raise TokenRefused("narrower_scope", "the server granted less than was asked for")


def held_details(slot: Slot, token: Secret) -> AuthorizationDetails:
    """What was granted with exactly this token, as long as it is held.

    Raises:
        AuthorityUnavailable: it is not held any more; what was granted with it is not known.
    """
    held = slot.held
    if held is None or held.token != token:
        raise AuthorityUnavailable("the token was replaced meanwhile")
    return held.details
