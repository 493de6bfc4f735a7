"""Django behind a gate: a middleware, and a decorator that says what a view wants.

In the settings: `MINTMARK_GATE`, the gate or the dotted name of one; `MINTMARK_RULES`, policies by
path, if there are any; and `mintmark.api.django.GateMiddleware` as the first of the `MIDDLEWARE`.
A view that says nothing, and has no rule, is refused.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from functools import wraps
from typing import Any, Final, TypeVar, final

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.conf import settings  # type: ignore[import-untyped]  # -- Django has no types
from django.core.exceptions import (  # type: ignore[import-untyped]  # -- Django has no types
    ImproperlyConfigured,
)
from django.http import HttpResponse  # type: ignore[import-untyped]  # -- Django has no types
from django.urls import (  # type: ignore[import-untyped]  # -- Django has no types
    Resolver404,
    URLPattern,
    URLResolver,
    get_resolver,
)
from django.utils.module_loading import (  # type: ignore[import-untyped]  # -- Django has no types
    import_string,
)

from mintmark.api.admission import Admitted
from mintmark.api.answers import Answer, Scheme
from mintmark.api.asgi import is_preflight
from mintmark.api.caller import Caller
from mintmark.api.entrance import NOT_INSTALLED, Entrance, all_of
from mintmark.api.environ import scope_of
from mintmark.api.events import RouteReported
from mintmark.api.gate import Gate
from mintmark.api.marks import mark, policies_for, require_callers_policy
from mintmark.api.policy import PUBLIC, Policy
from mintmark.api.refusal import Refused
from mintmark.api.wsgi import ends_with_token, refusal_headers
from mintmark.protocol.message import HttpResponse as Published

__all__ = ["GateMiddleware", "public", "requires"]

V = TypeVar("V", bound=Callable[..., Any])

FOUND: Final = "mintmark_found"
"""Under which name a request carries what the middleware found."""


def requires(policy: Policy) -> Callable[[V], V]:
    """Above a view, a view class, or a method of one."""
    require_callers_policy(policy)

    def decorate(view: Any) -> Any:
        if isinstance(view, type):
            return _on_dispatch(view, decorate)
        if iscoroutinefunction(view):

            @wraps(view)
            async def waiting(*args: Any, **kwargs: Any) -> Any:
                refusal = await _judge(_request_of(args), policy)
                return await view(*args, **kwargs) if refusal is None else refusal

            return mark(waiting, policy)

        @wraps(view)
        def plain(*args: Any, **kwargs: Any) -> Any:
            refusal = _judge_now(_request_of(args), policy)
            return view(*args, **kwargs) if refusal is None else refusal

        return mark(plain, policy)

    return decorate


def public(view: V) -> V:
    """A view that everybody may call. Nobody is looked at, so it has no caller."""
    if isinstance(view, type):
        made: V = _on_dispatch(view, public)
        return made
    inner: Any = view

    @wraps(inner)
    def plain(*args: Any, **kwargs: Any) -> Any:
        return inner(*args, **kwargs)

    same: Any = markcoroutinefunction(plain) if iscoroutinefunction(inner) else plain
    marked: V = mark(same, PUBLIC)
    return marked


def _on_dispatch(view: Any, decorate: Callable[..., Any]) -> Any:
    # `as_view` hands what is marked there on to the view that it makes.
    view.dispatch = decorate(view.dispatch)
    return view


@final
class GateMiddleware:
    """Authenticates every request, and asks its view what it wants."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[Any], Any]) -> None:
        self._get_response = get_response
        self._gate = _gate()
        rules: Mapping[str, Policy] = getattr(settings, "MINTMARK_RULES", {})
        self._rules = self._gate.routes.ruled(rules)
        self._entrance = Entrance(self._gate)
        self._reported = False
        self._awaits = iscoroutinefunction(get_response)
        if self._awaits:
            markcoroutinefunction(self)

    def __call__(self, request: Any) -> Any:
        return self._await_response(request) if self._awaits else self._response(request)

    def _response(self, request: Any) -> Any:
        found = self._look(request)
        published = self._gate.published(found.scope)
        if published is not None:
            return _published(published, request)
        if found.asks_nobody:
            return self._get_response(request)
        try:
            admitted = self._entrance.require_let_in_now(found.scope, found.rule, closed=False)
        except Refused as refused:
            return _refusal(refused.answer, request)
        found.admit(request, admitted)
        return self._serve(found, self._get_response(request))

    async def _await_response(self, request: Any) -> Any:
        found = self._look(request)
        published = self._gate.published(found.scope)
        if published is not None:
            return _published(published, request)
        if found.asks_nobody:
            return await self._get_response(request)
        try:
            admitted = await self._entrance.require_let_in(found.scope, found.rule, closed=False)
        except Refused as refused:
            return _refusal(refused.answer, request)
        found.admit(request, admitted)
        return self._serve(found, await self._get_response(request))

    def _look(self, request: Any) -> "_Found":
        if not self._reported:
            self._reported = True
            self._report()
        scope = getattr(request, "scope", None) or scope_of(request.environ)
        found = _Found(self._entrance, scope, self._rules.policy_for(request.path_info))
        found.asks_nobody = (
            found.rule is PUBLIC
            or is_preflight(scope)
            or (found.rule is None and _is_public(request))
        )
        setattr(request, FOUND, found)
        return found

    def _serve(self, found: "_Found", response: Any) -> Any:
        admitted = found.admitted
        assert admitted is not None
        nonce = self._gate.hand_on(admitted)
        if nonce is not None:
            response["DPoP-Nonce"] = nonce
        if response.streaming and response.get("Content-Type", "").startswith("text/event-stream"):
            events = response.streaming_content
            response.streaming_content = (
                _ending(events, self._gate, admitted)
                if response.is_async
                else ends_with_token(events, self._entrance, admitted)
            )
        return response

    def process_view(self, request: Any, view: Any, _args: object, _kwargs: object) -> Any:
        """The last word before a view, and the only one for those without a rule."""
        found: _Found | None = getattr(request, FOUND, None)
        if found is None:
            return _refusal(NOT_INSTALLED, request)
        policies = policies_for(view, request.method)
        wanted = _wanted(policies)
        # A preflight was passed on to whoever answers for CORS, and not to a view.
        if PUBLIC in (wanted, found.rule) or (
            found.rule is not None and found.admitted is not None
        ):
            return None
        refusal = _judge_now(request, wanted)
        found.judged = policies
        return refusal

    def process_exception(self, request: Any, exception: Exception) -> Any:
        """For views that ask the gate about an object."""
        return _refusal(exception.answer, request) if isinstance(exception, Refused) else None

    def _report(self) -> None:
        for route, view in _views(get_resolver().url_patterns, "/"):
            if self._rules.policy_for(route) is None:
                methods = _methods(getattr(view, "view_class", None))
                for method in methods:
                    wanted = _wanted(policies_for(view, method))
                    policy = repr(wanted) if wanted is not None else "refused: no policy"
                    self._gate.routes.add(f"{method} {route}", policy)
                    self._gate.events.emit(RouteReported(route=f"{method} {route}", policy=policy))


