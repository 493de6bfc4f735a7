"""The fake authority's HTTP side."""

import sys
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec

from mintmark.jose.key_set import KeySet
from mintmark.protocol.errors import OAuthError
from mintmark.protocol.form import Form
from mintmark.secret import Secret
from mintmark.testing.asked import Asked
from mintmark.testing.faults import send_fault

if TYPE_CHECKING:
    from mintmark.testing.authority import FakeAuthority

__all__ = ["server_for"]


_METADATA = "/.well-known/openid-configuration"
_NAMES = {_METADATA: "metadata"}
_KNOWN = frozenset(
    {
        ("GET", _METADATA), ("GET", "/jwks"), ("GET", "/authorize"), ("POST", "/token"),
        ("POST", "/revoke"), ("POST", "/introspect"),
    }
)  # fmt: skip

_Answer = tuple[int, bytes, Mapping[str, str]]


def server_for(fake: "FakeAuthority") -> ThreadingHTTPServer:
    """A server of this fake on a free loopback port; it answers nobody yet."""
    return _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"fake": fake}))


class _Server(ThreadingHTTPServer):
    # Of the usual 5, a stampede of callers would have most of its connections reset.
    request_queue_size = 1024
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        # Whoever gave up waiting closes the connection; a traceback on the screen says nothing more.
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    fake: "FakeAuthority"
    protocol_version = "HTTP/1.1"
    # Headers and body are two packets; held back for the first one's receipt, the second takes
    # 40 ms.
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self._serve(urlsplit(self.path).query)

    def do_POST(self) -> None:
        try:
            length = int(self.headers.get("content-length", 0))
        except ValueError:
            self._answer(400, b"")
            return
        self._serve(self.rfile.read(max(length, 0)))

    def _serve(self, parameters: str | bytes) -> None:
        """One request, from the record to the answer, whatever becomes of it on the way."""
        fake = self.fake
        try:
            asked = self._asked(Form.parse(parameters))
        except OAuthError as refusal:
            self._answer(refusal.status, msgspec.json.encode({"error": refusal.code.value}))
            return
        fake.record.keep(asked, fake.clock.now())
        name = _NAMES.get(asked.path, asked.path.removeprefix("/"))
        if asked.path in fake.lies:
            fake.record.count(asked.path.removeprefix("/"))
            send_fault(self, fake.lies[asked.path])
        elif not fake.down and asked.path in fake.endpoints:
            self._serve_at(asked, name)
        elif (asked.method, asked.path) not in _KNOWN:
            self._answer(404, b"")
        elif fake.down:
            fake.record.count(name)
            self._wait(asked)
            self._answer(503, b"down")
        else:
            self._serve_at(asked, name)

    def _serve_at(self, asked: Asked, name: str) -> None:
        """By an endpoint that there is, or by the fault that comes before it."""
        fault = self.fake.next_fault(asked.path)
        if fault is not None and not fault.carried_out:
            self.fake.record.count(name)
            self._wait(asked)
            send_fault(self, fault)
            return
        further = self.fake.endpoints.get(asked.path)
        answer = further(asked) if further else None
        if answer is None and (asked.method, asked.path) not in _KNOWN:
            self._answer(404, b"")
            return
        self.fake.record.count(name)
        if answer is not None:
            said = answer.status, answer.body, answer.headers
            send_fault(self, fault.with_answer(*said) if fault else answer)
            return
        self._wait(asked)
        said = self._answered(asked)
        if fault is None:
            self._answer(*said)
        else:
            send_fault(self, fault.with_answer(*said))

    def _wait(self, asked: Asked) -> None:
        if asked.path == "/token" and self.fake.delay:
            time.sleep(self.fake.delay)

    def _answered(self, asked: Asked) -> _Answer:
        """What a server without faults would say."""
        fake = self.fake
        try:
            match asked.path:
                case "/.well-known/openid-configuration":
                    return 200, fake.metadata(), {}
                case "/jwks":
                    return 200, KeySet(fake.published).to_json(), {}
                case "/authorize":
                    return 303, b"", {"location": fake.authorize(asked.query)}
                case "/revoke":
                    fake.revoke(asked.form.required("token", Secret))
                    return 200, b"", {}
                case "/introspect":
                    return self._introspected(asked)
                case _:
                    return *fake.token(asked), {}
        except OAuthError as refusal:
            return refusal.status, msgspec.json.encode({"error": refusal.code.value}), {}

    def _introspected(self, asked: Asked) -> _Answer:
        fake = self.fake
        return fake.introspection.answer(
            asked.headers.get("authorization"),
            asked.form,
            issuer=fake.issuer,
            key=fake.key,
            now=fake.clock.timestamp(),
        )

    def _asked(self, form: Form) -> Asked:
        parts = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        return Asked(
            method=self.command, path=parts.path, query=parts.query, headers=headers, form=form
        )

    def _answer(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        self.send_response_only(status)
        # By its own clock, which a test may have set: an API compares it with its own.
        self.send_header("date", self.date_time_string(self.fake.clock.timestamp()))
        for name, value in ({"content-type": "application/json"} | dict(headers or {})).items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
