"""The client assertion: RFC 7521, RFC 7523 §2.2, RFC 7523 §3."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.jose.forge import ES256, RS256, signed

from mintmark.jose.algorithms import ALL_ALGORITHMS, Algorithm
from mintmark.jose.errors import JoseError
from mintmark.jose.jws import parse
from mintmark.jose.key_set import KeySet
from mintmark.jose.keys import SigningKey
from mintmark.jose.strict_json import decode_object
from mintmark.protocol.client_assertion import (
    CLIENT_ASSERTION_TYPE,
    TYP,
    ClientAssertion,
    assertion_parameters,
    check_client_assertion,
    claimed_client_id,
    make_client_assertion,
)
from mintmark.secret import Secret

NOW = 1_800_000_000.7
ISSUER = "https://id.example"


def claims_of(key: SigningKey = ES256, **settings: Any) -> dict[str, Any]:
    made = make_client_assertion(key, client_id="api", audience=ISSUER, now=NOW, **settings)
    jws = parse(made.reveal())
    jws.require_signature(KeySet.of(key.public), ALL_ALGORITHMS)
    assert jws.header.typ == "client-authentication+jwt"
    return decode_object(jws.payload)


@pytest.mark.parametrize("key", [ES256, RS256], ids=["ES256", "RS256"])
def test_it_says_who_to_whom_and_until_when_and_is_signed(key: SigningKey) -> None:
    claims = claims_of(key)

    jti = claims.pop("jti")
    assert len(jti) >= 20
    assert claims == {
        "iss": "api", "sub": "api", "aud": ISSUER, "iat": 1_800_000_000, "exp": 1_800_000_060,
    }  # fmt: skip


def test_it_lives_as_long_as_it_is_told_to() -> None:
    claims = claims_of(lifetime=timedelta(seconds=10))

    assert claims["exp"] - claims["iat"] == 10


def test_w101_no_two_are_the_same() -> None:
    """W-101: an assertion made once and used again is a password that goes over the wire."""
    assert len({claims_of()["jti"] for _ in range(50)}) == 50


def test_its_type_is_the_registered_one() -> None:
    assert CLIENT_ASSERTION_TYPE == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


CLAIMS: dict[str, Any] = {
    "iss": "api", "sub": "api", "aud": ISSUER, "iat": int(NOW), "exp": int(NOW) + 60, "jti": "j",
}  # fmt: skip
TOKEN_ENDPOINT = ISSUER + "/token"


def check(token: str, key: SigningKey = ES256, **settings: Any) -> ClientAssertion:
    given = {
        "client_id": "api", "audiences": frozenset({ISSUER, TOKEN_ENDPOINT}),
        "keys": KeySet.of(key.public), "now": NOW, **settings,
    }  # fmt: skip
    return check_client_assertion(Secret(token), **given)


def made(typ: str | None = TYP, **changes: Any) -> str:
    """An honest assertion with claims changed, or (as `...`) left out."""
    claims = {name: value for name, value in (CLAIMS | changes).items() if value is not ...}
    return signed(claims, typ=typ)


class TestCheck:
    """RFC 7523 §3, RFC 8725 §3.11."""

    @pytest.mark.parametrize("key", [ES256, RS256], ids=["ES256", "RS256"])
    @pytest.mark.parametrize("audience", [ISSUER, TOKEN_ENDPOINT])
    def test_what_is_made_is_accepted(self, key: SigningKey, audience: str) -> None:
        token = make_client_assertion(key, client_id="api", audience=audience, now=NOW)

        checked = check(token.reveal(), key)

        assert (checked.client_id, len(checked.jti) >= 20) == ("api", True)
        assert checked.ends == int(NOW) + 60 + 30

    @pytest.mark.parametrize(
        "changes",
        [
            {"aud": [ISSUER]}, {"iat": ...}, {"nbf": int(NOW)}, {"nbf": int(NOW) + 30},
            {"iat": int(NOW) + 60, "exp": int(NOW) + 120}, {"exp": int(NOW) + 330},
            {"exp": int(NOW) - 29, "iat": int(NOW) - 60}, {"exp": NOW + 60}, {"more": {"a": [1]}},
        ],
        ids=str,
    )  # fmt: skip
    def test_what_the_boundary_includes_is_accepted(self, changes: dict[str, Any]) -> None:
        assert check(made(**changes)).jti == "j"

    @pytest.mark.parametrize("typ", ["JWT", "jwt", "client-authentication+jwt", None])
    def test_the_types_of_an_assertion_are_accepted(self, typ: str | None) -> None:
        assert check(made(typ)).jti == "j"

    @pytest.mark.parametrize("typ", ["at+jwt", "dpop+jwt", "logout+jwt", "", "JOSE"])
    def test_another_kind_of_token_is_not(self, typ: str) -> None:
        with pytest.raises(JoseError):
            check(made(typ))

    @pytest.mark.parametrize(
        "changes",
        [
            {"iss": ...}, {"iss": "other"}, {"iss": ["api"]}, {"sub": ...}, {"sub": "other"},
            {"aud": ...}, {"aud": "https://other.example"}, {"aud": ISSUER + "/"}, {"aud": []},
            {"aud": [ISSUER, TOKEN_ENDPOINT]}, {"aud": [ISSUER, "https://other.example"]},
            {"aud": [[ISSUER]]}, {"aud": {ISSUER: 1}}, {"aud": 5}, {"aud": None},
            {"exp": ...}, {"exp": None}, {"exp": str(int(NOW) + 60)}, {"exp": True}, {"exp": -1},
            {"exp": int(NOW) - 30, "iat": int(NOW) - 90}, {"exp": int(NOW) + 331}, {"exp": 10**15},
            {"iat": int(NOW) + 61, "exp": int(NOW) + 120}, {"iat": "x"}, {"iat": None}, {"iat": -1},
            {"nbf": int(NOW) + 31}, {"nbf": "x"},
            {"jti": ...}, {"jti": ""}, {"jti": 5}, {"jti": None}, {"jti": ["j"]},
        ],
        ids=str,
    )  # fmt: skip
    def test_s43_a_wrong_claim_is_refused(self, changes: dict[str, Any]) -> None:
        with pytest.raises(JoseError):
            check(made(**changes))

    def test_only_the_clients_own_keys_are_looked_at(self) -> None:
        """RFC 8725 §3.10: nor the one that the assertion brings along."""
        with pytest.raises(JoseError):
            check(made(), RS256)
        with pytest.raises(JoseError):
            check(signed(CLAIMS, typ="JWT", jwk=ES256.public.to_jwk()), RS256)

    @pytest.mark.parametrize("alg", ["none", "HS256", "RS256"])
    def test_no_symmetric_and_no_other_algorithm_is_accepted(self, alg: str) -> None:
        with pytest.raises(JoseError):
            check(signed(CLAIMS, typ="JWT", alg=alg))

    def test_fewer_algorithms_may_be_allowed(self) -> None:
        with pytest.raises(JoseError):
            check(made(), algorithms=frozenset({Algorithm.PS256}))

    @given(st.text(max_size=60))
    def test_whatever_comes_only_our_own_exceptions_leave(self, text: str) -> None:
        for read in (check, lambda token: claimed_client_id(Secret(token))):
            with pytest.raises(JoseError):
                read(text)


class TestClaimedClientId:
    """RFC 7521 §4.2."""

    def test_it_is_the_subject(self) -> None:
        assert claimed_client_id(Secret(made())) == "api"

    @pytest.mark.parametrize("sub", [..., None, "", 5, ["api"]])
    def test_without_one_there_is_none(self, sub: Any) -> None:
        with pytest.raises(JoseError):
            claimed_client_id(Secret(made(sub=sub)))


def test_what_goes_into_the_form_names_the_client_too() -> None:
    assert dict(assertion_parameters("api", Secret("a.b.c"))) == {
        "client_id": "api", "client_assertion": "a.b.c",
        "client_assertion_type": CLIENT_ASSERTION_TYPE,
    }  # fmt: skip
