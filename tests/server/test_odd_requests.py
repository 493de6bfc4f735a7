"""Requests that no honest browser sends: an answer for each, and it is never a 500."""

from collections.abc import MutableMapping
from typing import Any

import pytest
from tests.server.conftest import Endpoint
from tests.server.test_browser_endpoints import answered, begin, query

from mintmark.server.asgi import Disconnected, read_body

FORM = (b"content-type", b"application/x-www-form-urlencoded")


async def raw(
    endpoint: Endpoint,
    method: str,
    path: str,
    *,
    query_string: bytes = b"",
    headers: tuple[tuple[bytes, bytes], ...] = ((b"host", b"id.example"),),
    messages: tuple[dict[str, Any], ...] = ({"type": "http.request", "body": b""},),
) -> tuple[int | None, bytes]:
    """Status and body of a request that a well-behaved client library would not write."""
    scope = {
        "type": "http", "http_version": "1.1", "method": method, "path": path, "raw_path": path.encode(),
        "query_string": query_string, "headers": list(headers), "scheme": "https", "root_path": "",
        "server": ("id.example", 443), "client": ("192.0.2.1", 5000),
    }  # fmt: skip
    waiting, sent = list(messages), list[MutableMapping[str, Any]]()

    async def receive() -> MutableMapping[str, Any]:
        return waiting.pop(0) if waiting else {"type": "http.disconnect"}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    await endpoint.server(scope, receive, send)
    if not sent:
        return None, b""
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent)


PATHS = (
    "/authorize",
    "/logout",
    "/token",
    "/revoke",
    "/userinfo",
    "/login",
    "/consent",
    "/nothing",
)


HOSTS = (b"[", b"]", b"a[b", b"\xff", b"x/?client_id=y", b"x#", b"", b"a:b:c", b"x" * 8000)
ODD = (
    b"\xff", b"\xc3\xa9", b"a=\xed\xa0\x80", b"a=%ed%a0%80", b"a=%00", b"a=%ff", b"a=1&a=2", b"&" * 5000,
    b"a=" + b"x" * 60_000, b"=", b"%", b"state=%0d%0aset-cookie:%20a=b",
)  # fmt: skip


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_whatever_the_host_header_holds(endpoint: Endpoint, method: str) -> None:
    for path in PATHS:
        for host in HOSTS:
            status, _ = await raw(endpoint, method, path, headers=((b"host", host), FORM))
            assert status is not None, (path, host)
            assert status < 500, (path, host)


async def test_the_host_header_adds_nothing_to_the_query(endpoint: Endpoint) -> None:
    host = b"id.example/?" + query().encode() + b"&"
    status, body = await raw(endpoint, "GET", "/authorize", headers=((b"host", host),))

    assert status == 400
    assert b"client_id is missing" in body


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_whatever_the_query_and_the_body_hold(endpoint: Endpoint, method: str) -> None:
    head = ((b"host", b"id.example"), FORM)
    for path in PATHS:
        for odd in ODD:
            body = ({"type": "http.request", "body": odd},)
            status, _ = await raw(
                endpoint, method, path, query_string=odd, headers=head, messages=body
            )
            assert status is not None, (path, odd[:80])
            assert status < 500, (path, odd[:80])


class TestHalfARequest:
    """RFC 9112 §8: what was cut off must not be taken for the whole."""

    CUT: tuple[dict[str, Any], ...] = (
        {"type": "http.request", "body": b"grant_type=client_credentials", "more_body": True},
        {"type": "http.disconnect"},
    )

    async def test_it_is_told_from_a_whole_one(self) -> None:
        waiting = list[MutableMapping[str, Any]](self.CUT)

        async def receive() -> MutableMapping[str, Any]:
            return waiting.pop(0)

        with pytest.raises(Disconnected):
            await read_body(receive)

    async def test_it_gets_no_token(self, endpoint: Endpoint) -> None:
        authorization = endpoint.headers()["authorization"].encode()
        head = ((b"host", b"id.example"), FORM, (b"authorization", authorization))
        endpoint.events.events.clear()
        answer = await raw(endpoint, "POST", "/token", headers=head, messages=self.CUT)

        assert answer == (None, b"")
        assert endpoint.events.events == []

    async def test_pages_take_no_half_form_either(self, endpoint: Endpoint) -> None:
        for path in ("/authorize", "/login", "/consent", "/logout/confirmed"):
            status, _ = await raw(endpoint, "POST", path, messages=self.CUT)
            assert status == 408, path


async def test_a_request_too_long_to_be_carried_is_refused_before_anybody_signs_in(
    endpoint: Endpoint,
) -> None:
    assert answered(await begin(endpoint, login_hint="x" * 20_000))["error"] == "invalid_request"
