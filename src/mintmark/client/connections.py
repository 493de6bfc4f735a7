"""One pool of connections for a web application, and an HTTP client of its own for each token.

People must not share an HTTP client: it keeps cookies, and would lend one person's to another. Making
a client is cheap and making connections is not, so clients come and go and share their connections.
"""

import threading
from collections.abc import Iterable
from typing import Final, final

import httpx2

from mintmark.client.attachable import Attachable
from mintmark.client.client import Client
from mintmark.client.errors import (
    AuthorityUnavailable,
    InsufficientScope,
    TokenRefused,
    TokenRejected,
)
from mintmark.forks import begin_again_after_fork, leave_behind
from mintmark.protocol.message import HttpResponse
from mintmark.protocol.scope import Scope

__all__ = ["FAILURES", "ApiClients", "AsyncApiClients", "base_of", "problem_of"]

TIMEOUT: Final = 10.0
RETRY_AFTER: Final = b"5"

FAILURES: Final = (AuthorityUnavailable, InsufficientScope, TokenRefused, TokenRejected)
"""What goes wrong behind a web application, and is nothing to its visitor. A `LoginRequired` is not
among them: that person has to sign in, which is for the application to arrange."""


def problem_of(failure: Exception) -> HttpResponse:
    """What a visitor is told: 503 where trying again can help, else 502, and nothing of why.

    Source: RFC 9110 §15.6.3, RFC 9110 §15.6.4, RFC 9457 §3.
    """
    kind = (b"content-type", b"application/problem+json")
    if getattr(failure, "retryable", False):
        body = b'{"title":"Service Unavailable","status":503}'
        return HttpResponse(503, (kind, (b"retry-after", RETRY_AFTER)), body)
    return HttpResponse(502, (kind,), b'{"title":"Bad Gateway","status":502}')


def base_of(resource: str | Iterable[str], base_url: str) -> str:
    """Where relative addresses lead: to the API itself, if there is one alone."""
    names = [resource] if isinstance(resource, str) else list(resource)
    return base_url or (names[0] if len(names) == 1 and "://" in names[0] else "")


@final
class ApiClients:
    """HTTP clients for threads. Make it once; `close` it at the end.

    Args:
        client: who the application is.
        transport: instead of connections of its own, which are made at the first request.
    """

    def __init__(
        self,
        client: Client,
        *,
        transport: httpx2.BaseTransport | None = None,
        timeout: float = TIMEOUT,
    ) -> None:
        self.client = client
        self._shared = _Shared(transport)
        self._timeout = timeout

    def app(
        self, *, resource: str | Iterable[str], scope: str | Scope = "", base_url: str = ""
    ) -> httpx2.Client:
        """With the application's own token."""
        names = frozenset({resource} if isinstance(resource, str) else resource)
        recipe = self.client.app_token(resource=names, scope=scope)
        return self.of(recipe, base_url=base_of(names, base_url))

    def of(self, recipe: Attachable, *, base_url: str = "") -> httpx2.Client:
        """With the token of this recipe: a person's, say. One for each request and person."""
        return httpx2.Client(
            transport=self._shared,
            auth=recipe.auth(),
            base_url=base_url,
            timeout=self._timeout,
            trust_env=False,
        )

    def close(self) -> None:
        """Close the connections; the next request makes others."""
        self._shared.shut()


@final
class AsyncApiClients:
    """The same for coroutines, of one event loop at a time."""

    def __init__(
        self,
        client: Client,
        *,
        transport: httpx2.AsyncBaseTransport | None = None,
        timeout: float = TIMEOUT,
    ) -> None:
        self.client = client
        self._shared = _AsyncShared(transport)
        self._timeout = timeout

    def app(
        self, *, resource: str | Iterable[str], scope: str | Scope = "", base_url: str = ""
    ) -> httpx2.AsyncClient:
        """With the application's own token."""
        names = frozenset({resource} if isinstance(resource, str) else resource)
        recipe = self.client.app_token(resource=names, scope=scope)
        return self.of(recipe, base_url=base_of(names, base_url))

    def of(self, recipe: Attachable, *, base_url: str = "") -> httpx2.AsyncClient:
        """With the token of this recipe: a person's, say. One for each request and person."""
        return httpx2.AsyncClient(
            transport=self._shared,
            auth=recipe.auth(),
            base_url=base_url,
            timeout=self._timeout,
            trust_env=False,
        )

    async def aclose(self) -> None:
        """Close the connections; the next request makes others."""
        await self._shared.shut()


@final
class _Shared(httpx2.BaseTransport):
    """Connections that outlive the clients that use them, though no fork."""

    def __init__(self, given: httpx2.BaseTransport | None) -> None:
        self._given = given
        self._lock = threading.Lock()
        self._made: httpx2.BaseTransport | None = None
        begin_again_after_fork(self)

    def begin(self) -> None:
        """With none: on one connection two processes would read each other's answers."""
        leave_behind(self._made)
        self._lock, self._made = threading.Lock(), None

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        return (self._given or self._own()).handle_request(request)

    def close(self) -> None:
        """Called by every client that ends; the others go on."""

    def shut(self) -> None:
        made, self._made = self._made, None
        for transport in (self._given, made):
            if transport is not None:
                transport.close()

    def _own(self) -> httpx2.BaseTransport:
        made = self._made
        if made is not None:
            return made
        with self._lock:
            if self._made is None:
                self._made = httpx2.HTTPTransport(trust_env=False)
            return self._made


@final
class _AsyncShared(httpx2.AsyncBaseTransport):
    def __init__(self, given: httpx2.AsyncBaseTransport | None) -> None:
        self._given = given
        self._made: httpx2.AsyncBaseTransport | None = None
        begin_again_after_fork(self)

    def begin(self) -> None:
        """See `_Shared`. The old ones' event loop is the parent's, and they stay with it."""
        leave_behind(self._made)
        self._made = None

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        return await (self._given or self._own()).handle_async_request(request)

    async def aclose(self) -> None:
        """Called by every client that ends; the others go on."""

    async def shut(self) -> None:
        made, self._made = self._made, None
        for transport in (self._given, made):
            if transport is not None:
                await transport.aclose()

    def _own(self) -> httpx2.AsyncBaseTransport:
        # No lock: nothing is awaited between the look and the making.
        if self._made is None:
            self._made = httpx2.AsyncHTTPTransport(trust_env=False)
        return self._made
