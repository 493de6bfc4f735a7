"""Requests to try by hand, checked against the document that they are made from."""

import re
from typing import Annotated, Any

import msgspec
import pytest
from fastapi import Body, FastAPI

from mintmark.api import PUBLIC, Binding, Caller, DPoP, Gate, bound, scope
from mintmark.api.exports import http_environment, http_file, postman_collection
from mintmark.testing import FakeAuthority, FrozenClock

API = "https://api.example"
REDIRECT = "http://127.0.0.1:8765/callback"


@pytest.fixture
async def document(authority: FakeAuthority, clock: FrozenClock) -> Any:
    authority.clock = clock
    gate = Gate(
        API,
        issuer=authority.issuer,
        insecure_allow_http_on_loopback=True,
        clock=clock,
        dpop=DPoP(),
    )
    app = gate.install(FastAPI(title="Orders"), {"/health": PUBLIC})
    read, write = scope("orders.read orders.list"), scope("orders.write")

    @app.get("/health")
    async def health() -> str:
        return "well"

    @app.get("/orders/{number}/lines/{line}", summary="One line\nDELETE https://evil.example")
    async def line(
        number: int,
        line: int,
        currency: str,
        caller: Annotated[Caller, gate.requires(read)],
        page: int = 1,
    ) -> str:
        return f"{number} {line} {currency} {page} {caller.subject}"

    @app.post("/orders")
    async def order(
        order: Annotated[dict[str, int], Body()],
        caller: Annotated[Caller, gate.requires(write)],
    ) -> str:
        return f"{order} {caller.subject}"

    @app.put("/bound")
    async def proved(caller: Annotated[Caller, gate.requires(bound(Binding.DPOP))]) -> str:
        return caller.subject

    entry = gate.admission.validator.issuers.entries()[0]
    await entry.keys_at(clock.timestamp())
    yield app.openapi()
    gate.close()


def operations(document: Any) -> dict[tuple[str, str], Any]:
    return {
        (method.upper(), path): said
        for path, methods in document["paths"].items()
        for method, said in methods.items()
    }


def settings_of(item: Any) -> dict[str, str]:
    return {one["key"]: one["value"] for one in item["request"]["auth"].get("oauth2", [])}


class TestPostman:
    def test_there_is_one_request_for_every_operation(self, document: Any) -> None:
        collection = postman_collection(document, base_url=API + "/", client_id="try")
        made = {
            (item["request"]["method"], "/" + "/".join(item["request"]["url"]["path"]))
            for item in collection["item"]
        }

        wanted = {(m, re.sub(r"\{(\w+)\}", r":\1", p)) for m, p in operations(document)}
        assert made == wanted
        assert collection["info"] == {
            "name": "Orders",
            "schema": "https://schema.getpostman.com/json/collection/v2.1.0/collection.json",
        }
        values = {one["key"]: one["value"] for one in collection["variable"]}
        assert (values["base_url"], values["client_id"]) == (API, "try")

    def test_each_asks_for_the_scope_of_its_operation_with_code_and_pkce(
        self, document: Any, authority: FakeAuthority
    ) -> None:
        collection = postman_collection(document, base_url=API)
        values = {one["key"]: one["value"] for one in collection["variable"]}
        assert values["authorization_endpoint"] == f"{authority.issuer}/authorize"
        assert values["token_endpoint"] == f"{authority.issuer}/token"
        by_name = {item["request"]["method"]: item for item in collection["item"][1:]}
        settings = settings_of(by_name["GET"])

        assert settings["scope"] == "orders.list orders.read"
        assert settings["grant_type"] == "authorization_code_with_pkce"
        assert settings["challengeAlgorithm"] == "S256"
        assert settings["addTokenTo"] == "header"
        assert settings_of(by_name["POST"])["scope"] == "orders.write"

    def test_public_operations_and_those_that_need_a_proof_send_no_token(
        self, document: Any
    ) -> None:
        items = {
            item["request"]["url"]["path"][0]: item["request"]
            for item in postman_collection(document, base_url=API)["item"]
        }

        assert items["health"]["auth"] == {"type": "noauth"}
        assert items["bound"]["auth"] == {"type": "noauth"}
        assert "DPoP" in items["bound"]["description"]
        assert "description" not in items["health"]

    def test_what_a_request_takes_is_there_to_be_filled_in(self, document: Any) -> None:
        by_method = {
            item["request"]["method"]: item["request"]
            for item in postman_collection(document, base_url=API)["item"][1:]
        }
        url = by_method["GET"]["url"]

        assert url["raw"] == "{{base_url}}/orders/:number/lines/:line"
        assert [one["key"] for one in url["variable"]] == ["number", "line"]
        assert url["query"] == [
            {"key": "currency", "value": "", "disabled": False},
            {"key": "page", "value": "", "disabled": True},
        ]
        assert by_method["POST"]["body"] == {"mode": "raw", "raw": "{}"}

    def test_there_is_no_secret_inside(self, document: Any) -> None:
        text = msgspec.json.encode(postman_collection(document, base_url=API)).decode()

        assert "secret" not in text.lower()
        assert not re.search(r"eyJ|accessToken\"", text)


