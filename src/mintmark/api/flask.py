"""Flask behind a gate: the guard is WSGI middleware, and a decorator says what a view wants.

What a view wants is known before it runs: one that wants nothing is refused, and no other decorator
comes between a caller and the policy.
"""

import inspect
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, Final, NoReturn, TypeVar, final

from flask import Flask, Response, abort, current_app, request
from werkzeug.routing import RequestRedirect

from mintmark.api.answers import Answer, Scheme
from mintmark.api.asgi import is_preflight
from mintmark.api.caller import Caller
from mintmark.api.entrance import NOT_INSTALLED, Entrance, all_of
from mintmark.api.environ import scope_of
from mintmark.api.events import RouteReported
from mintmark.api.gate import Gate
from mintmark.api.marks import mark, policies_for, require_callers_policy
from mintmark.api.policy import Policy
from mintmark.api.refusal import Refused
from mintmark.api.rules import Rules
from mintmark.api.wsgi import CALLER, RULED, SCHEME, WsgiGuard, refusal_headers

__all__ = ["FlaskGate", "caller", "requires"]

F = TypeVar("F", bound=Callable[..., Any])

EXTENSION: Final = "mintmark"
JUDGED: Final = "mintmark.judged"


def caller() -> Caller:
    """Who sent the current request. Where nobody was asked, on a public path, it is refused."""
    found = request.environ.get(CALLER)
    if not isinstance(found, Caller):
        _turn_away(NOT_INSTALLED)
    return found


def requires(policy: Policy) -> Callable[[F], F]:
    """Above a view, below its route: `@app.get("/orders")`, then `@requires(scope("orders"))`.

    For a view class it goes into its `decorators`, or above its methods.
    """
    require_callers_policy(policy)

    def decorate(view: Any) -> Any:
        if inspect.iscoroutinefunction(view):

            @wraps(view)
            async def waiting(*args: Any, **kwargs: Any) -> Any:
                _require_judged(policy)
                return await view(*args, **kwargs)

            return mark(waiting, policy)

        @wraps(view)
        def plain(*args: Any, **kwargs: Any) -> Any:
            _require_judged(policy)
            return view(*args, **kwargs)

        return mark(plain, policy)

    return decorate


@final
class FlaskGate:
    """Puts a gate in front of a Flask application."""

    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        self._entrance = Entrance(gate)

    def install(self, app: Flask, rules: Mapping[str, Policy] | None = None) -> Flask:
        """The same application, closed but for what its views and these rules let in.

        Args:
            rules: policies by path, as for `Gate.wrap`; a path that has one needs no decorator.
        """
        if EXTENSION in app.extensions:
            raise ValueError("this application has a gate already")
        compiled = self.gate.routes.ruled(rules or {})
        app.extensions[EXTENSION] = self
        # Before whatever was registered earlier: nobody runs for a request that is not let in.
        app.before_request_funcs.setdefault(None, []).insert(0, self._require_policy)
        app.register_error_handler(Refused, _refused)
        guarded = WsgiGuard(self.gate, app.wsgi_app, compiled, closed=False)
        app.wsgi_app = _Outermost(self, app, guarded, compiled)  # type: ignore[method-assign]  # -- Flask's own way to add middleware
        return app

    def _require_policy(self) -> None:
        exception = request.routing_exception
        if isinstance(exception, RequestRedirect):
            abort(404)  # no redirect from an API, ever, and none that tells which paths there are
        if request.environ.get(RULED) or exception is not None:
            return
        if _is_automatic_preflight():
            return
        self.require_judged(all_of(_policies(current_app, request.endpoint, request.method)))

    def require_judged(self, policy: Policy | None) -> None:
        """Turns the current request away, unless this policy lets its caller in."""
        environ = request.environ
        scheme = environ.get(SCHEME, Scheme.BEARER)
        try:
            self._entrance.require_allowed_now(policy, environ.get(CALLER), scheme)
        except Refused as refused:
            _turn_away(refused.answer)
        environ[JUDGED] = policy

    def report(self, app: Flask, rules: Rules) -> None:
        """Every route and its policy, in the log and in `Gate.report`."""
        for rule in app.url_map.iter_rules():
            if rules.policy_for(rule.rule) is not None:
                continue
            for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
                found = all_of(_policies(app, rule.endpoint, method))
                policy = repr(found) if found is not None else "refused: no policy"
                route = f"{method} {rule.rule}"
                self.gate.routes.add(route, policy)
                self.gate.events.emit(RouteReported(route=route, policy=policy))


@final
class _Outermost:
    """Reports all routes before the first request: only then are they all there."""

    def __init__(self, installed: FlaskGate, app: Flask, guarded: WsgiGuard, rules: Rules) -> None:
        self._installed = installed
        self._app = app
        self._guarded = guarded
        self._rules = rules
        self._reported = False

    def __call__(self, environ: Any, start_response: Any) -> Any:
        if not self._reported:
            self._reported = True
            self._installed.report(self._app, self._rules)
        # Flask takes `//admin` for `/admin`, and so must the rules, or they were easily got round.
        environ["PATH_INFO"] = "/" + environ.get("PATH_INFO", "").lstrip("/")
        return self._guarded(environ, start_response)


def _policies(app: Flask, endpoint: str | None, method: str) -> tuple[Policy, ...]:
    return policies_for(app.view_functions.get(endpoint or ""), method)


def _require_judged(policy: Policy) -> None:
    """For whoever calls a view past the routes, or without any gate before them."""
    installed = current_app.extensions.get(EXTENSION)
    if not isinstance(installed, FlaskGate):
        _turn_away(NOT_INSTALLED)
    judged = request.environ.get(JUDGED)
    own = _policies(current_app, request.endpoint, request.method)
    if judged is None or not any(policy is one for one in own):
        installed.require_judged(policy)


def _is_automatic_preflight() -> bool:
    """Whether Flask itself answers, by a list of methods; a view of one's own is never passed to."""
    automatic = getattr(request.url_rule, "provide_automatic_options", False)
    return bool(automatic) and is_preflight(scope_of(request.environ))


def _turn_away(answer: Answer) -> NoReturn:
    abort(_response(answer))


def _refused(refused: Refused) -> Response:
    return _response(refused.answer)


def _response(answer: Answer) -> Response:
    headers, body = refusal_headers(answer)
    return Response(body, answer.status, headers)
