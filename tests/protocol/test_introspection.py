"""Introspection: RFC 7662 §2.1, RFC 7662 §2.2, RFC 9701 §5, RFC 9449 §6.2, RFC 7516 §9."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.jose.forge import ES256, RS256, compact, signed

from mintmark.jose.algorithms import ALL_ALGORITHMS, Algorithm
from mintmark.jose.errors import ClaimRefused, JoseError, Malformed
from mintmark.jose.key_set import KeySet
from mintmark.jose.keys import SigningKey
from mintmark.jose.times import LAST_MOMENT
from mintmark.protocol.access_token import AccessToken
from mintmark.protocol.errors import OAuthError
from mintmark.protocol.form import Form
from mintmark.protocol.introspection import (
    TYP,
    IntrospectionRequest,
    IntrospectionResponse,
    read_introspection,
    read_signed_introspection,
    require_active,
)
from mintmark.protocol.token import encode_form
from mintmark.secret import Secret

NOW = 1_800_000_000
ISSUER, AUDIENCE, CLIENT_ID = "https://id.example", "https://api.example", "api-1"
JKT = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"
HONEST: dict[str, Any] = {
    "active": True, "iss": ISSUER, "sub": "alice", "aud": AUDIENCE, "exp": NOW + 600, "iat": NOW,
    "jti": "1", "client_id": "web", "scope": "orders.read", "token_type": "Bearer",
}  # fmt: skip
OUTER: dict[str, Any] = {
    "iss": ISSUER, "aud": CLIENT_ID, "iat": NOW, "token_introspection": HONEST,
}  # fmt: skip


def check(members: dict[str, Any] | bytes) -> AccessToken:
    body = members if isinstance(members, bytes) else json.dumps(members).encode()
    return require_active(read_introspection(body), issuer=ISSUER, audience=AUDIENCE, now=NOW)


def changed(**members: Any) -> dict[str, Any]:
    return {k: v for k, v in (HONEST | members).items() if v is not None}


def read(jwt: str, decrypt: Any = None) -> IntrospectionResponse:
    return read_signed_introspection(
        jwt,
        issuer=ISSUER,
        audiences={CLIENT_ID, AUDIENCE},
        keys=KeySet.of(ES256.public),
        algorithms=ALL_ALGORITHMS,
        now=NOW,
        decrypt=decrypt,
    )


def answer(key: SigningKey = ES256, *, typ: str | None = TYP, **members: Any) -> str:
    outer = {k: v for k, v in (OUTER | members).items() if v is not None}
    return signed(outer, key, typ=typ)


class TestRequest:
    def test_what_is_written_can_be_read(self) -> None:
        asked = IntrospectionRequest(token=Secret("a+b/c=="))
        form = Form.parse(encode_form(asked.parameters()))

        assert IntrospectionRequest.parse(form) == asked
        assert form.required("token_type_hint", str) == "access_token"

    def test_without_a_hint_none_is_sent(self) -> None:
        asked = IntrospectionRequest(token=Secret("abc"), token_type_hint=None)

        assert asked.parameters() == [("token", "abc")]
        assert IntrospectionRequest.parse(Form.parse("token=abc")) == asked

    @pytest.mark.parametrize("encoded", ["", "token=", "token=a&token=b", "token_type_hint=x"])
    def test_without_one_token_there_is_no_question(self, encoded: str) -> None:
        with pytest.raises(OAuthError):
            IntrospectionRequest.parse(Form.parse(encoded))


class TestActive:
    """The honest twin of everything below."""

    def test_all_that_an_active_answer_says_is_in_the_result(self) -> None:
        token = check(changed(cnf={"jkt": JKT}, username="al", department="x"))

        assert (token.iss, token.sub, token.aud, token.client_id, token.jti) == (
            ISSUER, "alice", (AUDIENCE,), "web", "1",
        )  # fmt: skip
        assert (token.expires_at, token.scopes, token.kid, token.cnf) == (
            NOW + 600, frozenset({"orders.read"}), None, {"jkt": JKT},
        )  # fmt: skip
        assert token.claims["department"] == "x"

    @pytest.mark.parametrize(
        "members",
        [
            pytest.param({"iss": None}, id="no-iss"),
            pytest.param({"aud": None}, id="no-aud"),
            pytest.param({"aud": ["https://other.example", AUDIENCE]}, id="several-aud"),
            pytest.param({"iat": None}, id="no-iat"),
            pytest.param({"jti": None}, id="no-jti"),
            pytest.param({"scope": None}, id="no-scope"),
            pytest.param({"scope": ""}, id="empty-scope"),
            pytest.param({"client_id": None}, id="no-client_id"),
            pytest.param({"token_type": None}, id="no-token_type"),
            pytest.param({"token_type": "bearer"}, id="token_type-in-another-case"),
            pytest.param({"token_type": "access_token"}, id="token_type-as-some-write-it"),
            pytest.param({"token_use": "access_token"}, id="token_use"),
            pytest.param({"nbf": NOW + 30}, id="nbf-within-skew"),
            pytest.param({"exp": NOW - 29, "iat": NOW - 99}, id="exp-within-skew"),
            pytest.param({"azp": "web"}, id="azp"),
        ],
    )
    def test_an_unusual_but_honest_answer_is_taken(self, members: dict[str, Any]) -> None:
        assert check(changed(**members)).sub == "alice"

    def test_a_token_without_an_end_has_the_last_one_there_is(self) -> None:
        assert check(changed(exp=None)).expires_at == LAST_MOMENT

    def test_a_token_without_a_subject_is_the_clients_own(self) -> None:
        token = check({"active": True, "client_id": "web"})

        assert (token.sub, token.client_id, token.aud, token.jti) == ("web", "web", (), "")

    def test_l06_a_bound_token_says_to_what(self) -> None:
        assert check(changed(token_type="DPoP", cnf={"jkt": JKT})).cnf == {"jkt": JKT}
        assert check(changed(cnf={"x5t#S256": JKT})).cnf == {"x5t#S256": JKT}


class TestNotActive:
    def test_l01_active_false(self) -> None:
        with pytest.raises(ClaimRefused, match="active is false"):
            check({"active": False})

    @pytest.mark.parametrize("active", ["true", 1, 1.0, "1", [True], {}, None], ids=repr)
    def test_l02_active_is_no_boolean(self, active: Any) -> None:
        with pytest.raises(ClaimRefused, match="active is missing or no boolean"):
            check(changed(active=active))
        assert not read_introspection(json.dumps(HONEST | {"active": active}).encode()).active

    @pytest.mark.parametrize(
        "members",
        [
            pytest.param({"exp": NOW - 30, "iat": NOW - 99}, id="exp-past"),
            pytest.param({"exp": str(NOW + 600)}, id="exp-text"),
            pytest.param({"exp": True}, id="exp-true"),
            pytest.param({"nbf": NOW + 31}, id="nbf-ahead"),
            pytest.param({"iat": NOW + 61}, id="iat-ahead"),
            pytest.param({"aud": "https://other.example"}, id="aud-foreign"),
            pytest.param({"aud": AUDIENCE + "/"}, id="aud-slash"),
            pytest.param({"aud": []}, id="aud-empty"),
            pytest.param({"aud": 5}, id="aud-number"),
            pytest.param({"iss": "https://other.example"}, id="iss-foreign"),
            pytest.param({"iss": ISSUER + "/"}, id="iss-slash"),
            pytest.param({"iss": [ISSUER]}, id="iss-list"),
            pytest.param({"sub": 5}, id="sub-number"),
            pytest.param({"sub": ""}, id="sub-empty"),
            pytest.param({"sub": "a\nb"}, id="sub-line-break"),
            pytest.param({"sub": None, "client_id": None}, id="nobody"),
            pytest.param({"sub": None, "username": "alice"}, id="a-person-without-sub"),
            pytest.param({"client_id": ["web"]}, id="client_id-list"),
            pytest.param({"azp": "other"}, id="azp-disagrees"),
            pytest.param({"jti": 5}, id="jti-number"),
            pytest.param({"scope": ["orders.read"]}, id="scope-list"),
            pytest.param({"cnf": {}}, id="cnf-empty"),
            pytest.param({"cnf": {"jkt": JKT, "kid": "x"}}, id="cnf-unknown"),
            pytest.param({"token_type": "DPoP"}, id="L6-DPoP-without-a-key"),
            pytest.param({"token_type": "refresh_token"}, id="a-refresh-token"),
            pytest.param({"token_type": 5}, id="token_type-number"),
            pytest.param({"token_use": "refresh_token"}, id="a-refresh-token-by-use"),
            pytest.param({"token_use": ["access"]}, id="token_use-list"),
        ],
    )
    def test_l05_active_and_still_not_good_here(self, members: dict[str, Any]) -> None:
        with pytest.raises(ClaimRefused):
            check(changed(**members))

    @given(
        st.dictionaries(
            st.sampled_from(sorted({*HONEST, "cnf", "nbf", "azp", "username", "token_use"})),
            st.none() | st.integers() | st.text() | st.lists(st.text(max_size=3), max_size=2)
            | st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
            min_size=1,
        )
    )  # fmt: skip
    def test_a_claim_of_any_type_is_refused_or_read(self, members: dict[str, Any]) -> None:
        try:
            token = check(HONEST | members)
        except JoseError:
            return
        assert token.sub
        assert token.iss == ISSUER


class TestUnreadable:
    """L3: no answer at all, for which nobody's token is to blame."""

    @pytest.mark.parametrize(
        "body",
        [b"", b"<html>active</html>", b'[{"active":true}]', b"true", b'"active"', b"null",
         b'{"active":true,"active":false}', b'{"active":true,"exp":NaN}', b'{"active":true',
         b'\xef\xbb\xbf{"active":true}', '{"active":true}'.encode("utf-16"),
         b'{"active":true,"a":' + b"[" * 200 + b"]" * 200 + b"}"],
        ids=lambda body: repr(body)[:24],
    )  # fmt: skip
    def test_l03_what_is_no_json_object_is_no_answer(self, body: bytes) -> None:
        with pytest.raises(Malformed):
            read_introspection(body)

    @given(st.binary(max_size=200))
    def test_nothing_foreign_leaves_it(self, body: bytes) -> None:
        with pytest.raises(JoseError):
            check(body)


