"""The client assertion: RFC 7521, RFC 7523 §2.2, RFC 7523 §3."""

from datetime import timedelta
from typing import Any

import pytest
from tests.jose.forge import ES256, RS256

from mintmark.jose.algorithms import ALL_ALGORITHMS
from mintmark.jose.jws import parse
from mintmark.jose.key_set import KeySet
from mintmark.jose.keys import SigningKey
from mintmark.jose.strict_json import decode_object
from mintmark.protocol.client_assertion import (
    CLIENT_ASSERTION_TYPE,
    make_client_assertion,
)

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
