"""An application on a real uvicorn, and tokens that end while somebody listens."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import httpx2
import uvicorn
from tests.api.conftest import API, bearer

from mintmark.api import Gate, TrustedIssuer
from mintmark.clock import SystemClock
from mintmark.testing import FakeAuthority

__all__ = ["brief_gate", "listen", "on_uvicorn"]


def brief_gate(authority: FakeAuthority) -> Gate:
    """Goes by the real clock, to the second: its issuer's tokens live for one or two."""
    authority.clock = SystemClock()
    authority.lifetime = timedelta(seconds=2)
    trusted = TrustedIssuer(
        issuer=authority.issuer, audience=API, policy=authority.policy, skew=timedelta(0)
    )
    return Gate(API, issuers=[trusted])


@contextmanager
def on_uvicorn(app: Any) -> Iterator[str]:
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", ws="none"))
    thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)
        listening.close()


def listen(url: str, authority: FakeAuthority) -> tuple[bytes, float]:
    """Everything an event stream says until it ends by itself, and how long that took."""
    begun = time.monotonic()
    with httpx2.stream(
        "GET", url, headers=bearer(authority.access_token(scope="a")), timeout=10
    ) as answer:
        assert answer.status_code == 200
        return b"".join(answer.iter_bytes()), time.monotonic() - begun
