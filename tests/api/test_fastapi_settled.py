"""A FastAPI route that has answered once is asked the short way, and answers no other than before."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any

import httpx2
import pytest
from fastapi import APIRouter, Depends, FastAPI
from fastapi.responses import StreamingResponse
from starlette.requests import HTTPConnection
from tests.api.conftest import API, bearer

from mintmark.api import Caller, Gate, rule, scope
from mintmark.testing import FakeAuthority

Ask = Callable[..., Any]


@rule("is alice")
async def is_alice(caller: Caller) -> bool:
    return caller.subject == "alice"


def application(gate: Gate) -> FastAPI:
    app = gate.install(FastAPI())
    reader = gate.requires(scope("orders.read"))

    @app.get("/orders/{number}")
    async def orders(number: int, caller: Annotated[Caller, reader]) -> str:
        return f"{caller.subject} {number}"

    @app.get("/thread")
    def thread(caller: Annotated[Caller, reader], number: int = 1) -> str:
        return f"{caller.subject} {number}"

    @app.get("/asked")
    async def asked(
        caller: Annotated[Caller, gate.requires(scope("orders.read") & is_alice)],
    ) -> str:
        return caller.subject

    @app.get("/connection")
    async def connection(
        own: HTTPConnection, first: Annotated[Caller, reader], second: Annotated[Caller, reader]
    ) -> str:
        return f"{own.url.path} {first.subject} {second.subject}"

    async def account(caller: Annotated[Caller, gate.requires(scope("account"))]) -> str:
        return f"account of {caller.subject}"

    @app.get("/nested")
    async def nested(
        found: Annotated[str, Depends(account)], caller: Annotated[Caller, reader]
    ) -> str:
        return f"{found} for {caller.subject}"

    @app.get("/stream")
    async def stream(caller: Annotated[Caller, reader]) -> StreamingResponse:
        async def lines() -> AsyncIterator[bytes]:
            for _ in range(2):
                yield caller.subject.encode()

        return StreamingResponse(lines())

    inner = APIRouter(prefix="/inner", dependencies=[gate.requires(scope("inner"))])

    @inner.get("/one")
    async def one(caller: Annotated[Caller, reader]) -> str:
        return caller.subject

    app.include_router(inner)
    return app


@pytest.fixture
def app(gate: Gate) -> FastAPI:
    return application(gate)


@pytest.fixture
async def ask(app: FastAPI, authority: FakeAuthority) -> AsyncIterator[Ask]:
    transport = httpx2.ASGITransport(app)
    async with httpx2.AsyncClient(transport=transport, base_url=API) as http:

        async def one(path: str, granted: str, sub: str = "alice") -> Any:
            headers = bearer(authority.access_token(scope=granted, sub=sub))
            return await http.get(path, headers=headers)

        yield one


@pytest.mark.parametrize(
    ("path", "granted", "answer"),
    [
        ("/orders/7", "orders.read", "alice 7"),
        ("/thread?number=2", "orders.read", "alice 2"),
        ("/asked", "orders.read", "alice"),
        ("/connection", "orders.read", "/connection alice alice"),
        ("/nested", "orders.read account", "account of alice for alice"),
        ("/inner/one", "inner orders.read", "alice"),
    ],
)
async def test_s26_s27_each_request_gets_what_the_first_one_got(
    ask: Ask, path: str, granted: str, answer: str
) -> None:
    for _ in range(4):
        assert (await ask(path, granted)).json() == answer
        for missing in granted.split():
            rest = " ".join(one for one in granted.split() if one != missing)
            refused = await ask(path, rest or "other")
            assert refused.status_code == 403
            assert f'scope="{missing}"' in refused.headers["www-authenticate"]
            assert "alice" not in refused.text


async def test_who_may_not_ask_is_not_told_that_they_ask_wrongly(ask: Ask) -> None:
    for _ in range(3):
        assert (await ask("/orders/x", "other")).status_code == 403
        assert (await ask("/orders/x", "orders.read")).status_code == 422


async def test_a_rule_that_has_to_be_asked_is_asked_every_time(ask: Ask) -> None:
    for _ in range(3):
        assert (await ask("/asked", "orders.read")).status_code == 200
        assert (await ask("/asked", "orders.read", sub="bob")).status_code == 403


async def test_a_stream_is_the_callers_own(ask: Ask) -> None:
    for name in ("alice", "bob", "carol"):
        assert (await ask("/stream", "orders.read", sub=name)).text == name * 2


async def test_first_requests_that_come_at_once_settle_a_route_once(ask: Ask, app: FastAPI) -> None:
    answers = await asyncio.gather(*(ask("/orders/1", "orders.read") for _ in range(20)))
    refused = await asyncio.gather(*(ask("/orders/1", "other") for _ in range(20)))

    assert {one.status_code for one in answers} == {200}
    assert {one.status_code for one in refused} == {403}
    assert _scopes_of(app, "/orders/{number}") == ["orders.read"]


async def test_s26_openapi_says_the_same_before_and_after(ask: Ask, app: FastAPI) -> None:
    await ask("/stream", "orders.read")  # what it says of the issuer is known from here on
    before = app.openapi()
    for path in ("/orders/1", "/thread", "/asked", "/nested", "/inner/one"):
        await ask(path, "orders.read account inner")

    app.openapi_schema = None

    assert app.openapi() == before
    assert _scopes_of(app, "/inner/one") == ["inner", "orders.read"]


async def test_whoever_replaces_a_dependency_in_their_tests_gets_theirs(
    ask: Ask, app: FastAPI
) -> None:
    app.dependency_overrides[HTTPConnection] = lambda: None
    for _ in range(3):
        assert (await ask("/orders/7", "orders.read")).json() == "alice 7"
        assert (await ask("/orders/7", "other")).status_code == 403


async def test_a_router_of_one_gate_in_an_application_without_it_stays_closed(
    gate: Gate, authority: FakeAuthority
) -> None:
    router = APIRouter()

    @router.get("/orders")
    async def orders(caller: Annotated[Caller, gate.requires(scope("orders.read"))]) -> str:
        return caller.subject

    guarded, bare = gate.install(FastAPI()), FastAPI()
    guarded.include_router(router)
    bare.include_router(router)
    headers = bearer(authority.access_token(scope="orders.read", sub="alice"))
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(guarded), base_url=API) as http:
        assert [(await http.get("/orders", headers=headers)).status_code for _ in range(3)] == [
            200
        ] * 3
    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(bare, raise_app_exceptions=False), base_url=API
    ) as http:
        statuses = [(await http.get("/orders", headers=headers)).status_code for _ in range(3)]

    # It has no handler for a refusal, for no gate was installed: whatever it says, it says no.
    assert set(statuses) == {500}


def _scopes_of(app: FastAPI, path: str) -> list[str]:
    ways = app.openapi()["paths"][path]["get"]["security"]
    return sorted({scope for way in ways for scopes in way.values() for scope in scopes})
