"""Where two parts of the guard meet, or the guard and a framework: a path means one thing to both."""

import asyncio
import dataclasses
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import msgspec
import pytest
from fastapi import APIRouter, FastAPI
from flask import Flask
from litestar import Litestar, asgi
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from tests.api.callers import caller_with
from tests.api.conftest import API, bearer, request_with

from mintmark.api import AUTHENTICATED, PUBLIC, Gate, Policy, ResourceMetadataSettings, scope
from mintmark.api.caller import Caller
from mintmark.api.claim_map import map_claims
from mintmark.api.client_proof import ClientSecretBasic
from mintmark.api.deny_list import Denied, MemoryDenyList
from mintmark.api.dpop import DPoP
from mintmark.api.flask import FlaskGate
from mintmark.api.introspect import OpaqueIssuer
from mintmark.api.litestar import GatePlugin
from mintmark.api.policy import scopes_of
from mintmark.api.rules import Rules
from mintmark.secret import Secret
from mintmark.testing import FakeAuthority, FrozenClock

ISSUER, CLAIMS = "https://id.example", {"sub": "alice", "jti": "1", "iat": 1000}
PREFLIGHT = {"origin": "https://app.example", "access-control-request-method": "GET"}


async def reach(_: Request) -> PlainTextResponse:
    return PlainTextResponse("reached")


async def reach_plainly(scope: Any, receive: Any, send: Any) -> None:
    await PlainTextResponse("reached")(scope, receive, send)


def opaque(authority: FakeAuthority) -> OpaqueIssuer:
    return OpaqueIssuer(
        issuer=authority.issuer,
        audience=API,
        client_proof=ClientSecretBasic("api-1", Secret("secret")),
        policy=authority.policy,
    )


async def asked(
    app: Any, path: str, headers: Any = None, *, method: str = "GET", root_path: str = ""
) -> httpx2.Response:
    transport = httpx2.ASGITransport(app, root_path=root_path)
    async with httpx2.AsyncClient(transport=transport, base_url=API) as http:
        return await http.request(method, path, headers=headers)


class TestPaths:
    async def test_s27_a_root_path_that_is_the_beginning_of_a_name_opens_no_route(
        self, gate: Gate, authority: FakeAuthority
    ) -> None:
        app = gate.install(FastAPI())
        app.add_route("/api-files", reach)
        app.add_route("/files", reach)
        headers = bearer(authority.access_token())

        for path, root_path in (
            ("/api-files", "/api"),
            ("/files", "/"),
            ("/files", "/api"),
            ("/api/files", "/api"),
        ):
            refused = await asked(app, path, headers, root_path=root_path)
            assert refused.status_code == 403, (path, root_path)


class TestFastAPI:
    async def test_s27_what_is_chosen_by_its_host_is_closed_like_any_other_plain_route(
        self, gate: Gate, authority: FakeAuthority
    ) -> None:
        app = gate.install(FastAPI())
        headers = bearer(authority.access_token())
        app.host("api.example", Starlette(routes=[Route("/x", reach)]))

        assert (await asked(app, "/x", headers)).status_code == 403

    async def test_s27_what_an_included_router_gets_later_is_closed_as_well(
        self, gate: Gate, authority: FakeAuthority
    ) -> None:
        app, outer, inner = gate.install(FastAPI()), APIRouter(), APIRouter()
        outer.include_router(inner)
        app.include_router(outer)
        headers = bearer(authority.access_token())
        assert (await asked(app, "/late", headers)).status_code == 404

        inner.add_route("/late", reach)
        assert (await asked(app, "/late", headers)).status_code == 403

    async def test_s27_a_host_that_a_rule_opens_is_open(
        self, gate: Gate, authority: FakeAuthority
    ) -> None:
        app = gate.install(FastAPI(), {"/x": AUTHENTICATED})
        app.host("api.example", Starlette(routes=[Route("/x", reach)]))

        assert (await asked(app, "/x", bearer(authority.access_token()))).text == "reached"
        assert (await asked(app, "/x")).status_code == 401

    async def test_a13_a_preflight_reaches_no_view_of_a_path_that_has_a_rule(
        self, gate: Gate, authority: FakeAuthority
    ) -> None:
        app = gate.install(FastAPI(), {"/orders": AUTHENTICATED, "/open": PUBLIC})

        @app.api_route("/open", methods=["GET", "OPTIONS"])
        @app.api_route("/orders", methods=["GET", "OPTIONS"])
        async def orders() -> str:
            return "reached"

        assert (await asked(app, "/orders", PREFLIGHT, method="OPTIONS")).status_code == 403
        assert (await asked(app, "/open", PREFLIGHT, method="OPTIONS")).json() == "reached"
        headers = bearer(authority.access_token())
        assert (await asked(app, "/orders", headers, method="OPTIONS")).json() == "reached"


