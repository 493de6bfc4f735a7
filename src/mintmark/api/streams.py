"""Connections that outlive a request: closed when the token that opened them is good no more."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from typing import Any, Final, Generic, TypeVar, final

__all__ = ["Connection", "TokenEnded"]

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Opened = TypeVar("Opened")

LOOK_EVERY: Final = 30.0
"""Seconds. An expiry is met to the moment; a withdrawn key or a denied token within this time."""

POLICY_VIOLATION: Final = 1008  # RFC 6455 §7.4.1
EVENT_STREAM: Final = b"text/event-stream"


class TokenEnded(OSError):
    """The application writes on a connection that was closed because its token has ended.

    An `OSError`, for that is what a server raises to an application whose client has gone.
    """


@final
class Connection(Generic[Opened]):
    """One connection between a server and an application, with somebody who watches the time.

    The application gets `receive` and `send` of this. Its WebSocket or event stream ends with the
    token; whatever else it answers is handed on. Whoever runs it awaits `forget` afterwards, if
    there is a `watcher`.

    Args:
        left: seconds that the token of this request is still good for; zero or less once it is not.
        opened: the request, for `left`.
        look_every: seconds between two looks.
    """

    __slots__ = (
        "_ended",
        "_kind",
        "_left",
        "_look_every",
        "_opened",
        "_over",
        "_reading",
        "_receive",
        "_send",
        "_writing",
        "watcher",
    )

    # Set when a stream begins: most answers are none, and pay for nothing of it.
    _ended: asyncio.Event
    _writing: asyncio.Lock
    _reading: asyncio.Task[Message] | None
    _over: bool

    def __init__(
        self,
        kind: str,
        receive: Receive,
        send: Send,
        left: Callable[[Opened], Awaitable[float]],
        opened: Opened,
        look_every: float = LOOK_EVERY,
    ) -> None:
        self._kind = kind
        self._receive = receive
        self._send = send
        self._left = left
        self._opened = opened
        self._look_every = look_every
        self.watcher: asyncio.Task[None] | None = None

    def _begin(self) -> None:
        self._ended = asyncio.Event()
        self._writing = asyncio.Lock()
        self._reading = None
        self._over = False
        self.watcher = asyncio.ensure_future(self._watch())

    def receive(self) -> Awaitable[Message]:
        return self._receive() if self.watcher is None else self._receive_or_end()

    def send(self, message: Message) -> Awaitable[None]:
        # Nearly every answer is no stream, and is handed on without another coroutine around it.
        if self.watcher is None:
            if message["type"] == "http.response.body" or not _begins_a_stream(message):
                return self._send(message)
            self._begin()
        return self._send_unless_ended(message)

    async def _receive_or_end(self) -> Message:
        if self._reading is None:
            self._reading = asyncio.ensure_future(self._receive())
        ended = asyncio.ensure_future(self._ended.wait())
        try:
            await asyncio.wait({self._reading, ended}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ended.cancel()
        if self._ended.is_set():
            if self._kind == "websocket":
                return {"type": "websocket.disconnect", "code": POLICY_VIOLATION}
            return {"type": "http.disconnect"}
        reading, self._reading = self._reading, None
        return reading.result()

    async def _send_unless_ended(self, message: Message) -> None:
        async with self._writing:
            if self._ended.is_set():
                raise TokenEnded("the token has ended, and the connection with it")
            await self._send(message)
            self._over = self._over or _is_last(message)

    async def _watch(self) -> None:
        while (left := await self._left(self._opened)) > 0:  # noqa: ASYNC110 -- it waits for a moment, not for an event
            await asyncio.sleep(min(left, self._look_every))
        async with self._writing:
            self._ended.set()
            if self._over:
                return
            with suppress(OSError):  # whoever listened has gone by themselves
                await self._send(self._farewell())

    def _farewell(self) -> Message:
        if self._kind == "websocket":
            reason = "the token has ended"
            return {"type": "websocket.close", "code": POLICY_VIOLATION, "reason": reason}
        return {"type": "http.response.body", "body": b"", "more_body": False}

    async def forget(self) -> None:
        """The application is done: nobody watches any more, and no read is left behind."""
        for task in (self.watcher, self._reading):
            if task is not None and not task.done():
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task


def _begins_a_stream(message: Message) -> bool:
    kind = message["type"]
    if kind == "http.response.start":
        for name, value in message.get("headers", ()):
            # ASGI: header names are in lower case.
            if name == b"content-type":
                return bytes(value[: len(EVENT_STREAM)]).lower() == EVENT_STREAM
        return False
    return bool(kind == "websocket.accept")


def _is_last(message: Message) -> bool:
    if message["type"] == "websocket.close":
        return True
    return message["type"] == "http.response.body" and not message.get("more_body", False)
