"""What an API says of itself (RFC 9728)."""

from typing import Any

import msgspec
import pytest

from mintmark.jose.algorithms import ALL_ALGORITHMS, Algorithm
from mintmark.jose.jws import parse, sign
from mintmark.jose.key_set import KeySet
from mintmark.jose.keys import SigningKey
from mintmark.protocol.metadata import UnusableMetadata
from mintmark.protocol.resource_metadata import (
    TYP,
    ResourceMetadata,
    require_signed,
    resource_metadata_url,
    signed,
)

API = "https://api.example/orders"
ISSUER = "https://id.example"
NOW = 1_700_000_000.0


@pytest.fixture(scope="module")
def key() -> SigningKey:
    return SigningKey.generate(Algorithm.ES256)


def proved(metadata: ResourceMetadata, key: SigningKey, iss: str = API) -> ResourceMetadata:
    return require_signed(metadata, iss=iss, keys=KeySet.of(key.public), algorithms=ALL_ALGORITHMS)


def with_claims(key: SigningKey, typ: str = TYP, **changes: Any) -> ResourceMetadata:
    claims = {"iss": API, "resource": API} | changes
    token = sign(msgspec.json.encode(claims), key, typ=typ)
    return ResourceMetadata(resource=API, signed_metadata=token)


class TestWhereItIs:
    """RFC 9728 §3.1."""

    @pytest.mark.parametrize(
        ("resource", "url"),
        [
            ("https://api.example", "https://api.example/.well-known/oauth-protected-resource"),
            ("https://api.example/", "https://api.example/.well-known/oauth-protected-resource"),
            (
                "https://api.example/orders",
                "https://api.example/.well-known/oauth-protected-resource/orders",
            ),
            (
                "https://api.example/orders/",
                "https://api.example/.well-known/oauth-protected-resource/orders/",
            ),
            (
                "https://api.example:8443/a/b?k=v",
                "https://api.example:8443/.well-known/oauth-protected-resource/a/b?k=v",
            ),
        ],
    )
    def test_it_stands_between_the_host_and_the_path(self, resource: str, url: str) -> None:
        assert resource_metadata_url(resource) == url

    @pytest.mark.parametrize("resource", ["orders", "urn:orders", "https://a.example/#x", ""])
    def test_a_name_that_is_no_address_has_none(self, resource: str) -> None:
        with pytest.raises(ValueError, match="resource"):
            resource_metadata_url(resource)


class TestTheDocument:
    def test_what_is_written_can_be_read_again(self) -> None:
        """RFC 9728 §2."""
        metadata = ResourceMetadata(
            resource=API,
            authorization_servers=(ISSUER,),
            scopes_supported=("orders.read",),
            bearer_methods_supported=("header",),
            dpop_signing_alg_values_supported=("ES256",),
            dpop_bound_access_tokens_required=True,
            tls_client_certificate_bound_access_tokens=True,
        )

        assert ResourceMetadata.parse(metadata.to_json(), resource=API) == metadata

    def test_what_there_is_none_of_is_left_out(self) -> None:
        """RFC 9728 §3.2: members with zero elements must be omitted."""
        assert (
            ResourceMetadata(resource=API).to_json() == b'{"resource":"https://api.example/orders"}'
        )

    @pytest.mark.parametrize("other", [API + "/", "https://API.example/orders", ISSUER])
    def test_another_resources_document_is_refused(self, other: str) -> None:
        """RFC 9728 §3.3: identical, code point for code point."""
        body = ResourceMetadata(resource=other).to_json()

        with pytest.raises(UnusableMetadata, match="another resource"):
            ResourceMetadata.parse(body, resource=API)

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"[]",
            b"{}",
            b"\xff",
            b'{"resource":1}',
            b'{"resource":"https://api.example/orders","scopes_supported":"orders.read"}',
            b'{"resource":"https://evil.example","resource":"https://api.example/orders"}',
            b'{"resource":"https://api.example/orders","x":' + b"[" * 5000 + b"]" * 5000 + b"}",
        ],
    )
    def test_what_cannot_be_read_is_refused_in_our_own_words(self, body: bytes) -> None:
        with pytest.raises(UnusableMetadata):
            ResourceMetadata.parse(body, resource=API)

    def test_members_that_we_do_not_know_are_ignored(self) -> None:
        body = b'{"resource":"https://api.example/orders","from_the_future":{"a":[1]}}'

        assert ResourceMetadata.parse(body, resource=API).resource == API


class TestVouchingForIt:
    """RFC 9728 §2.2."""

    def test_what_is_signed_takes_precedence_and_the_rest_stands(self, key: SigningKey) -> None:
        vouched = ResourceMetadata(resource=API, authorization_servers=(ISSUER,))
        document = ResourceMetadata(
            resource=API,
            authorization_servers=("https://evil.example",),
            resource_name="Orders",
            signed_metadata=signed(vouched, key, iss=API, now=NOW),
        )
        read = proved(document, key)

        assert read.authorization_servers == (ISSUER,)
        assert read.resource_name == "Orders"
        assert read.signed_metadata is None

    def test_the_signed_form_says_who_vouches_and_holds_no_other(self, key: SigningKey) -> None:
        token = signed(
            ResourceMetadata(resource=API, signed_metadata="an older one"), key, iss=ISSUER, now=NOW
        )
        jws = parse(token)

        assert jws.header.typ == TYP
        assert msgspec.json.decode(jws.payload) == {
            "resource": API, "iss": ISSUER, "iat": int(NOW),
        }  # fmt: skip

    def test_unsigned_metadata_is_vouched_for_by_nobody(self, key: SigningKey) -> None:
        with pytest.raises(UnusableMetadata, match="not signed"):
            proved(ResourceMetadata(resource=API), key)

    def test_a_key_of_somebody_else_vouches_for_nothing(self, key: SigningKey) -> None:
        stranger = SigningKey.generate(Algorithm.ES256, kid=key.kid)

        assert proved(with_claims(key), key).resource == API
        with pytest.raises(UnusableMetadata, match="signature"):
            proved(with_claims(stranger), key)

    @pytest.mark.parametrize(
        "changes",
        [
            {"iss": "https://evil.example"},
            {"iss": None},
            {"resource": "https://api.example"},
            {"resource": None},
            {"signed_metadata": "a.b.c"},
            {"scopes_supported": "orders.read"},
        ],
    )
    def test_what_is_signed_must_be_for_this_resource_by_this_party(
        self, key: SigningKey, changes: dict[str, Any]
    ) -> None:
        with pytest.raises(UnusableMetadata):
            proved(with_claims(key, **changes), key)

    @pytest.mark.parametrize(("typ", "good"), [("JWT", True), (TYP, True), ("at+jwt", False)])
    def test_a_token_of_another_kind_is_no_metadata(
        self, key: SigningKey, typ: str, good: bool
    ) -> None:
        """RFC 8725 §3.11."""
        document = with_claims(key, typ=typ)
        if good:
            assert proved(document, key).resource == API
        else:
            with pytest.raises(UnusableMetadata, match="another kind"):
                proved(document, key)

    @pytest.mark.parametrize("token", ["", "a", "a.b.c", "é.é.é", "." * 20_000])
    def test_rubbish_in_its_place_is_refused_in_our_own_words(
        self, key: SigningKey, token: str
    ) -> None:
        with pytest.raises(UnusableMetadata):
            proved(ResourceMetadata(resource=API, signed_metadata=token), key)