@final
class _Found:
    """One request: what its path has for a rule, and whom it was sent by."""

    def __init__(self, entrance: Entrance, scope: Mapping[str, Any], rule: Policy | None) -> None:
        self.entrance = entrance
        self.scope = scope
        self.rule = rule
        self.asks_nobody = False
        self.admitted: Admitted | None = None
        self.judged: tuple[Policy, ...] = ()

    def admit(self, request: Any, admitted: Admitted) -> None:
        self.admitted = admitted
        request.caller = admitted.caller

    @property
    def caller(self) -> Caller | None:
        return self.admitted.caller if self.admitted is not None else None

    @property
    def scheme(self) -> Scheme:
        return self.admitted.scheme if self.admitted is not None else Scheme.BEARER


@final
class _Refusal(HttpResponse):  # type: ignore[misc]  # -- Django has no types
    """A response that keeps two challenges apart; Django's own headers are a dictionary."""

    def __init__(self, answer: Answer, *, without_body: bool) -> None:
        fields, body = refusal_headers(answer)
        super().__init__(b"" if without_body else body, status=answer.status)
        del self["Content-Type"]
        self._fields = fields

    def items(self) -> Iterable[tuple[str, str]]:
        own = {name for name, _ in self._fields}
        added = [one for one in super().items() if one[0].lower() not in own]
        return [*self._fields, *added]


def _gate() -> Gate:
    named = getattr(settings, "MINTMARK_GATE", None)
    gate = import_string(named) if isinstance(named, str) else named
    if not isinstance(gate, Gate):
        raise ImproperlyConfigured("MINTMARK_GATE: a mintmark.api.Gate, or the name of one")
    return gate


def _wanted(policies: tuple[Policy, ...]) -> Policy | None:
    # Of two, the stricter: `public` above a class opens no method that wants something.
    strict = [one for one in policies if one is not PUBLIC]
    return all_of(strict) if strict else (PUBLIC if policies else None)


def _is_public(request: Any) -> bool:
    try:
        match = get_resolver(getattr(request, "urlconf", None)).resolve(request.path_info)
    except Resolver404:
        return False
    return _wanted(policies_for(match.func, request.method)) is PUBLIC


def _request_of(args: tuple[Any, ...]) -> Any:
    # A method has the view itself before it.
    return args[0] if hasattr(args[0], "path_info") else args[1]


def _judge_now(request: Any, policy: Policy | None) -> Any:
    found: _Found | None = getattr(request, FOUND, None)
    if found is None:
        return _refusal(NOT_INSTALLED, request)
    if any(policy is one for one in found.judged):
        return None
    try:
        found.entrance.require_allowed_now(policy, found.caller, found.scheme)
    except Refused as refused:
        return _refusal(refused.answer, request)
    return None


async def _judge(request: Any, policy: Policy) -> Any:
    found: _Found | None = getattr(request, FOUND, None)
    if found is None or any(policy is one for one in found.judged):
        return _judge_now(request, policy)
    try:
        await found.entrance.require_allowed(policy, found.caller, found.scheme)
    except Refused as refused:
        return _refusal(refused.answer, request)
    return None


def _refusal(answer: Answer, request: Any) -> _Refusal:
    return _Refusal(answer, without_body=request.method == "HEAD")


def _published(document: Published, request: Any) -> HttpResponse:
    body = b"" if request.method == "HEAD" else document.body
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in document.headers}
    return HttpResponse(body, status=document.status, headers=headers)


async def _ending(events: Any, gate: Gate, admitted: Admitted) -> AsyncIterator[bytes]:
    async for event in events:
        if await gate.seconds_left(admitted) <= 0:
            return
        yield event


def _views(patterns: Iterable[Any], before: str) -> Iterator[tuple[str, Any]]:
    for pattern in patterns:
        route = before + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from _views(pattern.url_patterns, route)
        elif isinstance(pattern, URLPattern):
            yield route, pattern.callback


def _methods(of_class: Any) -> list[str]:
    if of_class is None:
        return ["*"]
    names = [name for name in of_class.http_method_names if name not in {"head", "options"}]
    return [name.upper() for name in names if hasattr(of_class, name)] or ["*"]