class TestTrailingSlash:
    @pytest.mark.parametrize("wider", [PUBLIC, AUTHENTICATED], ids=["public", "authenticated"])
    def test_s27_a_slash_at_the_end_leads_past_no_rule(
        self, gate: Gate, authority: FakeAuthority, wider: Policy
    ) -> None:
        app = Flask(__name__)
        FlaskGate(gate).install(
            app, {"/**": wider, "/admin": scope("admin"), "/slashed/": scope("admin")}
        )

        @app.get("/slashed", strict_slashes=False)
        @app.get("/admin", strict_slashes=False)
        def admin() -> str:
            return "reached"

        ask = app.test_client().get
        anybody, somebody = (bearer(authority.access_token(scope=one)) for one in ("a", "admin"))
        for path in ("/admin", "/admin/", "/slashed", "/slashed/"):
            assert ask(path, headers=anybody).status_code == 403, path
            assert ask(path, headers=somebody).text == "reached", path

    def test_s27_a_path_with_a_slash_that_no_rule_is_about_stays_closed(self) -> None:
        rules = Rules({"/admin": AUTHENTICATED, "/health": PUBLIC})

        assert rules.policy_for("/admin") is AUTHENTICATED
        assert rules.policy_for("/admin/") is None
        assert rules.policy_for("/health/") is None

    def test_a_rule_of_its_own_for_the_path_with_the_slash_counts_alone(self) -> None:
        rules = Rules({"/a": scope("a"), "/a/": AUTHENTICATED, "/**": PUBLIC})

        assert rules.policy_for("/a/") is AUTHENTICATED

    def test_both_rules_count_where_a_slash_falls_under_a_wider_one(self) -> None:
        rules = Rules({"/a": AUTHENTICATED, "/a/**": scope("below")})

        assert scopes_of(rules.policy_for("/a/") or PUBLIC) == {"below"}
        assert rules.policy_for("/a") is AUTHENTICATED


@asgi("/admin", is_mount=True, copy_scope=True)
async def mounted(scope: Any, receive: Any, send: Any) -> None:
    await PlainTextResponse("reached")(scope, receive, send)


