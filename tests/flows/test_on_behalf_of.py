"""The API of the guide that calls another one for its caller, run as it is printed.

Three hosts that do not exist, over TLS: the token server is the fake one, both APIs are processes.
"""

import base64
import json
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest
from tests.conventions.test_docs import ROOT, blocks
from tests.invented_hosts import certificate, invented_names, over_tls

from mintmark.client import StepUpRequired
from mintmark.client.step_up import require_enough
from mintmark.protocol.challenge import parse_challenges
from mintmark.secret import Secret
from mintmark.testing import FakeAuthority
from mintmark.testing.authority import Fault
from mintmark.testing.authority_http import server_for
from mintmark.testing.fake_exchange import FakeExchange
from mintmark.testing.ports import free_ports

PAGE = ROOT / "docs" / "guides" / "call-an-api-for-somebody.md"
ORDERS, STOCK = "https://orders.example", "https://stock.example"
BOTH = "orders.read stock.read"  # the fake server gives no scope that the first token has not
NEXT_API = """\
from typing import Annotated
from fastapi import FastAPI
from mintmark.api import Caller, CallerKind, Gate, kind, scope

gate = Gate("https://stock.example", issuer="https://id.example")
app = gate.install(FastAPI())

@app.get("/stock")
async def stock(
    caller: Annotated[Caller, gate.requires(scope("stock.read") & kind(CallerKind.ON_BEHALF))],
) -> dict[str, object]:
    return {"of": caller.subject, "by": [actor.subject for actor in caller.actor_chain]}
"""


@dataclass
class Running:
    authority: FakeAuthority
    exchange: FakeExchange
    url: str

    def token(self, sub: str, *, aud: str = ORDERS, scope: str = BOTH) -> Secret:
        return self.authority.access_token(scope=scope, sub=sub, client_id="web", aud=(aud,))

    def call(self, token: Secret | None) -> httpx2.Response:
        headers = {"authorization": f"Bearer {token.reveal()}"} if token else {}
        return httpx2.get(f"{self.url}/orders", headers=headers, trust_env=False, timeout=20)


@contextmanager
def serving(
    program: str, port: int, folder: Path, environment: Mapping[str, str], *options: str
) -> Iterator[None]:
    """The command of the guide. A loop in Python, for that is where the invented names are known."""
    command = [sys.executable, "-m", "uvicorn", program, "--port", str(port), "--loop", "asyncio"]
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            [*command, *options], cwd=folder, env=environment, stdout=log, stderr=log
        )
    try:
        for _ in range(600):
            assert process.poll() is None, (folder / "log").read_text()[-2000:]
            with socket.socket() as looking:
                if looking.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait(20)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("on-behalf-of")
    program, *_ = blocks(PAGE, "python")
    (folder / "orders.py").write_text(program.code)
    (folder / "stock.py").write_text(NEXT_API)
    pair = certificate(folder, "id.example", "stock.example")
    authority = FakeAuthority()
    authority.issuer = "https://id.example"
    exchange = FakeExchange(authority, client_id="orders-api")
    exchange.audience = ORDERS
    orders_port, stock_port = free_ports(2)
    with ExitStack() as stack:
        id_port = stack.enter_context(over_tls(server_for(authority), pair))
        ports = {"id.example": id_port, "stock.example": stock_port}
        environment = invented_names(folder, ports) | {
            "ORDERS_ISSUER": authority.issuer,
            "ORDERS_CLIENT_ID": "orders-api",
            "ORDERS_CLIENT_SECRET": secrets.token_urlsafe(32),
            "PYTHONWARNINGS": "error",
        }
        tls = ("--ssl-certfile", str(pair[0]), "--ssl-keyfile", str(pair[1]))
        stack.enter_context(serving("stock:app", stock_port, folder, environment, *tls))
        stack.enter_context(serving("orders:app", orders_port, folder, environment))
        yield Running(authority, exchange, f"http://127.0.0.1:{orders_port}")


def test_each_caller_reaches_the_next_api_as_themselves_after_one_exchange(
    running: Running,
) -> None:
    tokens = {name: running.token(name) for name in ("alice", "bob")}
    before = len(running.exchange.requests)
    for _ in range(3):
        for name, token in tokens.items():
            answer = running.call(token)
            expected = {"for": name, "stock": {"of": name, "by": ["orders-api"]}}
            assert (answer.status_code, answer.json()) == (200, expected)
    assert len(running.exchange.requests) - before == 2


def test_nobody_is_called_for_who_may_not_come_in(running: Running) -> None:
    before = len(running.exchange.requests)

    assert running.call(None).status_code == 401
    assert running.call(running.token("alice", aud=STOCK)).status_code == 401
    assert running.call(running.token("alice", scope="orders.write")).status_code == 403
    assert len(running.exchange.requests) == before


def test_s36_what_the_server_wants_of_a_person_is_asked_in_a_challenge(running: Running) -> None:
    claims = {"access_token": {"acrs": {"essential": True, "value": "c1"}}}
    body = {"error": "interaction_required", "claims": json.dumps(claims)}
    running.authority.fail(Fault(status=400, body=json.dumps(body).encode()))
    answer = running.call(running.token("carol"))

    assert answer.status_code == 401
    (challenge,) = parse_challenges([answer.headers["www-authenticate"]])
    assert json.loads(base64.b64decode(challenge.parameters["claims"])) == claims
    # The web application's own client reads the same of it, and sends Carol to sign in so.
    with pytest.raises(StepUpRequired) as wanted:
        require_enough(401, [challenge])
    assert wanted.value.claims == claims
    assert running.call(running.token("carol")).json()["stock"]["of"] == "carol"


def test_without_the_token_server_who_was_there_before_goes_on(running: Running) -> None:
    known = running.token("dora")
    assert running.call(known).status_code == 200
    running.authority.down = True
    try:
        assert running.call(known).status_code == 200
        answer = running.call(running.token("emil"))
        assert (answer.status_code, answer.json()["status"]) == (503, 503)
    finally:
        running.authority.down = False


def test_a_refusal_is_no_fault_of_the_caller_and_is_not_told(running: Running) -> None:
    running.exchange.allowed = frozenset({"https://print.example"})
    try:
        answer = running.call(running.token("fred"))
    finally:
        running.exchange.allowed = None

    assert answer.status_code == 502
    assert "target" not in answer.text
