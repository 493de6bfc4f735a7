"""RSA by hand: weak keys, and paddings that no honest library makes (RFC 8017 §9.2)."""

import hashlib
from dataclasses import dataclass, field
from functools import cache
from typing import Final, Self

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from mintmark.jose.base64url import encode
from mintmark.jose.keys import SigningKey

__all__ = ["DIGEST_INFO", "RawRsa", "emsa_pkcs1", "exponent_one", "roca", "short_key"]

DIGEST_INFO: Final = bytes.fromhex("3031300d060960864801650304020105000420")
"""Of SHA-256, as DER writes it."""


def emsa_pkcs1(content: bytes, length: int) -> bytes:
    """The one padding that a verifier may take."""
    info = DIGEST_INFO + hashlib.sha256(content).digest()
    return b"\x00\x01" + b"\xff" * (length - len(info) - 3) + b"\x00" + info


@dataclass(frozen=True, slots=True)
class RawRsa:
    """The bare numbers of a key."""

    n: int
    e: int
    d: int = field(repr=False)

    @classmethod
    def of(cls, key: SigningKey) -> Self:
        private = serialization.load_der_private_key(key.to_pkcs8(), None)
        assert isinstance(private, rsa.RSAPrivateKey)
        numbers = private.private_numbers()
        return cls(numbers.public_numbers.n, numbers.public_numbers.e, numbers.d)

    @property
    def length(self) -> int:
        return (self.n.bit_length() + 7) // 8

    def raise_padded(self, padded: bytes) -> bytes:
        """The private operation on whatever was made of the message."""
        number = int.from_bytes(padded, "big") % self.n
        return pow(number, self.d, self.n).to_bytes(self.length, "big")

    def sign(self, content: bytes) -> bytes:
        """An honest RS256 signature."""
        return self.raise_padded(emsa_pkcs1(content, self.length))

    def jwk(self, kid: str) -> dict[str, str]:
        return {"kty": "RSA", "kid": kid, "n": _unsigned(self.n), "e": _unsigned(self.e)}


def _unsigned(number: int) -> str:
    return encode(number.to_bytes((number.bit_length() + 7) // 8, "big"))


@cache
def short_key() -> RawRsa:
    """1024 bits."""
    numbers = rsa.generate_private_key(65537, 1024).private_numbers()  # noqa: S505 -- weak on purpose
    return RawRsa(numbers.public_numbers.n, numbers.public_numbers.e, numbers.d)


def exponent_one(key: RawRsa) -> RawRsa:
    """With it, the padded message is its own signature, and anybody signs."""
    return RawRsa(key.n, 1, 1)


@cache
def roca() -> RawRsa:
    """A modulus of CVE-2017-15361: both primes are powers of 65537 modulo many small primes."""
    p, q = (int(prime, 16) for prime in _ROCA_PRIMES)
    return RawRsa(p * q, 65537, pow(65537, -1, (p - 1) * (q - 1)))


_ROCA_PRIMES: Final = (
    (
        "d30d8b732e09d61684548ff42a57285753f12a56ade9669a544ba706de0f23abece088daced42e45bfec479c3b464"
        "41a48bac6c4c439ff84060daf4cdb620a3e16350c2b67b3c230b58c611ad5cd9fd979944a740cc05e5a10717e0c03"
        "883923d6fff2fa7083784d9c1e9f4f24ea27d716af93da9c0b87597e96a63210e6351f"
    ),
    (
        "ceb07572afaf8cc210e76a933c4fc68ea0a8cebac3f89854a51aa123b05dc3c696d2a6cad74d26519f9a0d8c77112"
        "bebdc4027917bb2d61696dc320d11821a02d21fdedf172bdb61a227e807ba8a2fc951c1eae8c0642164ee4419d092"
        "dd73210d3d9a71e396f591bece9f64d6eaa686fd7c90479b62719b6ee24c48e138cf5b"
    ),
)
