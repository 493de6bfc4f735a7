"""The guard as ASGI middleware: nothing behind it is reached without it."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any, final

from mintmark.api.admission import Admitted
from mintmark.api.answers import Answer, forbidden
from mintmark.api.certificate import TlsExtensionMissing
from mintmark.api.policy import PUBLIC
from mintmark.api.refusal import Refused
from mintmark.api.rules import Rules
from mintmark.api.streams import watched

if TYPE_CHECKING:
    from mintmark.api.gate import Gate

__all__ = ["CALLER", "GATE", "SCHEME", "App", "Guard", "answer", "begin", "path_of", "serve"]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

CALLER = "mintmark.caller"
"""Where a handler finds the `Caller`: `scope["state"]["mintmark.caller"]`."""

SCHEME = "mintmark.scheme"
"""Where a later refusal finds how the token came, for its challenge."""

GATE = "mintmark.gate"
"""Where an endpoint finds the gate that let its request in."""


@final
class Guard:
    """Lets a request through, or answers it."""

    def __init__(self, gate: "Gate", app: App, rules: Rules) -> None:
        self._gate = gate
        self._app = app
        self._rules = rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await begin(self._gate, self._app, scope, receive, send)
            return
        policy = self._rules.policy_for(path_of(scope))
        # A preflight carries no credentials by its nature (Fetch standard); what it may learn is
        # what the application's own CORS rules say.
        if policy is PUBLIC or is_preflight(scope):
            await self._app(scope, receive, send)
            return
        caller = None
        try:
            admitted = await self._gate.require_admitted(scope, policy)
            caller = admitted.caller
            if policy is None:
                raise Refused(forbidden("no policy for this path"))
            await self._gate.require_allowed(policy, caller, scheme=admitted.scheme)
        except Refused as refused:
            self._gate.refused(refused.answer, caller)
            await answer(refused.answer, scope, receive, send)
            return
        await serve(self._gate, self._app, scope, receive, send, admitted)


async def begin(gate: "Gate", app: App, scope: Scope, receive: Receive, send: Send) -> None:
    """The start of a server: refused if what was promised cannot be kept with it."""
    try:
        gate.require_capable_server(receive)
    except TlsExtensionMissing as missing:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": str(missing)})
        return
    gate.warm()
    await app(scope, receive, send)


async def serve(
    gate: "Gate", app: App, scope: Scope, receive: Receive, send: Send, admitted: Admitted
) -> None:
    """Hand an admitted request on: who sent it, for how long, and with which nonce to come back."""
    state = scope.setdefault("state", {})
    state[CALLER] = admitted.caller
    state[SCHEME] = admitted.scheme
    state[GATE] = gate
    nonce = gate.fresh_nonce(admitted)
    await watched(
        app,
        scope,
        receive,
        _announcing(send, nonce) if nonce is not None else send,
        lambda: gate.seconds_left(admitted),
    )


def _announcing(send: Send, nonce: str) -> Send:
    async def announce(message: MutableMapping[str, Any]) -> None:
        # RFC 9449 §8.2: with a successful answer, too, so that nobody has to come twice.
        if message["type"] in {"http.response.start", "websocket.accept"}:
            headers = [*message.get("headers", ()), (b"dpop-nonce", nonce.encode("ascii"))]
            message = {**message, "headers": headers}
        await send(message)

    return announce


def path_of(scope: Scope) -> str:
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", "")) or "/"


def is_preflight(scope: Scope) -> bool:
    """Whether a browser asks, without credentials, whether it may ask."""
    if scope["type"] != "http" or scope["method"] != "OPTIONS":
        return False
    names = {name for name, _ in scope["headers"]}
    return b"origin" in names and b"access-control-request-method" in names


async def answer(refusal: Answer, scope: Scope, receive: Receive, send: Send) -> None:
    """Send a refusal over whatever the request came by."""
    response = refusal.response()
    body = b"" if scope.get("method") == "HEAD" else response.body
    headers = [*response.headers, (b"content-length", str(len(response.body)).encode("ascii"))]
    if scope["type"] == "http":
        start = {"type": "http.response.start", "status": response.status, "headers": headers}
        await send(start)
        await send({"type": "http.response.body", "body": body})
        return
    await receive()  # websocket.connect
    if "websocket.http.response" in scope.get("extensions", {}):
        await send(
            {
                "type": "websocket.http.response.start",
                "status": response.status,
                "headers": headers,
            }
        )
        await send({"type": "websocket.http.response.body", "body": body})
    else:
        await send({"type": "websocket.close", "code": 1008})
