"""What only Starlette has: endpoints of every kind, WebSockets, event streams."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient, WebSocketDenialResponse
from starlette.websockets import WebSocket, WebSocketDisconnect
from tests.api.conftest import REALM, bearer
from tests.api.faces import ask_asgi
from tests.api.live import brief_gate, listen, on_uvicorn

from mintmark.api import AUTHENTICATED, PUBLIC, Caller, Gate, Refused, rule, scope
from mintmark.api.starlette import caller_of, refused, requires
from mintmark.testing import FakeAuthority

RULES = {"/health": PUBLIC, "/**": AUTHENTICATED}


async def owns(who: Caller, order: str) -> bool:
    return order == who.subject


OWN = rule("owns it", owns)


@requires(scope("a"))
@requires(scope("b"))
async def both(request: Request) -> PlainTextResponse:
    return PlainTextResponse(caller_of(request).subject)


class Items(HTTPEndpoint):
    @requires(scope("a"))
    async def get(self, request: Request) -> PlainTextResponse:
        return PlainTextResponse("read")

    @requires(scope("b"))
    def post(self, request: Request) -> PlainTextResponse:
        return PlainTextResponse("written")


async def health(request: Request) -> PlainTextResponse:
    return PlainTextResponse(caller_of(request).subject)


@requires(scope("a"))
async def socket(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text(caller_of(websocket).subject)
    try:
        while True:
            await websocket.send_text(await websocket.receive_text())
    except WebSocketDisconnect:
        return


@requires(scope("a"))
async def events(request: Request) -> StreamingResponse:
    async def said() -> AsyncIterator[str]:
        yield "data: 1\n\n"
        await asyncio.sleep(60)
        yield "data: 2\n\n"

    return StreamingResponse(said(), media_type="text/event-stream")


def application(gate: Gate) -> Any:
    async def order(request: Request) -> PlainTextResponse:
        await gate.require_allowed(OWN, caller_of(request), request.path_params["name"])
        return PlainTextResponse(request.path_params["name"])

    routes = [
        Route("/both", both),
        Route("/items", Items),
        Route("/health", health),
        Route("/orders/{name}", order),
        Route("/events", events),
        WebSocketRoute("/socket", socket),
    ]
    app = Starlette(routes=routes, exception_handlers={Refused: refused})
    return gate.wrap(app, RULES)


class TestEndpoints:
    def test_every_policy_counts(self, gate: Gate, authority: FakeAuthority) -> None:
        ask = ask_asgi(application(gate))

        def status(granted: str, method: str = "GET", path: str = "/both") -> int:
            headers = bearer(authority.access_token(scope=granted)).items()
            return ask(method, path, headers).status

        assert [status("a b"), status("a"), status("b")] == [200, 403, 403]
        assert [status("a", path="/items"), status("b", path="/items")] == [200, 403]
        assert [status("a", "POST", "/items"), status("b", "POST", "/items")] == [403, 200]
        assert [status("a", path="/nowhere"), ask(path="/nowhere").status] == [404, 401]

    def test_an_object_is_asked_about_in_the_endpoint(
        self, gate: Gate, authority: FakeAuthority
    ) -> None:
        ask = ask_asgi(application(gate))
        alice = list(bearer(authority.access_token(sub="alice")).items())

        assert ask(path="/orders/alice", headers=alice).body == b"alice"
        answered = ask(path="/orders/bob", headers=alice)
        assert (answered.status, answered.body) == (403, b'{"title":"Forbidden","status":403}')

    def test_on_a_public_path_there_is_no_caller(
        self, gate: Gate, authority: FakeAuthority
    ) -> None:
        headers = list(bearer(authority.access_token()).items())

        assert ask_asgi(application(gate))(path="/health", headers=headers).status == 403

    def test_without_a_gate_an_endpoint_is_closed(self, authority: FakeAuthority) -> None:
        app = Starlette(routes=[Route("/both", both)])
        headers = list(bearer(authority.access_token(scope="a b")).items())

        assert ask_asgi(app)(path="/both", headers=headers).status == 403

    def test_a_public_decorator_makes_no_sense(self) -> None:
        with pytest.raises(ValueError, match="public"):
            requires(PUBLIC)


class TestSockets:
    def test_a14_with_the_right_scope(self, gate: Gate, authority: FakeAuthority) -> None:
        headers = bearer(authority.access_token(scope="a", sub="alice"))
        with TestClient(application(gate)).websocket_connect("/socket", headers=headers) as line:
            assert line.receive_text() == "alice"
            line.send_text("hello")
            assert line.receive_text() == "hello"

    @pytest.mark.parametrize("granted", [None, "b"])
    def test_a14_the_handshake_is_answered_as_a_request_is(
        self, gate: Gate, authority: FakeAuthority, granted: str | None
    ) -> None:
        headers = bearer(authority.access_token(scope=granted)) if granted else {}
        client = TestClient(application(gate))
        with (
            pytest.raises(WebSocketDenialResponse) as denied,
            client.websocket_connect("/socket", headers=headers),
        ):
            pass
        challenge = REALM if granted is None else (
            f'{REALM}, error="insufficient_scope", scope="a"'
        )  # fmt: skip
        assert denied.value.status_code == (401 if granted is None else 403)
        assert denied.value.headers["www-authenticate"] == challenge


class TestG7:
    """What the token opened is over with the token, to the second (RFC 6455 §7.4.1)."""

    def test_g7_a_socket(self, authority: FakeAuthority) -> None:
        gate = brief_gate(authority)
        headers = bearer(authority.access_token(scope="a"))
        with TestClient(application(gate)).websocket_connect("/socket", headers=headers) as line:
            assert line.receive_text() == "client"
            with pytest.raises(WebSocketDisconnect) as ended:
                line.receive_text()
        gate.close()

        assert ended.value.code == 1008

    def test_g7_an_event_stream_on_a_real_server(self, authority: FakeAuthority) -> None:
        gate = brief_gate(authority)
        with on_uvicorn(application(gate)) as url:
            said, seconds = listen(f"{url}/events", authority)
        gate.close()

        assert said == b"data: 1\n\n"
        assert seconds < 5
