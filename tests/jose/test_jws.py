"""Compact signatures: what is read, and everything that is not (RFC 7515, RFC 8725)."""

import hashlib
import hmac
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from hypothesis import given
from hypothesis import strategies as st
from tests.jose.forge import ES256, RS256, compact, segment, signed

from mintmark.jose.algorithms import ALL_ALGORITHMS, Algorithm
from mintmark.jose.base64url import decode, encode
from mintmark.jose.errors import AlgorithmRefused, HeaderRefused, JoseError, Malformed
from mintmark.jose.jws import MAX_LENGTH, parse, require_typ, sign
from mintmark.jose.key_set import KeySet
from mintmark.jose.keys import SigningKey
from mintmark.jose.strict_json import MAX_DEPTH, decode_object

KEYS = KeySet.of(ES256.public, RS256.public)
HONEST = signed(b'{"sub":"alice"}')


def verify(token: str, keys: KeySet = KEYS) -> None:
    parse(token).require_signature(keys, ALL_ALGORITHMS)


@pytest.mark.parametrize("algorithm", sorted(ALL_ALGORITHMS))
def test_what_is_signed_is_accepted_with_every_algorithm(algorithm: Algorithm) -> None:
    """RFC 7518 §3; RFC 8037 §3.1; RFC 7518 §3.5 for the salt of PS256 and its like."""
    key = SigningKey.generate(algorithm)
    token = sign(b'{"sub":"alice"}', key, typ="at+jwt")

    verify(token, KeySet.of(key.public))
    with pytest.raises(JoseError):
        verify(token, KeySet.of(SigningKey.generate(algorithm, kid=key.kid).public))


class TestSerialization:
    """RFC 7515 §7.1, RFC 7515 §2: three segments of canonical base64url, and nothing else."""

    @pytest.mark.parametrize(
        "token",
        [
            pytest.param("", id="B1-empty"),
            pytest.param(HONEST.split(".")[0], id="B1-one"),
            pytest.param(HONEST.rpartition(".")[0], id="B1-two"),
            pytest.param(HONEST + ".", id="B1-trailing-dot"),
            pytest.param(HONEST + "." + HONEST, id="B1-six"),
            pytest.param("..", id="B1-only-dots"),
            pytest.param('{"payload":"e30","signatures":[]}', id="B2-json"),
            pytest.param(HONEST + "==", id="B3-padding"),
            pytest.param(HONEST.replace("-", "+").replace("_", "/") + "+/+", id="B4-alphabet"),
            pytest.param(HONEST[:40] + "\n" + HONEST[40:], id="B5-line-break"),
            pytest.param(HONEST[:40] + "ä" + HONEST[40:], id="B5-foreign"),
            pytest.param(HONEST + "A", id="B7-length"),
            pytest.param(" " + HONEST, id="B8-leading-blank"),
            pytest.param(HONEST + "\n", id="B8-trailing-newline"),
        ],
    )
    def test_a_hostile_serialization_is_malformed(self, token: str) -> None:
        with pytest.raises(JoseError):
            verify(token)

    def test_b6_unused_bits_must_be_zero(self) -> None:
        assert decode("QQ") == b"A"
        for text in ("QR", "QUF", "QUJ", "Q"):
            with pytest.raises(Malformed):
                decode(text)

    def test_b9_a_detached_payload_is_no_object(self) -> None:
        with pytest.raises(Malformed):
            decode_object(parse(compact({"alg": "ES256"}, b"")).payload)

    @pytest.mark.parametrize("size", [MAX_LENGTH + 1, 10_000_000])
    def test_b15_a_huge_token_is_not_even_looked_at(self, size: int) -> None:
        with pytest.raises(Malformed, match="too long"):
            parse("a" * size)

    @given(st.binary(max_size=200))
    def test_encoding_and_decoding_are_each_others_reverse(self, octets: bytes) -> None:
        assert decode(encode(octets)) == octets

    @given(st.text(max_size=300))
    def test_nothing_foreign_leaves_the_reader(self, text: str) -> None:
        with pytest.raises(JoseError):
            verify(text)


