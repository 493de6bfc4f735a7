"""What a FastAPI route wants of its callers, and the shortest way to ask for it.

A wish is a dependency, so FastAPI's own resolver can ask for it anywhere. But to resolve one costs
a request more than all the rest of the guard. So a route that has answered once is settled: its own
wishes are asked for before anything of it is resolved, and the caller is handed to its function.
"""

from collections.abc import Awaitable, Callable, Sequence
from functools import wraps
from typing import Any, Final, final

from fastapi import WebSocketException
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from starlette.requests import HTTPConnection

from mintmark.api.answers import Answer
from mintmark.api.asgi import CALLER, SCHEME, App, Receive, Scope, Send
from mintmark.api.caller import Caller
from mintmark.api.entrance import NOT_INSTALLED
from mintmark.api.gate import Gate
from mintmark.api.policy import Allowed, Policy
from mintmark.api.refusal import Refused

__all__ = ["Requires", "policies_of", "refusal", "settle", "wishes_of"]

CONNECTION: Final = "mintmark_connection_"
"""Under this name a settled function's caller is found; no parameter of its own is named so."""


@final
class Requires:
    """The dependency of one policy."""

    def __init__(self, gate: Gate, policy: Policy) -> None:
        self.gate = gate
        self.policy = policy

    async def __call__(self, connection: HTTPConnection) -> Caller:
        try:
            return self.allowed_at_once(connection.scope) or await self.require(connection.scope)
        except Refused as refused:
            raise refusal(connection, refused.answer) from None

    def allowed_at_once(self, scope: Scope) -> Caller | None:
        """The caller, if they are let in and nobody has to be asked; None says nothing."""
        caller = scope["state"].get(CALLER) if "state" in scope else None
        if not isinstance(caller, Caller) or self.policy.asks:
            return None
        now = self.gate.clock.timestamp()
        return caller if type(self.policy.decide(caller, now)) is Allowed else None

    async def require(self, scope: Scope) -> Caller:
        """The caller, if they are let in. Raises `Refused`."""
        caller = scope.get("state", {}).get(CALLER)
        # Without the guard in front nobody was authenticated, whatever the headers say.
        if not isinstance(caller, Caller):
            raise Refused(NOT_INSTALLED)
        try:
            scheme = scope["state"][SCHEME]
            return await self.gate.require_allowed(self.policy, caller, scheme=scheme)
        except Refused as refused:
            self.gate.refused(refused.answer, caller)
            raise


@final
class _Judging:
    """A settled route: its wishes first, then all that FastAPI does."""

    def __init__(self, wishes: Sequence[Requires], app: App) -> None:
        self._wishes = wishes
        self._app = app

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        for wish in self._wishes:
            if wish.allowed_at_once(scope) is None:
                return self._judge(scope, receive, send)
        return self._app(scope, receive, send)

    async def _judge(self, scope: Scope, receive: Receive, send: Send) -> None:
        for wish in self._wishes:
            await wish.require(scope)
        await self._app(scope, receive, send)


@final
class _Rest(list[Dependant]):
    """The dependencies that are still resolved, and the wishes that no more are."""

    def __init__(self, rest: Sequence[Dependant], wishes: Sequence[Requires]) -> None:
        super().__init__(rest)
        self.wishes = wishes


def settle(scope: Scope, question: Callable[..., Any]) -> None:
    """Ask the chosen route's own wishes the short way from the next request on.

    `question`, whether the route has any, is asked no more either. Lists are replaced, not changed:
    this very request still goes through the old ones.
    """
    for place in _places(scope):
        dependant = getattr(place, "dependant", None)
        # Two first requests at once: what the one has settled, the other leaves alone.
        if dependant is None or isinstance(dependant.dependencies, _Rest):
            continue
        if not policies_of(dependant):
            continue
        rest = [one for one in dependant.dependencies if one.call is not question]
        # Whoever replaces dependencies, in their tests, may mean this one: theirs is resolved.
        provider = getattr(place, "dependency_overrides_provider", None)
        replaced = getattr(provider, "dependency_overrides", None)
        if isinstance(scope.get("route"), APIRoute) and not replaced:
            _shorten(place, dependant, rest)
        else:
            dependant.dependencies = rest


def _shorten(place: Any, dependant: Dependant, rest: Sequence[Dependant]) -> None:
    own = [one for one in rest if isinstance(one.call, Requires)]
    wishes = [one.call for one in own if isinstance(one.call, Requires)]
    place.app = _Judging(wishes, place.app)
    names = [one.name for one in own if one.name is not None]
    if names:
        _hand_caller(dependant, names)
    dependant.dependencies = _Rest([one for one in rest if one not in own], wishes)


def _hand_caller(dependant: Dependant, names: Sequence[str]) -> None:
    endpoint = dependant.call
    assert endpoint is not None
    # What an endpoint has asked for by itself, it goes on getting.
    own = dependant.http_connection_param_name
    dependant.http_connection_param_name = own or CONNECTION

    @wraps(endpoint)
    def call(**values: Any) -> Any:
        connection = values[own] if own is not None else values.pop(CONNECTION)
        caller = connection.scope["state"][CALLER]
        for name in names:
            values[name] = caller
        return endpoint(**values)

    dependant.call = call


def wishes_of(scope: Scope) -> Sequence[Policy]:
    """The policies of the route that was chosen, wherever on the way to it they were said."""
    return [one for at in _places(scope) for one in policies_of(getattr(at, "dependant", None))]


def policies_of(dependant: Dependant | None) -> list[Policy]:
    """All policies of a function and of what it depends on, settled or not."""
    if dependant is None:
        return []
    own = [dependant.call.policy] if isinstance(dependant.call, Requires) else []
    settled = dependant.dependencies
    short = [one.policy for one in settled.wishes] if isinstance(settled, _Rest) else []
    return own + short + [one for inner in settled for one in policies_of(inner)]


def refusal(connection: HTTPConnection, answer: Answer) -> Exception:
    """What FastAPI has to be told for this connection to be turned away."""
    if connection.scope["type"] == "websocket":
        return WebSocketException(1008)
    return Refused(answer)


def _places(scope: Scope) -> list[Any]:
    return [scope.get("route"), *scope.get("fastapi", {}).values()]
