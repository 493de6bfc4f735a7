"""A stream ends with the token that opened it: attack list G7, RFC 6455 §7.4.1."""

import asyncio
from typing import Any

import pytest

from mintmark.api.streams import Connection, TokenEnded

EVENTS = [(b"content-type", b"text/event-stream; charset=utf-8")]


class Line:
    """A server's side of one connection, and a token that lives as long as it is told to."""

    def __init__(self, kind: str) -> None:
        self.scope = {"type": kind}
        self.sent: list[Any] = []
        self.incoming: asyncio.Queue[Any] = asyncio.Queue()
        self.left = 60.0
        self.error: Exception | None = None

    async def send(self, message: Any) -> None:
        self.sent.append(message)

    async def run(self, app: Any) -> None:
        connection = Connection(
            self.scope["type"], self.incoming.get, self.send, self.seconds, self, look_every=0.005
        )
        try:
            await app(self.scope, connection.receive, connection.send)
        finally:
            if connection.watcher is not None:
                await connection.forget()

    async def seconds(self, line: "Line") -> float:
        return line.left

    def types(self) -> list[str]:
        return [message["type"] for message in self.sent]


async def talk(scope: Any, receive: Any, send: Any) -> None:
    """Echoes until the other side has gone."""
    del scope
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message["text"]})


async def until(condition: Any) -> None:
    for _ in range(400):
        if condition():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it did not happen")


class TestWebSocket:
    async def test_g7_it_is_closed_with_1008_when_the_token_ends(self) -> None:
        line = Line("websocket")
        line.incoming.put_nowait({"type": "websocket.connect"})
        line.incoming.put_nowait({"type": "websocket.receive", "text": "a"})
        running = asyncio.ensure_future(line.run(talk))
        await until(lambda: "websocket.send" in line.types())
        assert "websocket.close" not in line.types()

        line.left = 0.0
        await asyncio.wait_for(running, 5)

        assert line.types() == ["websocket.accept", "websocket.send", "websocket.close"]
        assert line.sent[-1]["code"] == 1008

    async def test_a_token_that_goes_on_living_ends_nothing(self) -> None:
        line = Line("websocket")
        line.incoming.put_nowait({"type": "websocket.connect"})
        running = asyncio.ensure_future(line.run(talk))
        for number in range(5):
            line.incoming.put_nowait({"type": "websocket.receive", "text": str(number)})
            await asyncio.sleep(0.01)
        line.incoming.put_nowait({"type": "websocket.disconnect", "code": 1000})
        await asyncio.wait_for(running, 5)

        assert line.types() == ["websocket.accept"] + ["websocket.send"] * 5

    async def test_whoever_only_writes_is_told_by_an_oserror(self) -> None:
        """As a server tells an application whose client has gone (ASGI)."""
        line = Line("websocket")

        async def pour(scope: Any, receive: Any, send: Any) -> None:
            del scope, receive
            await send({"type": "websocket.accept"})
            while True:
                await send({"type": "websocket.send", "text": "x"})
                await asyncio.sleep(0.001)

        running = asyncio.ensure_future(line.run(pour))
        await until(lambda: len(line.sent) > 3)
        line.left = -1.0
        with pytest.raises(TokenEnded):
            await asyncio.wait_for(running, 5)

        assert line.types()[-1] == "websocket.close"
        assert line.types().count("websocket.close") == 1


class TestEventStream:
    async def test_g7_it_ends_though_nothing_was_to_be_said(self) -> None:
        line = Line("http")

        async def events(scope: Any, receive: Any, send: Any) -> None:
            del scope
            await send({"type": "http.response.start", "status": 200, "headers": EVENTS})
            await send({"type": "http.response.body", "body": b"data: 1\n\n", "more_body": True})
            assert (await receive())["type"] == "http.disconnect"

        running = asyncio.ensure_future(line.run(events))
        await until(lambda: len(line.sent) == 2)
        line.left = 0.0
        await asyncio.wait_for(running, 5)

        assert line.sent[-1] == {"type": "http.response.body", "body": b"", "more_body": False}

    async def test_an_answer_that_is_no_stream_is_let_finish(self) -> None:
        line = Line("http")
        line.left = 0.0

        async def download(scope: Any, receive: Any, send: Any) -> None:
            del scope, receive
            headers = [(b"content-type", b"application/zip")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await asyncio.sleep(0.03)
            await send({"type": "http.response.body", "body": b"all of it"})

        await line.run(download)

        assert line.sent[-1]["body"] == b"all of it"

    async def test_a_stream_that_was_over_before_the_token_gets_no_second_end(self) -> None:
        line = Line("http")

        async def events(scope: Any, receive: Any, send: Any) -> None:
            del scope, receive
            await send({"type": "http.response.start", "status": 200, "headers": EVENTS})
            await send({"type": "http.response.body", "body": b"data: 1\n\n"})
            line.left = 0.0
            await asyncio.sleep(0.03)

        await line.run(events)

        assert line.types() == ["http.response.start", "http.response.body"]
