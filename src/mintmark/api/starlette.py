"""Starlette behind a gate: `Gate.wrap` guards the application, and endpoints may want more.

    app = gate.wrap(Starlette(routes=routes), {"/health": PUBLIC, "/**": AUTHENTICATED})

A path without a rule lets nobody in. What an endpoint wants by `requires` counts besides its path's
rule, and an endpoint that no gate stands in front of is closed.
"""

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from starlette.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.websockets import WebSocket

from mintmark.api.answers import Answer, Scheme
from mintmark.api.asgi import CALLER, GATE, SCHEME
from mintmark.api.caller import Caller
from mintmark.api.entrance import NOT_INSTALLED, Entrance
from mintmark.api.marks import mark, require_callers_policy
from mintmark.api.policy import Policy
from mintmark.api.refusal import Refused

__all__ = ["caller_of", "refused", "requires"]

F = TypeVar("F", bound=Callable[..., Any])


def caller_of(connection: HTTPConnection) -> Caller:
    """Who sent this request, or opened this WebSocket.

    Raises:
        Refused: nobody was asked: its path is public, or has no gate before it.
    """
    caller = connection.scope.get("state", {}).get(CALLER)
    if not isinstance(caller, Caller):
        raise Refused(NOT_INSTALLED)
    return caller


def requires(policy: Policy) -> Callable[[F], F]:
    """Above an endpoint, a method of an `HTTPEndpoint`, or a WebSocket's endpoint."""
    require_callers_policy(policy)

    def decorate(endpoint: Any) -> Any:
        awaits = inspect.iscoroutinefunction(endpoint)

        @wraps(endpoint)
        async def guarded(*args: Any, **kwargs: Any) -> Any:
            connection = _connection_of((*args, *kwargs.values()))
            try:
                await _require_allowed(connection, policy)
            except Refused as refusal:
                return await _turn_away(connection, refusal.answer)
            if awaits:
                return await endpoint(*args, **kwargs)
            return await run_in_threadpool(endpoint, *args, **kwargs)

        return mark(guarded, policy)

    return decorate


async def refused(_request: HTTPConnection, exception: Exception) -> Response:
    """For `exception_handlers={Refused: refused}`: endpoints that ask the gate about an object."""
    assert isinstance(exception, Refused)
    return _response(exception.answer, without_body=_request.scope.get("method") == "HEAD")


async def _require_allowed(connection: HTTPConnection, policy: Policy) -> Caller:
    caller = caller_of(connection)
    state = connection.scope["state"]
    scheme = state.get(SCHEME, Scheme.BEARER)
    return await Entrance(state[GATE]).require_allowed(policy, caller, scheme)


def _connection_of(found: tuple[Any, ...]) -> HTTPConnection:
    return next(one for one in found if isinstance(one, HTTPConnection))


async def _turn_away(connection: HTTPConnection, answer: Answer) -> Response | None:
    if not isinstance(connection, WebSocket):
        return _response(answer, without_body=connection.scope["method"] == "HEAD")
    if "websocket.http.response" in connection.scope.get("extensions", {}):
        await connection.send_denial_response(_response(answer, without_body=False))
    else:
        await connection.close(1008)
    return None


def _response(answer: Answer, *, without_body: bool) -> Response:
    made = answer.response()
    response = Response(b"" if without_body else made.body, made.status)
    # A challenge may come twice, once for each scheme; a dictionary would lose one.
    length = (b"content-length", str(len(made.body)).encode("ascii"))
    response.raw_headers = [*made.headers, length]
    return response
