"""A recipe's token for whichever HTTP library; each is imported when it is asked for."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar

from mintmark.client.auth import TokenAuth
from mintmark.fetch import FetchPolicy
from mintmark.secret import Secret

if TYPE_CHECKING:
    from mintmark.client.aiohttp_auth import AiohttpAuth
    from mintmark.client.httpx_auth import HttpxAuth
    from mintmark.client.niquests_auth import AsyncNiquestsAuth, NiquestsAuth
    from mintmark.client.requests_auth import RequestsAuth

__all__ = ["Attachable"]


class Attachable(ABC):
    """What every recipe can do with its token.

    Each method takes `origins`: where the token may go; the resources' own origins unless given.
    """

    is_personal: ClassVar[bool] = True
    """Whether it is a person's token, and another sign-in could bring a better one."""

    @abstractmethod
    def token(self) -> Secret: ...

    @abstractmethod
    async def atoken(self) -> Secret: ...

    @abstractmethod
    def forget(self, token: Secret) -> None: ...

    @abstractmethod
    def _bounds(self) -> tuple[frozenset[str], FetchPolicy]:
        """The resources the token is for, and which addresses are safe."""

    def auth(self, *, origins: Iterable[str] | None = None) -> TokenAuth:
        """For `httpx2.Client(auth=...)` and `httpx2.AsyncClient(auth=...)`."""
        resources, policy = self._bounds()
        return TokenAuth(self, origins or resources, policy)

    def httpx_auth(self, *, origins: Iterable[str] | None = None) -> "HttpxAuth":
        """For `httpx.Client(auth=...)` and `httpx.AsyncClient(auth=...)`."""
        from mintmark.client.httpx_auth import HttpxAuth

        resources, policy = self._bounds()
        return HttpxAuth(self, origins or resources, policy)

    def requests_auth(self, *, origins: Iterable[str] | None = None) -> "RequestsAuth":
        """For `requests.get(..., auth=...)` and for `auth` of a `requests.Session`."""
        from mintmark.client.requests_auth import RequestsAuth

        resources, policy = self._bounds()
        return RequestsAuth(self, origins or resources, policy)

    def niquests_auth(self, *, origins: Iterable[str] | None = None) -> "NiquestsAuth":
        """For `niquests.get(..., auth=...)` and for `auth` of a `niquests.Session`."""
        from mintmark.client.niquests_auth import NiquestsAuth

        resources, policy = self._bounds()
        return NiquestsAuth(self, origins or resources, policy)

    def async_niquests_auth(self, *, origins: Iterable[str] | None = None) -> "AsyncNiquestsAuth":
        """For `auth` of a `niquests.AsyncSession`."""
        from mintmark.client.niquests_auth import AsyncNiquestsAuth

        resources, policy = self._bounds()
        return AsyncNiquestsAuth(self, origins or resources, policy)

    def aiohttp_auth(self, *, origins: Iterable[str] | None = None) -> "AiohttpAuth":
        """For `aiohttp.ClientSession(middlewares=[...])`."""
        from mintmark.client.aiohttp_auth import AiohttpAuth

        resources, policy = self._bounds()
        return AiohttpAuth(self, origins or resources, policy)