class TestLitestar:
    @pytest.fixture
    def app(self, gate: Gate) -> Any:
        rules = {"/**": PUBLIC, "/admin/**": scope("admin")}
        return Litestar([mounted], plugins=[GatePlugin(gate, rules)])

    @pytest.mark.parametrize(
        ("path", "root_path"),
        [
            ("/admin/x", ""),
            ("/adminx", ""),
            ("/admin", ""),
            ("/api/admin/x", "/api"),
            ("/public/api/admin/x", "/api"),
            ("/public/api/adminx", "/api"),
        ],
    )
    async def test_s27_a_mount_is_judged_by_the_path_that_it_was_chosen_by(
        self, app: Any, authority: FakeAuthority, path: str, root_path: str
    ) -> None:
        somebody = bearer(authority.access_token(scope="admin"))

        assert (await asked(app, path, root_path=root_path)).status_code == 401
        assert (await asked(app, path, somebody, root_path=root_path)).text == "reached"

    @pytest.mark.parametrize("path", ["/admin", "/admin/x"])
    async def test_s27_a_mount_is_closed_where_the_server_does_not_say_what_was_sent(
        self, app: Any, authority: FakeAuthority, path: str
    ) -> None:
        async def without_raw_path(scope: Any, receive: Any, send: Any) -> None:
            scope = {name: value for name, value in scope.items() if name != "raw_path"}
            await app(scope, receive, send)

        somebody = bearer(authority.access_token(scope="admin"))

        assert (await asked(without_raw_path, path)).status_code == 401
        assert (await asked(without_raw_path, path, somebody)).status_code == 403

    async def test_what_an_api_publishes_is_there_where_a_mount_takes_every_path(
        self, authority: FakeAuthority
    ) -> None:
        @asgi("/", is_mount=True, copy_scope=True)
        async def everything(scope: Any, receive: Any, send: Any) -> None:
            await PlainTextResponse("reached")(scope, receive, send)

        gate = Gate(
            API,
            issuer=authority.issuer,
            insecure_allow_http_on_loopback=True,
            metadata=ResourceMetadataSettings(),
        )
        app = Litestar([everything], plugins=[GatePlugin(gate, {"/**": AUTHENTICATED})])

        found = await asked(app, "/.well-known/oauth-protected-resource")
        other = await asked(app, "/other")
        gate.close()

        assert (found.status_code, found.json()["resource"]) == (200, API)
        assert other.status_code == 401


