"""The plugin in somebody else's test suite, the watch over connections, and the runner."""

import asyncio
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mintmark.testing.attacks.model import Request, Route
from mintmark.testing.outbound import watch_outbound
from mintmark.testing.running import Crashed, Reply, running
from mintmark.testing.target import App

SUITE = """
import pytest
from mintmark.testing.target import App, Target

async def app(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"come in"})

@pytest.fixture
def attack_target():
    return Target(build=lambda world: App(app=app, routes={"any": "/"}), lenient=True)

@pytest.mark.hostile_tokens(groups="C", without=("C19",))
def test_survives(hostile):
    hostile.fire()
"""


def test_one_test_for_each_attack_and_what_was_found(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(SUITE)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "mintmark.testing.plugin", "-p", "no:randomly",
         "-p", "no:cacheprovider", "test_it.py"],
        cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip

    # C14 is the one of the group that everybody is to accept.
    assert "17 failed, 1 passed" in done.stdout
    assert "C1 no signature, and alg says so" in done.stdout
    assert "C1 [empty signature] expected a refusal, got 200" in done.stdout
    assert "eyJ" not in done.stdout


MINTING = """
import pytest
from mintmark.api import AUTHENTICATED, Gate
from starlette.testclient import TestClient

async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": scope["state"]["mintmark.caller"].subject.encode()})

@pytest.fixture
def mint_audience():
    return "https://orders.example"

@pytest.fixture
def http(mint):
    gate = Gate(mint.audience, issuer=mint.issuer.issuer, insecure_allow_http_on_loopback=True)
    yield TestClient(gate.wrap(app, {"/**": AUTHENTICATED}), base_url=mint.audience)
    gate.close()

def test_honest(http, mint):
    assert mint.audience == "https://orders.example"
    assert http.get("/", auth=mint.delegated("alice")).text == "alice"

def test_dishonest(http, mint):
    assert http.get("/", auth=mint.delegated("alice").expired()).status_code == 401
    assert http.get("/", auth=mint.of(mint.stranger)).status_code == 401

def test_each_has_an_issuer_of_its_own(mint):
    assert mint.issuer.counts == {}
"""


def test_a_mint_whose_tokens_are_taken_and_whose_broken_ones_are_not(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(MINTING)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "mintmark.testing.plugin",
         "-p", "no:cacheprovider", "test_it.py"],
        cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip

    assert "3 passed" in done.stdout, done.stdout


def test_a_connection_that_nobody_allowed_is_refused_and_remembered() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with watch_outbound(lambda host, number: (host, number) == ("127.0.0.1", port)) as watch:
            socket.create_connection(("127.0.0.1", port)).close()
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("192.0.2.1", 80))
            with pytest.raises(ConnectionRefusedError):
                socket.getaddrinfo("evil.example", 443)
        assert watch.attempts == ["192.0.2.1:80", "evil.example:443"]
        socket.create_connection(("127.0.0.1", port)).close()


def sent(app: Any, request: Request, *, wsgi: bool = False) -> Reply:
    async def one() -> Reply:
        wrapped = App(app=app, routes={Route.ANY: "/orders"}, wsgi=wsgi)
        async with running(wrapped, "https://api.example") as runner:
            return await runner.send(request)

    return asyncio.run(one())


def test_wsgi_sees_what_a_server_would_show_it() -> None:
    seen: dict[str, Any] = {}

    def app(environ: dict[str, Any], start: Any) -> list[bytes]:
        seen.update(environ)
        start("401 Unauthorized", [("WWW-Authenticate", "Bearer")])
        return [b"no"]

    fields = ((b"authorization", b"a"), (b"Authorization", b"b"), (b"content-type", b"x"))
    reply = sent(app, Request(headers=fields, query=b"q=1", body=b"body"), wsgi=True)

    assert (reply.status, reply.body, reply.every("www-authenticate")) == (401, b"no", ["Bearer"])
    assert seen["HTTP_AUTHORIZATION"] == "a,b"
    assert (seen["CONTENT_TYPE"], seen["QUERY_STRING"], seen["PATH_INFO"]) == (
        "x",
        "q=1",
        "/orders",
    )
    assert seen["wsgi.input"].read() == b"body"


@pytest.mark.parametrize("wsgi", [False, True])
def test_an_application_that_raises_has_crashed(wsgi: bool) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise KeyError("a token")

    def old(environ: Any, start: Any) -> None:
        raise KeyError("a token")

    with pytest.raises(Crashed, match=r"^KeyError$"):
        sent(old if wsgi else app, Request(), wsgi=wsgi)


def test_asgi_gets_raw_octets_and_every_field() -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            seen.extend(scope["headers"])
            await send({"type": "http.response.start", "status": 204, "headers": []})
            await send({"type": "http.response.body"})

    fields = ((b"authorization", b"\xff\x00"), (b"authorization", b"b"))

    assert sent(app, Request(headers=fields)).status == 204
    assert seen == [(b"host", b"api.example"), *fields]