class TestSigned:
    @pytest.mark.parametrize(
        "members",
        [{}, {"aud": AUDIENCE}, {"aud": ["https://x.example", CLIENT_ID]}, {"iat": NOW - 60},
         {"iat": NOW + 60}, {"jti": "extra"}],
        ids=str,
    )  # fmt: skip
    def test_l09_an_honest_answer_is_read(self, members: dict[str, Any]) -> None:
        assert read(answer(**members)).claims == HONEST

    def test_l09_a_signed_no_is_a_no(self) -> None:
        assert not read(answer(token_introspection={"active": False})).active

    @pytest.mark.parametrize(
        "members",
        [
            pytest.param({"aud": "someone-else"}, id="aud-foreign"),
            pytest.param({"aud": None}, id="aud-missing"),
            pytest.param({"iss": "https://other.example"}, id="iss-foreign"),
            pytest.param({"iss": None}, id="iss-missing"),
            pytest.param({"iat": NOW - 61}, id="iat-old"),
            pytest.param({"iat": NOW + 61}, id="iat-ahead"),
            pytest.param({"iat": None}, id="iat-missing"),
            pytest.param({"iat": str(NOW)}, id="iat-text"),
            pytest.param({"active": True}, id="active-outside"),
            pytest.param({"active": True, "token_introspection": None}, id="active-only-outside"),
            pytest.param({"token_introspection": None}, id="nothing-inside"),
            pytest.param({"token_introspection": [HONEST]}, id="a-list-inside"),
            pytest.param({"token_introspection": json.dumps(HONEST)}, id="text-inside"),
            pytest.param({"typ": "JWT"}, id="typ-JWT"),
            pytest.param({"typ": "at+jwt"}, id="typ-access-token"),
            pytest.param({"typ": None}, id="typ-missing"),
        ],
    )
    def test_l09_one_point_is_wrong(self, members: dict[str, Any]) -> None:
        with pytest.raises(JoseError):
            read(answer(**members))

    def test_l09_another_key_or_none(self) -> None:
        stranger = SigningKey.generate(Algorithm.ES256, kid=ES256.kid)
        head, body, signature = answer().split(".")
        unsigned = compact({"alg": "none", "typ": TYP}, json.dumps(OUTER).encode()).rpartition(".")

        for jwt in (answer(stranger), answer(RS256), f"{head}.{body}.", unsigned[0] + ".",
                    json.dumps(HONEST), f"{head}.{body}.{signature[::-1]}"):  # fmt: skip
            with pytest.raises(JoseError):
                read(jwt)

    def test_an_access_token_is_no_answer_about_itself(self) -> None:
        with pytest.raises(JoseError):
            read(signed(HONEST))

    def test_an_encrypted_answer_is_opened_by_whoever_can(self) -> None:
        opened: list[str] = []

        def decrypt(jwe: str) -> bytes:
            opened.append(jwe)
            return answer().encode()

        assert read("a.b.c.d.e", decrypt).claims == HONEST
        assert opened == ["a.b.c.d.e"]
        with pytest.raises(Malformed, match="no key for it here"):
            read("a.b.c.d.e")

    def test_what_an_encrypted_answer_holds_must_be_signed_all_the_same(self) -> None:
        stranger = SigningKey.generate(Algorithm.ES256, kid=ES256.kid)

        for inner in (json.dumps(HONEST), answer(stranger), "a.b.c.d.e", ""):
            with pytest.raises(JoseError):
                read("a.b.c.d.e", lambda _, inner=inner: inner.encode())

    @given(st.text(max_size=80))
    def test_no_text_brings_a_foreign_error(self, text: str) -> None:
        with pytest.raises(JoseError):
            read(text)
