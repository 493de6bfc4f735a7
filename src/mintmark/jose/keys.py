"""JSON Web Keys: reading, refusing, signing, checking (RFC 7517, RFC 7518 §6, RFC 7638, RFC 8037)."""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any, Final, NoReturn, Self, final

import msgspec
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)

from mintmark.jose.algorithms import CURVES, RSA_HASHES, Algorithm
from mintmark.jose.base64url import encode
from mintmark.jose.errors import AlgorithmRefused, KeyRefused, SignatureInvalid
from mintmark.jose.jwk import MIN_RSA_BITS, read_public_jwk, write_public_jwk

__all__ = ["SigningKey", "VerificationKey"]

PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey | Ed25519PublicKey
PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | Ed25519PrivateKey

RSA_BITS: Final = 2048


@final
class VerificationKey:
    """A public key, and the only algorithms it may be used with."""

    __slots__ = ("_checks", "_public", "_thumbprint", "algorithms", "kid")

    def __init__(
        self, public: PublicKey, *, kid: str | None, algorithm: Algorithm | None = None
    ) -> None:
        self._public = public
        self._thumbprint: str | None = None
        self.kid = kid
        fitting = _algorithms_of(public)
        # RFC 8725 §3.1: a key that names its algorithm is used with no other.
        if algorithm is not None and algorithm not in fitting:
            raise KeyRefused("alg does not fit the key")
        self.algorithms: frozenset[Algorithm] = (
            fitting if algorithm is None else frozenset({algorithm})
        )
        # Made once: telling the key's class apart costs a tenth of an RSA verification.
        self._checks = {fits: _check_with(public, fits) for fits in self.algorithms}

    @classmethod
    def from_jwk(cls, members: Mapping[str, Any]) -> Self:
        """Raises `KeyRefused` for whatever is not a sound public signature key."""
        public, kid, algorithm = read_public_jwk(members)
        return cls(public, kid=kid, algorithm=algorithm)

    def verify(self, signature: bytes, signing_input: bytes, algorithm: Algorithm) -> None:
        """Refuse a signature that this key did not make over exactly this input.

        Raises:
            AlgorithmRefused: the algorithm is not this key's.
            SignatureInvalid: always with the same words.
        """
        check = self._checks.get(algorithm)
        if check is None:
            raise AlgorithmRefused("alg does not fit the key")
        try:
            check(signature, signing_input)
        except (InvalidSignature, ValueError):
            raise SignatureInvalid("the signature does not hold") from None

    def to_jwk(self) -> dict[str, str]:
        """The public members, with `kid`, `use`, and `alg` where it is fixed."""
        members = write_public_jwk(self._public)
        if self.kid is not None:
            members["kid"] = self.kid
        if len(self.algorithms) == 1:
            members["alg"] = next(iter(self.algorithms)).value
        return members | {"use": "sig"}

    def thumbprint(self) -> str:
        """SHA-256 over the required members, base64url (RFC 7638 §3)."""
        if self._thumbprint is None:
            required = dict(sorted(write_public_jwk(self._public).items()))
            canonical = msgspec.json.encode(required)
            self._thumbprint = encode(hashlib.sha256(canonical).digest())
        return self._thumbprint

    def __repr__(self) -> str:
        return f"<VerificationKey kid={self.kid!r} {'/'.join(sorted(self.algorithms))}>"


