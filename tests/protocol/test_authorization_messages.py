"""Pushed, signed and answered by a JWT: RFC 9126, RFC 9101, JARM, both sides of each rule."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from tests.jose.forge import ES256, signed

from mintmark.jose.algorithms import Algorithm
from mintmark.jose.errors import JoseError
from mintmark.jose.jws import parse
from mintmark.jose.key_set import KeySet
from mintmark.jose.keys import SigningKey
from mintmark.protocol.authorization import AuthorizationRequest, ResponseMode
from mintmark.protocol.errors import OAuthError
from mintmark.protocol.form import Form
from mintmark.protocol.jarm import check_response_jwt, claimed_state, mint_response_jwt
from mintmark.protocol.metadata import MtlsEndpointAliases, ServerMetadata, UnusableMetadata
from mintmark.protocol.par import PushedAuthorizationResponse
from mintmark.protocol.request_object import check_request_object, make_request_object
from mintmark.protocol.token import TokenResponse, UnreadableTokenResponse
from mintmark.secret import Secret

NOW = 1_800_000_000.0
ISSUER = "https://id.example"
KEYS = KeySet.of(ES256.public)
PARAMETERS = [
    ("response_type", "code"), ("client_id", "web"), ("redirect_uri", "https://app.example/"),
    ("resource", "https://a.example"), ("resource", "https://b.example"), ("max_age", "60"),
    ("claims", '{"id_token":{"acr":null}}'), ("authorization_details", '[{"type":"pay"}]'),
]  # fmt: skip
REQUEST: dict[str, Any] = {
    "iss": "web", "aud": ISSUER, "client_id": "web", "response_type": "code", "jti": "1",
    "iat": int(NOW), "nbf": int(NOW), "exp": int(NOW) + 300,
}  # fmt: skip
RESPONSE: dict[str, Any] = {
    "iss": ISSUER, "aud": "web", "exp": int(NOW) + 60, "code": "c", "state": "s"
}  # fmt: skip


def read_request(token: str, **changes: Any) -> list[tuple[str, str]]:
    settings: dict[str, Any] = {"client_id": "web", "issuer": ISSUER, "keys": KEYS, "now": NOW}
    return check_request_object(Secret(token), **(settings | changes))


def read_response(token: str, **changes: Any) -> str | None:
    settings: dict[str, Any] = {"client_id": "web", "issuer": ISSUER, "keys": KEYS, "now": NOW}
    response = check_response_jwt(token, **(settings | changes))
    return response.code.reveal() if response.code else response.error


def request(typ: str | None = "oauth-authz-req+jwt", **changes: Any) -> str:
    members = {k: v for k, v in (REQUEST | changes).items() if v is not None}
    return signed(members, typ=typ)


def response(typ: str | None = "JWT", **changes: Any) -> str:
    return signed({k: v for k, v in (RESPONSE | changes).items() if v is not None}, typ=typ)


class TestRequestObject:
    """RFC 9101 §4, RFC 9101 §6.2, RFC 9101 §10.8."""

    def test_what_is_written_is_read(self) -> None:
        made = make_request_object(
            ES256, client_id="web", audience=ISSUER, parameters=PARAMETERS, now=NOW
        )

        assert sorted(read_request(made.reveal())) == sorted(PARAMETERS)
        assert json.loads(parse(made.reveal()).payload)["max_age"] == 60

    @pytest.mark.parametrize(
        "changes",
        [
            {"iss": "other"}, {"iss": None}, {"client_id": "other"}, {"client_id": None},
            {"aud": "https://other.example"}, {"aud": None}, {"aud": [ISSUER, "https://other.example"]},
            {"exp": None}, {"exp": "x"}, {"exp": True}, {"exp": int(NOW) - 30}, {"exp": int(NOW) + 3631},
            {"exp": 10**15}, {"nbf": int(NOW) + 31}, {"nbf": "x"}, {"iat": int(NOW) + 61},
            {"request": "x"}, {"request_uri": "urn:x"}, {"scope": 1.5}, {"scope": {"a": 1}},
            {"scope": ["a", 5]}, {"scope": True}, {"typ": "JWT"}, {"typ": None}, {"typ": "at+jwt"},
            {"typ": "client-authentication+jwt"},
        ],
        ids=str,
    )  # fmt: skip
    def test_a_wrong_member_is_refused(self, changes: dict[str, Any]) -> None:
        with pytest.raises(JoseError):
            read_request(request(**changes))

    @pytest.mark.parametrize(
        "changes",
        [{"exp": int(NOW) - 29, "nbf": None, "iat": None}, {"exp": int(NOW) + 3630},
         {"nbf": int(NOW) + 30}, {"iat": int(NOW) + 60}, {"aud": [ISSUER]}, {"nbf": None, "iat": None}],
        ids=str,
    )  # fmt: skip
    def test_the_other_side_of_each_boundary_holds(self, changes: dict[str, Any]) -> None:
        assert ("response_type", "code") in read_request(request(**changes))

    def test_another_key_or_algorithm_is_refused(self) -> None:
        other = SigningKey.generate(Algorithm.ES256)
        with pytest.raises(JoseError):
            read_request(request(), keys=KeySet.of(other.public))
        with pytest.raises(JoseError):
            read_request(request(), algorithms=frozenset({Algorithm.PS256}))


class TestResponseJwt:
    """JARM §2.1, JARM §2.4."""

    def test_what_is_written_is_read(self) -> None:
        made = mint_response_jwt(
            [("code", "c"), ("state", "s"), ("iss", ISSUER)], issuer=ISSUER, client_id="web",
            key=ES256, now=NOW,
        ).reveal()  # fmt: skip

        assert read_response(made) == "c"
        assert claimed_state(made) == Secret("s")
        assert read_response(response(code=None, error="access_denied")) == "access_denied"

    @pytest.mark.parametrize(
        "changes",
        [{"exp": int(NOW) - 30}, {"aud": ["web", "other"]}, {"iss": None}, {"code": None},
         {"error": "x"}, {"code": ""}, {"state": ["s"]}, {"nonce": "n"}, {"typ": "at+jwt"}],
        ids=str,
    )  # fmt: skip
    def test_a_wrong_member_is_refused(self, changes: dict[str, Any]) -> None:
        with pytest.raises(JoseError):
            read_response(response(**changes))

    @pytest.mark.parametrize(
        "changes", [{"exp": int(NOW) - 29}, {"aud": ["web"]}, {"typ": None}], ids=str
    )
    def test_the_other_side_of_each_boundary_holds(self, changes: dict[str, Any]) -> None:
        assert read_response(response(**changes)) == "c"

    def test_a_state_that_is_none_is_none(self) -> None:
        for state in (None, "", 5, ["s"]):
            assert claimed_state(response(state=state)) is None


READERS: dict[str, Callable[[str], object]] = {
    "request": read_request, "response": read_response, "state": claimed_state,
}  # fmt: skip


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
@pytest.mark.parametrize(
    "text", ["", "a", "a.b.c", "é.é.é", "..", "a.b.c.d.e", "x" * 17_000, signed(b"[]"), signed(b"\xff")],
    ids=["empty", "one", "three", "letters", "dots", "five", "long", "list", "octets"],
)  # fmt: skip
def test_what_is_no_token_is_refused(reader: Callable[[str], object], text: str) -> None:
    with pytest.raises(JoseError):
        reader(text)


def test_a_pushed_answer_is_read_as_it_is_written() -> None:
    """RFC 9126 §2.2."""
    answer = PushedAuthorizationResponse(
        request_uri="urn:ietf:params:oauth:request_uri:x", expires_in=timedelta(seconds=90)
    )

    assert PushedAuthorizationResponse.parse(answer.to_json()) == answer


def test_a_request_is_read_as_it_is_written() -> None:
    asked = AuthorizationRequest(
        client_id="web", redirect_uri="https://app.example/", code_challenge="c" * 43,
        acr_values=("gold", "silver"), display="page", dpop_jkt="t" * 43,
        response_mode=ResponseMode.FORM_POST_JWT, claims='{"userinfo":{}}', authorization_details="[]",
        id_token_hint=Secret("hint"),
    )  # fmt: skip
    form = Form({name: (value,) for name, value in asked.parameters()})

    assert AuthorizationRequest.parse(form) == asked
    for mode in ("fragment", "x"):
        with pytest.raises(OAuthError):
            AuthorizationRequest.parse(Form({**form.values, "response_mode": (mode,)}))


def test_a_token_response_says_what_was_granted_in_detail() -> None:
    """RFC 9396 §7."""
    answer = TokenResponse(
        access_token=Secret("a"), token_type="Bearer", authorization_details=({"type": "pay"},)
    )

    assert TokenResponse.parse(answer.to_json()) == answer
    wrongs: tuple[Any, ...] = ("x", [5], [{}], [{"type": 5}], {"type": "pay"})
    for wrong in wrongs:
        body = {"access_token": "a", "token_type": "Bearer", "authorization_details": wrong}
        with pytest.raises(UnreadableTokenResponse):
            TokenResponse.parse(json.dumps(body).encode())


def test_metadata_says_where_a_client_with_a_certificate_asks() -> None:
    """RFC 8705 §5."""
    body = {
        "issuer": ISSUER,
        "mtls_endpoint_aliases": {"token_endpoint": "https://mtls.example/t", "x": 5},
    }
    metadata = ServerMetadata.parse(json.dumps(body).encode(), issuer=ISSUER)

    assert metadata.mtls_endpoint_aliases.token_endpoint == "https://mtls.example/t"
    assert metadata.mtls_endpoint_aliases.userinfo_endpoint is None
    assert ServerMetadata.parse(metadata.to_json(), issuer=ISSUER) == metadata
    assert ServerMetadata(issuer=ISSUER).mtls_endpoint_aliases == MtlsEndpointAliases()
    nothing = json.dumps({"issuer": ISSUER, "acr_values_supported": None, "jwks_uri": None})
    assert ServerMetadata.parse(nothing.encode(), issuer=ISSUER) == ServerMetadata(issuer=ISSUER)
    assert b"mtls" not in ServerMetadata(issuer=ISSUER).to_json()
    with pytest.raises(UnusableMetadata):
        ServerMetadata.parse(
            json.dumps(body | {"mtls_endpoint_aliases": 5}).encode(), issuer=ISSUER
        )
