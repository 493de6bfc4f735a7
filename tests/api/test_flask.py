"""What only Flask has: decorators, view classes, blueprints, error handlers."""

from collections.abc import Callable
from typing import Any

import pytest
from flask import Blueprint, Flask, Response
from flask.views import MethodView
from tests.api.conftest import API, bearer
from tests.api.faces import Answered, ask_wsgi

from mintmark.api import PUBLIC, Caller, Gate, rule, scope
from mintmark.api.events import RouteReported
from mintmark.api.flask import FlaskGate, caller, requires
from mintmark.events import Event, Events
from mintmark.testing import FakeAuthority

Ask = Callable[..., Answered]


async def owns(who: Caller, order: str) -> bool:
    return order == who.subject


OWN = rule("owns it", owns)


def application(gate: Gate) -> Flask:
    app = FlaskGate(gate).install(Flask("shop"), {"/health": PUBLIC, "/both": scope("b")})

    @app.get("/health")
    def health() -> str:
        return "well"

    @app.get("/orders")
    @requires(scope("a"))
    @requires(scope("b"))
    def orders() -> str:
        return caller().subject

    @app.get("/waiting")
    @requires(scope("a"))
    async def waiting() -> str:
        return caller().subject

    @app.get("/both")
    @requires(scope("a"))
    def both() -> str:
        return "both"

    @app.get("/orders/<order>")
    @requires(scope("a"))
    def order(order: str) -> str:
        gate.require_allowed_now(OWN, caller(), order)
        return order

    @app.get("/nobody")
    def nobody() -> str:
        return caller().subject

    @app.get("/slash/")
    @requires(scope("a"))
    def slash() -> str:
        return "slash"

    class Items(MethodView):
        @requires(scope("a"))
        def get(self) -> str:
            return "read"

        def post(self) -> str:
            return "nobody said who may write"

    class Things(MethodView):
        decorators = [requires(scope("a"))]  # noqa: RUF012 -- Flask's own way

        def get(self) -> str:
            return "read"

    app.add_url_rule("/items", view_func=Items.as_view("items"))
    app.add_url_rule("/things", view_func=Things.as_view("things"))
    blueprint = Blueprint("inner", "inner", url_prefix="/inner")

    @blueprint.get("/one")
    @requires(scope("a"))
    def one() -> str:
        return "inside"

    app.register_blueprint(blueprint)
    return app


@pytest.fixture
def ask(gate: Gate, authority: FakeAuthority) -> Ask:
    asked = ask_wsgi(application(gate))

    def one(path: str, granted: str | None = None, method: str = "GET", **more: Any) -> Answered:
        headers = bearer(authority.access_token(scope=granted, **more)) if granted else {}
        return asked(method, path, headers.items())

    return one