class TestHttpFile:
    def test_there_is_one_request_for_every_operation(self, document: Any) -> None:
        text = http_file(document, base_url=API)
        made = set(re.findall(r"^([A-Z]+) \{\{base_url\}\}(/[^?\n]*)", text, re.MULTILINE))

        assert made == {(m, re.sub(r"\{(\w+)\}", r"{{\1}}", p)) for m, p in operations(document)}
        assert text.startswith(f"@base_url = {API}\n")
        assert "?currency={{currency}}\n" in text

    def test_a_title_begins_no_request_of_its_own(self, document: Any) -> None:
        text = http_file(document, base_url=API)

        assert "### One line DELETE https://evil.example\n" in text
        assert not re.search(r"^DELETE", text, re.MULTILINE)

    def test_each_token_has_settings_and_the_scope_of_its_operation(
        self, document: Any, authority: FakeAuthority
    ) -> None:
        text = http_file(document, base_url=API)
        made = http_environment(document, client_id="try", redirect_uri=REDIRECT)
        auths = made["dev"]["Security"]["Auth"]
        used = dict(
            re.findall(r'^(\w+) .*\nAuthorization: Bearer \{\{\$auth\.token\("([\w-]+)"\)\}\}$',
                       text, re.MULTILINE)
        )  # fmt: skip

        assert set(used) == {"GET", "POST"}
        assert set(used.values()) == set(auths)
        assert auths[used["GET"]]["Scope"] == "orders.list orders.read"
        assert auths[used["POST"]] == {
            "Type": "OAuth2",
            "Grant Type": "Authorization Code",
            "Auth URL": f"{authority.issuer}/authorize",
            "Token URL": f"{authority.issuer}/token",
            "Redirect URL": REDIRECT,
            "Client ID": "try",
            "Client Credentials": "none",
            "PKCE": True,
            "Scope": "orders.write",
        }

    def test_what_needs_a_proof_says_so(self, document: Any) -> None:
        text = http_file(document, base_url=API)

        assert "# Needs a DPoP proof" in text.split("/bound")[0].rsplit("###")[-1]


def test_endpoints_that_are_not_known_are_left_to_be_filled_in() -> None:
    gate = Gate(API, issuer="https://id.example", clock=FrozenClock())
    app = gate.install(FastAPI())

    @app.get("/orders")
    async def orders(caller: Annotated[Caller, gate.requires(scope("orders.read"))]) -> str:
        return caller.subject

    collection = postman_collection(app.openapi(), base_url=API)
    values = {one["key"]: one["value"] for one in collection["variable"]}

    assert values["authorization_endpoint"] == ""
    assert settings_of(collection["item"][0])["authUrl"] == "{{authorization_endpoint}}"
