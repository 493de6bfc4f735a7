"""The fake authority's HTTP side."""

import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from mintmark.jose.key_set import KeySet
from mintmark.protocol.form import Form
from mintmark.secret import Secret
from mintmark.testing.asked import Asked
from mintmark.testing.faults import send_fault

if TYPE_CHECKING:
    from mintmark.testing.authority import FakeAuthority

__all__ = ["handler_for"]


def handler_for(fake: "FakeAuthority") -> type[BaseHTTPRequestHandler]:
    """The request handler of this fake."""
    return type("Handler", (_Handler,), {"fake": fake})


class _Handler(BaseHTTPRequestHandler):
    fake: "FakeAuthority"
    protocol_version = "HTTP/1.1"
    # Headers and body are two packets; held back for the first one's receipt, the second takes
    # 40 ms.
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        fake = self.fake
        if parts.path in fake.lies:
            fake.counts[parts.path.removeprefix("/")] += 1
            send_fault(self, fake.lies[parts.path])
        elif fake.down:
            self._answer(503, b"down")
        elif self._is_answered_by_endpoint(self._asked(Form.parse(parts.query))):
            return
        elif parts.path == "/.well-known/openid-configuration":
            fake.counts["metadata"] += 1
            self._answer(200, fake.metadata())
        elif parts.path == "/jwks":
            fake.counts["jwks"] += 1
            self._answer(200, KeySet(fake.published).to_json())
        elif parts.path == "/authorize":
            self._answer(303, b"", {"location": fake.authorize(parts.query)})
        else:
            self._answer(404, b"")

    def do_POST(self) -> None:
        fake = self.fake
        form = Form.parse(self.rfile.read(int(self.headers.get("content-length", 0))))
        if self.path in fake.lies:
            fake.counts[self.path.removeprefix("/")] += 1
            send_fault(self, fake.lies[self.path])
            return
        asked = self._asked(form)
        if not fake.down and self._is_answered_by_endpoint(asked):
            return
        if self.path == "/revoke" and not fake.down:
            token = form.required("token", Secret)
            fake.revoked.append(token.fingerprint())
            fake.introspection.forget(token)
            self._answer(200, b"")
            return
        if self.path == "/introspect":
            self._introspect(form)
            return
        fake.counts["token"] += 1
        if fake.delay:
            time.sleep(fake.delay)
        if fake.down:
            self._answer(503, b"down")
            return
        if fake.faults:
            fault = fake.faults.pop(0)
            self._answer(fault.status, fault.body, fault.headers)
            return
        status, body = fake.token(asked)
        self._answer(status, body)

    def _asked(self, form: Form) -> Asked:
        parts = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        return Asked(
            method=self.command, path=parts.path, query=parts.query, headers=headers, form=form
        )

    def _is_answered_by_endpoint(self, asked: Asked) -> bool:
        endpoint = self.fake.endpoints.get(asked.path)
        answer = endpoint(asked) if endpoint else None
        if answer is None:
            return False
        self.fake.counts[asked.path.removeprefix("/")] += 1
        send_fault(self, answer)
        return True

    def _introspect(self, form: Form) -> None:
        fake = self.fake
        fake.counts["introspect"] += 1
        if fake.down:
            self._answer(503, b"down")
            return
        authorization, now = self.headers.get("authorization"), fake.clock.timestamp()
        self._answer(
            *fake.introspection.answer(
                authorization, form, issuer=fake.issuer, key=fake.key, now=now
            )
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
