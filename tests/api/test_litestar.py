"""What only Litestar has: guards in layers, the dependency, mounts, WebSockets, event streams."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from litestar import Controller, Litestar, Router, asgi, get, post, route, websocket
from litestar.connection import WebSocket
from litestar.di import NamedDependency, Provide
from litestar.exceptions import NotFoundException, WebSocketDisconnect
from litestar.params import FromPath
from litestar.response import ServerSentEvent
from starlette.testclient import TestClient, WebSocketDenialResponse
from starlette.websockets import WebSocketDisconnect as Disconnected
from tests.api.conftest import REALM, bearer
from tests.api.faces import Answered, ask_asgi, plain_asgi
from tests.api.live import brief_gate, listen, on_uvicorn

from mintmark.api import PUBLIC, Caller, Gate, rule, scope
from mintmark.api.litestar import GatePlugin, requires
from mintmark.api.litestar import caller as who
from mintmark.testing import FakeAuthority


async def owns(who: Caller, order: str) -> bool:
    return order == who.subject


OWN = rule("owns it", owns)


class Items(Controller):
    path = "/items"
    guards = [requires(scope("a"))]  # noqa: RUF012 -- Litestar's own way

    @get()
    async def read(self, caller: NamedDependency[Caller]) -> str:
        return caller.subject

    @post(guards=[requires(scope("b"))])
    async def write(self) -> str:
        return "written"


@get("/health")
async def health() -> str:
    return "well"


@get("/ruled", guards=[requires(scope("a"))])
async def ruled() -> str:
    return "ruled"


@route("/mine", http_method=["GET", "OPTIONS"])
async def mine() -> str:
    return "secret"


@get("/missing", guards=[requires(scope("a"))])
async def missing() -> str:
    raise NotFoundException(detail="no such order")


@asgi("/mounted", is_mount=True, copy_scope=True)
async def mounted(scope: Any, receive: Any, send: Any) -> None:
    await plain_asgi(scope, receive, send)


@websocket("/socket", guards=[requires(scope("a"))])
async def socket(socket: WebSocket[Any, Any, Any], caller: NamedDependency[Caller]) -> None:
    await socket.accept()
    await socket.send_text(caller.subject)
    try:
        while True:
            await socket.send_text(await socket.receive_text())
    except WebSocketDisconnect:
        return


@websocket("/forgotten-socket")
async def forgotten_socket(socket: WebSocket[Any, Any, Any]) -> None:
    await socket.accept()


@get("/events", guards=[requires(scope("a"))])
async def events() -> ServerSentEvent:
    async def said() -> AsyncIterator[str]:
        yield "1"
        await asyncio.sleep(60)
        yield "2"

    return ServerSentEvent(said())


def application(gate: Gate) -> Any:
    @get("/orders/{name:str}", guards=[requires(scope("a"))])
    async def order(name: FromPath[str], caller: NamedDependency[Caller]) -> str:
        await gate.require_allowed(OWN, caller, name)
        return name

    @get("/inside")
    async def inside() -> str:
        return "inside"

    router = Router("/router", route_handlers=[inside], guards=[requires(scope("a"))])
    handlers: list[Any] = [
        Items, health, ruled, mine, missing, mounted, socket, forgotten_socket, events, order, router,
    ]  # fmt: skip
    rules = {"/health": PUBLIC, "/ruled": scope("b"), "/mounted/open": PUBLIC}
    return Litestar(handlers, plugins=[GatePlugin(gate, rules)], logging_config=None)


@pytest.fixture
def ask(gate: Gate, authority: FakeAuthority) -> Any:
    asked = ask_asgi(application(gate))

    def one(path: str, granted: str | None = None, method: str = "GET", **more: Any) -> Answered:
        headers = bearer(authority.access_token(scope=granted, **more)) if granted else {}
        return asked(method, path, list(headers.items()))

    return one


class TestGuards:
    def test_every_layer_counts(self, ask: Any) -> None:
        assert [ask("/items", one).status for one in ("a", "b")] == [200, 403]
        assert [ask("/items", one, "POST").status for one in ("a b", "a", "b")] == [201, 403, 403]
        assert [ask("/router/inside", one).status for one in ("a", "b")] == [200, 403]
        assert [ask("/ruled", one).status for one in ("a b", "a", "b")] == [200, 403, 403]

    def test_public_and_forgotten(self, ask: Any) -> None:
        assert ask("/health").body == b"well"
        assert [ask("/schema").status, ask("/schema", "a").status] == [401, 403]

    def test_another_spelling_of_a_path_is_the_same_path(self, ask: Any) -> None:
        assert [ask("//ruled", "a").status, ask("/ruled/", "a").status] == [403, 403]
        assert [ask("//ruled", "a b").status, ask("/health/").status] == [200, 200]

    def test_a_preflight_gets_a_list_of_methods_and_reaches_no_handler(self, gate: Gate) -> None:
        preflight = {"origin": "https://app.example", "access-control-request-method": "GET"}
        ask = ask_asgi(application(gate))

        assert ask("OPTIONS", "/items", preflight.items()).status == 204
        assert ask("OPTIONS", "/items").status == 401
        assert ask("OPTIONS", "/mine", preflight.items()).status == 401

    def test_a_mount_is_ruled_by_its_whole_path(self, ask: Any) -> None:
        assert [ask("/mounted/health").status, ask("/mounted/health", "a").status] == [401, 403]
        assert ask("/mounted/open").status == 200

    def test_what_is_not_there_is_told_to_callers_only(self, ask: Any) -> None:
        assert [ask("/nowhere").status, ask("/nowhere", "a").status] == [401, 404]
        assert [ask("/items", None, "PUT").status, ask("/items", "a", "PUT").status] == [401, 405]
        assert b"no such order" in ask("/missing", "a").body

    def test_an_object_is_asked_about_in_the_handler(self, ask: Any) -> None:
        assert ask("/orders/alice", "a", sub="alice").body == b"alice"
        answered = ask("/orders/bob", "a", sub="alice")
        assert (answered.status, answered.body) == (403, b'{"title":"Forbidden","status":403}')

    def test_without_the_plugin_a_guarded_route_is_closed(self, authority: FakeAuthority) -> None:
        headers = bearer(authority.access_token(scope="a"))
        bare: Any = Litestar(
            [ruled, socket],
            dependencies={"caller": Provide(who)},
            openapi_config=None,
            logging_config=None,
        )

        assert ask_asgi(bare)(path="/ruled", headers=headers.items()).status == 500
        with (
            pytest.raises(Disconnected) as closed,
            TestClient(bare).websocket_connect("/socket", headers=headers),
        ):
            pass
        assert closed.value.code == 1008

    def test_s27_the_report_names_every_route_and_its_policy(self, gate: Gate) -> None:
        with TestClient(application(gate)):
            report = [line.split(None, 2) for line in gate.report().splitlines()]

        assert ["POST", "/items", "scope('a') & scope('b')"] in report
        assert ["*", "/forgotten-socket", "'refused: no policy'"] not in report
        assert ["*", "/forgotten-socket", "refused: no policy"] in report
        assert ["/health", "PUBLIC"] in report

    def test_a_public_guard_makes_no_sense(self) -> None:
        with pytest.raises(ValueError, match="public"):
            requires(PUBLIC)


class TestSockets:
    def test_a14_with_the_right_scope(self, gate: Gate, authority: FakeAuthority) -> None:
        headers = bearer(authority.access_token(scope="a", sub="alice"))
        with TestClient(application(gate)).websocket_connect("/socket", headers=headers) as line:
            assert line.receive_text() == "alice"

    @pytest.mark.parametrize(
        ("path", "granted", "status", "challenge"),
        [("/socket", None, 401, [REALM]), ("/forgotten-socket", "a", 403, []),
         ("/socket", "b", 403, [f'{REALM}, error="insufficient_scope", scope="a"'])],
    )  # fmt: skip
    def test_a14_s27_the_handshake_is_answered_as_a_request_is(
        self, gate: Gate, authority: FakeAuthority, path: str, granted: str | None, status: int,
        challenge: list[str],
    ) -> None:  # fmt: skip
        headers = bearer(authority.access_token(scope=granted)) if granted else {}
        client = TestClient(application(gate))
        with (
            pytest.raises(WebSocketDenialResponse) as denied,
            client.websocket_connect(path, headers=headers),
        ):
            pass
        assert denied.value.status_code == status
        assert denied.value.headers.get_list("www-authenticate") == challenge


class TestG7:
    """What the token opened is over with the token, to the second (RFC 6455 §7.4.1)."""

    def test_g7_a_socket(self, authority: FakeAuthority) -> None:
        gate = brief_gate(authority)
        headers = bearer(authority.access_token(scope="a"))
        with TestClient(application(gate)).websocket_connect("/socket", headers=headers) as line:
            assert line.receive_text() == "client"
            with pytest.raises(Disconnected) as ended:
                line.receive_text()
        gate.close()

        assert ended.value.code == 1008

    def test_g7_an_event_stream_on_a_real_server(self, authority: FakeAuthority) -> None:
        gate = brief_gate(authority)
        with on_uvicorn(application(gate)) as url:
            said, seconds = listen(f"{url}/events", authority)
        gate.close()

        assert b"data: 1" in said
        assert b"data: 2" not in said
        assert seconds < 5
