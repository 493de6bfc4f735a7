"""Claims made for somebody's log or header, `scope: null`, and an ID token's `typ`."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mintmark.jose.algorithms import ALL_ALGORITHMS, Algorithm
from mintmark.jose.errors import ClaimRefused, HeaderRefused
from mintmark.jose.jws import sign
from mintmark.jose.key_set import KeySet
from mintmark.jose.keys import SigningKey
from mintmark.protocol.access_token import TYP, AccessToken, check_access_token
from mintmark.protocol.id_token import IdToken, check_id_token
from mintmark.secret import Secret

KEY = SigningKey.generate(Algorithm.ES256)
KEYS = KeySet.of(KEY.public)
NOW = 1_800_000_000
ISSUER, AUDIENCE = "https://id.example", "https://api.example"
CLAIMS: dict[str, Any] = {
    "iss": ISSUER, "sub": "alice", "aud": AUDIENCE, "client_id": "web", "jti": "1",
    "iat": NOW, "exp": NOW + 60,
}  # fmt: skip


def access(**members: Any) -> AccessToken:
    return check_access_token(
        sign(json.dumps(CLAIMS | members).encode(), KEY, typ=TYP),
        issuer=ISSUER,
        audience=AUDIENCE,
        keys=KEYS,
        algorithms=ALL_ALGORITHMS,
        now=NOW,
    )


def identity(typ: str = "JWT", **members: Any) -> IdToken:
    claims = CLAIMS | {"aud": "web"} | members
    return check_id_token(
        Secret(sign(json.dumps(claims).encode(), KEY, typ=typ)),
        issuer=ISSUER,
        client_id="web",
        keys=KEYS,
        algorithms=ALL_ALGORITHMS,
        nonce=None,
        now=datetime.fromtimestamp(NOW, UTC),
        skew=timedelta(0),
    )


class TestControlCharacters:
    """RFC 9068 §2.2, OIDC Core §2: names are for reading, not for breaking lines."""

    @pytest.mark.parametrize("evil", ["a\r\nSet-Cookie: x", "a\x00", "a\x1b[2J", "a\u2028b"])
    def test_they_are_refused_in_every_name(self, evil: str) -> None:
        """F21"""
        for members in (
            {"sub": evil},
            {"client_id": evil},
            {"jti": evil},
            {"aud": [AUDIENCE, evil]},
        ):
            with pytest.raises(ClaimRefused):
                access(**members)
        with pytest.raises(ClaimRefused):
            identity(sub=evil)

    def test_a_name_of_another_language_is_accepted(self) -> None:
        assert access(sub="søren 花子").sub == "søren 花子"
        assert identity(sub="alice").sub == "alice"


class TestScope:
    """RFC 8693 §4.2: a string, or left out."""

    def test_null_is_neither(self) -> None:
        """F13"""
        assert access().scopes == frozenset()
        with pytest.raises(ClaimRefused):
            access(scope=None)


class TestIdTokenTyp:
    """RFC 8725 §3.11: whatever names itself something else is something else."""

    @pytest.mark.parametrize(
        "typ", ["at+jwt", "application/at+jwt", "secevent+jwt", "token-introspection+jwt", "x"]
    )
    def test_another_kind_is_refused(self, typ: str) -> None:
        """C13"""
        assert identity("application/jwt").sub == "alice"
        with pytest.raises(HeaderRefused):
            identity(typ)
