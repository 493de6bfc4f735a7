"""A small shop with a sign-in: Starlette over ASGI, sessions in a SQLite file, a fake authority."""

import os
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from mintmark.client import Authority, Client, StepUpRequired, TokenManager
from mintmark.events import Event
from mintmark.secret import Secret
from mintmark.storage.sql.web_sessions import SqliteSessions
from mintmark.testing import FakeAuthority, FrozenClock
from mintmark.webapp import Vault, WebLogin

SHOP = "https://shop.example"
API = "https://api.example"
NAVIGATION = {"sec-fetch-mode": "navigate", "sec-fetch-site": "none", "accept": "text/html"}
OWN = {"sec-fetch-site": "same-origin", "origin": SHOP}


@dataclass
class Heard:
    events: list[Event] = field(default_factory=list)

    def emit(self, event: Event) -> None:
        self.events.append(event)

    def names(self) -> list[str]:
        return [event.name for event in self.events]


@dataclass
class Shop:
    """The application and whatever it stands on."""

    authority: FakeAuthority
    clock: FrozenClock
    sessions: SqliteSessions
    path: Path
    login: WebLogin
    client: Client
    app: Starlette
    events: Heard
    wanted: list[StepUpRequired]  # what the API behind `/pay` wants

    def browser(self) -> "Browser":
        return Browser(self)


class Browser:
    """Keeps the shop's cookies; follows nothing by itself."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.cookies: dict[str, str] = {}
        transport = httpx2.ASGITransport(shop.app, raise_app_exceptions=True)
        self.http = httpx2.AsyncClient(transport=transport, base_url=SHOP)

    async def get(self, path: str, **headers: str) -> httpx2.Response:
        return await self.send("GET", path, NAVIGATION | headers)

    async def send(
        self, method: str, path: str, headers: dict[str, str], data: Any = None
    ) -> httpx2.Response:
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        if cookie:
            headers = {**headers, "cookie": cookie}
        answer = await self.http.request(method, path, headers=headers, data=data)
        self.http.cookies.clear()
        for line in answer.headers.get_list("set-cookie"):
            for name, morsel in SimpleCookie(line).items():
                if morsel["max-age"] == "0":
                    self.cookies.pop(name, None)
                else:
                    self.cookies[name] = morsel.value
        return answer

    async def begin(self, return_to: str | None = None) -> str:
        """The query that the token server would send this browser back with."""
        params = httpx2.QueryParams({"return_to": return_to} if return_to is not None else {})
        answer = await self.get(f"/login?{params}")
        assert answer.status_code == 303
        back = self.shop.authority.authorize(urlsplit(answer.headers["location"]).query)
        return urlsplit(back).query

    async def callback(self, query: str) -> httpx2.Response:
        return await self.get(f"/callback?{query}", **{"sec-fetch-site": "cross-site"})

    async def sign_in(self, return_to: str | None = None) -> httpx2.Response:
        return await self.callback(await self.begin(return_to))

    async def who(self) -> str | None:
        answer = await self.get("/who")
        name: str | None = answer.json()
        return name

    def session(self) -> Secret:
        return Secret(self.cookies["__Host-session"])


def make_shop(
    path: Path, authority: FakeAuthority, clock: FrozenClock, key: bytes, **settings: Any
) -> Shop:
    authority.clock = clock
    vault = Vault(key)
    events = Heard()
    client = Client(
        Authority(authority.issuer, policy=authority.policy, clock=clock),
        client_id="shop",
        client_secret=Secret("the-secret-of-this-shop-alone-0123"),
        tokens=TokenManager(clock=clock),
    )
    sessions = SqliteSessions.open(path, vault)
    login = WebLogin(
        client,
        base_url=SHOP,
        sessions=sessions,
        vault=vault,
        scope="openid profile offline_access orders.read",
        resource=API,
        clock=clock,
        events=events,
        **settings,
    )
    wanted: list[StepUpRequired] = []

    async def pay(request: Request) -> Response:
        await login.required(request)
        if wanted:
            raise wanted[0]
        return PlainTextResponse("paid")

    async def who(request: Request) -> Response:
        user = login.user(request)
        return JSONResponse(user.subject if user else None)

    async def account(request: Request) -> Response:
        user = await login.required(request)
        return PlainTextResponse(f"{user.subject} {login.form_field(request)}")

    async def orders(request: Request) -> Response:
        token = await login.token(request, resource=API, scope="orders.read").atoken()
        return PlainTextResponse(token.fingerprint())

    async def change(request: Request) -> Response:
        return PlainTextResponse("changed")

    app = Starlette(
        routes=[
            Route("/who", who),
            Route("/pay", pay),
            Route("/account", account),
            Route("/orders", orders),
            Route("/change", change, methods=["GET", "POST", "DELETE"]),
        ]
    )
    login.install(app)
    return Shop(authority, clock, sessions, path, login, client, app, events, wanted)


@pytest.fixture
def key() -> bytes:
    return os.urandom(32)


@pytest.fixture
def shop(
    tmp_path: Path, authority: FakeAuthority, clock: FrozenClock, key: bytes
) -> Iterator[Shop]:
    made = make_shop(tmp_path / "sessions.sqlite3", authority, clock, key)
    yield made
    made.sessions.close()
    made.client.close()


@pytest.fixture
async def browser(shop: Shop) -> AsyncIterator[Browser]:
    made = shop.browser()
    yield made
    await made.http.aclose()
