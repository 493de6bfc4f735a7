"""The access token: RFC 9068 §2.1, RFC 9068 §2.2, RFC 9068 §4."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.jose.forge import ES256, segment, signed

from mintmark.jose.algorithms import ALL_ALGORITHMS
from mintmark.jose.base64url import decode
from mintmark.jose.errors import JoseError
from mintmark.jose.key_set import KeySet
from mintmark.protocol.access_token import (
    AccessToken,
    check_access_token,
    mint_access_token,
    read_access_token,
    require_valid,
)

NOW = 1_800_000_000
ISSUER, AUDIENCE = "https://id.example", "https://api.example"
JKT = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"
HONEST: dict[str, Any] = {
    "iss": ISSUER, "sub": "alice", "aud": AUDIENCE, "exp": NOW + 600, "iat": NOW, "jti": "1",
    "client_id": "web", "scope": "orders.read",
}  # fmt: skip
REST = json.dumps({k: v for k, v in HONEST.items() if k != "exp"})[1:-1]


def check(token: str) -> AccessToken:
    return check_access_token(
        token,
        issuer=ISSUER,
        audience=AUDIENCE,
        keys=KeySet.of(ES256.public),
        algorithms=ALL_ALGORITHMS,
        now=NOW,
    )


def changed(**members: Any) -> str:
    return signed({k: v for k, v in (HONEST | members).items() if v is not None})


class TestAccepted:
    """The honest twin of everything below."""

    def test_what_we_mint_is_accepted_with_all_it_says(self) -> None:
        token = mint_access_token(
            iss=ISSUER, sub="alice", aud=(AUDIENCE,), client_id="web", jti="1", key=ES256,
            scope=frozenset({"b", "a"}), now=datetime.fromtimestamp(NOW, UTC),
            lifetime=timedelta(minutes=10), extra={"sid": "s", "iss": "https://evil.example"},
        )  # fmt: skip

        checked = check(token.reveal())

        assert (checked.iss, checked.sub, checked.client_id) == (ISSUER, "alice", "web")
        assert checked.aud == (AUDIENCE,)
        assert checked.scopes == {"a", "b"}
        assert checked.expires_at == NOW + 600
        assert checked.claims["sid"] == "s"
        assert read_access_token(token.reveal()).jws.header.typ == "at+jwt"

    @pytest.mark.parametrize(
        "members",
        [
            pytest.param({"exp": NOW + 600.5}, id="F7-fractional"),
            pytest.param({"aud": ["https://other.example", AUDIENCE]}, id="F9-among-others"),
            pytest.param({"azp": "web"}, id="F19-agrees"),
            pytest.param({"__class__": "x", "items": [1]}, id="F20-attribute-names"),
            pytest.param({"cnf": {"jkt": JKT}}, id="F17-cnf"),
            pytest.param({"scope": None}, id="no-scope"),
            pytest.param({"nbf": NOW}, id="nbf-now"),
        ],
    )
    def test_an_unusual_but_honest_token_is_accepted(self, members: dict[str, Any]) -> None:
        assert check(changed(**members)).sub == "alice"

    def test_white_space_and_escapes_change_nothing(self) -> None:
        text = json.dumps(HONEST, indent=1).replace("alice", "\\u0061lice")

        assert check(signed(text.encode())).sub == "alice"


class TestRefused:
    """One point is wrong, and the token is refused with an error of ours."""

    @pytest.mark.parametrize(
        "members",
        [
            pytest.param({"exp": None}, id="F2-exp-missing"),
            pytest.param({"exp": str(NOW + 600)}, id="F3-exp-text"),
            pytest.param({"exp": True}, id="F4-exp-true"),
            pytest.param({"exp": [NOW + 600]}, id="F4-exp-list"),
            pytest.param({"exp": {}}, id="F4-exp-object"),
            pytest.param({"exp": 10**400}, id="F6-exp-400-digits"),
            pytest.param({"iat": None}, id="iat-missing"),
            pytest.param({"iat": "1"}, id="iat-text"),
            pytest.param({"nbf": False}, id="nbf-false"),
            pytest.param({"aud": None}, id="F8-aud-missing"),
            pytest.param({"aud": ""}, id="F8-aud-empty"),
            pytest.param({"aud": []}, id="F8-aud-empty-list"),
            pytest.param({"aud": {AUDIENCE: 1}}, id="F8-aud-object"),
            pytest.param({"aud": [AUDIENCE, 5]}, id="F8-aud-mixed"),
            pytest.param({"aud": AUDIENCE + "/"}, id="F10-slash"),
            pytest.param({"aud": AUDIENCE.upper()}, id="F10-case"),
            pytest.param({"aud": AUDIENCE[:-1]}, id="F10-prefix"),
            pytest.param({"aud": "https://other.example"}, id="H3-another-api"),
            pytest.param({"iss": [ISSUER]}, id="F11-list"),
            pytest.param({"iss": 5}, id="F11-number"),
            pytest.param({"iss": ISSUER + "/"}, id="F11-slash"),
            pytest.param({"iss": ISSUER.upper()}, id="F11-case"),
            pytest.param({"iss": "https://user@id.example"}, id="H5-user-info"),
            pytest.param({"iss": "https://id.example:443"}, id="H5-port"),
            pytest.param({"iss": "https://id.example/./"}, id="H5-dots"),
            pytest.param({"sub": 5}, id="F12-number"),
            pytest.param({"sub": ""}, id="F12-empty"),
            pytest.param({"sub": "a" * 256}, id="F12-long"),
            pytest.param({"sub": None}, id="sub-missing"),
            pytest.param({"client_id": None}, id="client_id-missing"),
            pytest.param({"jti": None}, id="jti-missing"),
            pytest.param({"jti": 5}, id="jti-number"),
            pytest.param({"scope": ["orders.read"]}, id="F13-list"),
            pytest.param({"scope": {}}, id="F13-object"),
            pytest.param({"scope": "a  b"}, id="F13-two-blanks"),
            pytest.param({"scope": "a\nb"}, id="F13-control"),
            pytest.param({"scope": "a " * 6000}, id="F14-very-many"),
            pytest.param({"cnf": "x"}, id="F17-text"),
            pytest.param({"cnf": []}, id="F17-list"),
            pytest.param({"cnf": {}}, id="F17-empty"),
            pytest.param({"cnf": {"jkt": 5}}, id="F17-number"),
            pytest.param({"cnf": {"jkt": JKT, "kid": "x"}}, id="F18-unknown"),
            pytest.param({"azp": "other"}, id="F19-disagrees"),
            pytest.param({"iss": "https://id.example\r\nset-cookie: a"}, id="F21-line-break"),
        ],
    )
    def test_a_wrong_claim(self, members: dict[str, Any]) -> None:
        """RFC 7519 §2, RFC 7519 §4.1.3, RFC 7800 §3.1, RFC 8705 §3.1."""
        with pytest.raises(JoseError):
            check(changed(**members))

    @pytest.mark.parametrize("number", ["1e400", "NaN", "Infinity", "-1e400", "9" * 5000, "null"])
    def test_f5_f6_a_number_that_is_none(self, number: str) -> None:
        with pytest.raises(JoseError):
            check(signed(f'{{{REST},"exp":{number}}}'.encode()))

    @pytest.mark.parametrize("name", ["aud", "sub", "exp", "scope"])
    def test_f1_a_claim_twice(self, name: str) -> None:
        text = json.dumps(HONEST)[:-1] + f',"{name}":{json.dumps(HONEST[name])}}}'

        with pytest.raises(JoseError):
            check(signed(text.encode()))

    @pytest.mark.parametrize(
        "typ", ["JWT", "dpop+jwt", "logout+jwt", "secevent+jwt", "token-introspection+jwt",
                "oauth-authz-req+jwt", "client-authentication+jwt", None],
    )  # fmt: skip
    def test_c13_c15_h1_h2_h7_another_kind_of_token(self, typ: str | None) -> None:
        with pytest.raises(JoseError):
            check(signed(HONEST, typ=typ))

    def test_g6_a_lifetime_beyond_the_configured_one(self) -> None:
        token = read_access_token(changed(exp=NOW + 3601))

        for limit, lives in ((3601.0, True), (3600.0, False)):
            try:
                require_valid(
                    token, issuer=ISSUER, audience=AUDIENCE, keys=KeySet.of(ES256.public),
                    algorithms=ALL_ALGORITHMS, now=NOW, max_lifetime=limit,
                )  # fmt: skip
                accepted = True
            except JoseError:
                accepted = False
            assert accepted is lives

    @pytest.mark.parametrize("position", [0, 1, 2])
    def test_s21_one_altered_byte(self, position: int) -> None:
        parts = changed().split(".")
        raw = decode(parts[position])
        for place in range(0, len(raw), 7):
            altered = raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :]
            with pytest.raises(JoseError):
                check(".".join([*parts[:position], segment(altered), *parts[position + 1 :]]))

    @given(st.binary(max_size=120))
    def test_nothing_foreign_leaves_it(self, payload: bytes) -> None:
        with pytest.raises(JoseError):
            check(signed(payload))

    @given(
        st.dictionaries(
            st.sampled_from(sorted(HONEST)),
            st.none() | st.integers() | st.text() | st.lists(st.text(max_size=3), max_size=2),
            min_size=1,
        )
    )
    def test_a_claim_of_any_type_is_refused_or_read(self, members: dict[str, Any]) -> None:
        try:
            checked = check(signed(HONEST | members))
        except JoseError:
            return
        assert checked.iss == ISSUER
        assert AUDIENCE in checked.aud