class TestIntrospection:
    async def test_a_question_that_no_thread_could_be_had_for_is_asked_again(
        self, authority: FakeAuthority, clock: FrozenClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        authority.clock = clock
        settings = opaque(authority)
        gate = Gate(API, opaque=settings, clock=clock, insecure_allow_http_on_loopback=True)
        app = gate.wrap(reach_plainly, {"/**": AUTHENTICATED})
        headers = bearer(authority.opaque_token())

        def exhausted(*_: object) -> None:
            raise RuntimeError("can't start new thread")

        with monkeypatch.context() as patched:
            patched.setattr(ThreadPoolExecutor, "submit", exhausted)
            refused = await asked(app, "/", headers)
        async with asyncio.timeout(10):
            answered = await asked(app, "/", headers)
        gate.close()

        assert (refused.status_code, answered.status_code) == (503, 200)

    @pytest.mark.parametrize("trouble", ["revoked", "out of reach"])
    async def test_a_stream_ends_when_its_issuer_calls_the_token_active_no_more(
        self, authority: FakeAuthority, clock: FrozenClock, trouble: str
    ) -> None:
        authority.clock = clock
        settings = opaque(authority)
        gate = Gate(API, opaque=settings, clock=clock, insecure_allow_http_on_loopback=True)
        header = bearer(authority.opaque_token())["authorization"].encode()
        asking = request_with([(b"authorization", header)])
        admitted = await gate.require_admitted(asking, clock.timestamp())

        assert header.decode().partition(" ")[2] not in repr(admitted)
        authority.introspection.changes = {"active": trouble != "revoked"}
        authority.down = trouble == "out of reach"
        before = await gate.seconds_left(admitted)
        clock.advance(settings.cache)
        after = await gate.seconds_left(admitted)
        gate.close()

        assert (before > 60, after) == (True, 0)

    async def test_a_stream_goes_on_while_its_issuer_calls_the_token_active(
        self, authority: FakeAuthority, clock: FrozenClock
    ) -> None:
        authority.clock = clock
        settings = opaque(authority)
        gate = Gate(API, opaque=settings, clock=clock, insecure_allow_http_on_loopback=True)
        header = bearer(authority.opaque_token())["authorization"].encode()
        asking = request_with([(b"authorization", header)])
        admitted = await gate.require_admitted(asking, clock.timestamp())
        whole = await gate.seconds_left(admitted)
        clock.advance(settings.cache)
        later = await gate.seconds_left(admitted)
        gate.close()

        assert later == whole - settings.cache.total_seconds() > 0

    async def test_callers_without_an_address_do_not_use_up_each_others_questions(
        self, authority: FakeAuthority, clock: FrozenClock
    ) -> None:
        authority.clock = clock
        gate = Gate(
            API,
            opaque=dataclasses.replace(opaque(authority), unknown_per_peer=1),
            dpop=DPoP(),
            clock=clock,
            insecure_allow_http_on_loopback=True,
        )
        app = gate.wrap(reach_plainly, {"/**": AUTHENTICATED})

        async def over_a_unix_socket(scope: Any, receive: Any, send: Any) -> None:
            await app({**scope, "client": None}, receive, send)

        invented = [
            (await asked(over_a_unix_socket, "/", bearer(f"invented-{number}"))).status_code
            for number in range(3)
        ]
        honest = await asked(over_a_unix_socket, "/", bearer(authority.opaque_token()))
        gate.close()

        assert (invented, honest.status_code) == ([401] * 3, 200)


class TestDenyList:
    async def test_a_subject_is_taken_back_by_the_name_that_its_issuer_has_for_it(
        self,
    ) -> None:
        denied = MemoryDenyList()
        denied.deny_subject(ISSUER, "alice", issued_before=2000, until=9000)

        with pytest.raises(Denied):
            await denied.require_not_denied(caller_with(subject="17", claims=CLAIMS), now=3000)

    async def test_to_deny_a_token_again_for_less_long_does_not_give_it_back_earlier(
        self,
    ) -> None:
        denied, found = MemoryDenyList(), caller_with(claims=CLAIMS)
        denied.deny_token(ISSUER, "1", until=9000)
        denied.deny_token(ISSUER, "1", until=4000)

        with pytest.raises(Denied):
            await denied.require_not_denied(found, now=8999)
        assert await denied.require_not_denied(found, now=9000) is found

    async def test_what_was_denied_anew_is_not_the_first_to_be_forgotten(
        self,
    ) -> None:
        denied = MemoryDenyList(max_entries=2)
        for jti in ("1", "2", "1", "3"):
            denied.deny_token(ISSUER, jti, until=9000)

        with pytest.raises(Denied):
            await denied.require_not_denied(caller_with(claims=CLAIMS), now=3000)

    def test_a_map_of_claims_leaves_the_session_its_name(self) -> None:
        with pytest.raises(ValueError, match="rename"):
            map_claims(rename={"session": "sid"})
        with pytest.raises(ValueError, match="rename"):
            map_claims(rename={"sid": "session"})

    async def test_v13_a_transformation_hides_no_token_that_was_taken_back(
        self, authority: FakeAuthority, clock: FrozenClock
    ) -> None:
        async def known_here(caller: Caller) -> Caller:
            return msgspec.structs.replace(caller, subject="17", claims={"plan": "gold"})

        authority.clock = clock
        denied, until = MemoryDenyList(), clock.timestamp() + 600
        gate = Gate(
            API,
            issuer=authority.issuer,
            clock=clock,
            deny_list=denied,
            transform=known_here,
            insecure_allow_http_on_loopback=True,
        )
        app = gate.wrap(reach_plainly, {"/**": AUTHENTICATED})
        tokens = [authority.access_token(sub=sub, extra={"sid": sub}) for sub in ("a", "b", "c")]
        before = [(await asked(app, "/", bearer(one))).status_code for one in tokens]

        denied.deny_session(authority.issuer, "a", until=until)
        denied.deny_subject(authority.issuer, "b", issued_before=clock.timestamp() + 1, until=until)
        after = [(await asked(app, "/", bearer(one))).status_code for one in tokens]
        # Without `iat` in its claims nobody can say that it is newer.
        denied.deny_subject(authority.issuer, "17", issued_before=1.0, until=until)
        last = [(await asked(app, "/", bearer(one))).status_code for one in tokens]
        gate.close()

        assert (before, after, last) == ([200] * 3, [401, 401, 200], [401] * 3)
