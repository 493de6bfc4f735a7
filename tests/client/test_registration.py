"""A client that introduces itself at run time.

RFC 7591 §2, RFC 7591 §3.1, RFC 7591 §3.2.1; RFC 7592 §2.1, RFC 7592 §2.2, RFC 7592 §2.3,
RFC 7592 §3.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from tests.client.documents import POLICY, Documents, serving

from mintmark.client import (
    Authority,
    AuthorityUnavailable,
    ClientMetadata,
    Registration,
    TokenRefused,
    register,
)
from mintmark.protocol.client_registration import (
    RegisteredClient,
    UnusableRegistration,
    client_metadata_document,
    require_metadata_client_id,
)
from mintmark.secret import Secret

METADATA = ClientMetadata(
    redirect_uris=("http://127.0.0.1/callback",),
    client_name="Reports",
    grant_types=("authorization_code", "refresh_token"),
    token_endpoint_auth_method="client_secret_basic",
    further={"x_vendor": {"tier": "gold"}},
)


class Registry:
    """A registration endpoint that keeps what it is told, and changes its access token each time."""

    def __init__(self, documents: Documents) -> None:
        self.documents, self.members, self.token = documents, dict[str, Any](), 0
        documents.put(
            "/.well-known/openid-configuration",
            {"issuer": documents.url, "registration_endpoint": f"{documents.url}/register"},
        )
        there = documents.there
        there["POST", "/register"] = self.create
        there["GET", "/register/c1"] = lambda _body, headers: self.guarded(headers, None)
        there["PUT", "/register/c1"] = lambda body, headers: self.guarded(headers, body)
        there["DELETE", "/register/c1"] = lambda _body, headers: self.delete(headers)

    def create(self, body: Any, headers: Mapping[str, str]) -> tuple[int, Any]:
        if headers.get("authorization") not in (None, "Bearer initial"):
            return 401, {"error": "invalid_token"}
        if not body.get("redirect_uris"):
            return 400, {"error": "invalid_redirect_uri", "error_description": "none is named"}
        self.members = {
            **body, "client_id": "c1", "client_secret": "s" * 40, "client_secret_expires_at": 2000,
            "scope": "orders.read",
        }  # fmt: skip
        return 201, self.answer()

    def answer(self) -> dict[str, Any]:
        self.token += 1
        return {
            **self.members,
            "registration_access_token": f"rat-{self.token}",
            "registration_client_uri": f"{self.documents.url}/register/c1",
        }

    def guarded(self, headers: Mapping[str, str], body: Any) -> tuple[int, Any]:
        if headers.get("authorization") != f"Bearer rat-{self.token}":
            return 401, {"error": "invalid_token"}
        if body is not None:
            assert body["client_secret"] == self.members["client_secret"]
            self.members = body
        return 200, self.answer()

    def delete(self, headers: Mapping[str, str]) -> tuple[int, Any]:
        status, _ = self.guarded(headers, None)
        return (204, {}) if status == 200 else (status, {"error": "invalid_token"})


@pytest.fixture
def registry() -> Iterator[Registry]:
    with serving() as documents:
        yield Registry(documents)


@pytest.fixture
def authority(registry: Registry) -> Iterator[Authority]:
    made = Authority(registry.documents.url, policy=POLICY)
    yield made
    made.close()


class TestRegistering:
    def test_what_is_said_and_what_comes_back(
        self, authority: Authority, registry: Registry
    ) -> None:
        registration = register(authority, METADATA, initial_access_token=Secret("initial"))

        assert registry.members["x_vendor"] == {"tier": "gold"}
        assert registry.members["grant_types"] == ["authorization_code", "refresh_token"]
        assert "jwks_uri" not in registry.members
        assert registration.client.client_id == "c1"
        assert registration.client.metadata["scope"] == "orders.read"
        assert "s" * 40 not in repr(registration)

    def test_a_secret_ends_on_the_second_the_server_said(self, authority: Authority) -> None:
        registration = register(authority, METADATA)

        assert registration.secret_at(1999.9) == Secret("s" * 40)
        assert registration.secret_at(2000.0) is None

    def test_a_refusal_has_the_servers_word(self, authority: Authority) -> None:
        with pytest.raises(TokenRefused) as refused:
            register(authority, ClientMetadata(client_name="Reports"))

        assert refused.value.error == "invalid_redirect_uri"

    @pytest.mark.parametrize("status", [429, 500, 503])
    def test_an_overloaded_server_is_no_refusal(
        self, authority: Authority, registry: Registry, status: int
    ) -> None:
        registry.documents.there["POST", "/register"] = lambda _body, _headers: (status, {})

        with pytest.raises(AuthorityUnavailable):
            register(authority, METADATA)

    def test_two_ways_to_name_keys_are_one_too_many(self) -> None:
        with pytest.raises(ValueError, match="jwks"):
            ClientMetadata(jwks={"keys": []}, jwks_uri="https://app.example/jwks")


class TestManaging:
    def test_each_answer_brings_the_token_for_the_next_question(
        self, authority: Authority, registry: Registry
    ) -> None:
        first = register(authority, METADATA)

        second = first.read()
        third = second.update(ClientMetadata(redirect_uris=("http://127.0.0.1/other",)))

        assert registry.members["redirect_uris"] == ["http://127.0.0.1/other"]
        assert third.client.client_secret == first.client.client_secret
        with pytest.raises(TokenRefused):
            second.read()
        third.delete()

    def test_it_is_kept_and_read_back_by_whoever_may_see_secrets(
        self, authority: Authority
    ) -> None:
        registration = register(authority, METADATA)

        restored = Registration.restored(authority, registration.client.reveal())

        assert restored.client == registration.client
        assert restored.read().client.client_id == "c1"

    def test_an_answer_about_another_client_is_not_taken(
        self, authority: Authority, registry: Registry
    ) -> None:
        registration = register(authority, METADATA)
        registry.members["client_id"] = "c2"

        with pytest.raises(TokenRefused, match="another client"):
            registration.read()

    def test_without_a_way_to_manage_it_nothing_is_sent(self, authority: Authority) -> None:
        alone = Registration(authority, RegisteredClient.parse(b'{"client_id": "c1"}'))

        with pytest.raises(TokenRefused, match="no way"):
            alone.delete()


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{}", b'{"client_id": 1}', b'{"client_id": ""}', b'{"client_id":"a","client_id":"b"}',
     b'{"client_id": "a", "client_secret": ["x"]}', b'{"client_id": "a", "client_secret_expires_at": "0"}',
     b'{"client_id": "a", "client_secret_expires_at": -1}', b'{"client_id": "a", "client_secret_expires_at": true}'],
)  # fmt: skip
def test_an_answer_that_registers_nobody(body: bytes) -> None:
    with pytest.raises(UnusableRegistration):
        RegisteredClient.parse(body)


class TestDocument:
    ID = "https://app.example/client.json"

    def test_it_names_its_own_address(self) -> None:
        document = client_metadata_document(self.ID, METADATA_WITHOUT_SECRET)

        assert b'"client_id":"https://app.example/client.json"' in document

    def test_it_shares_no_secret(self) -> None:
        with pytest.raises(UnusableRegistration, match="no secret"):
            client_metadata_document(self.ID, METADATA)

    def test_a_code_has_somewhere_to_go(self) -> None:
        metadata = ClientMetadata(grant_types=("authorization_code",))
        with pytest.raises(UnusableRegistration, match="redirect_uris"):
            client_metadata_document(self.ID, metadata)

    @pytest.mark.parametrize(
        "good", [ID, "https://app.example:8443/a/b", "https://a.example/c?d=e"]
    )
    def test_addresses_that_can_be_a_client_id(self, good: str) -> None:
        assert require_metadata_client_id(good) == good

    @pytest.mark.parametrize(
        "bad",
        ["http://app.example/c", "https://app.example", "https://app.example/", "https:///c", "c",
         "https://app.example/a/../c", "https://app.example/./c", "https://app.example/c#x",
         "https://u:p@app.example/c", "https://app.example/ c", "https://[app/c", "https://äpp.example/c"],
    )  # fmt: skip
    def test_addresses_that_cannot(self, bad: str) -> None:
        with pytest.raises(UnusableRegistration):
            require_metadata_client_id(bad)


METADATA_WITHOUT_SECRET = ClientMetadata(
    redirect_uris=("http://127.0.0.1/callback",), grant_types=("authorization_code",)
)
