"""The gate in front of a FastAPI application: closed by default, route by route."""

from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any

import httpx2
import pytest
from fastapi import APIRouter, Depends, FastAPI, WebSocket
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect
from tests.api.conftest import API, REALM, bearer

from mintmark.api import PUBLIC, Caller, Gate, scope
from mintmark.api.events import RouteReported
from mintmark.events import Event, Events
from mintmark.testing import FakeAuthority

Ask = Callable[..., Any]


def application(gate: Gate) -> FastAPI:
    app = gate.install(FastAPI(), {"/health": PUBLIC})

    @app.get("/orders")
    async def orders(caller: Annotated[Caller, gate.requires(scope("orders.read"))]) -> str:
        return f"orders for {caller.subject}"

    @app.get("/forgotten")
    async def forgotten() -> str:
        return "nobody said who may see this"

    @app.get("/health")
    async def health() -> str:
        return "well"

    @app.get("/both", dependencies=[gate.requires(scope("a"))])
    async def both(caller: Annotated[Caller, gate.requires(scope("b"))]) -> str:
        return caller.subject

    inner = APIRouter(prefix="/inner", dependencies=[gate.requires(scope("inner"))])

    @inner.get("/one")
    async def one() -> str:
        return "inside"

    app.include_router(inner)

    @app.websocket("/socket")
    async def socket(
        websocket: WebSocket, caller: Annotated[Caller, gate.requires(scope("socket"))]
    ) -> None:
        await websocket.accept()
        await websocket.send_text(caller.subject)
        await websocket.close()

    @app.websocket("/forgotten-socket")
    async def forgotten_socket(websocket: WebSocket) -> None:
        await websocket.accept()

    return app


@pytest.fixture
async def ask(gate: Gate, authority: FakeAuthority) -> AsyncIterator[Ask]:
    transport = httpx2.ASGITransport(application(gate))
    async with httpx2.AsyncClient(transport=transport, base_url=API) as http:

        async def one(path: str, granted: str | None = None, method: str = "GET") -> Any:
            headers = {} if granted is None else bearer(authority.access_token(scope=granted))
            return await http.request(method, path, headers=headers)

        yield one


class TestRoutes:
    async def test_s26_the_scope_of_the_route(self, ask: Ask) -> None:
        assert (await ask("/orders", "orders.read")).json() == "orders for client"
        refused = await ask("/orders", "orders.readx")

        assert refused.status_code == 403
        assert refused.headers["www-authenticate"] == (
            f'{REALM}, error="insufficient_scope", scope="orders.read"'
        )

    async def test_s19_without_a_token(self, ask: Ask) -> None:
        refused = await ask("/orders")

        assert (refused.status_code, refused.headers["www-authenticate"]) == (401, REALM)

    async def test_s27_w24_m7_a_route_without_a_policy_lets_nobody_in(self, ask: Ask) -> None:
        assert (await ask("/forgotten")).status_code == 401
        refused = await ask("/forgotten", "orders.read")

        assert refused.status_code == 403
        assert "nobody said" not in refused.text

    async def test_s27_s26_the_second_request_is_asked_what_the_first_was(self, ask: Ask) -> None:
        # A route with a policy is asked only once whether it has one.
        for _ in range(3):
            assert (await ask("/orders", "orders.read")).status_code == 200
            assert (await ask("/orders", "orders.write")).status_code == 403
            assert (await ask("/both", "a b")).status_code == 200
            assert (await ask("/both", "b")).status_code == 403
            assert (await ask("/inner/one", "inner")).status_code == 200
            assert (await ask("/inner/one", "orders.read")).status_code == 403
            assert (await ask("/forgotten", "orders.read a b inner")).status_code == 403

    async def test_a_public_path_is_public_because_a_rule_says_so(self, ask: Ask) -> None:
        assert (await ask("/health")).json() == "well"

    async def test_every_policy_on_the_way_to_a_route_counts(self, ask: Ask) -> None:
        assert (await ask("/both", "a b")).status_code == 200
        assert (await ask("/both", "a")).status_code == 403
        assert (await ask("/both", "b")).status_code == 403
        assert (await ask("/inner/one", "inner")).status_code == 200
        assert (await ask("/inner/one", "other")).status_code == 403

    @pytest.mark.parametrize("path", ["/docs", "/openapi.json", "/redoc"])
    async def test_w14_s48_documentation_is_closed_like_everything_else(
        self, ask: Ask, path: str
    ) -> None:
        assert (await ask(path)).status_code == 401
        assert (await ask(path, "orders.read")).status_code == 403

    async def test_what_is_not_there_is_told_to_callers_only(self, ask: Ask) -> None:
        """Nobody without a token learns which paths there are."""
        assert (await ask("/nowhere")).status_code == 401
        assert (await ask("/nowhere", "x")).status_code == 404
        assert (await ask("/orders", "x", "POST")).status_code == 405

    async def test_v12_no_redirect_from_an_api(self, ask: Ask) -> None:
        assert (await ask("/orders/", "orders.read")).status_code == 404
        assert (await ask("/orders/")).status_code == 401


