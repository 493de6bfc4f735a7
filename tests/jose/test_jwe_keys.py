"""Keys for encryption: what is taken, what is refused, which one is meant (RFC 7517, RFC 7518 §4)."""

import pickle
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from tests.jose.forge import ES256
from tests.jose.jwe_forge import DIR, EC, NOW, RSA, RSA_256, X25519, forged, opened

from mintmark.jose.base64url import encode
from mintmark.jose.content_encryption import ContentEncryption
from mintmark.jose.decryption_keys import DecryptionKey, DecryptionKeys
from mintmark.jose.encryption_keys import EncryptionKey
from mintmark.jose.errors import (
    AlgorithmRefused,
    KeyAmbiguous,
    KeyNotFound,
    KeyRefused,
    KeyRetired,
)
from mintmark.jose.jwe import encrypt
from mintmark.jose.key_management import Curve, KeyManagement
from mintmark.jose.keys import VerificationKey

GCM = ContentEncryption.A256GCM
OAEP = KeyManagement.RSA_OAEP
SHARED = {"kty": "oct", "kid": "shared", "k": encode(b"k" * 32)}


def private_jwk(key: DecryptionKey) -> dict[str, str]:
    """The private JWK, which the library itself never writes."""
    private, members = key._private, key.public.to_jwk()
    assert not isinstance(private, bytes)
    if isinstance(private, rsa.RSAPrivateKey):
        numbers = private.private_numbers()
        parts = {
            "d": numbers.d, "p": numbers.p, "q": numbers.q,
            "dp": numbers.dmp1, "dq": numbers.dmq1, "qi": numbers.iqmp,
        }  # fmt: skip
        return members | {
            name: encode(part.to_bytes((part.bit_length() + 7) // 8, "big"))
            for name, part in parts.items()
        }
    if isinstance(private, ec.EllipticCurvePrivateKey):
        scalar = private.private_numbers().private_value
        return members | {"d": encode(scalar.to_bytes((private.key_size + 7) // 8, "big"))}
    return members | {"d": encode(private.private_bytes_raw())}


RSA_JWK, EC_JWK, X_JWK = RSA.public.to_jwk(), EC.public.to_jwk(), X25519.public.to_jwk()


class TestPublic:
    """RFC 7517 §4.2, RFC 7517 §4.3, RFC 7517 §4.4, RFC 7518 §6, RFC 8037 §2."""

    @pytest.mark.parametrize("key", [RSA, RSA_256, EC, X25519], ids=["RSA", "RSA-256", "EC", "OKP"])
    def test_an_honest_key_is_taken_and_written_again(self, key: DecryptionKey) -> None:
        published = key.public.to_jwk()
        taken = EncryptionKey.from_jwk({**published, "key_ops": ["encrypt", "deriveKey"]})

        assert published["use"] == "enc"
        assert taken.to_jwk() == published
        assert opened(encrypt(b"payload", taken, enc=GCM)).plaintext == b"payload"

    @pytest.mark.parametrize(
        "members",
        [
            pytest.param(EC_JWK | {"use": "sig"}, id="D9-use"),
            pytest.param(ES256.public.to_jwk(), id="D9-a-signature-key"),
            pytest.param(EC_JWK | {"key_ops": ["sign"]}, id="D9-key_ops"),
            pytest.param(EC_JWK | {"key_ops": "deriveKey"}, id="D9-key_ops-text"),
            pytest.param(EC_JWK | {"key_ops": ["deriveKey"] * 2}, id="D9-key_ops-twice"),
            pytest.param(EC_JWK | {"key_ops": [{}]}, id="D9-key_ops-object"),
            pytest.param(private_jwk(EC), id="private-EC"),
            pytest.param(private_jwk(RSA), id="private-RSA"),
            pytest.param(private_jwk(X25519), id="private-X25519"),
            pytest.param(SHARED | {"alg": "dir"}, id="symmetric"),
            pytest.param(RSA_JWK | {"n": encode(b"\xff" * 128)}, id="D11-RSA-1024"),
            pytest.param(RSA_JWK | {"e": "AQ"}, id="D11-exponent-one"),
            pytest.param(EC_JWK | {"x": EC_JWK["y"]}, id="D12-off-curve"),
            pytest.param(EC_JWK | {"crv": "secp256k1"}, id="D12-curve"),
            pytest.param(X_JWK | {"crv": "Ed25519"}, id="Ed25519"),
            pytest.param(X_JWK | {"crv": "X448"}, id="X448"),
            pytest.param(X_JWK | {"x": encode(b"\0" * 32)}, id="small-order"),
            pytest.param(X_JWK | {"x": encode(b"\1" * 31)}, id="X25519-short"),
            pytest.param(X_JWK | {"x": 5}, id="X25519-number"),
            pytest.param(X_JWK | {"x": "?"}, id="X25519-unreadable"),
            pytest.param(EC_JWK | {"alg": "ES256"}, id="alg-of-signatures"),
            pytest.param(EC_JWK | {"alg": "RSA-OAEP"}, id="alg-of-another-type"),
            pytest.param(RSA_JWK | {"alg": "RSA1_5"}, id="alg-RSA1_5"),
            pytest.param(RSA_JWK | {"alg": 5}, id="alg-number"),
            pytest.param(EC_JWK | {"kid": 5}, id="kid-number"),
            pytest.param(EC_JWK | {"kid": "k" * 257}, id="kid-long"),
            pytest.param({}, id="empty"),
        ],
    )
    def test_an_unsound_key_is_refused(self, members: dict[str, Any]) -> None:
        with pytest.raises(KeyRefused):
            EncryptionKey.from_jwk(members)

    def test_a_key_of_one_purpose_is_none_for_the_other(self) -> None:
        """RFC 7517 §4.2: whoever signs what they decrypt with can be made to decrypt by signing."""
        with pytest.raises(KeyRefused):
            VerificationKey.from_jwk(EC_JWK)
        with pytest.raises(KeyRefused):
            EncryptionKey.from_jwk(ES256.public.to_jwk())

    def test_a_key_without_alg_is_used_with_what_is_asked_for(self) -> None:
        key = EncryptionKey.from_jwk({k: v for k, v in RSA_JWK.items() if k != "alg"})
        both = DecryptionKey(RSA._private, kid=RSA.kid)

        with pytest.raises(AlgorithmRefused):
            encrypt(b"", key, enc=GCM)
        with pytest.raises(AlgorithmRefused):
            encrypt(b"", key, enc=GCM, key_management=KeyManagement.ECDH_ES)
        token = encrypt(b"payload", key, enc=GCM, key_management=KeyManagement.RSA_OAEP_256)
        assert opened(token, DecryptionKeys.of(both)).plaintext == b"payload"
        assert "alg" not in both.public.to_jwk()


class TestPrivate:
    """RFC 7518 §6.3.2, RFC 8725 §3.1."""

    @pytest.mark.parametrize("key", [RSA, EC, X25519], ids=["RSA", "EC", "OKP"])
    def test_a_key_survives_being_written_and_read(self, key: DecryptionKey) -> None:
        again = DecryptionKey.from_pkcs8(key.to_pkcs8(), key.key_management)
        from_jwk = DecryptionKey.from_jwk(private_jwk(key) | {"key_ops": ["decrypt", "deriveBits"]})

        for one in (again, from_jwk):
            assert (one.kid, one.public.to_jwk()) == (key.kid, key.public.to_jwk())
            assert opened(forged(key), DecryptionKeys.of(one)).plaintext == b"a.b.c"

    @pytest.mark.parametrize("curve", sorted(Curve))
    def test_every_curve_is_read_from_a_jwk(self, curve: Curve) -> None:
        key = DecryptionKey.generate(KeyManagement.ECDH_ES_A128KW, curve=curve)

        assert DecryptionKey.from_jwk(private_jwk(key)).public.to_jwk() == key.public.to_jwk()
        assert EncryptionKey.from_jwk(key.public.to_jwk()).to_jwk()["crv"] == curve

    @pytest.mark.parametrize(
        "members",
        [
            pytest.param(EC_JWK, id="public"),
            pytest.param(private_jwk(EC) | {"use": "sig"}, id="use"),
            pytest.param(private_jwk(EC) | {"key_ops": ["encrypt"]}, id="key_ops"),
            pytest.param(private_jwk(EC) | {"d": encode(b"\1" * 32)}, id="d-of-another-key"),
            pytest.param(private_jwk(EC) | {"d": encode(b"\0" * 32)}, id="d-zero"),
            pytest.param(private_jwk(EC) | {"d": encode(b"\xff" * 32)}, id="d-beyond-the-order"),
            pytest.param(private_jwk(X25519) | {"d": encode(b"\1" * 32)}, id="X25519-of-another"),
            pytest.param(private_jwk(X25519) | {"d": encode(b"\1" * 31)}, id="X25519-short"),
            pytest.param(private_jwk(RSA) | {"oth": []}, id="RSA-more-primes"),
            pytest.param(private_jwk(RSA) | {"p": private_jwk(RSA_256)["p"]}, id="RSA-prime"),
            pytest.param(private_jwk(RSA) | {"p": ""}, id="RSA-prime-empty"),
            pytest.param(private_jwk(RSA) | {"q": None}, id="RSA-prime-missing"),
            pytest.param(SHARED, id="symmetric-for-nothing"),
            pytest.param(SHARED | {"alg": "dir"}, id="symmetric-for-no-enc"),
            pytest.param(SHARED | {"alg": "A128GCM"}, id="symmetric-too-long"),
            pytest.param(SHARED | {"alg": "A256CBC-HS512"}, id="symmetric-too-short"),
            pytest.param(SHARED | {"alg": "A256KW"}, id="symmetric-for-wrapping"),
            pytest.param(SHARED | {"alg": "A256GCM", "k": 5}, id="symmetric-number"),
            pytest.param({"kty": "oct", "k": SHARED["k"], "alg": "A256GCM"}, id="without-kid"),
            pytest.param({"kty": "EXOTIC"}, id="kty"),
        ],
    )
    def test_an_unsound_key_is_refused(self, members: dict[str, Any]) -> None:
        with pytest.raises(KeyRefused):
            DecryptionKey.from_jwk(members)

    def test_a_shared_key_says_what_it_is_for_or_is_told(self) -> None:
        """RFC 7518 §4.5."""
        for key in (
            DecryptionKey.from_jwk(SHARED | {"alg": "A256GCM"}),
            DecryptionKey.from_jwk(SHARED | {"alg": "dir"}, GCM),
            DecryptionKey.from_jwk(SHARED, GCM),
        ):
            assert key.content_encryption is GCM
            assert key.key_management == {KeyManagement.DIR}
        with pytest.raises(KeyRefused):
            DecryptionKey.generate(KeyManagement.DIR)
        with pytest.raises(KeyRefused):
            DecryptionKey.from_jwk(private_jwk(EC), GCM)

    @pytest.mark.parametrize(("bits", "fits"), [(2047, False), (2048, True)])
    def test_rsa_begins_with_2048_bits(self, bits: int, *, fits: bool) -> None:
        """RFC 7518 §4.3."""
        private = rsa.generate_private_key(65537, bits)
        if fits:
            assert DecryptionKey(private, key_management=OAEP).key_management == {OAEP}
        else:
            with pytest.raises(KeyRefused):
                DecryptionKey(private, key_management=OAEP)

    @pytest.mark.parametrize(
        "private",
        [ed25519.Ed25519PrivateKey.generate(), ec.generate_private_key(ec.SECP256K1())],
        ids=["Ed25519", "secp256k1"],
    )
    def test_a_key_that_cannot_agree_is_refused(
        self, private: ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey
    ) -> None:
        der = private.private_bytes(
            serialization.Encoding.DER,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        for octets in (der, b"no key"):
            with pytest.raises(KeyRefused):
                DecryptionKey.from_pkcs8(octets)

    @pytest.mark.parametrize("wanted", [KeyManagement.ECDH_ES, KeyManagement.DIR, frozenset()])
    def test_an_algorithm_that_does_not_fit_is_refused(self, wanted: Any) -> None:
        with pytest.raises(KeyRefused):
            DecryptionKey.from_pkcs8(RSA.to_pkcs8(), wanted)

    @pytest.mark.parametrize("key", [RSA, EC, DIR, RSA.public, DIR.public])
    def test_a_key_shows_its_name_alone(self, key: DecryptionKey | EncryptionKey) -> None:
        assert repr(key) == f"<{type(key).__name__} kid={key.kid!r}>"
        with pytest.raises(TypeError):
            pickle.dumps(key)

    def test_a_shared_key_is_published_nowhere(self) -> None:
        """RFC 7638 §7: not even as a thumbprint."""
        with pytest.raises(KeyRefused):
            DIR.public.to_jwk()
        with pytest.raises(KeyRefused):
            DIR.to_pkcs8()
        with pytest.raises(KeyRefused):
            DecryptionKey(b"k" * 32, content_encryption=GCM)

    def test_the_name_of_a_key_is_its_thumbprint(self) -> None:
        """RFC 7638 §3.2; a signature key's thumbprint is made in the same way."""
        private = EC._private
        assert isinstance(private, ec.EllipticCurvePrivateKey)

        assert EC.kid == VerificationKey(private.public_key(), kid=None).thumbprint()


class TestRing:
    """Overlap: the old key still opens for a while what was under way."""

    @pytest.fixture
    def fresh(self) -> DecryptionKey:
        return DecryptionKey.generate(OAEP)

    def test_the_newest_is_published_and_the_old_one_is_not(self, fresh: DecryptionKey) -> None:
        keys = DecryptionKeys.of(RSA, EC, DIR)

        assert keys.published() == [RSA_JWK, EC_JWK]
        assert keys.rotated(fresh, until=NOW).published() == [fresh.public.to_jwk()]

    def test_without_a_kid_the_only_suitable_key_is_meant(self, fresh: DecryptionKey) -> None:
        keys = DecryptionKeys.of(RSA).rotated(fresh, until=NOW)

        with pytest.raises(KeyAmbiguous):
            keys.select(None, OAEP, now=NOW - 1)
        assert keys.select(None, OAEP, now=NOW) is fresh
        with pytest.raises(KeyNotFound):
            keys.select(None, KeyManagement.ECDH_ES, now=NOW)

    def test_a_further_rotation_gives_no_key_more_time(self, fresh: DecryptionKey) -> None:
        keys = DecryptionKeys.of(RSA).rotated(EC, until=NOW).rotated(fresh, until=NOW + 100)

        with pytest.raises(KeyRetired):
            keys.select(RSA.kid, OAEP, now=NOW)
        assert keys.select(EC.kid, KeyManagement.ECDH_ES, now=NOW + 99) is EC

    def test_no_moment_at_all_is_no_overlap(self, fresh: DecryptionKey) -> None:
        with pytest.raises(KeyRetired):
            DecryptionKeys.of(RSA).rotated(fresh, until=NOW).select(RSA.kid, OAEP, now=float("nan"))

    def test_a_ring_that_cannot_be_meant_is_refused(self) -> None:
        twin = DecryptionKey.generate(KeyManagement.ECDH_ES, kid=RSA.kid)

        with pytest.raises(KeyRefused):
            DecryptionKeys.of(RSA, twin)
        with pytest.raises(KeyRefused):
            DecryptionKeys([RSA], until={"a slip of the pen": NOW})
