"""Litestar behind a gate: a plugin closes the application, and guards say what its routes want.

    app = Litestar([orders], plugins=[GatePlugin(gate, {"/health": PUBLIC})])

What a route wants is known before it runs: one that wants nothing, and has no rule, is refused.
"""

from collections.abc import Mapping
from typing import Any, Final, final
from urllib.parse import unquote_to_bytes

from litestar import Litestar
from litestar.config.app import AppConfig
from litestar.connection import ASGIConnection, Request, WebSocket
from litestar.di import Provide
from litestar.exceptions import (
    HTTPException,
    MethodNotAllowedException,
    NotFoundException,
    WebSocketException,
)
from litestar.exceptions.responses import create_exception_response
from litestar.handlers.base import BaseRouteHandler
from litestar.middleware import DefineMiddleware
from litestar.plugins import InitPlugin
from litestar.response import Response
from litestar.types import Guard as LitestarGuard
from litestar.types import Scope as LitestarScope
from litestar.utils import normalize_path

from mintmark.api.answers import Answer
from mintmark.api.asgi import (
    CALLER,
    App,
    Receive,
    Scope,
    Send,
    answer,
    is_preflight,
    opened,
    path_of,
    respond,
)
from mintmark.api.caller import Caller
from mintmark.api.entrance import NOT_INSTALLED, Entrance, all_of
from mintmark.api.events import RouteReported
from mintmark.api.gate import Gate
from mintmark.api.marks import require_callers_policy
from mintmark.api.policy import PUBLIC, Policy
from mintmark.api.refusal import Refused
from mintmark.api.rules import Rules

__all__ = ["GatePlugin", "caller", "requires"]

JUDGED: Final = "mintmark.judged"
"""Which policies were asked already, in the state of a connection."""


