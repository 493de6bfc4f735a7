"""The machine endpoints as a plain ASGI application: no framework on the hot path."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any, Protocol, final

from mintmark.events import Events
from mintmark.protocol.errors import ErrorCode, OAuthError
from mintmark.protocol.message import HttpRequest, HttpResponse, error_answer
from mintmark.server.events import RequestFailed
from mintmark.server.stores import StoreUnavailable

__all__ = [
    "Disconnected",
    "Endpoint",
    "MachineEndpoints",
    "Route",
    "TooLarge",
    "client_address",
    "read_body",
    "send_response",
]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

MAX_BODY = 64 * 1024
BODY_SECONDS = 10.0


class Endpoint(Protocol):
    """Answers one request. It raises nothing but `StoreUnavailable` that it could foresee."""

    async def __call__(self, request: HttpRequest) -> HttpResponse: ...


@dataclass(frozen=True, slots=True)
class Route:
    """An endpoint and the methods it has."""

    endpoint: Endpoint
    methods: frozenset[str]


class TooLarge(Exception):
    """The body is over its limit; what was read of it is thrown away."""


class Disconnected(Exception):
    """The other side went away before its body was whole: half a request is none."""


@final
class MachineEndpoints:
    """Every URL in one table."""

    def __init__(self, routes: Mapping[str, Route], events: Events) -> None:
        self._routes = dict(routes)
        self._events = events

    def has(self, path: str) -> bool:
        return path in self._routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = path_of(scope)
        route = self._routes[path]
        method = scope["method"]
        if method not in route.methods:
            # RFC 9110 §15.5.6
            allow = ", ".join(sorted(route.methods)).encode("ascii")
            await send_response(send, HttpResponse(405, ((b"allow", allow),)))
            return
        try:
            body = await read_body(receive) if method == "POST" else b""
            request = HttpRequest(
                method=method,
                path=path,
                query=scope["query_string"].decode("latin-1"),
                headers=tuple(scope["headers"]),
                body=body,
                client_address=client_address(scope),
            )
            response = await route.endpoint(request)
        except TooLarge:
            response = error_answer(OAuthError(ErrorCode.INVALID_REQUEST, "the body is too large"))
            response = HttpResponse(413, response.headers, response.body)
        except Disconnected:
            return
        except TimeoutError:
            response = HttpResponse(408, ((b"connection", b"close"),))
        except Exception as failure:  # noqa: BLE001 -- the last line: nothing foreign leaves here
            response = self._failed(path, failure)
        await send_response(send, response, head=method == "HEAD")

    def _failed(self, path: str, failure: Exception) -> HttpResponse:
        self._events.emit(RequestFailed(path=path, kind=_kind(failure)))
        if isinstance(failure, StoreUnavailable):
            unavailable = OAuthError(ErrorCode.TEMPORARILY_UNAVAILABLE, "try again in a moment")
            return error_answer(unavailable, ((b"retry-after", b"2"),))
        return error_answer(OAuthError(ErrorCode.SERVER_ERROR, "something went wrong on our side"))


def _kind(failure: Exception) -> str:
    # The message of an unforeseen exception may quote anything; its type and place quote nothing.
    if isinstance(failure, StoreUnavailable):
        return f"store: {failure}"
    place = failure.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    where = f" at {place.tb_frame.f_code.co_filename}:{place.tb_lineno}" if place else ""
    return f"{type(failure).__name__}{where}"


def path_of(scope: Scope) -> str:
    """The path below where the application is mounted."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))


def client_address(scope: Scope) -> str:
    client = scope.get("client")
    return client[0] if client else ""


async def read_body(receive: Receive) -> bytes:
    """The whole body.

    Raises:
        TooLarge, TimeoutError, Disconnected.
    """
    message = _part(await asyncio.wait_for(receive(), BODY_SECONDS))
    body: bytes = message.get("body", b"")
    if not message.get("more_body", False):
        if len(body) > MAX_BODY:
            raise TooLarge
        return body
    async with asyncio.timeout(BODY_SECONDS):
        chunks = bytearray(body)
        while message.get("more_body", False):
            message = _part(await receive())
            chunks += message.get("body", b"")
            if len(chunks) > MAX_BODY:
                raise TooLarge
    return bytes(chunks)


def _part(message: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    if message["type"] == "http.disconnect":
        raise Disconnected
    return message


async def send_response(send: Send, response: HttpResponse, *, head: bool = False) -> None:
    headers = [
        *response.headers,
        (b"content-length", str(len(response.body)).encode("ascii")),
    ]
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if head else response.body})
