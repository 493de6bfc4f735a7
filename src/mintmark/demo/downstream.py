"""The second API: plain ASGI behind a gate, for applications that have a token for it."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qs

import msgspec

from mintmark.api import CallerKind, Gate, kind, scope
from mintmark.demo.parts import Demo

__all__ = ["make_downstream"]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

MOTTOS = {"3f6d2b9a-alice": "Curiouser and curiouser!"}


async def mottos(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001 -- ASGI's shape
    """The whole application: one answer."""
    if scope["type"] == "lifespan":
        return
    subject = parse_qs(scope["query_string"].decode("latin-1")).get("subject", [""])[0]
    body = msgspec.json.encode({"motto": MOTTOS.get(subject, "No motto yet.")})
    headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def make_downstream(demo: Demo) -> tuple[Any, Gate]:
    gate = Gate(
        demo.addresses.url("downstream"),
        issuer=demo.addresses.url("server"),
        insecure_allow_http_on_loopback=True,
    )
    rules = {"/mottos": scope("mottos.read") & kind(CallerKind.APPLICATION)}
    return gate.wrap(mottos, rules), gate
