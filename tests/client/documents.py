"""A server of JSON documents on loopback: whatever stands at an address, by method and path."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from mintmark.fetch import FetchPolicy

__all__ = ["POLICY", "Documents", "serving"]

POLICY = FetchPolicy(insecure_allow_http_on_loopback=True)

Respond = Callable[[Any, Mapping[str, str]], tuple[int, Any]]


class Documents:
    """Addresses and what is there; every request is kept as (method, path)."""

    def __init__(self) -> None:
        self.url = ""
        self.there: dict[tuple[str, str], Respond] = {}
        self.asked: list[tuple[str, str]] = []

    def put(self, path: str, document: Any) -> None:
        self.there["GET", path] = lambda _body, _headers: (200, document)


@contextmanager
def serving() -> Iterator[Documents]:
    documents = Documents()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("H", (_Handler,), {"of": documents}))
    documents.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield documents
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    of: Documents
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def _serve(self) -> None:
        octets = self.rfile.read(int(self.headers.get("content-length", 0)))
        self.of.asked.append((self.command, self.path))
        respond = self.of.there.get((self.command, self.path))
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = json.loads(octets) if octets else None
        status, answer = respond(body, headers) if respond else (404, {})
        written = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        written = b"" if status == 204 else written
        self.send_response_only(status)
        self.send_header("content-type", "application/json")
        if status != 204:
            self.send_header("content-length", str(len(written)))
        self.end_headers()
        self.wfile.write(written)

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_PUT(self) -> None:
        self._serve()

    def do_DELETE(self) -> None:
        self._serve()
