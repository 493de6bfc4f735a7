"""One API behind every face of the guard, and one way to ask each of them."""

import asyncio
import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Annotated, Any

import django  # type: ignore[import-untyped]  # -- Django has no types
import httpx2
from django.conf import settings  # type: ignore[import-untyped]  # -- Django has no types
from django.core.asgi import get_asgi_application  # type: ignore[import-untyped]  # -- as above
from django.core.wsgi import get_wsgi_application  # type: ignore[import-untyped]  # -- as above
from django.http import HttpResponse  # type: ignore[import-untyped]  # -- as above
from django.test import override_settings  # type: ignore[import-untyped]  # -- as above
from django.urls import path as django_path  # type: ignore[import-untyped]  # -- as above
from fastapi import FastAPI
from fastapi.responses import PlainTextResponse as FastAPIText
from flask import Flask
from litestar import Litestar
from litestar import get as litestar_get
from litestar import head as litestar_head
from litestar.di import NamedDependency
from litestar.enums import MediaType
from starlette.applications import Starlette
from starlette.requests import HTTPConnection, Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from tests.api.conftest import API

from mintmark.api import AUTHENTICATED, Caller, Gate, Policy
from mintmark.api import django as on_django
from mintmark.api import flask as on_flask
from mintmark.api import litestar as on_litestar
from mintmark.api import starlette as on_starlette

__all__ = ["BY_ROUTE", "BY_RULE", "Answered", "Asked", "ask_asgi", "ask_wsgi", "django_urls"]

Fields = list[tuple[str, str]]


@dataclass(frozen=True)
class Answered:
    """What came back, as far as a client can tell."""

    status: int
    fields: tuple[tuple[str, str], ...]
    body: bytes

    def field(self, name: str) -> list[str]:
        return [value for found, value in self.fields if found == name]

    @property
    def challenges(self) -> list[str]:
        return self.field("www-authenticate")


Asked = Callable[..., Answered]
"""`ask(method, path, headers)`"""


def ask_asgi(app: Any) -> Asked:
    """Ask in a loop of one's own, as a server would."""

    async def one(method: str, path: str, headers: Fields) -> Answered:
        transport = httpx2.ASGITransport(app)
        async with httpx2.AsyncClient(transport=transport, base_url=API) as http:
            got = await http.request(method, API + path, headers=headers)
        fields = tuple((n.decode().lower(), v.decode()) for n, v in got.headers.raw)
        return Answered(got.status_code, fields, got.content)

    return lambda method="GET", path="/orders", headers=(): asyncio.run(
        one(method, path, list(headers))
    )