class TestJson:
    """RFC 7515 §4, RFC 7519 §4: one object with one meaning."""

    @pytest.mark.parametrize(
        "octets",
        [
            pytest.param(b'{"a":1,"a":2}', id="C17-F1-duplicate"),
            pytest.param(b'{"a" :1,"a":2}', id="F1-duplicate-with-blank"),
            pytest.param(b'{"a":1,"\\u0061":2}', id="F1-duplicate-escaped"),
            pytest.param(b'{"b":{"a":1,"a":2}}', id="F1-duplicate-inside"),
            pytest.param(b'{"a":"\\":","a":2}', id="F1-duplicate-behind-a-string"),
            pytest.param(b'{"a":NaN}', id="F15-NaN"),
            pytest.param(b'{"a":Infinity}', id="F15-Infinity"),
            pytest.param(b'{"a":-Infinity}', id="F15-minus-Infinity"),
            pytest.param(b'{"a":"\\ud800"}', id="F16-lone-surrogate"),
            pytest.param(b'{"\\ud800":1}', id="F16-lone-surrogate-name"),
            pytest.param(b'\xef\xbb\xbf{"a":1}', id="B12-BOM"),
            pytest.param('{"a":1}'.encode("utf-16"), id="B12-UTF-16"),
            pytest.param(b'{"a":"\xff"}', id="B12-not-UTF-8"),
            pytest.param(b"[1]", id="B13-array"),
            pytest.param(b'"text"', id="B13-string"),
            pytest.param(b"1", id="B13-number"),
            pytest.param(b"null", id="B13-null"),
            pytest.param(b'{"a":' * 100_000 + b"1" + b"}" * 100_000, id="B14-deep-objects"),
            pytest.param(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", id="B14-deep-arrays"),
            pytest.param(
                b'{"a":' + b"[" * MAX_DEPTH + b"]" * MAX_DEPTH + b"}", id="B14-one-deeper"
            ),
            pytest.param(b'{"a":1} x', id="trailing"),
            pytest.param(b"", id="empty"),
        ],
    )
    def test_anything_else_is_malformed(self, octets: bytes) -> None:
        with pytest.raises(Malformed):
            decode_object(octets)

    def test_as_deep_as_allowed_is_read(self) -> None:
        depth = MAX_DEPTH - 1

        assert decode_object(b'{"a":' + b"[" * depth + b"]" * depth + b"}")["a"] is not None

    @pytest.mark.parametrize(
        "octets",
        [
            b'{ "a" : "x:y" , "b" : [1, 2.5, true, null] }',
            b'{"a":"\\u00e4\\":"}',
            b"{}",
            b'{"a":1e3}',
        ],
    )
    def test_an_honest_object_is_read_as_json_reads_it(self, octets: bytes) -> None:
        assert decode_object(octets) == json.loads(octets)

    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.text(max_size=4), inner, max_size=3)
            ),
            max_leaves=8,
        ),
        st.booleans(),
    )
    def test_it_agrees_with_the_standard_library(self, value: Any, compactly: bool) -> None:
        try:
            text = json.dumps(
                {"v": value}, ensure_ascii=False, separators=(",", ":") if compactly else None
            ).encode()
        except UnicodeEncodeError:
            return

        assert decode_object(text) == {"v": value}

    @given(st.binary(max_size=60))
    def test_nothing_foreign_leaves_it(self, octets: bytes) -> None:
        try:
            decode_object(octets)
        except Malformed:
            return
        assert json.loads(octets) is not None


