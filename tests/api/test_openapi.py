"""S-50: what the OpenAPI document says of an operation is what the gate does with it."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import httpx2
import pytest
from fastapi import APIRouter, FastAPI, Security, WebSocket
from fastapi.security import APIKeyHeader
from pydantic import BaseModel
from tests.api.conftest import API, bearer

from mintmark.api import (
    AUTHENTICATED,
    PUBLIC,
    Binding,
    Caller,
    ClientCertificate,
    DPoP,
    FixedOrigin,
    Forbidden,
    Gate,
    Hidden,
    MissingDetails,
    MissingScopes,
    Policy,
    StepUp,
    TrustedIssuer,
    Undecided,
    bound,
    detail,
    group,
    hide_as_404,
    login,
    rule,
    scope,
)
from mintmark.api.docs_ui import DevelopmentDocs
from mintmark.api.openapi import PROBLEM
from mintmark.api.policy import refusals_of
from mintmark.protocol.challenge import parse_challenges
from mintmark.testing import FakeAuthority, FrozenClock


class Order(BaseModel):
    number: int


async def asked(caller: Caller) -> bool:
    return bool(caller.subject)


RULES = {"/health": PUBLIC, "/ruled/**": scope("ruled"), "/open-with-a-caller": PUBLIC}


def application(gate: Gate, **settings: Any) -> FastAPI:
    app = gate.install(FastAPI(), RULES, **settings)
    read, write = scope("orders.read"), scope("orders.write")
    one_or_both = scope("admin") | (read & scope("orders.list"))

    @app.get("/health")
    async def health() -> str:
        return "well"

    @app.get("/orders")
    async def orders(caller: Annotated[Caller, gate.requires(one_or_both)]) -> str:
        return caller.subject

    @app.post("/orders", responses={403: {"description": "Too many orders."}})
    async def order(order: Order, caller: Annotated[Caller, gate.requires(write)]) -> int:
        del caller
        return order.number

    @app.get("/orders/{number}")
    async def one(number: int, caller: Annotated[Caller, gate.requires(hide_as_404(read))]) -> str:
        return f"{number} {caller.subject}"

    @app.get("/me")
    async def me(caller: Annotated[Caller, gate.requires(AUTHENTICATED)]) -> str:
        return caller.subject

    @app.get("/staff")
    async def staff(caller: Annotated[Caller, gate.requires(group("staff") & read)]) -> str:
        return caller.subject

    @app.get("/pay")
    async def pay(
        caller: Annotated[Caller, gate.requires(login("gold", timedelta(minutes=5)) & write)],
    ) -> str:
        return caller.subject

    @app.get("/forgotten")
    async def forgotten() -> str:
        return "nobody said who may see this"

    @app.get("/open-with-a-caller")
    async def contradiction(caller: Annotated[Caller, gate.requires(read)]) -> str:
        return caller.subject

    ruled = APIRouter(prefix="/ruled", dependencies=[gate.requires(scope("inner"))])

    @ruled.delete("/thing/{name}")
    async def thing(name: str, caller: Annotated[Caller, gate.requires(scope("one"))]) -> str:
        return name + caller.subject

    app.include_router(ruled)
    return app


def operations(document: Mapping[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (method, path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]


def operation(document: Mapping[str, Any], method: str, path: str) -> dict[str, Any]:
    found: dict[str, Any] = document["paths"][path][method]
    return found


def directives(answer: httpx2.Response) -> dict[str, str]:
    policy = answer.headers["content-security-policy"]
    return {name: rest for name, _, rest in (one.partition(" ") for one in policy.split("; "))}


def gate_of(**settings: Any) -> Gate:
    return Gate(API, issuer="https://id.example", clock=FrozenClock(), **settings)


async def call(
    app: FastAPI, method: str, path: str, headers: Mapping[str, str] | None = None
) -> httpx2.Response:
    path = path.replace("{number}", "7").replace("{name}", "x")
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url=API) as http:
        body = {"number": 7} if method == "post" else None
        return await http.request(method.upper(), path, headers=headers, json=body)


class TestTheTruth:
    """S-50, by calling every operation that the document has."""

    async def test_s50_without_a_token(self, gate: Gate) -> None:
        app = application(gate)
        for method, path, said in operations(app.openapi()):
            answer = await call(app, method, path)
            if not said["security"]:
                assert str(answer.status_code) in said["responses"], path
                assert (answer.status_code == 200) == ("200" in said["responses"]), path
                assert "401" not in said["responses"]
            else:
                assert answer.status_code == 401, path
                assert "WWW-Authenticate" in said["responses"]["401"]["headers"]
                self.require_problem(answer, said)

    async def test_s50_with_a_token_that_has_no_scope(
        self, gate: Gate, authority: FakeAuthority
    ) -> None:
        app = application(gate)
        headers = bearer(authority.access_token(scope="else", sub="alice"))
        for method, path, said in operations(app.openapi()):
            if not said["security"]:
                continue
            answer = await call(app, method, path, headers)
            wanted = [way["bearer"] for way in said["security"] if "bearer" in way]
            success = {status for status in said["responses"] if status.startswith("2")}
            if [] in wanted and success:
                assert answer.status_code == 200, path
                assert "403" not in said["responses"]
                continue
            assert answer.status_code in {401, 403, 404}, path
            self.require_problem(answer, said)
            missing = {
                frozenset(one.parameters["scope"].split())
                for one in parse_challenges(answer.headers.get_list("www-authenticate"))
                if "scope" in one.parameters
            }
            # What a challenge asks for is in one of the alternatives; policies of several places
            # are asked one after the other.
            assert all(any(one <= set(scopes) for scopes in wanted) for one in missing), path

    async def test_s50_with_the_token_that_the_document_asks_for(
        self, gate: Gate, authority: FakeAuthority, clock: FrozenClock
    ) -> None:
        app = application(gate)
        person = {"groups": ["staff"], "acr": "gold", "auth_time": int(clock.timestamp())}
        reached = 0
        for method, path, said in operations(app.openapi()):
            for way in said["security"]:
                if "bearer" not in way:
                    continue
                token = authority.access_token(
                    scope=" ".join(way["bearer"]), sub="alice", extra=person
                )
                answer = await call(app, method, path, bearer(token))
                expected = str(answer.status_code)
                assert expected in said["responses"], path
                assert (answer.status_code == 200) == ("200" in said["responses"]), path
                reached += answer.status_code == 200
        assert reached == 8

    async def test_s50_one_scope_less_than_an_alternative_is_not_enough(
        self, gate: Gate, authority: FakeAuthority
    ) -> None:
        app = application(gate)
        person = {"groups": ["staff"], "acr": "gold"}
        tried = 0
        for method, path, said in operations(app.openapi()):
            for way in said["security"]:
                for lacking in way.get("bearer", []):
                    granted = " ".join(one for one in way["bearer"] if one != lacking)
                    token = authority.access_token(scope=granted, sub="alice", extra=person)
                    answer = await call(app, method, path, bearer(token))
                    assert answer.status_code in {401, 403, 404}, (path, lacking)
                    assert str(answer.status_code) in said["responses"]
                    tried += 1
        assert tried == 10

    async def test_s50_every_route_of_the_application_is_in_it(self, gate: Gate) -> None:
        app = application(gate)
        named = {(method, path) for method, path, _ in operations(app.openapi())}

        assert len(named) == 10
        assert ("delete", "/ruled/thing/{name}") in named

    def require_problem(self, answer: httpx2.Response, said: Mapping[str, Any]) -> None:
        response = said["responses"][str(answer.status_code)]
        media = answer.headers["content-type"]
        schema = response["content"][media]["schema"]
        assert media == "application/problem+json"
        assert schema == {"$ref": f"#/components/schemas/{PROBLEM}"}
        assert {"title", "status"} <= answer.json().keys() <= {"title", "status", "error"}


def named(value: Policy | set[type]) -> str:
    """The same name in every process: a set shows its members in the order of their addresses."""
    if isinstance(value, Policy):
        return repr(value)
    return "-".join(sorted(one.__name__ for one in value))


class TestOperations:
    def test_alternatives_of_a_policy_are_alternatives(self) -> None:
        said = operation(application(gate_of()).openapi(), "get", "/orders")

        assert said["security"] == [
            {"bearer": ["admin"]},
            {"openId": ["admin"]},
            {"bearer": ["orders.list", "orders.read"]},
            {"openId": ["orders.list", "orders.read"]},
        ]

    def test_every_policy_on_the_way_counts(self) -> None:
        said = operation(application(gate_of()).openapi(), "delete", "/ruled/thing/{name}")

        assert {"bearer": ["inner", "one", "ruled"]} in said["security"]

    def test_what_nobody_may_do_has_no_success(self) -> None:
        document = application(gate_of()).openapi()
        forgotten = operation(document, "get", "/forgotten")
        contradiction = operation(document, "get", "/open-with-a-caller")

        assert set(forgotten["responses"]) == {"400", "401", "403", "503"}
        assert set(contradiction["responses"]) == {"403"}

    def test_what_the_application_says_itself_stays(self) -> None:
        said = operation(application(gate_of()).openapi(), "post", "/orders")

        assert said["responses"]["403"]["description"] == "Too many orders."
        assert "application/problem+json" in said["responses"]["403"]["content"]
        assert {"200", "422"} <= said["responses"].keys()

    def test_the_answers_are_those_that_can_come(self) -> None:
        document = application(gate_of()).openapi()
        statuses = {
            path: set(operation(document, "get", path)["responses"]) - {"200", "422"}
            for path in ("/health", "/me", "/orders", "/orders/{number}")
        }

        assert statuses == {
            "/health": set(),
            "/me": {"400", "401", "503"},
            "/orders": {"400", "401", "403", "503"},
            "/orders/{number}": {"400", "401", "404", "503"},
        }

    def test_challenges_stand_there_as_they_are_sent(self) -> None:
        document = application(gate_of()).openapi()
        lacking = operation(document, "post", "/orders")["responses"]["403"]["headers"]
        again = operation(document, "get", "/pay")["responses"]["401"]["headers"]

        assert lacking["WWW-Authenticate"]["examples"]["insufficient_scope"]["value"] == (
            f'Bearer realm="{API}", error="insufficient_scope", scope="orders.write"'
        )
        wanted = again["WWW-Authenticate"]["examples"]["insufficient_user_authentication"]["value"]
        assert 'acr_values="gold"' in wanted
        assert 'scope="orders.write"' in wanted

    def test_a_key_that_the_application_wants_besides_is_wanted_besides(self) -> None:
        gate = gate_of()
        app = gate.install(FastAPI(), {"/open": PUBLIC})
        key = APIKeyHeader(name="x-key")

        @app.get("/both", dependencies=[Security(key)])
        async def both(caller: Annotated[Caller, gate.requires(scope("a"))]) -> str:
            return caller.subject

        @app.get("/open", dependencies=[Security(key)])
        async def opened() -> str:
            return "with a key"

        document = app.openapi()

        assert {"APIKeyHeader": [], "bearer": ["a"]} in operation(document, "get", "/both")[
            "security"
        ]
        assert operation(document, "get", "/open")["security"] == [{"APIKeyHeader": []}]
        assert "APIKeyHeader" in document["components"]["securitySchemes"]

    def test_of_two_routes_with_one_path_the_first_counts_and_a_socket_is_neither(self) -> None:
        gate = gate_of()
        app = gate.install(FastAPI())

        @app.websocket("/twice")
        async def socket(
            websocket: WebSocket, caller: Annotated[Caller, gate.requires(scope("socket"))]
        ) -> None: ...

        @app.get("/twice", operation_id="first")
        async def first(caller: Annotated[Caller, gate.requires(scope("first"))]) -> None: ...

        @app.get("/twice", operation_id="second")
        async def second(caller: Annotated[Caller, gate.requires(scope("second"))]) -> None: ...

        assert operation(app.openapi(), "get", "/twice")["security"] == [
            {"bearer": ["first"]}, {"openId": ["first"]},
        ]  # fmt: skip

    @pytest.mark.parametrize(
        ("policy", "refusals"),
        [
            (AUTHENTICATED, set()),
            (scope("a"), {MissingScopes}),
            (scope("a") & group("b"), {MissingScopes, Forbidden}),
            (scope("a") | AUTHENTICATED, set()),
            (scope("a") | group("b"), {MissingScopes, Forbidden}),
            (~scope("a"), {Forbidden}),
            (hide_as_404(scope("a") & group("b")), {Hidden}),
            (hide_as_404(scope("a")) & scope("b"), {Hidden, MissingScopes}),
            (login("gold"), {StepUp, Forbidden}),
            (detail("album"), {MissingDetails}),
            (bound(), {Forbidden}),
            (rule("mine", asked), {Forbidden, Undecided}),
            (hide_as_404(rule("mine", asked)), {Hidden, Undecided}),
        ],
        ids=named,
    )
    def test_what_a_policy_may_refuse_with_is_known(
        self, policy: Policy, refusals: set[type]
    ) -> None:
        assert refusals_of(policy) == refusals


class TestSchemes:
    def test_bearer_and_discovery_are_known_without_asking_anybody(self) -> None:
        schemes = application(gate_of()).openapi()["components"]["securitySchemes"]

        assert schemes == {
            "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
            "openId": {
                "type": "openIdConnect",
                "openIdConnectUrl": "https://id.example/.well-known/openid-configuration",
                "description": "Tokens of https://id.example.",
            },
        }

    async def test_the_issuers_endpoints_are_said_once_they_are_known(
        self, gate: Gate, authority: FakeAuthority
    ) -> None:
        app = application(gate)
        assert "oauth2" not in app.openapi()["components"]["securitySchemes"]
        await call(app, "get", "/me", bearer(authority.access_token()))
        flows = app.openapi()["components"]["securitySchemes"]["oauth2"]["flows"]

        assert flows["authorizationCode"]["authorizationUrl"] == f"{authority.issuer}/authorize"
        assert flows["authorizationCode"]["tokenUrl"] == f"{authority.issuer}/token"
        assert set(flows["authorizationCode"]["scopes"]) == {
            "admin", "inner", "one", "orders.list", "orders.read", "orders.write", "ruled",
        }  # fmt: skip
        assert {"oauth2": ["orders.write"]} in operation(app.openapi(), "post", "/orders")[
            "security"
        ]

    async def test_an_endpoint_that_is_no_address_is_not_shown(
        self, gate: Gate, authority: FakeAuthority
    ) -> None:
        authority.metadata_changes = {"authorization_endpoint": "javascript:alert(1)"}
        app = application(gate)
        await call(app, "get", "/me", bearer(authority.access_token()))

        assert set(app.openapi()["components"]["securitySchemes"]) == {"bearer", "openId"}

    def test_several_issuers_have_a_scheme_each(self) -> None:
        trusted = [
            TrustedIssuer(issuer=one, audience=API)
            for one in ("https://a.example", "https://b.example")
        ]
        gate = Gate(API, issuers=trusted, clock=FrozenClock())
        schemes = application(gate).openapi()["components"]["securitySchemes"]

        assert schemes["openId"]["openIdConnectUrl"].startswith("https://a.example/")
        assert schemes["openId2"]["openIdConnectUrl"].startswith("https://b.example/")

    def test_proofs_that_are_offered_and_proofs_that_are_required(self) -> None:
        offered = application(gate_of(dpop=DPoP())).openapi()
        required = application(gate_of(dpop=DPoP(required=True))).openapi()

        assert operation(offered, "get", "/me")["security"] == [
            {"bearer": []}, {"openId": []}, {"dpop": []},
        ]  # fmt: skip
        assert operation(required, "post", "/orders")["security"] == [{"dpop": ["orders.write"]}]
        assert set(required["components"]["securitySchemes"]) == {"dpop"}
        assert required["components"]["securitySchemes"]["dpop"]["scheme"] == "dpop"
        headers = operation(required, "get", "/me")["responses"]["401"]["headers"]
        assert set(headers) == {"WWW-Authenticate", "DPoP-Nonce"}
        first = headers["WWW-Authenticate"]["examples"]["invalid_token"]["value"]
        assert first.startswith("DPoP ")

    @pytest.mark.parametrize(
        ("policy", "ways"),
        [
            (bound(Binding.DPOP), [{"dpop": []}]),
            (bound(Binding.MTLS), [{"bearer": [], "mutualTLS": []}, {"openId": [], "mutualTLS": []},
                                   {"dpop": [], "mutualTLS": []}]),
            (bound(Binding.BOTH), [{"dpop": [], "mutualTLS": []}]),
            (bound(), [{"bearer": [], "mutualTLS": []}, {"openId": [], "mutualTLS": []},
                       {"dpop": []}]),
            (bound() | scope("a"), [{"bearer": [], "mutualTLS": []}, {"openId": [], "mutualTLS": []},
                                    {"dpop": []}, {"bearer": ["a"]}, {"openId": ["a"]},
                                    {"dpop": ["a"]}]),
        ],
    )  # fmt: skip
    def test_what_a_token_must_be_bound_to_is_said(
        self, policy: Any, ways: list[dict[str, list[str]]]
    ) -> None:
        certificate = ClientCertificate.from_tls()
        gate = gate_of(dpop=DPoP(), client_certificate=certificate, origin=FixedOrigin(API))
        app = gate.install(FastAPI())

        @app.get("/bound")
        async def only_bound(caller: Annotated[Caller, gate.requires(policy)]) -> str:
            return caller.subject

        document = app.openapi()

        assert operation(document, "get", "/bound")["security"] == ways
        assert document["components"]["securitySchemes"]["mutualTLS"]["type"] == "mutualTLS"

    def test_a_binding_that_this_gate_never_looks_at_lets_nobody_in(self) -> None:
        gate = gate_of()
        app = gate.install(FastAPI())

        @app.get("/bound")
        async def only_bound(caller: Annotated[Caller, gate.requires(bound(Binding.DPOP))]) -> str:
            return caller.subject

        assert "200" not in operation(app.openapi(), "get", "/bound")["responses"]

    def test_the_document_is_made_once_until_a_route_comes(self) -> None:
        app = application(gate_of())
        first = app.openapi()
        assert app.openapi() is first

        @app.get("/late")
        async def late() -> str:
            return "late"

        assert "/late" in app.openapi()["paths"]
        assert "/late" not in first["paths"]


class TestDevelopmentDocs:
    PAGES = ("/docs", "/openapi.json", "/docs/oauth2-redirect")

    async def test_w14_s48_they_are_closed_unless_a_developer_opens_them(self, gate: Gate) -> None:
        closed = application(gate)
        for page in self.PAGES:
            assert (await call(closed, "get", page)).status_code == 401
        opened = application(gate, development_docs=DevelopmentDocs(client_id="docs"))
        for page in self.PAGES:
            assert (await call(opened, "get", page)).status_code == 200
        assert (await call(opened, "get", "/redoc")).status_code == 401
        assert "/docs                            PUBLIC" in gate.report()

    async def test_the_page_signs_in_with_code_and_pkce_as_a_public_client(
        self, gate: Gate
    ) -> None:
        docs = DevelopmentDocs(client_id="docs", scopes=("orders.read",))
        page = (await call(application(gate, development_docs=docs), "get", "/docs")).text

        assert '"clientId": "docs"' in page
        assert '"usePkceWithAuthorizationCodeGrant": true' in page
        assert f'"authorize": {{"resource": "{API}"}}' in page  # RFC 8707 §2
        assert "clientSecret" not in page

    async def test_with_assets_of_ones_own_nothing_comes_from_elsewhere(
        self, tmp_path: Path, gate: Gate
    ) -> None:
        (tmp_path / "swagger-ui-bundle.js").write_text("let ours = 1;")
        (tmp_path / "swagger-ui.css").write_text("body {}")
        docs = DevelopmentDocs(client_id="docs", assets=tmp_path)
        app = application(gate, development_docs=docs)
        page = (await call(app, "get", "/docs")).text

        assert "https://" not in page.replace(API, "")
        assert (await call(app, "get", "/docs/swagger-ui-bundle.js")).text == "let ours = 1;"
        assert (await call(app, "get", "/docs/swagger-ui.css")).text == "body {}"
        assert (await call(app, "get", "/docs/other.js")).status_code == 401

    async def test_the_policy_of_the_page_names_whom_it_asks_and_nobody_else(
        self, gate: Gate, authority: FakeAuthority
    ) -> None:
        app = application(gate, development_docs=DevelopmentDocs(client_id="docs"))
        first, second = [await call(app, "get", "/docs") for _ in range(2)]
        policy = directives(first)
        nonce = policy.pop("script-src")

        assert policy == {
            "default-src": "'none'",
            "style-src": nonce,
            "connect-src": f"'self' {authority.issuer}/.well-known/openid-configuration"
            f" {authority.issuer}/token",
            "img-src": "data:",
            "form-action": "'none'",
            "frame-ancestors": "'none'",
            "base-uri": "'none'",
        }
        # Both scripts and the style, in this answer alone.
        value = nonce.removeprefix("'nonce-").removesuffix("'")
        assert first.text.count(f'nonce="{value}"') == 3
        assert directives(second)["script-src"] != nonce
        assert (first.headers["cache-control"], first.headers["referrer-policy"]) == (
            "no-store", "no-referrer",
        )  # fmt: skip

    async def test_the_window_that_comes_back_may_ask_nobody(self, gate: Gate) -> None:
        app = application(gate, development_docs=DevelopmentDocs(client_id="docs"))
        policy = directives(await call(app, "get", "/docs/oauth2-redirect"))

        assert "connect-src" not in policy
        assert policy["default-src"] == "'none'"

    async def test_no_other_answer_has_a_policy_of_these_pages(self, gate: Gate) -> None:
        app = application(gate, development_docs=DevelopmentDocs(client_id="docs"))
        for path in ("/openapi.json", "/health", "/me", "/docs/more"):
            assert "content-security-policy" not in (await call(app, "get", path)).headers

    @pytest.mark.parametrize(
        "endpoint",
        [
            "https://id.example/token; script-src *",
            "https://id.example/token *",
            "https://id.example,*/token",
            "https://*/token",
        ],
    )
    async def test_an_endpoint_cannot_write_the_policy(
        self, gate: Gate, authority: FakeAuthority, endpoint: str
    ) -> None:
        authority.metadata_changes = {"token_endpoint": endpoint}
        app = application(gate, development_docs=DevelopmentDocs(client_id="docs"))
        answer = await call(app, "get", "/docs")

        assert "*" not in answer.headers["content-security-policy"]
        assert directives(answer)["script-src"].startswith("'nonce-")

    async def test_a_title_is_text(self, gate: Gate) -> None:
        app = application(gate, development_docs=DevelopmentDocs(client_id="</script><b>"))
        app.title = "<script>alert(1)</script>"
        page = (await call(app, "get", "/docs")).text

        assert "alert(1)</script>" not in page
        assert "<b>" not in page

    async def test_an_issuer_that_cannot_be_asked_leaves_the_page_open(
        self, gate: Gate, authority: FakeAuthority
    ) -> None:
        authority.metadata_changes = {"jwks_uri": None}
        app = application(gate, development_docs=DevelopmentDocs(client_id="docs"))
        answer = await call(app, "get", "/docs")

        assert answer.status_code == 200
        assert f"{authority.issuer}/token" not in answer.headers["content-security-policy"]

    def test_a_folder_without_the_assets_stops_the_start(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="swagger-ui-bundle"):
            DevelopmentDocs(client_id="docs", assets=tmp_path)
        with pytest.raises(ValueError, match="client_id"):
            DevelopmentDocs(client_id="")
