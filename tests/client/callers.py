"""One way to make a call with every HTTP library, and an API for them to call."""

import asyncio
import ssl
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from importlib.util import find_spec
from typing import IO, Any, Protocol, Self

import aiohttp
import httpx
import httpx2
import requests

from mintmark.client import ApplicationToken

__all__ = ["CALLERS", "Api", "Caller", "Seen"]

# Every call here is plain http. Reading the machine's certificates would be most of a test's time.
PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

Body = bytes | list[bytes] | IO[bytes] | None  # a list is sent piece by piece, from a generator


@dataclass(frozen=True)
class Seen:
    """A request as it came over the wire."""

    method: str
    path: str
    host: str
    authorization: str
    body: bytes
    cookie: str = ""


@dataclass
class Api:
    """An API on loopback that answers as it is told (200 otherwise), and keeps what came."""

    seen: list[Seen] = field(default_factory=list)
    answers: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    meeting: threading.Barrier | None = None
    early: bool = False  # refuse before the body was read
    slow: float = 0.0  # seconds from there until it is read
    size: int = 2  # of every answer
    port: int = 0

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def tokens(self) -> list[str]:
        return [request.authorization for request in self.seen]

    @contextmanager
    def serve(self) -> Iterator[Self]:
        handler = type("Handler", (_Handler,), {"api": self})
        server = _Server(("127.0.0.1", 0), handler)
        self.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128  # fifty callers at once


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 20
    api: Api

    def _serve(self) -> None:
        api = self.api
        answer = api.answers.pop(0) if api.answers else (200, {})
        early = api.early and answer[0] == 401
        if early:
            self._answer(*answer)
            time.sleep(api.slow)
        body = self._body()
        names = ("host", "authorization")
        host, authorization = (self.headers.get(name, "") for name in names)
        cookie = self.headers.get("cookie", "")
        api.seen.append(Seen(self.command, self.path, host, authorization, body, cookie))
        if api.meeting is not None:
            api.meeting.wait()
        if not early:
            self._answer(*answer)

    do_GET = do_POST = do_PUT = _serve  # noqa: N815 -- the names are given

    def _answer(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(self.api.size))
        self.end_headers()
        with suppress(ConnectionError):  # it has seen enough
            self.wfile.write(bytes(self.api.size))

    def _body(self) -> bytes:
        if self.headers.get("transfer-encoding", "") != "chunked":
            return self.rfile.read(int(self.headers.get("content-length", "0")))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def log_message(self, *args: Any) -> None:
        pass


class Caller(Protocol):
    """An HTTP client with a recipe's auth object on it."""

    bare_elsewhere: bool
    """A redirect elsewhere is followed without the token; otherwise it is refused."""

    def call(self, method: str, url: str, body: Body = None) -> int:
        """The status that the caller of the library gets to see."""
        ...

    def call_together(self, count: int, url: str) -> list[int]: ...

    def close(self) -> None: ...


class Threads:
    """What the synchronous clients share."""

    bare_elsewhere = True

    def call(self, method: str, url: str, body: Body = None) -> int:
        raise NotImplementedError

    def call_together(self, count: int, url: str) -> list[int]:
        with ThreadPoolExecutor(count) as pool:
            return list(pool.map(lambda _: self.call("GET", url), range(count)))


class Httpx2(Threads):
    def __init__(self, recipe: ApplicationToken, origins: list[str]) -> None:
        self._http = httpx2.Client(
            auth=recipe.auth(origins=origins),
            follow_redirects=True,
            trust_env=False,
            timeout=20,
            verify=PLAIN,
        )

    def call(self, method: str, url: str, body: Body = None) -> int:
        content = (piece for piece in body) if isinstance(body, list) else body
        return self._http.request(method, url, content=content).status_code

    def close(self) -> None:
        self._http.close()


class Httpx(Threads):
    def __init__(self, recipe: ApplicationToken, origins: list[str]) -> None:
        auth = recipe.httpx_auth(origins=origins)
        self._http = httpx.Client(
            auth=auth, follow_redirects=True, trust_env=False, timeout=20, verify=PLAIN
        )

    def call(self, method: str, url: str, body: Body = None) -> int:
        content = (piece for piece in body) if isinstance(body, list) else body
        return self._http.request(method, url, content=content).status_code

    def close(self) -> None:
        self._http.close()


class Requests(Threads):
    def __init__(self, recipe: ApplicationToken, origins: list[str]) -> None:
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.auth = recipe.requests_auth(origins=origins)

    def call(self, method: str, url: str, body: Body = None) -> int:
        data = (piece for piece in body) if isinstance(body, list) else body
        with self.session.request(method, url, data=data, timeout=20) as response:
            return response.status_code

    def close(self) -> None:
        self.session.close()


