"""APIs for Flask views: an `httpx2.Client` with the right token on it.

apis = Apis(Client.from_env("ORDERS"))
apis.install(app)

@app.get("/")
def page():
    return apis.app(resource="https://orders.example").get("/orders").json()
"""

from collections.abc import Iterable
from typing import Final, final

import httpx2
from flask import Flask, Response, g

from mintmark.client.attachable import Attachable
from mintmark.client.client import Client
from mintmark.client.connections import FAILURES, ApiClients, problem_of
from mintmark.protocol.scope import Scope

__all__ = ["Apis"]

OPEN: Final = "mintmark_clients"


@final
class Apis:
    """Every API that an application calls, over one pool of connections for all its threads.

    Args:
        client: who the application is.
        transport: instead of connections of its own.
    """

    def __init__(self, client: Client, *, transport: httpx2.BaseTransport | None = None) -> None:
        self._clients = ApiClients(client, transport=transport)

    def app(
        self, *, resource: str | Iterable[str], scope: str | Scope = "", base_url: str = ""
    ) -> httpx2.Client:
        """For this request: a client with the application's own token."""
        return _kept(self._clients.app(resource=resource, scope=scope, base_url=base_url))

    def of(self, recipe: Attachable, *, base_url: str = "") -> httpx2.Client:
        """For this request: a client with the token of this recipe, a person's say."""
        return _kept(self._clients.of(recipe, base_url=base_url))

    def install(self, app: Flask) -> Flask:
        """Answer 503 or 502 without a token; gives the same application back."""
        app.teardown_appcontext(_end)
        for failure in FAILURES:
            app.register_error_handler(failure, _answer)
        return app

    def close(self) -> None:
        """Close the connections; the next request makes others."""
        self._clients.close()


def _kept(http: httpx2.Client) -> httpx2.Client:
    g.setdefault(OPEN, []).append(http)
    return http


def _end(_: BaseException | None) -> None:
    for http in g.pop(OPEN, []):
        http.close()


def _answer(failure: Exception) -> Response:
    problem = problem_of(failure)
    fields = [(name.decode(), value.decode()) for name, value in problem.headers]
    return Response(problem.body, problem.status, fields)