class TestHeader:
    """RFC 8725 §3.1, RFC 8725 §3.2, RFC 8725 §3.10: the token does not choose how it is checked."""

    @pytest.mark.parametrize(
        "alg",
        [
            *(
                pytest.param(name, id=f"C1-C2-{name}")
                for name in ("none", "None", "NONE", "nOnE", "none ")
            ),
            *(
                pytest.param(value, id=f"C3-{value!r}")
                for value in (None, 5, ["ES256"], "", "ES256K", "es256")
            ),
        ],
    )
    def test_an_algorithm_that_is_none_of_ours_is_refused(self, alg: Any) -> None:
        header = {"kid": ES256.kid} if alg is None else {"alg": alg, "kid": ES256.kid}

        with pytest.raises(AlgorithmRefused):
            verify(compact(header, b"{}"))

    @pytest.mark.parametrize("encoding", ["PEM", "DER", "JWK", "PEM-newline", "PEM-blank"])
    def test_c4_hmac_with_the_public_key_is_refused(self, encoding: str) -> None:
        public = RS256.public._public
        subject = serialization.PublicFormat.SubjectPublicKeyInfo
        pem = public.public_bytes(serialization.Encoding.PEM, subject)
        key = {
            "PEM": pem.rstrip(),
            "PEM-newline": pem,
            "PEM-blank": b" " + pem,
            "DER": public.public_bytes(serialization.Encoding.DER, subject),
            "JWK": json.dumps(RS256.public.to_jwk()).encode(),
        }[encoding]
        content = (
            f"{segment(json.dumps({'alg': 'HS256', 'kid': RS256.kid}).encode())}.{segment(b'{}')}"
        )
        token = f"{content}.{segment(hmac.digest(key, content.encode(), hashlib.sha256))}"

        with pytest.raises(AlgorithmRefused):
            verify(token)

    def test_c5_an_algorithm_that_is_not_the_keys_is_refused(self) -> None:
        with pytest.raises(JoseError):
            verify(signed(b"{}", RS256, alg="PS256"))
        with pytest.raises(AlgorithmRefused):
            parse(HONEST).require_signature(KEYS, frozenset({Algorithm.RS256}))

    def test_c6_a_key_of_another_curve_is_refused(self) -> None:
        p384 = SigningKey.generate(Algorithm.ES384)

        with pytest.raises(JoseError):
            verify(signed(b"{}", p384, alg="ES256"), KeySet.of(p384.public))

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("jwk", ES256.public.to_jwk()), ("jku", "http://169.254.169.254/keys"),
            ("x5u", "file:///etc/passwd"), ("x5c", ["AAAA"]), ("x5t", "AAAA"),
        ],
    )  # fmt: skip
    def test_c7_c8_c9_a_key_in_the_header_is_not_used(self, name: str, value: Any) -> None:
        stranger = SigningKey.generate(Algorithm.ES256)
        token = signed(b"{}", stranger, kid=ES256.kid, **{name: value})

        with pytest.raises(JoseError):
            verify(token)
        verify(signed(b"{}", **{name: value}))

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("crit", ["exp"]), ("crit", []), ("crit", "alg"), ("crit", ["alg", "alg"]), ("crit", ["b64"]),
            ("b64", False), ("zip", "DEF"), ("enc", "A256GCM"), ("epk", {}), ("p2c", 1), ("cty", "JWT"),
            ("typ", 5), ("kid", 5), ("kid", "k" * 257), ("kid", {}),
        ],
    )  # fmt: skip
    def test_b10_b11_c10_c11_c16_c18_d4_what_changes_the_meaning_is_refused(
        self, name: str, value: Any
    ) -> None:
        """RFC 7515 §4.1.11, RFC 7515 §4.1, RFC 7516 §4.1, RFC 7519 §5.2."""
        with pytest.raises(HeaderRefused):
            verify(signed(b"{}", **{name: value}))

    def test_c17_a_duplicate_member_is_refused(self) -> None:
        header = b'{"alg":"none","kid":"%b","alg":"ES256"}' % ES256.kid.encode()

        with pytest.raises(Malformed):
            verify(compact(header, b"{}"))

    def test_c12_c14_typ_is_compared_without_case_and_prefix(self) -> None:
        """RFC 7515 §4.1.9, RFC 8725 §3.11."""
        require_typ(parse(signed(b"{}", typ="application/AT+JWT")).header, "at+jwt")
        for typ in ("JWT", "dpop+jwt", None):
            with pytest.raises(HeaderRefused):
                require_typ(parse(signed(b"{}", typ=typ)).header, "at+jwt")

    def test_the_newer_name_of_eddsa_is_the_same_algorithm(self) -> None:
        """RFC 9864 §2.2."""
        key = SigningKey.generate(Algorithm.EDDSA)

        verify(signed(b"{}", key, alg="Ed25519"), KeySet.of(key.public))

    def test_a_flood_of_headers_does_not_grow_the_memory(self) -> None:
        from mintmark.jose import jws

        for number in range(2000):
            parse(signed(b"{}", kid=f"kid-{number}"))

        assert len(jws._headers) <= jws._MAX_HEADERS