class TestSockets:
    def test_a14_a_socket_asks_as_a_route_does(self, gate: Gate, authority: FakeAuthority) -> None:
        client = TestClient(application(gate))
        good = bearer(authority.access_token(scope="socket"))
        with client.websocket_connect("/socket", headers=good) as socket:
            assert socket.receive_text() == "client"

    @pytest.mark.parametrize(
        ("path", "granted"), [("/socket", "other"), ("/forgotten-socket", "socket")]
    )
    def test_a14_s27_a_socket_without_the_right_is_not_accepted(
        self, gate: Gate, authority: FakeAuthority, path: str, granted: str
    ) -> None:
        client = TestClient(application(gate))
        headers = bearer(authority.access_token(scope=granted))
        with (
            pytest.raises(WebSocketDisconnect) as closed,
            client.websocket_connect(path, headers=headers),
        ):
            pass
        assert closed.value.code == 1008


class TestInstalling:
    def test_s27_the_start_up_report_names_every_route_and_its_policy(
        self, authority: FakeAuthority
    ) -> None:
        said: list[Event] = []

        class Heard(Events):
            def emit(self, event: Event) -> None:
                said.append(event)

        gate = Gate(
            API, issuer=authority.issuer, insecure_allow_http_on_loopback=True, events=Heard()
        )
        with TestClient(application(gate)):
            report = [line.split(None, 2) for line in gate.report().splitlines()]
        gate.close()

        assert ["/health", "PUBLIC"] in report
        assert ["GET", "/orders", "scope('orders.read')"] in report
        assert ["GET", "/forgotten", "refused: no policy"] in report
        assert ["GET", "/both", "scope('a') & scope('b')"] in report
        routes = {event.route for event in said if isinstance(event, RouteReported)}
        assert {"GET /orders", "GET /forgotten"} <= routes

    def test_a_gate_after_the_first_route_is_refused(self, gate: Gate) -> None:
        app = FastAPI()

        @app.get("/open")
        async def unguarded() -> str:
            return "too early"

        with pytest.raises(ValueError, match="before the first route"):
            gate.install(app)
        with pytest.raises(ValueError, match="before the first route"):
            gate.install(FastAPI(dependencies=[Depends(unguarded)]))

    async def test_a_route_whose_gate_was_never_installed_is_closed(
        self, gate: Gate, authority: FakeAuthority
    ) -> None:
        app = FastAPI()

        @app.get("/orders")
        async def orders(caller: Annotated[Caller, gate.requires(scope("a"))]) -> str:
            return caller.subject

        client = TestClient(app, raise_server_exceptions=False)

        assert client.get("/orders").status_code != 200
        headers = bearer(authority.access_token(scope="a"))
        assert client.get("/orders", headers=headers).status_code != 200

    def test_a_public_dependency_makes_no_sense(self, gate: Gate) -> None:
        with pytest.raises(ValueError, match="public"):
            gate.requires(PUBLIC)
