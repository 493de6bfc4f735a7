"""Connections that outlive a request: closed when the token that opened them is good no more."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from typing import Any, Final, final

import msgspec

__all__ = ["Connection", "TokenEnded"]

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

LOOK_EVERY: Final = 30.0
"""Seconds. An expiry is met to the moment; a withdrawn key or a denied token within this time."""

POLICY_VIOLATION: Final = 1008  # RFC 6455 §7.4.1
EVENT_STREAM: Final = b"text/event-stream"
_FIRST: Final = (b"t", b"T")  # its first letter tells nearly all other types apart


class TokenEnded(OSError):
    """The application writes on a connection that was closed because its token has ended.

    An `OSError`, for that is what a server raises to an application whose client has gone.
    """


@final
class Connection(msgspec.Struct, eq=False):
    """One connection between a server and an application, with somebody who watches the time.

    The application gets `receive` and `send` of this. Its WebSocket or event stream ends with the
    token; whatever else it answers is handed on. Whoever runs it awaits `forget` afterwards, if
    there is a `watcher`.

    Every request makes one, nearly none of them is a stream: so this is a struct, which is made
    without a line of Python, and all that a stream needs is made when one begins.

    Attributes:
        seconds_left: of the token of `opened`; zero or less once it is good no more.
        look_every: seconds between two looks.
    """

    kind: str
    server_receive: Receive
    server_send: Send
    seconds_left: Callable[[Any], Awaitable[float]]
    opened: Any
    look_every: float = LOOK_EVERY
    watcher: "_Watcher | None" = None

    def receive(self) -> Awaitable[Message]:
        return self.server_receive() if self.watcher is None else self.watcher.receive()

    def send(self, message: Message) -> Awaitable[None]:
        # Nearly every answer is no stream, and is handed on without another coroutine around it,
        # and without another call: one that is made once a request costs as much as the rest.
        if self.watcher is None:
            kind = message["type"]
            if kind == "http.response.start":
                for name, value in message.get("headers", ()):
                    # ASGI: header names are in lower case. Of the first one, whatever follows it.
                    if name == b"content-type":
                        if value[:1] not in _FIRST or not _is_event_stream(value):
                            return self.server_send(message)
                        break
                else:
                    return self.server_send(message)
            elif kind != "websocket.accept":
                return self.server_send(message)
            self.watcher = _Watcher(self)
        return self.watcher.send(message)

    async def forget(self) -> None:
        """The application is done: nobody watches any more, and no read is left behind."""
        if self.watcher is not None:
            await self.watcher.forget()


@final
class _Watcher:
    """Stands between the two ends of a stream, and ends it with its token."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._ended = asyncio.Event()
        self._writing = asyncio.Lock()
        self._reading: asyncio.Task[Message] | None = None
        self._over = False
        self._watching = asyncio.ensure_future(self._watch())

    async def receive(self) -> Message:
        if self._reading is None:
            self._reading = asyncio.ensure_future(self._connection.server_receive())
        ended = asyncio.ensure_future(self._ended.wait())
        try:
            await asyncio.wait({self._reading, ended}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ended.cancel()
        if self._ended.is_set():
            if self._connection.kind == "websocket":
                return {"type": "websocket.disconnect", "code": POLICY_VIOLATION}
            return {"type": "http.disconnect"}
        reading, self._reading = self._reading, None
        return reading.result()

    async def send(self, message: Message) -> None:
        async with self._writing:
            if self._ended.is_set():
                raise TokenEnded("the token has ended, and the connection with it")
            await self._connection.server_send(message)
            self._over = self._over or _is_last(message)

    async def _watch(self) -> None:
        connection = self._connection
        while (left := await connection.seconds_left(connection.opened)) > 0:  # noqa: ASYNC110 -- it waits for a moment, not for an event
            await asyncio.sleep(min(left, connection.look_every))
        async with self._writing:
            self._ended.set()
            if self._over:
                return
            with suppress(OSError):  # whoever listened has gone by themselves
                await connection.server_send(self._farewell())

    def _farewell(self) -> Message:
        if self._connection.kind == "websocket":
            reason = "the token has ended"
            return {"type": "websocket.close", "code": POLICY_VIOLATION, "reason": reason}
        return {"type": "http.response.body", "body": b"", "more_body": False}

    async def forget(self) -> None:
        for task in (self._watching, self._reading):
            if task is not None and not task.done():
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task


def _is_event_stream(content_type: bytes) -> bool:
    return bytes(content_type[: len(EVENT_STREAM)]).lower() == EVENT_STREAM


def _is_last(message: Message) -> bool:
    if message["type"] == "websocket.close":
        return True
    return message["type"] == "http.response.body" and not message.get("more_body", False)