class TestViews:
    def test_every_policy_above_a_view_counts(self, ask: Ask) -> None:
        assert ask("/orders", "a b").body == b"client"
        assert [ask("/orders", "a").status, ask("/orders", "b").status] == [403, 403]
        assert [ask("/both", "a b").status, ask("/both", "a").status, ask("/both", "b").status] == [
            200, 403, 403,
        ]  # fmt: skip

    def test_an_async_view(self, ask: Ask) -> None:
        assert (ask("/waiting", "a").body, ask("/waiting", "b").status) == (b"client", 403)

    def test_view_classes_by_their_methods_and_as_a_whole(self, ask: Ask) -> None:
        assert [ask("/items", "a").status, ask("/items", "b").status] == [200, 403]
        assert ask("/items", "a", "HEAD").status == 200
        assert ask("/items", "a", "POST").status == 403
        assert [ask("/things", "a").status, ask("/things", "b").status] == [200, 403]

    def test_blueprints_and_static_files(self, ask: Ask) -> None:
        assert [ask("/inner/one", "a").status, ask("/inner/one", "b").status] == [200, 403]
        assert [ask("/static/x").status, ask("/static/x", "a").status] == [401, 403]

    def test_an_object_is_asked_about_in_the_view(self, ask: Ask) -> None:
        assert ask("/orders/alice", "a", sub="alice").body == b"alice"
        refused = ask("/orders/bob", "a", sub="alice")
        assert (refused.status, refused.body) == (403, b'{"title":"Forbidden","status":403}')

    def test_v12_no_redirect_from_an_api(self, ask: Ask) -> None:
        assert [ask("/slash").status, ask("/slash", "a").status] == [401, 404]
        assert ask("/slash/", "a").status == 200
        assert ask("/inner//one", "a").status == 404

    def test_two_slashes_are_no_way_around_a_rule(self, ask: Ask) -> None:
        """Flask takes them for one."""
        assert [ask("//both", "a b").status, ask("//both", "a").status] == [200, 403]

    def test_what_is_not_there_is_told_to_callers_only(self, ask: Ask) -> None:
        assert [ask("/nowhere").status, ask("/nowhere", "a").status] == [401, 404]
        assert [ask("/orders", method="PUT").status, ask("/orders", "a", "PUT").status] == [
            401,
            405,
        ]

    def test_a_view_that_answers_options_itself_is_no_way_around(
        self, gate: Gate, authority: FakeAuthority
    ) -> None:
        app = FlaskGate(gate).install(Flask("shop"), {"/ruled": scope("a")})

        @app.route("/orders", methods=["GET", "OPTIONS"])
        @requires(scope("a"))
        def orders() -> str:
            return "secret"

        @app.route("/ruled", methods=["GET", "OPTIONS"])
        def ruled() -> str:
            return "secret"

        preflight = {"origin": "https://app.example", "access-control-request-method": "GET"}
        for path in ("/orders", "/ruled"):
            assert ask_wsgi(app)("OPTIONS", path, preflight.items()).status == 403

    def test_a_cache_above_the_policy_serves_nobody_who_may_not(
        self, gate: Gate, authority: FakeAuthority
    ) -> None:
        """What is above `requires` could answer without it, so it is asked before all of them."""
        from functools import wraps

        app = FlaskGate(gate).install(Flask("shop"))

        def cached(view: Any) -> Any:
            @wraps(view)
            def remembered() -> str:
                return "from memory"

            return remembered

        @app.get("/orders")
        @cached
        @requires(scope("a"))
        def orders() -> str:
            return "fresh"

        asked = ask_wsgi(app)
        good, bad = (bearer(authority.access_token(scope=one)).items() for one in ("a", "b"))
        assert [asked(headers=good).body, asked(headers=bad).status] == [b"from memory", 403]


class TestInstalling:
    def test_without_a_gate_a_guarded_view_is_closed(self, authority: FakeAuthority) -> None:
        app = Flask("shop")

        @app.get("/orders")
        @requires(scope("a"))
        def orders() -> str:
            return "secret"

        @app.get("/who")
        def who() -> str:
            return caller().subject

        headers = bearer(authority.access_token(scope="a")).items()
        assert ask_wsgi(app)(headers=headers).status == 403
        assert ask_wsgi(app)(path="/who", headers=headers).status == 403

    def test_views_before_the_gate_are_behind_it_too(
        self, gate: Gate, authority: FakeAuthority
    ) -> None:
        app = Flask("shop")
        ran: list[str] = []

        @app.before_request
        def earlier() -> Response | None:
            ran.append("earlier")
            return None

        @app.get("/orders")
        def orders() -> str:
            return "secret"

        FlaskGate(gate).install(app)
        asked = ask_wsgi(app)
        assert asked().status == 401
        assert asked(headers=bearer(authority.access_token()).items()).status == 403
        assert ran == []
        with pytest.raises(ValueError, match="already"):
            FlaskGate(gate).install(app)

    def test_s27_the_report_names_every_route_and_its_policy(
        self, authority: FakeAuthority
    ) -> None:
        said: list[Event] = []

        class Heard(Events):
            def emit(self, event: Event) -> None:
                said.append(event)

        gate = Gate(
            API, issuer=authority.issuer, insecure_allow_http_on_loopback=True, events=Heard()
        )
        asked = ask_wsgi(application(gate))
        for _ in range(2):
            asked()
        report = [line.split(None, 2) for line in gate.report().splitlines()]
        gate.close()

        assert report.count(["GET", "/orders", "scope('a') & scope('b')"]) == 1
        assert ["GET", "/items", "scope('a')"] in report
        assert ["POST", "/items", "refused: no policy"] in report
        assert ["/health", "PUBLIC"] in report
        routes = [event.route for event in said if isinstance(event, RouteReported)]
        assert routes.count("GET /nobody") == 1

    def test_a_public_decorator_makes_no_sense(self) -> None:
        with pytest.raises(ValueError, match="public"):
            requires(PUBLIC)