def environ_of(method: str, path: str, headers: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """As a WSGI server makes it: a header that comes twice is joined by a comma."""
    environ: dict[str, Any] = {
        "REQUEST_METHOD": method, "SCRIPT_NAME": "", "PATH_INFO": path, "QUERY_STRING": "",
        "SERVER_NAME": "api.example", "SERVER_PORT": "443", "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "192.0.2.1", "REMOTE_PORT": "40000", "wsgi.version": (1, 0),
        "wsgi.url_scheme": "https", "wsgi.input": io.BytesIO(), "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True, "wsgi.multiprocess": False, "wsgi.run_once": False,
    }  # fmt: skip
    for name, value in headers:
        key = "HTTP_" + name.upper().replace("-", "_")
        environ[key] = f"{environ[key]},{value}" if key in environ else value
    return environ


def ask_wsgi(app: Any) -> Asked:
    def one(
        method: str = "GET", path: str = "/orders", headers: Iterable[tuple[str, str]] = (),
        **more: Any,
    ) -> Answered:  # fmt: skip
        started: list[Any] = []
        environ = environ_of(method, path, headers) | more
        body = app(environ, lambda *status_and_fields: started.append(status_and_fields))
        try:
            content = b"".join(body)
        finally:
            getattr(body, "close", lambda: None)()
        status, fields = started[-1][:2]
        return Answered(int(status[:3]), tuple((n.lower(), v) for n, v in fields), content)

    return one


def said(caller: Caller | None) -> str:
    return f"{caller.kind} {caller.subject}" if caller else "nobody"


async def plain_asgi(scope: Any, receive: Any, send: Any) -> None:
    text = said(scope.get("state", {}).get("mintmark.caller")).encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    body = b"" if scope["method"] == "HEAD" else text
    await send({"type": "http.response.body", "body": body})


def plain_wsgi(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [])
    text = said(environ.get("mintmark.caller")).encode()
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [text]


# By rule: the path says what is wanted, and the framework's own route nothing.


def asgi(gate: Gate, rules: dict[str, Policy]) -> Asked:
    return ask_asgi(gate.wrap(plain_asgi, rules))


def wsgi(gate: Gate, rules: dict[str, Policy]) -> Asked:
    return ask_wsgi(gate.wrap_wsgi(plain_wsgi, rules))


def fastapi(gate: Gate, rules: dict[str, Policy]) -> Asked:
    app = gate.install(FastAPI(), rules)

    @app.api_route("/orders", methods=["GET", "HEAD"])
    async def orders(request: HTTPConnection) -> FastAPIText:
        return FastAPIText(said(request.scope["state"].get("mintmark.caller")))

    @app.get("/forgotten")
    async def forgotten() -> str:
        return "nobody said who may see this"

    return ask_asgi(app)


def starlette(gate: Gate, rules: dict[str, Policy]) -> Asked:
    async def orders(request: Request) -> PlainTextResponse:
        return PlainTextResponse(said(on_starlette.caller_of(request)))

    routes = [Route("/orders", orders), Route("/forgotten", orders)]
    return ask_asgi(gate.wrap(Starlette(routes=routes), rules))


def litestar(gate: Gate, rules: dict[str, Policy], guards: Any = ()) -> Asked:
    @litestar_get("/orders", media_type=MediaType.TEXT, guards=list(guards))
    async def orders(caller: NamedDependency[Caller]) -> str:
        return said(caller)

    @litestar_head("/orders", guards=list(guards))
    async def head_of_orders() -> None:
        """Litestar makes none of a GET by itself."""

    @litestar_get("/forgotten", media_type=MediaType.TEXT)
    async def forgotten() -> str:
        return "nobody said who may see this"

    plugin = on_litestar.GatePlugin(gate, rules)
    handlers = [orders, head_of_orders, forgotten]
    return ask_asgi(Litestar(handlers, plugins=[plugin], openapi_config=None, logging_config=None))


def flask(
    gate: Gate, rules: dict[str, Policy], decorate: Callable[[Any], Any] = lambda view: view
) -> Asked:
    app = on_flask.FlaskGate(gate).install(Flask("shop"), rules)

    @app.get("/orders")
    @decorate
    def orders() -> str:
        return said(on_flask.caller())

    @app.get("/forgotten")
    def forgotten() -> str:
        return "nobody said who may see this"

    return ask_wsgi(app)


def set_django_up() -> None:
    if not settings.configured:
        settings.configure(MIDDLEWARE=["mintmark.api.django.GateMiddleware"], ALLOWED_HOSTS=["*"])
        django.setup()


class Urls:
    """What Django calls a URLconf; a module is not needed."""

    def __init__(self, **views: Any) -> None:
        self.urlpatterns = [django_path(name, view) for name, view in views.items()]


def django_urls(gate: Any, urls: Any, rules: dict[str, Policy], ask: Any, **more: Any) -> Asked:
    """An application that asks with settings of its own each time."""
    set_django_up()
    changed = {"MINTMARK_GATE": gate, "MINTMARK_RULES": rules, "ROOT_URLCONF": urls, **more}

    with override_settings(**changed):
        application = get_wsgi_application() if ask is ask_wsgi else get_asgi_application()
    inner = ask(application)

    def one(*args: Any, **kwargs: Any) -> Answered:
        with override_settings(**changed):
            answered: Answered = inner(*args, **kwargs)
        return answered

    return one


def _orders(request: Any) -> Any:
    return HttpResponse(said(request.caller), content_type="text/plain")


def _forgotten(request: Any) -> Any:
    return HttpResponse("nobody said who may see this")


def django_wsgi(gate: Gate, rules: dict[str, Policy], view: Any = _orders) -> Asked:
    return django_urls(gate, Urls(orders=view, forgotten=_forgotten), rules, ask_wsgi)


def django_asgi(gate: Gate, rules: dict[str, Policy], view: Any = _orders) -> Asked:
    return django_urls(gate, Urls(orders=view, forgotten=_forgotten), rules, ask_asgi)


# By route: the route itself says what it wants.


def fastapi_route(gate: Gate, policy: Policy) -> Asked:
    app = gate.install(FastAPI())

    @app.api_route("/orders", methods=["GET", "HEAD"])
    async def orders(caller: Annotated[Caller, gate.requires(policy)]) -> FastAPIText:
        return FastAPIText(said(caller))

    @app.get("/forgotten")
    async def forgotten() -> str:
        return "nobody said who may see this"

    return ask_asgi(app)


def starlette_route(gate: Gate, policy: Policy) -> Asked:
    @on_starlette.requires(policy)
    async def orders(request: Request) -> PlainTextResponse:
        return PlainTextResponse(said(on_starlette.caller_of(request)))

    routes = [Route("/orders", orders), Route("/forgotten", orders)]
    return ask_asgi(gate.wrap(Starlette(routes=routes), {"/orders": AUTHENTICATED}))


def starlette_plain_route(gate: Gate, policy: Policy) -> Asked:
    @on_starlette.requires(policy)
    def orders(request: Request) -> PlainTextResponse:
        return PlainTextResponse(said(on_starlette.caller_of(request)))

    routes = [Route("/orders", orders), Route("/forgotten", orders)]
    return ask_asgi(gate.wrap(Starlette(routes=routes), {"/orders": AUTHENTICATED}))


def litestar_route(gate: Gate, policy: Policy) -> Asked:
    return litestar(gate, {}, [on_litestar.requires(policy)])


def flask_route(gate: Gate, policy: Policy) -> Asked:
    return flask(gate, {}, on_flask.requires(policy))


def django_route(gate: Gate, policy: Policy) -> Asked:
    return django_wsgi(gate, {}, on_django.requires(policy)(_orders))


def django_async_route(gate: Gate, policy: Policy) -> Asked:
    @on_django.requires(policy)
    async def orders(request: Any) -> Any:
        return _orders(request)

    return django_asgi(gate, {}, orders)


BY_RULE = {
    "asgi": asgi, "fastapi": fastapi, "starlette": starlette, "litestar": litestar,
    "wsgi": wsgi, "flask": flask, "django": django_wsgi, "django over asgi": django_asgi,
}  # fmt: skip
BY_ROUTE = {
    "fastapi": fastapi_route, "starlette": starlette_route,
    "starlette, sync": starlette_plain_route, "litestar": litestar_route, "flask": flask_route,
    "django": django_route, "django, async": django_async_route,
}  # fmt: skip
