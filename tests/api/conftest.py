"""One API behind its gate, reached over ASGI as a server would reach it."""

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import httpx2
import pytest

from mintmark.api import AUTHENTICATED, Caller, Gate, Policy, TrustedIssuer
from mintmark.secret import Secret
from mintmark.testing import FakeAuthority, FrozenClock

API = "https://api.example"
REALM = f'Bearer realm="{API}"'

Headers = Mapping[str, str] | list[tuple[bytes, bytes]]


async def who(scope: Any, receive: Any, send: Any) -> None:
    """The application behind the gate: it says who was let in."""
    del receive
    if scope["type"] != "http":
        return
    caller: Caller | None = scope.get("state", {}).get("mintmark.caller")
    body = f"{caller.kind} {caller.subject}".encode() if caller else b"nobody"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


def request_with(headers: list[tuple[bytes, bytes]]) -> dict[str, Any]:
    """An ASGI scope with these headers, for whoever asks the gate and no application."""
    return {"type": "http", "method": "GET", "path": "/", "headers": headers}


def bearer(token: Secret | str) -> dict[str, str]:
    text = token.reveal() if isinstance(token, Secret) else token
    return {"authorization": f"Bearer {text}"}


@pytest.fixture
def gate(authority: FakeAuthority, clock: FrozenClock) -> Any:
    authority.clock = clock
    made = Gate(
        API,
        issuers=[TrustedIssuer(issuer=authority.issuer, audience=API, policy=authority.policy)],
        clock=clock,
    )
    yield made
    made.close()


@pytest.fixture
async def call(gate: Gate) -> AsyncIterator[Callable[..., Any]]:
    """`await call(headers, policy=..., method=..., path=...)` over ASGI."""
    clients = []

    async def one(
        headers: Headers | None = None,
        *,
        policy: Policy | None = None,
        method: str = "GET",
        path: str = "/orders",
        content: bytes | None = None,
    ) -> httpx2.Response:
        app = gate.wrap(who, {"/orders": policy or AUTHENTICATED})
        client = httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url=API)
        clients.append(client)
        return await client.request(method, path, headers=headers, content=content)

    yield one
    for client in clients:
        await client.aclose()
