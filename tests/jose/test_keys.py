"""Keys and key sets: what is taken, what is dropped, which key is meant (RFC 7517)."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.jose.forge import ES256, RS256

from mintmark.jose.algorithms import ALL_ALGORITHMS, Algorithm
from mintmark.jose.base64url import encode
from mintmark.jose.errors import JoseError, KeyAmbiguous, KeyNotFound, KeyRefused, Malformed
from mintmark.jose.key_set import MAX_KEYS, KeySet
from mintmark.jose.keys import SigningKey, VerificationKey

EC = ES256.public.to_jwk()
RSA = RS256.public.to_jwk()
ED = SigningKey.generate(Algorithm.EDDSA).public.to_jwk()


def changed(key: dict[str, str], **members: Any) -> dict[str, Any]:
    return {k: v for k, v in {**key, **members}.items() if v is not None}


class TestReading:
    """RFC 7517 §4, RFC 7517 §4.2, RFC 7517 §4.3, RFC 7518 §2, RFC 7518 §3.3, RFC 7518 §6."""

    @pytest.mark.parametrize("key", [EC, RSA, ED], ids=["EC", "RSA", "OKP"])
    def test_an_honest_key_is_taken(self, key: dict[str, str]) -> None:
        taken = VerificationKey.from_jwk(changed(key, key_ops=["verify"]))

        assert taken.to_jwk() == key

    @pytest.mark.parametrize(
        "members",
        [
            pytest.param(changed(EC, use="enc"), id="D9-use"),
            pytest.param(changed(EC, key_ops=["encrypt"]), id="D9-key_ops"),
            pytest.param(changed(EC, key_ops="verify"), id="D9-key_ops-text"),
            pytest.param(changed(EC, key_ops=["verify", "verify"]), id="D9-key_ops-twice"),
            pytest.param(changed(EC, d="AAAA"), id="D10-private"),
            pytest.param({"kty": "oct", "k": "AAAA"}, id="D10-oct"),
            pytest.param(changed(RSA, n=encode(b"\xff" * 128)), id="D11-RSA-1024"),
            pytest.param(changed(RSA, n=encode(b"\xff" * 1025)), id="D11-RSA-huge"),
            pytest.param(changed(RSA, e="AQ"), id="D11-exponent-one"),
            pytest.param(changed(RSA, e="AQAA"), id="D11-exponent-even"),
            pytest.param(changed(RSA, n="AAAB" + RSA["n"]), id="D11-leading-zero"),
            pytest.param(changed(EC, x=EC["y"]), id="D12-off-curve"),
            pytest.param(changed(EC, crv="P-384"), id="D12-curve"),
            pytest.param(changed(EC, crv="secp256k1", alg=None), id="D12-other-curve"),
            pytest.param(changed(EC, x=EC["x"][:-2]), id="D12-short"),
            pytest.param(changed(EC, x=encode(b"\0" + b"\x01" * 32)), id="D12-long"),
            pytest.param(changed(EC, y=None), id="D12-missing"),
            pytest.param(changed(EC, y=5), id="D12-number"),
            pytest.param(changed(ED, x=encode(b"\0" * 32)), id="E7-small-order"),
            pytest.param(changed(ED, x=encode(b"\xec" + b"\xff" * 31)), id="E7-small-order-sign"),
            pytest.param(changed(ED, crv="Ed448"), id="D13-Ed448"),
            pytest.param(changed(EC, kty="EXOTIC"), id="D13-kty"),
            pytest.param(changed(EC, alg="HS256"), id="alg-HMAC"),
            pytest.param(changed(EC, alg="ES384"), id="alg-of-another-curve"),
            pytest.param(changed(EC, kid=5), id="kid-number"),
            pytest.param(changed(EC, kid=""), id="kid-empty"),
        ],
    )
    def test_an_unsound_key_is_refused(self, members: dict[str, Any]) -> None:
        """RFC 7518 §6.2.1.2 for the coordinates' length."""
        with pytest.raises(KeyRefused):
            VerificationKey.from_jwk(members)


class TestSet:
    """RFC 7517 §5: one bad key does not spoil the others."""

    def test_d13_the_rest_of_a_set_stays_usable(self) -> None:
        published = {"keys": [{"kty": "EXOTIC"}, changed(EC, d="AAAA"), 5, EC]}

        keys = KeySet.parse(json.dumps(published).encode())

        assert [key.kid for key in keys.keys] == [ES256.kid]
        assert len(keys.dropped) == 3

    @pytest.mark.parametrize(
        "octets",
        [
            b"<html>",
            b"[]",
            b"{}",
            b'{"keys":5}',
            json.dumps({"keys": [EC] * (MAX_KEYS + 1)}).encode(),
        ],
    )
    def test_d14_what_is_no_key_set_is_malformed(self, octets: bytes) -> None:
        with pytest.raises(Malformed):
            KeySet.parse(octets)

    def test_as_many_keys_as_allowed_are_read(self) -> None:
        assert len(KeySet.parse(json.dumps({"keys": [EC] * MAX_KEYS}).encode()).keys) == MAX_KEYS

    def test_d5_without_a_kid_the_only_suitable_key_is_meant(self) -> None:
        keys = KeySet.of(ES256.public, RS256.public)

        assert keys.select(None, Algorithm.ES256) is keys.keys[0]

    def test_d6_without_a_kid_several_suitable_keys_are_none(self) -> None:
        keys = KeySet.of(ES256.public, SigningKey.generate(Algorithm.ES256).public)

        with pytest.raises(KeyAmbiguous):
            keys.select(None, Algorithm.ES256)

    def test_d8_the_same_kid_twice_counts_where_only_one_suits(self) -> None:
        same = SigningKey.generate(Algorithm.RS256, kid=ES256.kid)
        chosen = KeySet.of(ES256.public, same.public).select(ES256.kid, Algorithm.ES256)
        assert chosen.thumbprint() == ES256.public.thumbprint()

        twin = SigningKey.generate(Algorithm.ES256, kid=ES256.kid)
        with pytest.raises(KeyAmbiguous):
            KeySet.of(ES256.public, twin.public).select(ES256.kid, Algorithm.ES256)

    @pytest.mark.parametrize("kid", ["' OR 1=1", "../../etc/passwd", "$(id)", "{{7*7}}", "ünïcode"])
    def test_d3_a_kid_is_a_name_and_nothing_else(self, kid: str) -> None:
        with pytest.raises(KeyNotFound):
            KeySet.of(ES256.public).select(kid, Algorithm.ES256)

    @given(st.binary(max_size=80))
    def test_nothing_foreign_leaves_the_reader(self, octets: bytes) -> None:
        with pytest.raises(JoseError):
            KeySet.parse(octets)

    def test_every_algorithm_has_keys_of_its_own_type(self) -> None:
        assert {a.key_type for a in ALL_ALGORITHMS} == {"RSA", "EC", "OKP"}