class TestSignature:
    """RFC 7518 §3.4: the mathematics of signatures, and their one spelling."""

    N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551

    @pytest.mark.parametrize(
        ("r", "s"),
        [
            (0, 0),
            (0, 1),
            (1, 0),
            (N, 1),
            (1, N),
            (N - 1, N - 1),
            (N + 1, N + 1),
            (2**256 - 1, 2**256 - 1),
        ],
        ids=lambda value: f"E1-E2-{value:x}"[:20],
    )
    def test_psychic_values_are_refused(self, r: int, s: int) -> None:
        content = HONEST.rpartition(".")[0]
        raw = r.to_bytes(32, "big") + s.to_bytes(32, "big")

        with pytest.raises(JoseError):
            verify(f"{content}.{segment(raw)}")

    @pytest.mark.parametrize("length", [0, 1, 63, 65, 96])
    def test_e3_e9_another_length_is_refused(self, length: int) -> None:
        content, _, signature = HONEST.rpartition(".")
        raw = (decode(signature) + b"\0" * 64)[:length]

        with pytest.raises(JoseError):
            verify(f"{content}.{segment(raw)}")

    def test_e3_a_der_signature_is_refused(self) -> None:
        from cryptography.hazmat.primitives.asymmetric.utils import (
            encode_dss_signature,
        )

        content, _, signature = HONEST.rpartition(".")
        raw = decode(signature)
        der = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))

        with pytest.raises(JoseError):
            verify(f"{content}.{segment(der)}")

    def test_e4_the_other_signature_of_a_pair_is_accepted(self) -> None:
        content, _, signature = HONEST.rpartition(".")
        raw = decode(signature)
        twin = raw[:32] + (self.N - int.from_bytes(raw[32:], "big")).to_bytes(32, "big")

        verify(f"{content}.{segment(twin)}")

    def test_e8_a_signature_of_another_token_is_refused(self) -> None:
        other = signed(b'{"sub":"mallory"}')

        with pytest.raises(JoseError):
            verify(f"{other.rpartition('.')[0]}.{HONEST.rpartition('.')[2]}")

    def test_e10_another_tenants_key_is_refused(self) -> None:
        with pytest.raises(JoseError):
            verify(HONEST, KeySet.of(SigningKey.generate(Algorithm.ES256).public))

    def test_the_private_key_shows_itself_nowhere(self) -> None:
        assert "object" not in repr(ES256)
        assert repr(ES256) == f"<SigningKey kid={ES256.kid!r} ES256>"
        with pytest.raises(TypeError):
            ES256.__reduce__()

    def test_a_key_survives_being_written_and_read(self) -> None:
        again = SigningKey.from_pkcs8(ES256.to_pkcs8(), Algorithm.ES256)

        assert again.kid == ES256.kid
        verify(sign(b"{}", again, typ="JWT"))
        with pytest.raises(JoseError):
            SigningKey.from_pkcs8(b"no key", Algorithm.ES256)
        with pytest.raises(JoseError):
            SigningKey.from_pkcs8(ES256.to_pkcs8(), Algorithm.RS256)
