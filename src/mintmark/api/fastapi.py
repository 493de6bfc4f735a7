"""FastAPI behind a gate: the guard is middleware, and a dependency reads what it found.

A route's wishes are dependencies, so they are known without running it: one that wishes nothing is
refused before its handler, and all of them stand in the report.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, final

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.routing import APIRoute, APIWebSocketRoute, iter_route_contexts
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, Mount, compile_path

from mintmark.api.admission import Admitted
from mintmark.api.answers import forbidden
from mintmark.api.asgi import (
    CALLER,
    App,
    Receive,
    Scope,
    Send,
    begin,
    is_preflight,
    opened,
    path_of,
    respond,
    turn_away,
)
from mintmark.api.docs_ui import DevelopmentDocs
from mintmark.api.events import RouteReported
from mintmark.api.fastapi_routes import Requires, policies_of, refusal, settle, wishes_of
from mintmark.api.gate import Gate
from mintmark.api.openapi import Operation, described
from mintmark.api.policy import PUBLIC, Policy
from mintmark.api.refusal import Refused
from mintmark.api.rules import Rules

__all__ = ["install", "requires"]

NOTHING: Final = re.compile(r"(?!)")
NO_POLICY: Final = forbidden("no policy for this route")


def requires(gate: Gate, policy: Policy) -> Any:
    """See `Gate.requires`."""
    if policy is PUBLIC:
        raise ValueError("a public route has no caller: name its path in the rules instead")
    return Depends(Requires(gate, policy))


def install(
    gate: Gate, app: FastAPI, rules: Mapping[str, Policy], docs: DevelopmentDocs | None = None
) -> FastAPI:
    """See `Gate.install`."""
    if app.router.dependencies or any(isinstance(r, APIRoute) for r in app.routes):
        raise ValueError("install the gate before the first route: those before it are unguarded")
    if docs is not None:
        rules = {**docs.open(gate, app), **rules}
    compiled = gate.routes.ruled(rules)
    gate.routes.learn(lambda: [one for route in _policed(app, compiled) for one in route.policies])
    app.openapi = _Truth(gate, app, compiled)  # type: ignore[method-assign]  # -- as FastAPI says
    plain = _PlainRoutes(app, compiled)

    async def require_policy(connection: HTTPConnection) -> None:
        rule = compiled.policy_for(path_of(connection.scope))
        # A preflight came past the rule: it is for whoever answers for CORS, and for no view.
        if rule is PUBLIC or (rule is not None and _has_caller(connection.scope)):
            return
        if not wishes_of(connection.scope):
            gate.refused(NO_POLICY, connection.scope.get("state", {}).get(CALLER))
            raise refusal(connection, NO_POLICY)
        settle(connection.scope, require_policy)

    async def refused(request: Request, exception: Exception) -> Response:
        assert isinstance(exception, Refused)
        response = exception.answer.response()
        body = b"" if request.method == "HEAD" else response.body
        made = Response(body, response.status)
        # A challenge may come twice, once for each scheme; a dictionary would lose one.
        made.raw_headers.extend(response.headers)
        return made

    app.router.dependencies.append(Depends(require_policy))
    app.add_exception_handler(Refused, refused)
    # No redirect from an API, ever, and none that tells which paths there are.
    app.router.redirect_slashes = False
    app.add_middleware(_FastAPIGuard, gate=gate, rules=compiled, plain=plain)
    return app


@final
class _FastAPIGuard:
    """Authenticates; the routes themselves ask for more."""

    def __init__(self, app: App, gate: Gate, rules: Rules, plain: "_PlainRoutes") -> None:
        self._app = app
        self._gate = gate
        self._rules = rules
        self._plain = plain

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            self._plain.report(self._gate)
            await begin(self._gate, self._app, scope, receive, send)
            return
        gate = self._gate
        published = gate.published(scope) if gate.publication is not None else None
        if published is not None:
            await respond(published, scope, send)
            return
        path = path_of(scope)
        policy = self._rules.policy_for(path)
        if policy is PUBLIC or is_preflight(scope):
            await self._app(scope, receive, send)
            return
        now = gate.clock.timestamp()
        # Paths without a rule are the routes' own business: they ask for more themselves.
        admitted = None
        if policy is None and not self._plain.has(scope, path):
            try:
                admitted = gate.admission.admitted_at_once(scope, now)
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
            if policy is not None:
                await self._gate.require_allowed(policy, caller, now=now, scheme=admitted.scheme)
            elif self._plain.has(scope, path_of(scope)):
                raise Refused(NO_POLICY)
            return admitted
        except Refused as refused:
            await turn_away(self._gate, refused, scope, receive, send, caller)
            return None


@final
class _PlainRoutes:
    """The routes that have no dependencies: documentation pages, mounts, Starlette's own."""

    def __init__(self, app: FastAPI, rules: Rules) -> None:
        self._app = app
        self._rules = rules
        self._counted: list[tuple[APIRouter, int]] = [(app.router, -1)]
        self._pattern = NOTHING
        self._pathless: list[BaseRoute] = []

    def has(self, scope: Scope, path: str) -> bool:
        for router, count in self._counted:
            if len(router.routes) != count:
                self._compile()
                break
        if self._pattern.match(path) is not None:
            return True
        # Nearly no application has such a route, and even an empty generator would have its price.
        return bool(self._pathless) and any(
            route.matches(scope)[0] is not Match.NONE for route in self._pathless
        )

    def _compile(self) -> None:
        # Every router by itself: FastAPI serves what is added to an included one afterwards.
        self._counted = [(one, len(one.routes)) for one in _routers(self._app.router)]
        patterns = []
        self._pathless = []
        for context in iter_route_contexts(self._app.routes):
            route = context.original_route
            if not isinstance(route, APIRoute | APIWebSocketRoute):
                path = context.path or getattr(route, "path", None)
                # What is chosen by something else than its path, as a `Host`, is asked itself.
                if path is None and getattr(route, "dependant", None) is None:
                    self._pathless.append(route)
                    continue
                path = path or ""
                rest = "/{rest:path}" if isinstance(route, Mount) else ""
                patterns.append(compile_path(path.rstrip("/") + rest)[0].pattern)
        # One pattern for all: it is asked on every request. Their groups are named alike in several.
        together = "|".join(re.sub(r"\(\?P<\w+>", "(?:", pattern) for pattern in patterns)
        self._pattern = re.compile(together) if patterns else NOTHING

    def report(self, gate: Gate) -> None:
        for context in iter_route_contexts(self._app.routes):
            if self._rules.policy_for(context.path or "") is not None:
                continue
            methods = "/".join(sorted(context.methods or {"*"}))
            found = policies_of(getattr(context, "dependant", None))
            policy = " & ".join(repr(one) for one in found) or "refused: no policy"
            route = f"{methods} {context.path}"
            gate.routes.add(route, policy)
            gate.events.emit(RouteReported(route=route, policy=policy))