@final
class SigningKey:
    """A private key and the one algorithm it signs with. Its `repr` shows the name alone."""

    __slots__ = ("_private", "algorithm", "headers", "kid", "public", "sign")

    def __init__(self, private: PrivateKey, algorithm: Algorithm, kid: str | None = None) -> None:
        # First of all, for it refuses a key that does not fit the algorithm.
        unnamed = VerificationKey(private.public_key(), kid=None, algorithm=algorithm)
        self._private = private
        self.algorithm = algorithm
        self.sign = _sign_with(private, algorithm)
        """Signs these bytes; the signature comes in the form JWS wants it."""
        self.kid = kid or unnamed.thumbprint()
        self.headers: dict[str, bytes] = {}
        """The headers that were signed with this key, encoded, by `typ`: there are a handful."""
        self.public = VerificationKey(private.public_key(), kid=self.kid, algorithm=algorithm)

    @classmethod
    def generate(cls, algorithm: Algorithm, kid: str | None = None) -> Self:
        """A fresh key; its `kid` is its thumbprint unless one is given."""
        if algorithm in CURVES:
            return cls(ec.generate_private_key(CURVES[algorithm].curve), algorithm, kid)
        if algorithm is Algorithm.EDDSA:
            return cls(Ed25519PrivateKey.generate(), algorithm, kid)
        return cls(rsa.generate_private_key(65537, RSA_BITS), algorithm, kid)

    @classmethod
    def from_pkcs8(cls, der: bytes, algorithm: Algorithm, kid: str | None = None) -> Self:
        """Raises `KeyRefused` when these bytes hold no private key for this algorithm.

        An RSA key takes 30 ms to load, for its primes are checked: load once, and never in a
        request.
        """
        try:
            private = serialization.load_der_private_key(der, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise KeyRefused("not a private key") from None
        if not isinstance(
            private, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | Ed25519PrivateKey
        ):
            raise KeyRefused("not a key for signatures")
        # RFC 7518 §3.3: what nobody may accept is not signed with either.
        if isinstance(private, rsa.RSAPrivateKey) and private.key_size < MIN_RSA_BITS:
            raise KeyRefused("the RSA modulus is too short")
        return cls(private, algorithm, kid)

    def to_pkcs8(self) -> bytes:
        """The private key itself, unencrypted DER: to be sealed at once."""
        return self._private.private_bytes(
            serialization.Encoding.DER,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )

    def __repr__(self) -> str:
        return f"<SigningKey kid={self.kid!r} {self.algorithm}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"{self!r} is not pickled")


def _algorithms_of(public: PublicKey) -> frozenset[Algorithm]:
    if isinstance(public, rsa.RSAPublicKey):
        return frozenset(_RSA_SCHEMES)
    if isinstance(public, ec.EllipticCurvePublicKey):
        return frozenset(a for a, c in CURVES.items() if c.curve.name == public.curve.name)
    return frozenset({Algorithm.EDDSA})


def _sign_with(private: PrivateKey, algorithm: Algorithm) -> Callable[[bytes], bytes]:
    if isinstance(private, rsa.RSAPrivateKey):
        sign, (scheme, digest) = private.sign, _RSA_SCHEMES[algorithm]
        return lambda content: sign(content, scheme, digest)
    if isinstance(private, ec.EllipticCurvePrivateKey):
        sign_ec, ecdsa = private.sign, _ECDSA[algorithm]
        length = CURVES[algorithm].coordinate_length
        return lambda content: _to_raw(sign_ec(content, ecdsa), length)
    return private.sign


def _to_raw(der: bytes, length: int) -> bytes:
    r, s = decode_dss_signature(der)
    return r.to_bytes(length, "big") + s.to_bytes(length, "big")


def _check_with(public: PublicKey, algorithm: Algorithm) -> Callable[[bytes, bytes], None]:
    if isinstance(public, rsa.RSAPublicKey):
        verify, (scheme, digest) = public.verify, _RSA_SCHEMES[algorithm]
        return lambda signature, content: verify(signature, content, scheme, digest)
    if isinstance(public, ec.EllipticCurvePublicKey):
        verify_ec, ecdsa = public.verify, _ECDSA[algorithm]
        length = CURVES[algorithm].coordinate_length
        return lambda signature, content: verify_ec(_to_der(signature, length), content, ecdsa)
    return public.verify


def _to_der(signature: bytes, length: int) -> bytes:
    # RFC 7518 §3.4: r and s, each exactly as long as the curve's order. A DER signature, or one
    # with a byte more or less, is another spelling and refused.
    if len(signature) != 2 * length:
        raise ValueError("length")
    return encode_dss_signature(
        int.from_bytes(signature[:length], "big"), int.from_bytes(signature[length:], "big")
    )


_ECDSA: Final = {algorithm: ec.ECDSA(curve.hash) for algorithm, curve in CURVES.items()}


def _rsa_scheme(algorithm: Algorithm) -> tuple[padding.AsymmetricPadding, Any]:
    digest = RSA_HASHES[algorithm.value[2:]]
    if algorithm.value.startswith("RS"):
        return padding.PKCS1v15(), digest
    # RFC 7518 §3.5: the salt is as long as the hash, and MGF1 uses the same hash.
    return padding.PSS(padding.MGF1(digest), digest.digest_size), digest


_RSA_SCHEMES: Final = {
    algorithm: _rsa_scheme(algorithm) for algorithm in Algorithm if algorithm.key_type == "RSA"
}