class Loop:
    """What the asynchronous clients share: one event loop for all calls of a test."""

    bare_elsewhere = True

    def __init__(self) -> None:
        self._runner = asyncio.Runner()

    async def acall(self, method: str, url: str, body: Body) -> int:
        raise NotImplementedError

    def call(self, method: str, url: str, body: Body = None) -> int:
        return self._runner.run(self.acall(method, url, body))

    def call_together(self, count: int, url: str) -> list[int]:
        async def together() -> list[int]:
            return await asyncio.gather(*(self.acall("GET", url, None) for _ in range(count)))

        return self._runner.run(together())

    def _close(self, closing: Callable[[], Awaitable[None]]) -> None:
        async def close() -> None:
            await closing()

        self._runner.run(close())
        self._runner.close()


async def pieces(body: list[bytes]) -> AsyncIterator[bytes]:
    for piece in body:
        yield piece


class AsyncHttpx2(Loop):
    def __init__(self, recipe: ApplicationToken, origins: list[str]) -> None:
        super().__init__()
        self._http = httpx2.AsyncClient(
            auth=recipe.auth(origins=origins),
            follow_redirects=True,
            trust_env=False,
            timeout=20,
            verify=PLAIN,
        )

    async def acall(self, method: str, url: str, body: Body) -> int:
        content = pieces(body) if isinstance(body, list) else body
        return (await self._http.request(method, url, content=content)).status_code

    def close(self) -> None:
        self._close(self._http.aclose)


class AsyncHttpx(Loop):
    def __init__(self, recipe: ApplicationToken, origins: list[str]) -> None:
        super().__init__()
        auth = recipe.httpx_auth(origins=origins)
        self._http = httpx.AsyncClient(
            auth=auth, follow_redirects=True, trust_env=False, timeout=20, verify=PLAIN
        )

    async def acall(self, method: str, url: str, body: Body) -> int:
        content = pieces(body) if isinstance(body, list) else body
        return (await self._http.request(method, url, content=content)).status_code

    def close(self) -> None:
        self._close(self._http.aclose)


class Aiohttp(Loop):
    bare_elsewhere = False

    def __init__(self, recipe: ApplicationToken, origins: list[str]) -> None:
        super().__init__()
        auth = recipe.aiohttp_auth(origins=origins)

        async def session() -> aiohttp.ClientSession:
            return aiohttp.ClientSession(
                middlewares=[auth], timeout=aiohttp.ClientTimeout(total=20)
            )

        self._http = self._runner.run(session())

    async def acall(self, method: str, url: str, body: Body) -> int:
        data = pieces(body) if isinstance(body, list) else body
        async with self._http.request(method, url, data=data) as response:
            await response.read()
            return response.status

    def close(self) -> None:
        self._close(self._http.close)


CALLERS: dict[str, Callable[[ApplicationToken, list[str]], Caller]] = {
    "httpx2": Httpx2,
    "httpx2-async": AsyncHttpx2,
    "httpx": Httpx,
    "httpx-async": AsyncHttpx,
    "requests": Requests,
    "aiohttp": Aiohttp,
}


# Only where `tests/interop/test_niquests.py` put it on the path: it must not be installed here.
if find_spec("niquests"):
    niquests: Any = import_module("niquests")

    class Niquests(Threads):
        def __init__(self, recipe: ApplicationToken, origins: list[str]) -> None:
            self.session = niquests.Session()
            self.session.trust_env = False
            self.session.auth = self.auth(recipe, origins)

        def auth(self, recipe: ApplicationToken, origins: list[str]) -> Any:
            return recipe.niquests_auth(origins=origins)

        def call(self, method: str, url: str, body: Body = None) -> int:
            data = (piece for piece in body) if isinstance(body, list) else body
            status: int = self.session.request(method, url, data=data, timeout=20).status_code
            return status

        def close(self) -> None:
            self.session.close()

    class NiquestsAsRequests(Niquests):
        def auth(self, recipe: ApplicationToken, origins: list[str]) -> Any:
            return recipe.requests_auth(origins=origins)

    class AsyncNiquests(Loop):
        def __init__(self, recipe: ApplicationToken, origins: list[str]) -> None:
            super().__init__()

            async def session() -> Any:
                return niquests.AsyncSession(auth=recipe.async_niquests_auth(origins=origins))

            self.session = self._runner.run(session())
            self.session.trust_env = False

        async def acall(self, method: str, url: str, body: Body) -> int:
            data = pieces(body) if isinstance(body, list) else body
            answer = await self.session.request(method, url, data=data, timeout=20)
            status: int = answer.status_code
            return status

        def close(self) -> None:
            self._close(self.session.close)

    CALLERS |= {
        "niquests": Niquests,
        "niquests-requests": NiquestsAsRequests,
        "niquests-async": AsyncNiquests,
    }
