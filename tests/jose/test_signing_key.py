"""A signing key fits its algorithm, or there is none (RFC 7518 §3.3, RFC 8725 §3.1)."""

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from mintmark.jose.algorithms import Algorithm
from mintmark.jose.errors import KeyRefused
from mintmark.jose.keys import SigningKey


def pkcs8(private: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    return private.private_bytes(
        serialization.Encoding.DER,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


class TestLoading:
    """RFC 8725 §3.1: a key is used with its own algorithm only."""

    @pytest.mark.parametrize(
        ("made_for", "asked_for"),
        [
            (Algorithm.ES256, Algorithm.RS256),
            (Algorithm.ES256, Algorithm.ES384),
            (Algorithm.ES256, Algorithm.EDDSA),
            (Algorithm.RS256, Algorithm.ES256),
            (Algorithm.EDDSA, Algorithm.PS256),
        ],
    )
    def test_a_key_for_another_algorithm_is_refused(
        self, made_for: Algorithm, asked_for: Algorithm
    ) -> None:
        with pytest.raises(KeyRefused):
            SigningKey.from_pkcs8(SigningKey.generate(made_for).to_pkcs8(), asked_for)

    def test_a_key_on_a_foreign_curve_is_refused(self) -> None:
        with pytest.raises(KeyRefused):
            SigningKey.from_pkcs8(pkcs8(ec.generate_private_key(ec.SECP256K1())), Algorithm.ES256)

    @pytest.mark.parametrize(("bits", "fits"), [(2047, False), (2048, True)])
    def test_rsa_begins_with_2048_bits(self, bits: int, *, fits: bool) -> None:
        """RFC 7518 §3.3: what nobody may accept is not signed with."""
        der = pkcs8(rsa.generate_private_key(65537, bits))
        if fits:
            assert SigningKey.from_pkcs8(der, Algorithm.RS256).algorithm is Algorithm.RS256
        else:
            with pytest.raises(KeyRefused):
                SigningKey.from_pkcs8(der, Algorithm.RS256)
