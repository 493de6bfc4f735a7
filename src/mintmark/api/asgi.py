"""The guard as ASGI middleware: nothing behind it is reached without it."""

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any, final

from mintmark.api.admission import Admitted
from mintmark.api.answers import Answer, forbidden
from mintmark.api.caller import Caller
from mintmark.api.certificate import TlsExtensionMissing
from mintmark.api.policy import PUBLIC, Allowed, Policy
from mintmark.api.refusal import Refused
from mintmark.api.rules import Rules
from mintmark.api.streams import Connection
from mintmark.protocol.message import HttpResponse

if TYPE_CHECKING:
    from mintmark.api.gate import Gate

__all__ = [
    "CALLER",
    "GATE",
    "SCHEME",
    "App",
    "Guard",
    "answer",
    "begin",
    "opened",
    "path_of",
    "respond",
    "turn_away",
]

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
        gate = self._gate
        if scope["type"] == "lifespan":
            await begin(gate, self._app, scope, receive, send)
            return
        published = gate.published(scope) if gate.publication is not None else None
        if published is not None:
            await respond(published, scope, send)
            return
        policy = self._rules.policy_for(path_of(scope))
        # A preflight carries no credentials by its nature (Fetch standard); what it may learn is
        # what the application's own CORS rules say.
        if policy is PUBLIC or is_preflight(scope):
            await self._app(scope, receive, send)
            return
        now = gate.clock.timestamp()
        try:
            # The short way stands here itself: on it a call costs as much as what it does.
            admitted = None
            if policy is not None and not policy.asks:
                admitted = gate.admission.admitted_at_once(scope, now)
                if (
                    admitted is not None
                    and type(policy.decide(admitted.proven.caller, now)) is not Allowed
                ):
                    admitted = None
        except Refused as refused:
            await turn_away(gate, refused, scope, receive, send)
            return
        if admitted is None:
            admitted = await self._admit_or_answer(scope, receive, send, policy, now)
        if admitted is not None:
            connection = opened(gate, scope, receive, send, admitted)
            try:
                await self._app(scope, connection.receive, connection.send)
            finally:
                if connection.watcher is not None:
                    await connection.forget()

    async def _admit_or_answer(
        self, scope: Scope, receive: Receive, send: Send, policy: Policy | None, now: float
    ) -> Admitted | None:
        caller = None
        try:
            admitted = await self._gate.require_admitted(scope, now, policy)
            caller = admitted.caller
            if policy is None:
                raise Refused(forbidden("no policy for this path"))
            await self._gate.require_allowed(policy, caller, now=now, scheme=admitted.scheme)
            return admitted
        except Refused as refused:
            await turn_away(self._gate, refused, scope, receive, send, caller)
            return None


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


def opened(
    gate: "Gate", scope: Scope, receive: Receive, send: Send, admitted: Admitted
) -> Connection:
    """What an admitted request is handed on by: it tells the application who sent it, and the
    caller which nonce to come back with, and it ends with the token.

    Whoever hands it on awaits its application by themselves: one more coroutine in between would
    cost every request as much as looking its token up.
    """
    state = scope.setdefault("state", {})
    state[CALLER] = admitted.proven.caller
    state[SCHEME] = admitted.scheme
    state[GATE] = gate
    # Looked at here, and not in the call: nearly always there is nobody to tell.
    if not gate.nobody_asks:
        nonce = gate.hand_on(admitted)
        if nonce is not None:
            send = _announcing(send, nonce)
    return Connection(scope["type"], receive, send, gate.seconds_left, admitted)


def _announcing(send: Send, nonce: str) -> Send:
    async def announce(message: MutableMapping[str, Any]) -> None:
        # RFC 9449 §8.2: with a successful answer, too, so that nobody has to come twice.
        if message["type"] in {"http.response.start", "websocket.accept"}:
            headers = [*message.get("headers", ()), (b"dpop-nonce", nonce.encode("ascii"))]
            message = {**message, "headers": headers}
        await send(message)

    return announce


def path_of(scope: Scope) -> str:
    """The path that the application is asked for, below its root path.

    As Starlette reads it, segment by segment: with `/api` taken from `/api-files` the guard would
    judge `-files`, and the application serve something else.
    """
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    if not root:
        return path or "/"
    return path[len(root) :] or "/" if path == root or path.startswith(root + "/") else path


def is_preflight(scope: Scope) -> bool:
    """Whether a browser asks, without credentials, whether it may ask."""
    if scope.get("method") != "OPTIONS":
        return False
    names = {name for name, _ in scope["headers"]}
    return b"origin" in names and b"access-control-request-method" in names


async def turn_away(
    gate: "Gate",
    refused: Refused,
    scope: Scope,
    receive: Receive,
    send: Send,
    caller: Caller | None = None,
) -> None:
    """Answer a refused request, and say why in the log."""
    gate.refused(refused.answer, caller)
    await answer(refused.answer, scope, receive, send)


async def answer(refusal: Answer, scope: Scope, receive: Receive, send: Send) -> None:
    """Send a refusal over whatever the request came by."""
    response = refusal.response()
    if scope["type"] == "http":
        await respond(response, scope, send)
        return
    headers = [*response.headers, (b"content-length", str(len(response.body)).encode("ascii"))]
    await receive()  # websocket.connect
    if "websocket.http.response" in scope.get("extensions", {}):
        await send(
            {
                "type": "websocket.http.response.start",
                "status": response.status,
                "headers": headers,
            }
        )
        await send({"type": "websocket.http.response.body", "body": response.body})
    else:
        await send({"type": "websocket.close", "code": 1008})


async def respond(response: HttpResponse, scope: Mapping[str, Any], send: Send) -> None:
    """Send one whole answer to an HTTP request."""
    body = b"" if scope["method"] == "HEAD" else response.body
    headers = [*response.headers]
    # RFC 9110 §8.6: none where there can be no content.
    if response.status not in {204, 304}:
        headers.append((b"content-length", str(len(response.body)).encode("ascii")))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