def _routers(router: APIRouter) -> Iterator[APIRouter]:
    yield router
    for route in router.routes:
        included = getattr(route, "original_router", None)
        if isinstance(included, APIRouter):
            yield from _routers(included)


@final
class _Truth:
    """FastAPI's own document, and what the gate enforces; made anew when either changes."""

    def __init__(self, gate: Gate, app: FastAPI, rules: Rules) -> None:
        self._gate, self._app, self._rules = gate, app, rules
        self._plain = app.openapi
        self._made: tuple[object, ...] = ()
        self._document: dict[str, Any] = {}

    def __call__(self) -> dict[str, Any]:
        plain, operations = self._plain(), list(_policed(self._app, self._rules))
        entries = self._gate.admission.validator.issuers.entries()
        made = (plain, operations, [entry.keys.metadata for entry in entries])
        if made != self._made:
            self._made = made
            self._document = described(plain, self._gate, operations)
        return self._document


def _policed(app: FastAPI, rules: Rules) -> Iterator[Operation]:
    """Every operation and its policies: of the rules, and of all dependencies on the way to it."""
    for context in iter_route_contexts(app.routes):
        path = getattr(context, "path_format", None)
        if not isinstance(context.original_route, APIRoute | APIWebSocketRoute) or path is None:
            continue
        ruled = rules.policy_for(path)
        found = policies_of(getattr(context, "dependant", None))
        policies = [one for one in (ruled, *found) if one is not None]
        # A socket is no operation of the document, and may have the path of one.
        for method in sorted(context.methods or {"WEBSOCKET"}):
            yield Operation(method.lower(), path, tuple(policies))


def _has_caller(scope: Scope) -> bool:
    return CALLER in scope.get("state", {})
