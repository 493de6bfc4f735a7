"""APIs as FastAPI dependencies: an `httpx2.AsyncClient` with the right token on it.

apis = Apis(Client.from_env("ORDERS"))
app = apis.install(FastAPI())
Orders = Annotated[httpx2.AsyncClient, apis.app(resource="https://orders.example")]

@app.get("/")
async def page(orders: Orders) -> ...:
    await orders.get("/orders")
"""

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any, final

import httpx2
from fastapi import Depends, FastAPI
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response

from mintmark.client.attachable import Attachable
from mintmark.client.client import Client
from mintmark.client.connections import FAILURES, AsyncApiClients, base_of, problem_of
from mintmark.protocol.scope import Scope

__all__ = ["Apis"]

RecipeOf = Callable[[HTTPConnection], Attachable | Awaitable[Attachable]]


@final
class Apis:
    """Every API that an application calls, over one pool of connections.

    Args:
        client: who the application is.
        transport: instead of connections of its own.
    """

    def __init__(
        self, client: Client, *, transport: httpx2.AsyncBaseTransport | None = None
    ) -> None:
        self._clients = AsyncApiClients(client, transport=transport)

    def app(
        self, *, resource: str | Iterable[str], scope: str | Scope = "", base_url: str = ""
    ) -> Any:
        """A dependency: a client with the application's own token.

        Args:
            base_url: where relative addresses lead; the resource itself unless it is said.
        """
        names = frozenset({resource} if isinstance(resource, str) else resource)
        recipe = self._clients.client.app_token(resource=names, scope=scope)
        base = base_of(names, base_url)

        async def client() -> AsyncIterator[httpx2.AsyncClient]:
            async with self._clients.of(recipe, base_url=base) as http:
                yield http

        return Depends(client)

    def of(self, recipe_of: RecipeOf, *, base_url: str) -> Any:
        """A dependency: a client with the token of whoever sent this request.

        Args:
            recipe_of: their recipe, found by the request: `lambda request: login.token(request)`.
        """

        async def client(request: HTTPConnection) -> AsyncIterator[httpx2.AsyncClient]:
            found = recipe_of(request)
            recipe = await found if inspect.isawaitable(found) else found
            async with self._clients.of(recipe, base_url=base_url) as http:
                yield http

        return Depends(client)

    def install(self, app: FastAPI) -> FastAPI:
        """Close the connections when the application ends, and answer 503 or 502 without a token.

        Gives the same application back.
        """
        before = app.router.lifespan_context

        @asynccontextmanager
        async def until_the_end(running: Any) -> AsyncIterator[Any]:
            async with before(running) as state:
                try:
                    yield state
                finally:
                    await self.aclose()

        app.router.lifespan_context = until_the_end
        for failure in FAILURES:
            app.add_exception_handler(failure, _answer)
        return app

    async def aclose(self) -> None:
        await self._clients.aclose()


async def _answer(_: Request, failure: Exception) -> Response:
    problem = problem_of(failure)
    response = Response(problem.body, problem.status)
    response.raw_headers += problem.headers
    return response
