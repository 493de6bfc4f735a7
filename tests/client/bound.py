"""An API behind the project's own gate, on a real server, that takes proofs and keeps them."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn

from mintmark.api import AUTHENTICATED, DPoP, Gate, TrustedIssuer
from mintmark.jose.algorithms import ALL_ALGORITHMS
from mintmark.protocol.dpop import read_proof
from mintmark.testing import FakeAuthority, FrozenClock

__all__ = ["GatedApi", "gated_api"]


@dataclass
class GatedApi:
    """What came, and what it answered."""

    origin: str
    seen: list[dict[str, str]] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    first: list[dict[str, Any]] = field(default_factory=list)  # answered before the gate is asked

    def proofs(self) -> list[Any]:
        fields = [one["dpop"] for one in self.seen if "dpop" in one]
        return [read_proof([one], algorithms=ALL_ALGORITHMS) for one in fields]

    def require_no_proof_twice(self) -> int:
        jtis = [proof.jti for proof in self.proofs()]
        assert len(set(jtis)) == len(jtis)
        return len(jtis)


@contextmanager
def gated_api(authority: FakeAuthority, clock: FrozenClock, dpop: DPoP) -> Iterator[GatedApi]:
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    api = GatedApi(f"http://127.0.0.1:{listening.getsockname()[1]}")
    trusted = TrustedIssuer(issuer=authority.issuer, audience=api.origin, policy=authority.policy)
    gate = Gate(
        api.origin,
        issuers=[trusted],
        clock=clock,
        dpop=dpop,
        insecure_allow_http_on_loopback=True,
    )
    inner = gate.wrap(_answers, {"/**": AUTHENTICATED})
    config = uvicorn.Config(_recording(api, inner), log_level="error", ws="none", lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        yield api
    finally:
        server.should_exit = True
        thread.join(10)
        listening.close()
        gate.close()


async def _answers(scope: Any, receive: Any, send: Any) -> None:
    body = b""
    more = True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    scope["recorded"].bodies.append(body)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})


def _recording(api: GatedApi, inner: Any) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        headers = [(name.decode(), value.decode()) for name, value in scope["headers"]]
        assert [name for name, _ in headers].count("dpop") <= 1
        api.seen.append(dict(headers) | {":path": scope["path"], ":method": scope["method"]})
        scope["recorded"] = api

        async def sending(message: Any) -> None:
            if message["type"] == "http.response.start":
                api.statuses.append(message["status"])
            await send(message)

        if api.first:
            answer = api.first.pop(0)
            while (await receive()).get("more_body"):
                pass
            await sending({"type": "http.response.start"} | answer)
            await sending({"type": "http.response.body", "body": b""})
        else:
            await inner(scope, receive, sending)

    return app