@final
class _Requires:
    """The guard of one policy. The plugin finds it, and asks before any other guard runs."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy

    async def __call__(
        self, connection: "ASGIConnection[Any, Any, Any, Any]", handler: BaseRouteHandler
    ) -> None:
        scope: Any = connection.scope
        judged = scope.get("state", {}).get(JUDGED, ())
        if any(self.policy is one for one in judged) or _is_automatic_preflight(scope, handler):
            return
        # Without the plugin nobody was authenticated, whatever the headers say.
        if isinstance(connection, WebSocket):
            raise WebSocketException(detail="refused", code=1008)
        raise Refused(NOT_INSTALLED)


def requires(policy: Policy) -> LitestarGuard:
    """For the `guards` of a route, a controller or a router."""
    return _Requires(require_callers_policy(policy))


async def caller(scope: LitestarScope) -> Caller:
    """A dependency that is there by the name of `caller`: who sent this request."""
    found = scope.get("state", {}).get(CALLER)
    if not isinstance(found, Caller):
        raise Refused(NOT_INSTALLED)
    return found


@final
class GatePlugin(InitPlugin):
    """Closes a Litestar application.

    Args:
        rules: policies by path, as for `Gate.wrap`; a path that has one needs no guard.
    """

    def __init__(self, gate: Gate, rules: Mapping[str, Policy] | None = None) -> None:
        self._gate = gate
        self._entrance = Entrance(gate)
        self._rules = gate.routes.ruled(rules or {})

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        # The first one is the outermost: nothing of the application runs before it.
        guard = DefineMiddleware(_Middleware, entrance=self._entrance, rules=self._rules)
        app_config.middleware.insert(0, guard)
        app_config.dependencies.setdefault("caller", Provide(caller))
        app_config.exception_handlers[Refused] = _refused
        for unrouted in (NotFoundException, MethodNotAllowedException):
            before: Any = app_config.exception_handlers.get(unrouted, create_exception_response)
            app_config.exception_handlers[unrouted] = _Unrouted(self._entrance, self._rules, before)
        app_config.on_startup.append(self._start)
        return app_config

    async def _start(self, app: Litestar) -> None:
        self._gate.warm()
        for route in app.routes:
            if self._rules.policy_for(route.path) is None:
                for handler in getattr(
                    route, "route_handlers", [getattr(route, "route_handler", None)]
                ):
                    policy = _told(handler)
                    methods = "/".join(sorted(getattr(handler, "http_methods", {"*"})))
                    named = f"{methods} {route.path}"
                    self._gate.routes.add(named, policy)
                    self._gate.events.emit(RouteReported(route=named, policy=policy))


@final
class _Middleware:
    """Authenticates, and asks what the route wants; Litestar has chosen it by now."""

    def __init__(self, app: Any, entrance: Entrance, rules: Rules) -> None:
        self._app: App = app
        self._entrance = entrance
        self._rules = rules

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        path = _routed_path(scope)
        # A mount that takes every path hides what is published from nobody.
        published = self._entrance.gate.published({**scope, "path": path or "", "root_path": ""})
        if published is not None:
            await respond(published, scope, send)
            return
        rule = self._rules.policy_for(path) if path is not None else None
        if rule is PUBLIC or _is_automatic_preflight(scope, scope["route_handler"]):
            await self._app(scope, receive, send)
            return
        entrance = self._entrance
        wanted = _policies(scope["route_handler"])
        try:
            admitted = await entrance.require_let_in(scope, rule, closed=False)
            if wanted or rule is None:
                await entrance.require_allowed(all_of(wanted), admitted.caller, admitted.scheme)
        except Refused as refused:
            await answer(refused.answer, scope, receive, send)
            return
        scope.setdefault("state", {})[JUDGED] = wanted
        connection = opened(entrance.gate, scope, receive, send, admitted)
        try:
            await self._app(scope, connection.receive, connection.send)
        finally:
            if connection.watcher is not None:
                await connection.forget()


@final
class _Unrouted:
    """The answer to a request that no route took: nobody without a token learns which there are."""

    def __init__(self, entrance: Entrance, rules: Rules, before: Any) -> None:
        self._entrance = entrance
        self._rules = rules
        self._before = before

    def __call__(self, request: "Request[Any, Any, Any]", exception: HTTPException) -> Any:
        response = self._before(request, exception)
        # A handler that finds nothing says so itself, to a caller who was let in.
        if CALLER in request.scope.get("state", {}):
            return response
        return _Deferred(self._entrance, self._rules, response)


@final
class _Deferred(Response[None]):
    """A response that asks who gets it before it is sent."""

    def __init__(self, entrance: Entrance, rules: Rules, response: "Response[Any]") -> None:
        super().__init__(content=None)
        self._entrance = entrance
        self._rules = rules
        self._response = response

    def to_asgi_response(self, app: Any = None, request: Any = None, **more: Any) -> Any:
        found = self._response.to_asgi_response(app=app, request=request, **more)

        async def send_to_callers(scope: Scope, receive: Receive, send: Send) -> None:
            published = self._entrance.gate.published(scope)
            if published is not None:
                await respond(published, scope, send)
                return
            rule = self._rules.policy_for(path_of(scope))
            try:
                if rule is not PUBLIC and not is_preflight(scope):
                    await self._entrance.require_let_in(scope, rule, closed=False)
            except Refused as refused:
                await answer(refused.answer, scope, receive, send)
                return
            await found(scope, receive, send)  # type: ignore[arg-type]  # -- its types are narrower

        return send_to_callers


@final
class _Answered(Response[None]):
    """A refusal as it is everywhere: two challenges in two header fields."""

    def __init__(self, refusal: Answer) -> None:
        super().__init__(content=None)
        self._refusal = refusal

    def to_asgi_response(self, *_: Any, **__: Any) -> Any:
        async def send_refusal(scope: Scope, receive: Receive, send: Send) -> None:
            await answer(self._refusal, scope, receive, send)

        return send_refusal


def _routed_path(scope: Scope) -> str | None:
    """The path that Litestar chose the route by: without the root path, slashes put in order.

    None: it cannot be told, so no rule is about it.
    """
    path: str = scope["path"]
    if not getattr(scope["route_handler"], "is_mount", False):
        return path
    # Of a mount only the rest is left; a rule for `/health` is none for what is mounted there.
    sent = unquote_to_bytes((scope.get("raw_path") or b"").partition(b"?")[0])
    whole = sent.decode("utf-8", "replace")
    # As Litestar does it: it looks for the root path anywhere, and hands `/adminx` on to what is
    # mounted at `/admin`.
    if root := scope.get("root_path", ""):
        whole = whole.split(root, maxsplit=1)[-1]
    whole, rest = normalize_path(whole), path.rstrip("/")
    if not sent or not whole.endswith(rest):
        return None
    return normalize_path(f"{whole.removesuffix(rest)}/{rest}")


def _is_automatic_preflight(scope: Scope, handler: BaseRouteHandler) -> bool:
    """Whether Litestar itself answers, by a list of methods; no handler of one's own is passed to."""
    answers = getattr(getattr(handler, "fn", None), "__module__", "")
    return answers == "litestar.routes.http" and is_preflight(scope)


def _refused(_: "Request[Any, Any, Any]", refused: Refused) -> Response[None]:
    return _Answered(refused.answer)


def _policies(handler: BaseRouteHandler) -> tuple[Policy, ...]:
    guards: list[Any] = list(handler.resolve_guards())
    return tuple(one.policy for one in guards if isinstance(one, _Requires))


def _told(handler: BaseRouteHandler) -> str:
    wanted = all_of(_policies(handler))
    return repr(wanted) if wanted is not None else "refused: no policy"
