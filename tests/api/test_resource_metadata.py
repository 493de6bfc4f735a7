"""What an API publishes of itself, and where its refusals point (RFC 9728)."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any

import httpx2
import msgspec
import pytest
from fastapi import APIRouter, FastAPI
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect
from tests.api.conftest import API, bearer, who

from mintmark.api import (
    PUBLIC,
    Caller,
    ClientCertificate,
    DPoP,
    FixedOrigin,
    Gate,
    TrustedIssuer,
    detail,
    hide_as_404,
    scope,
)
from mintmark.api.resource_metadata import ResourceMetadataSettings
from mintmark.jose.algorithms import ALL_ALGORITHMS, Algorithm
from mintmark.jose.decryption_keys import DecryptionKey, DecryptionKeys
from mintmark.jose.key_management import KeyManagement
from mintmark.jose.key_set import KeySet
from mintmark.jose.keys import SigningKey
from mintmark.protocol.challenge import parse_challenges
from mintmark.protocol.resource_metadata import ResourceMetadata, require_signed
from mintmark.testing import FakeAuthority, FrozenClock

WELL_KNOWN = "/.well-known/oauth-protected-resource"
ISSUER = "https://id.example"
RULES = {"/health": PUBLIC, "/orders": scope("orders.read") | scope("orders.admin")}


def gate_of(resource: str = API, **settings: Any) -> Gate:
    settings.setdefault("metadata", ResourceMetadataSettings())
    return Gate(resource, issuer=ISSUER, clock=FrozenClock(), **settings)


async def ask(
    app: Any, path: str, method: str = "GET", headers: Mapping[str, str] | None = None
) -> httpx2.Response:
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url=API) as http:
        return await http.request(method, path, headers=headers)


async def document(gate: Gate, app: Any = None, path: str = WELL_KNOWN) -> ResourceMetadata:
    answer = await ask(app or gate.wrap(who, RULES), path)
    assert answer.status_code == 200
    return ResourceMetadata.parse(answer.content, resource=gate.resource)


class TestTheDocument:
    async def test_it_says_what_the_gate_and_its_policies_say(self) -> None:
        gate = gate_of(metadata=ResourceMetadataSettings(name="Orders"))

        assert await document(gate) == ResourceMetadata(
            resource=API,
            authorization_servers=(ISSUER,),
            scopes_supported=("orders.admin", "orders.read"),
            bearer_methods_supported=("header",),
            resource_name="Orders",
        )

    async def test_rules_of_every_application_behind_the_gate_count(self) -> None:
        gate = gate_of()
        gate.wrap(who, {"/photos": hide_as_404(scope("photos.read")) & detail("album")})
        found = await document(gate)

        assert found.scopes_supported == ("orders.admin", "orders.read", "photos.read")
        assert found.authorization_details_types_supported == ("album",)

    async def test_routes_of_fastapi_count_the_moment_they_are_there(self) -> None:
        gate = gate_of()
        app = gate.install(FastAPI(), {"/ruled/**": scope("ruled")})
        assert (await document(gate, app)).scopes_supported == ("ruled",)
        inner = APIRouter(prefix="/inner", dependencies=[gate.requires(scope("inner"))])

        @inner.get("/one")
        async def one(caller: Annotated[Caller, gate.requires(scope("one"))]) -> str:
            return caller.subject

        app.include_router(inner)

        assert (await document(gate, app)).scopes_supported == ("inner", "one", "ruled")

    async def test_bindings_are_said_as_they_are(self) -> None:
        dpop = DPoP(required=True, algorithms=frozenset({Algorithm.ES256, Algorithm.EDDSA}))
        found = await document(gate_of(dpop=dpop))
        assert found.dpop_bound_access_tokens_required
        assert found.dpop_signing_alg_values_supported == ("ES256", "EdDSA")
        assert not found.tls_client_certificate_bound_access_tokens

        optional = await document(gate_of(dpop=DPoP()))
        assert not optional.dpop_bound_access_tokens_required
        assert optional.dpop_signing_alg_values_supported

        origin = FixedOrigin(API)
        certificate = gate_of(client_certificate=ClientCertificate.from_tls(), origin=origin)
        assert (await document(certificate)).tls_client_certificate_bound_access_tokens

    async def test_issuers_that_only_a_resolver_knows_are_named_by_hand(self) -> None:
        more = ("https://tenant.example", ISSUER)
        gate = gate_of(metadata=ResourceMetadataSettings(authorization_servers=more))

        assert (await document(gate)).authorization_servers == (ISSUER, "https://tenant.example")

    async def test_a_signed_document_can_be_proved_with_the_published_key(self) -> None:
        key = SigningKey.generate(Algorithm.ES256)
        gate = gate_of(metadata=ResourceMetadataSettings(signed_by=key))
        app = gate.wrap(who, RULES)
        found = await document(gate, app)
        published = await ask(app, str(found.jwks_uri))
        proved = require_signed(
            found, iss=API, keys=KeySet.parse(published.content), algorithms=ALL_ALGORITHMS
        )

        assert proved.scopes_supported == found.scopes_supported
        assert proved.jwks_uri == f"{API}/jwks"


class TestWhereItIs:
    async def test_it_is_inserted_between_host_and_path(self) -> None:
        """RFC 9728 §3.1."""
        gate = gate_of(f"{API}/shop")

        assert (await document(gate, path=WELL_KNOWN + "/shop")).resource == f"{API}/shop"
        assert (await ask(gate.wrap(who, RULES), WELL_KNOWN)).status_code == 401

    async def test_an_api_that_is_mounted_below_publishes_beside_itself(self) -> None:
        gate = gate_of(f"{API}/shop")
        assert gate.publication is not None
        app = Starlette(
            routes=[
                Mount("/shop", gate.wrap(who, RULES)),
                Mount("/.well-known", gate.publication),
            ]
        )

        assert (await document(gate, app, WELL_KNOWN + "/shop")).resource == f"{API}/shop"
        assert (await ask(app, "/.well-known/other")).status_code == 404
        refused = await ask(app, "/shop/orders")
        assert f'resource_metadata="{gate.publication.url}"' in refused.headers["www-authenticate"]

    def test_a_socket_finds_no_document(self) -> None:
        gate = gate_of()
        assert gate.publication is not None
        client = TestClient(gate.publication)

        with pytest.raises(WebSocketDisconnect), client.websocket_connect(WELL_KNOWN):
            pass

    async def test_without_settings_nothing_is_published(self) -> None:
        gate = gate_of(metadata=None)
        refused = await ask(gate.wrap(who, RULES), WELL_KNOWN)

        assert refused.status_code == 401
        assert refused.headers["www-authenticate"] == f'Bearer realm="{API}"'

    @pytest.mark.parametrize(
        "resource",
        ["orders", "urn:orders", "http://api.example", "https://api.example/?tenant=1",
         "https://api.example/#x"],
    )  # fmt: skip
    def test_a_name_under_which_nobody_can_ask_stops_the_start(self, resource: str) -> None:
        """RFC 9728 §1.2: an https address without a fragment."""
        with pytest.raises(ValueError, match="metadata: resource"):
            gate_of(resource)

    @pytest.mark.parametrize(
        "settings",
        [
            {"max_age": timedelta(seconds=-1)},
            {"max_age": timedelta(days=1, seconds=1)},
            {"keys_path": "jwks"},
            {"keys_path": "/jwks?x"},
            {"documentation": "see the wiki"},
            {"authorization_servers": ("id.example",)},
        ],
    )
    def test_settings_that_cannot_be_stop_the_start(self, settings: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match=next(iter(settings))):
            ResourceMetadataSettings(**settings)


class TestChallenges:
    async def test_every_challenge_says_where_the_document_is(
        self, authority: FakeAuthority, clock: FrozenClock
    ) -> None:
        """RFC 9728 §5.1."""
        authority.clock = clock
        trusted = TrustedIssuer(issuer=authority.issuer, audience=API, policy=authority.policy)
        settings = ResourceMetadataSettings()
        gate = Gate(API, issuers=[trusted], clock=clock, metadata=settings, dpop=DPoP())
        app = gate.wrap(who, RULES)
        answers = [
            await ask(app, "/orders"),
            await ask(app, "/orders", headers=bearer("rubbish")),
            await ask(app, "/orders", headers={"authorization": "Basic x"}),
            await ask(app, "/orders", headers=bearer(authority.access_token(scope="x"))),
        ]
        gate.close()

        assert [answer.status_code for answer in answers][:2] == [401, 401]
        assert answers[3].status_code == 403
        for answer in answers:
            for challenge in parse_challenges(answer.headers.get_list("www-authenticate")):
                assert challenge.parameters["resource_metadata"] == API + WELL_KNOWN


class TestHttp:
    async def test_anybody_may_ask_and_keep_it_for_an_hour(self) -> None:
        answer = await ask(gate_of().wrap(who, RULES), WELL_KNOWN, headers=bearer("rubbish"))

        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["cache-control"] == "public, max-age=3600"
        assert answer.headers["access-control-allow-origin"] == "*"

    async def test_head_is_get_without_the_body(self) -> None:
        app = gate_of().wrap(who, RULES)
        head, whole = await ask(app, WELL_KNOWN, "HEAD"), await ask(app, WELL_KNOWN)

        assert head.content == b""
        assert head.headers == whole.headers
        assert int(head.headers["content-length"]) == len(whole.content)

    @pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
    async def test_other_methods_are_told_which_ones_there_are(self, method: str) -> None:
        """RFC 9110 §15.5.6."""
        answer = await ask(gate_of().wrap(who, RULES), WELL_KNOWN, method)

        assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")

    async def test_a_browser_may_ask_whether_it_may_ask(self) -> None:
        headers = {"origin": "https://spa.example", "access-control-request-method": "GET"}
        answer = await ask(gate_of().wrap(who, RULES), WELL_KNOWN, "OPTIONS", headers)

        assert answer.status_code == 204
        assert answer.headers["access-control-allow-origin"] == "*"
        assert "content-length" not in answer.headers  # RFC 9110 §8.6

    @pytest.mark.parametrize("known", ["{}", "W/{}", '"other", {}', "*"])
    async def test_who_has_it_already_is_not_sent_it_again(self, known: str) -> None:
        """RFC 9110 §13.1.2, and §8.8.3 for the tag."""
        app = gate_of().wrap(who, RULES)
        etag = (await ask(app, WELL_KNOWN)).headers["etag"]
        again = await ask(app, WELL_KNOWN, headers={"if-none-match": known.format(etag)})

        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)

    async def test_another_tag_gets_the_whole(self) -> None:
        """RFC 9110 §8.8.3."""
        app = gate_of().wrap(who, RULES)
        etag = (await ask(app, WELL_KNOWN)).headers["etag"]
        other = await ask(app, WELL_KNOWN, headers={"if-none-match": etag.replace('"', "")})

        assert other.status_code == 200

    async def test_the_tag_changes_with_the_content_and_only_then(self) -> None:
        key = SigningKey.generate(Algorithm.ES256)  # two signatures of it are never the same
        gate = gate_of(metadata=ResourceMetadataSettings(signed_by=key))
        app = gate.wrap(who, RULES)
        first, second = await ask(app, WELL_KNOWN), await ask(app, WELL_KNOWN)
        gate.wrap(who, {"/more": scope("more")})
        third = await ask(app, WELL_KNOWN)

        assert first.headers["etag"] == second.headers["etag"] != third.headers["etag"]

    async def test_a_websocket_is_not_answered_with_a_document(self) -> None:
        publication = gate_of().publication
        socket = {"type": "websocket", "path": WELL_KNOWN, "headers": []}

        assert publication is not None
        assert publication.response_to(socket) is None


class TestKeys:
    async def test_the_keys_for_those_who_encrypt_are_published(self) -> None:
        old = DecryptionKey.generate(KeyManagement.RSA_OAEP_256)
        new = DecryptionKey.generate(KeyManagement.ECDH_ES)
        keys = DecryptionKeys.of(old).rotated(new, until=1e12)
        gate = gate_of(f"{API}/shop", decrypt_with=keys)
        app = gate.wrap(who, RULES)
        found = await document(gate, app, WELL_KNOWN + "/shop")
        assert found.jwks_uri == f"{API}/shop/jwks"

        for path in ("/shop/jwks", "/jwks"):
            answer = await ask(app, path)
            assert answer.headers["content-type"] == "application/jwk-set+json"
            assert msgspec.json.decode(answer.content) == {"keys": [new.public.to_jwk()]}
            assert b'"d"' not in answer.content

    async def test_an_api_without_keys_has_no_place_for_them(self) -> None:
        gate = gate_of()
        app = gate.wrap(who, RULES)

        assert (await document(gate, app)).jwks_uri is None
        assert (await ask(app, "/jwks")).status_code == 401
