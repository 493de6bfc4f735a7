"""What only Django has: settings, view classes, `public`, middleware around the gate."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import (  # type: ignore[import-untyped]  # -- Django has no types
    ImproperlyConfigured,
)
from django.http import (  # type: ignore[import-untyped]  # -- Django has no types
    HttpResponse,
    StreamingHttpResponse,
)
from django.test import (  # type: ignore[import-untyped]  # -- Django has no types
    RequestFactory,
    override_settings,
)
from django.utils.decorators import (  # type: ignore[import-untyped]  # -- Django has no types
    method_decorator,
)
from django.views import View  # type: ignore[import-untyped]  # -- Django has no types
from tests.api.conftest import bearer
from tests.api.faces import Answered, Urls, ask_asgi, ask_wsgi, django_urls, set_django_up

from mintmark.api import AUTHENTICATED, Caller, Gate, rule, scope
from mintmark.api.django import GateMiddleware, public, requires
from mintmark.testing import FakeAuthority, FrozenClock

Ask = Callable[..., Answered]


async def owns(who: Caller, order: str) -> bool:
    return order == who.subject


OWN = rule("owns it", owns)


@requires(scope("a"))
@requires(scope("b"))
def both(request: Any) -> Any:
    return HttpResponse(request.caller.subject)


@requires(scope("a"))
async def waiting(request: Any) -> Any:
    return HttpResponse(request.caller.subject)


@public
def open_to_all(request: Any) -> Any:
    return HttpResponse("well" if not hasattr(request, "caller") else "a caller")


@public
async def open_and_waiting(request: Any) -> Any:
    return HttpResponse("well")


def ruled(request: Any) -> Any:
    return HttpResponse(request.caller.subject)


@requires(scope("a"))
def ruled_and_more(request: Any) -> Any:
    return HttpResponse("more")


@requires(scope("a"))
class Whole(View):  # type: ignore[misc]  # -- Django has no types
    def get(self, request: Any) -> Any:
        return HttpResponse("read")


@method_decorator(requires(scope("a")), name="dispatch")
class AsDjangoDoes(View):  # type: ignore[misc]  # -- Django has no types
    async def get(self, request: Any) -> Any:
        return HttpResponse("read")


class Methods(View):  # type: ignore[misc]  # -- Django has no types
    @requires(scope("a"))
    def get(self, request: Any) -> Any:
        return HttpResponse("read")

    def post(self, request: Any) -> Any:
        return HttpResponse("nobody said who may write")


@public
class Open(View):  # type: ignore[misc]  # -- Django has no types
    def get(self, request: Any) -> Any:
        return HttpResponse("well")

    @requires(scope("a"))
    def post(self, request: Any) -> Any:
        return HttpResponse("written")


def urls(gate: Gate) -> Urls:
    @requires(scope("a"))
    def order(request: Any, name: str) -> Any:
        gate.require_allowed_now(OWN, request.caller, name)
        return HttpResponse(name)

    return Urls(
        **{
            "both": both, "waiting": waiting, "open": open_to_all, "open-waiting": open_and_waiting,
            "whole": Whole.as_view(), "django": AsDjangoDoes.as_view(), "class": Methods.as_view(),
            "open-class": Open.as_view(), "ruled/one": ruled, "ruled/more": ruled_and_more,
            "orders/<str:name>": order, "forgotten": ruled,
        }
    )  # fmt: skip


@pytest.fixture(params=[ask_wsgi, ask_asgi], ids=["wsgi", "asgi"])
def ask(request: Any, gate: Gate, authority: FakeAuthority) -> Ask:
    asked = django_urls(gate, urls(gate), {"/ruled/**": scope("b")}, request.param)

    def one(path: str, granted: str | None = None, method: str = "GET", **more: Any) -> Answered:
        headers = bearer(authority.access_token(scope=granted, **more)) if granted else {}
        return asked(method, path, list(headers.items()))

    return one


class TestViews:
    def test_every_policy_above_a_view_counts(self, ask: Ask) -> None:
        assert ask("/both", "a b").body == b"client"
        assert [ask("/both", "a").status, ask("/both", "b").status] == [403, 403]

    def test_a_rule_and_a_view(self, ask: Ask) -> None:
        assert [ask("/ruled/one", "b").status, ask("/ruled/one", "a").status] == [200, 403]
        assert [ask("/ruled/more", one).status for one in ("a b", "b", "a")] == [200, 403, 403]

    def test_async_views(self, ask: Ask) -> None:
        assert (ask("/waiting", "a").body, ask("/waiting", "b").status) == (b"client", 403)

    @pytest.mark.parametrize("path", ["/whole", "/django", "/class"])
    def test_view_classes(self, ask: Ask, path: str) -> None:
        assert [ask(path).status, ask(path, "b").status] == [401, 403]
        assert (ask(path, "a").status, ask(path, "a").body) == (200, b"read")
        assert ask(path, "a", "HEAD").status == 200

    def test_s27_a_method_that_nobody_spoke_of(self, ask: Ask) -> None:
        assert ask("/class", "a", "POST").status == 403

    @pytest.mark.parametrize("path", ["/open", "/open-waiting", "/open-class"])
    def test_public_views(self, ask: Ask, path: str) -> None:
        assert [ask(path).body, ask(path, "a").body] == [b"well", b"well"]

    def test_public_above_a_class_opens_no_method_that_wants_something(self, ask: Ask) -> None:
        assert [ask("/open-class", one, "POST").status for one in (None, "b", "a")] == [
            401,
            403,
            200,
        ]

    def test_an_object_is_asked_about_in_the_view(self, ask: Ask) -> None:
        assert ask("/orders/alice", "a", sub="alice").body == b"alice"
        refused = ask("/orders/bob", "a", sub="alice")
        assert (refused.status, refused.body) == (403, b'{"title":"Forbidden","status":403}')

    def test_a_preflight_reaches_no_view(self, gate: Gate) -> None:
        """A view that does not look at the method would do its work for nobody."""
        asked = django_urls(gate, urls(gate), {"/ruled/**": scope("b")}, ask_wsgi)
        preflight = {"origin": "https://app.example", "access-control-request-method": "GET"}

        for path in ("/both", "/ruled/one", "/ruled/more", "/forgotten", "/whole"):
            assert asked("OPTIONS", path, preflight.items()).status == 403
        assert asked("OPTIONS", "/open", preflight.items()).status == 200

    def test_what_is_not_there_is_told_to_callers_only(self, ask: Ask) -> None:
        assert [ask("/nowhere").status, ask("/nowhere", "a").status] == [401, 404]

    def test_two_slashes_are_no_way_around_a_rule(self, ask: Ask) -> None:
        assert [ask("//ruled/more", "a").status, ask("/ruled//more", "a").status] == [404, 403]


def inner(get_response: Any) -> Any:
    """A middleware behind the gate that answers everything itself."""
    return lambda _request: HttpResponse("from within")


class TestAround:
    def test_a_middleware_behind_the_gate_answers_callers_only(
        self, gate: Gate, authority: FakeAuthority
    ) -> None:
        names = ["mintmark.api.django.GateMiddleware", f"{__name__}.inner"]
        asked = django_urls(gate, Urls(open=ruled), {}, ask_wsgi, MIDDLEWARE=names)
        headers = list(bearer(authority.access_token()).items())

        assert asked(path="/open").status == 401
        assert asked(path="/open", headers=headers).body == b"from within"

    def test_without_the_middleware_a_guarded_view_is_closed(
        self, gate: Gate, authority: FakeAuthority
    ) -> None:
        views = Urls(both=both, waiting=waiting, whole=Whole.as_view())
        asked = django_urls(gate, views, {}, ask_wsgi, MIDDLEWARE=[])
        headers = list(bearer(authority.access_token(scope="a b")).items())

        for path in ("/both", "/waiting", "/whole"):
            assert asked(path=path, headers=headers).status == 403

    def test_the_gate_by_its_name(
        self, gate: Gate, authority: FakeAuthority, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(globals(), "named_gate", gate)
        asked = django_urls(f"{__name__}.named_gate", Urls(both=both), {}, ask_wsgi)
        headers = list(bearer(authority.access_token(scope="a b")).items())

        assert asked(path="/both", headers=headers).status == 200

    @pytest.mark.parametrize("wrong", [None, "tests.api.conftest.API"])
    def test_without_a_gate_it_does_not_start(self, wrong: Any) -> None:
        with pytest.raises(ImproperlyConfigured, match="MINTMARK_GATE"):
            django_urls(wrong, Urls(both=both), {}, ask_wsgi)

    def test_a_request_that_came_past_the_middleware_is_refused(self, gate: Gate) -> None:
        set_django_up()
        with override_settings(MINTMARK_GATE=gate):
            middleware = GateMiddleware(lambda _request: None)
        refused = middleware.process_view(RequestFactory().get("/"), both, (), {})

        assert refused.status_code == 403

    def test_s27_the_report_names_every_route_and_its_policy(
        self, gate: Gate, authority: FakeAuthority
    ) -> None:
        asked = django_urls(gate, urls(gate), {"/ruled/**": AUTHENTICATED}, ask_wsgi)
        for _ in range(2):
            asked()
        report = [line.split(None, 2) for line in gate.report().splitlines()]

        assert report.count(["*", "/both", "scope('a') & scope('b')"]) == 1
        assert ["POST", "/class", "refused: no policy"] in report
        assert ["GET", "/open-class", "PUBLIC"] in report
        assert ["*", "/orders/<str:name>", "scope('a')"] in report
        assert ["/ruled/**", "AUTHENTICATED"] in report


class TestStreams:
    """G7: an event stream is over at the first event after its token's end."""

    def test_g7_over_wsgi(self, gate: Gate, authority: FakeAuthority, clock: FrozenClock) -> None:
        def events() -> Iterator[bytes]:
            yield b"1"
            clock.advance(timedelta(hours=1))
            yield b"2"

        @requires(AUTHENTICATED)
        def stream(request: Any) -> Any:
            return StreamingHttpResponse(events(), content_type="text/event-stream")

        asked = django_urls(gate, Urls(stream=stream), {}, ask_wsgi)
        headers = list(bearer(authority.access_token()).items())
        assert asked(path="/stream", headers=headers).body == b"1"

    def test_g7_over_asgi(self, gate: Gate, authority: FakeAuthority, clock: FrozenClock) -> None:
        async def events() -> AsyncIterator[bytes]:
            yield b"1"
            await asyncio.sleep(0)
            clock.advance(timedelta(hours=1))
            yield b"2"

        @requires(AUTHENTICATED)
        async def stream(request: Any) -> Any:
            return StreamingHttpResponse(events(), content_type="text/event-stream")

        asked = django_urls(gate, Urls(stream=stream), {}, ask_asgi)
        headers = list(bearer(authority.access_token()).items())
        assert asked(path="/stream", headers=headers).body == b"1"
