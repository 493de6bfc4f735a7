"""Runs an application without a server: requests in, answers out, exactly as they were made."""

import asyncio
import io
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, final
from urllib.parse import urlsplit

from mintmark.testing.attacks.model import Request
from mintmark.testing.target import App

__all__ = ["Crashed", "Reply", "Runner", "require_started_by_uvicorn", "running"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer. A WebSocket that was accepted has the status 101; `closed` is its close code."""

    status: int
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    body: bytes = field(default=b"", repr=False)
    closed: int | None = None

    def every(self, name: str) -> list[str]:
        return [value for header, value in self.headers if header == name]


class Crashed(Exception):
    """The application raised. A server would have answered 500; only the type is told."""


class Runner(Protocol):
    async def send(self, request: Request) -> Reply: ...


@asynccontextmanager
async def running(app: App, audience: str) -> AsyncIterator[Runner]:
    """The application, started up, and shut down at the end."""
    if app.wsgi:
        yield _Wsgi(app, audience)
        return
    lifespan = _Lifespan(app.app)
    await lifespan.start()
    try:
        yield _Asgi(app, audience, lifespan.state)
    finally:
        await lifespan.stop()


async def require_started_by_uvicorn(app: App) -> None:
    """Start the application as this server would, and stop it again.

    Raises:
        Crashed: it did not let itself be started.
    """
    from uvicorn import Config
    from uvicorn.lifespan.on import LifespanOn

    config = Config(app.app, log_config=None)
    config.load()
    lifespan = LifespanOn(config)
    await lifespan.startup()
    if lifespan.should_exit:
        raise Crashed("the application does not start")
    await lifespan.shutdown()


@final
class _Lifespan:
    def __init__(self, app: Any) -> None:
        self._app = app
        self._in: asyncio.Queue[dict[str, str]] = asyncio.Queue()
        self._out: asyncio.Queue[dict[str, str]] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None
        self.state: dict[str, Any] = {}

    async def _run(self) -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": self.state}
        # Many applications know no lifespan and raise, which is allowed.
        with suppress(Exception):
            await self._app(scope, self._in.get, self._out.put)
        await self._out.put({"type": "over"})

    async def start(self) -> None:
        await self._in.put({"type": "lifespan.startup"})
        self._task = asyncio.create_task(self._run())
        said = await asyncio.wait_for(self._out.get(), 30)
        if said["type"] == "lifespan.startup.failed":
            raise Crashed("the application does not start")

    async def stop(self) -> None:
        await self._in.put({"type": "lifespan.shutdown"})
        if self._task is not None:
            await asyncio.wait_for(asyncio.gather(self._task), 30)


@final
class _Asgi:
    def __init__(self, app: App, audience: str, state: dict[str, Any]) -> None:
        self._app = app
        self._audience = urlsplit(audience)
        self._state = state

    async def send(self, request: Request) -> Reply:
        exchange = _Exchange(request)
        try:
            await self._app.app(self._scope(request), exchange.receive, exchange.send)
        except Exception as failure:  # noqa: BLE001 -- a server would say 500 to all of them
            if not exchange.messages:
                raise Crashed(type(failure).__name__) from None
        return exchange.reply()

    def _scope(self, request: Request) -> dict[str, Any]:
        path = self._app.routes[request.route]
        host = request.host or self._audience.netloc
        headers = [(b"host", host.encode("ascii")), *request.headers]
        if request.body:
            headers.append((b"content-length", str(len(request.body)).encode("ascii")))
        scope: dict[str, Any] = {
            "type": "websocket" if request.websocket else "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": request.method,
            "scheme": self._audience.scheme,
            "path": path,
            "raw_path": path.encode("ascii"),
            "query_string": request.query,
            "root_path": "",
            "headers": headers,
            "server": (self._audience.hostname, 443),
            "client": (request.peer, 50_000),
            "state": dict(self._state),
            "extensions": _extensions(request),
        }
        if request.websocket:
            del scope["method"]
            scope["subprotocols"] = []
        return scope


def _extensions(request: Request) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if request.websocket and request.http_answers:
        found["websocket.http.response"] = {}
    if request.certificate:
        from cryptography.x509 import load_der_x509_certificate

        certificate = load_der_x509_certificate(request.certificate)
        from cryptography.hazmat.primitives.serialization import Encoding

        pem = certificate.public_bytes(Encoding.PEM).decode("ascii")
        found["tls"] = {"client_cert_chain": [pem], "server_cert": None}
    return found


@final
class _Exchange:
    """Both ends of one ASGI connection."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._asked = 0
        self.messages: list[dict[str, Any]] = []

    async def receive(self) -> dict[str, Any]:
        self._asked += 1
        if self._request.websocket:
            if self._asked == 1:
                return {"type": "websocket.connect"}
            # An open stream is left alone for longer than it should take to end by itself.
            await asyncio.sleep(self._request.lasting and self._request.lasting + 3)
            return {"type": "websocket.disconnect", "code": 1000}
        if self._asked == 1:
            return {"type": "http.request", "body": self._request.body, "more_body": False}
        return {"type": "http.disconnect"}

    async def send(self, message: dict[str, Any]) -> None:
        self.messages.append(message)

    def reply(self) -> Reply:
        status, closed, body = 0, None, b""
        headers: list[tuple[str, str]] = []
        for message in self.messages:
            match message["type"]:
                case "http.response.start" | "websocket.http.response.start":
                    status = message["status"]
                    headers = [
                        (bytes(n).decode("latin-1").lower(), bytes(v).decode("latin-1"))
                        for n, v in message.get("headers", ())
                    ]
                case "http.response.body" | "websocket.http.response.body":
                    body += message.get("body", b"")
                case "websocket.accept":
                    status = 101
                case "websocket.close":
                    closed = message.get("code", 1000)
        return Reply(status=status, headers=tuple(headers), body=body, closed=closed)


_WSGI_OWN: Final = {"CONTENT-TYPE": "CONTENT_TYPE", "CONTENT-LENGTH": "CONTENT_LENGTH"}


@final
class _Wsgi:
    def __init__(self, app: App, audience: str) -> None:
        self._app = app
        self._audience = urlsplit(audience)

    async def send(self, request: Request) -> Reply:
        if request.websocket:
            raise ValueError("WSGI knows no WebSockets")
        return await asyncio.to_thread(self._send, request)

    def _send(self, request: Request) -> Reply:
        started: list[tuple[str, list[tuple[str, str]]]] = []

        def start(status: str, headers: list[tuple[str, str]], _: Any = None) -> Any:
            started[:] = [(status, headers)]
            return io.BytesIO().write

        try:
            chunks = self._app.app(self._environ(request), start)
            body = b"".join(chunks)
            close = getattr(chunks, "close", None)
            if close is not None:
                close()
        except Exception as failure:  # noqa: BLE001 -- a server would say 500 to all of them
            raise Crashed(type(failure).__name__) from None
        status, headers = started[0]
        lowered = tuple((name.lower(), value) for name, value in headers)
        return Reply(status=int(status[:3]), headers=lowered, body=body)

    def _environ(self, request: Request) -> dict[str, Any]:
        environ: dict[str, Any] = {
            "REQUEST_METHOD": request.method,
            "SCRIPT_NAME": "",
            "PATH_INFO": self._app.routes[request.route],
            "QUERY_STRING": request.query.decode("latin-1"),
            "SERVER_NAME": self._audience.hostname,
            "SERVER_PORT": "443",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": request.peer,
            "REMOTE_PORT": "40000",
            "HTTP_HOST": request.host or self._audience.netloc,
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": self._audience.scheme,
            "wsgi.input": io.BytesIO(request.body),
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        }
        if request.body:
            environ["CONTENT_LENGTH"] = str(len(request.body))
        for name, value in request.headers:
            upper = name.decode("latin-1").upper()
            key = _WSGI_OWN.get(upper, "HTTP_" + upper.replace("-", "_"))
            text = value.decode("latin-1")
            # Servers join what came twice with a comma, so that one text is all there is to see.
            environ[key] = f"{environ[key]},{text}" if key in environ else text
        return environ
