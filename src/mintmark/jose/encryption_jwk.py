"""JSON Web Keys for encryption, read with suspicion (RFC 7517 §4, RFC 7518 §6, RFC 8037 §2)."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from mintmark.jose.base64url import decode, encode
from mintmark.jose.content_encryption import ContentEncryption, parse_content_encryption
from mintmark.jose.errors import AlgorithmRefused, KeyRefused, Malformed
from mintmark.jose.jwk import MAX_KID_LENGTH, PRIVATE_MEMBERS, read_public_jwk, write_public_jwk
from mintmark.jose.key_management import Curve, KeyManagement, parse_key_management

__all__ = [
    "Naming",
    "PrivateKey",
    "PublicKey",
    "read_naming",
    "read_private_key",
    "read_public_key",
    "write_public_key",
]

PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey | X25519PublicKey
PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | X25519PrivateKey | bytes

_PUBLIC_OPS: Final = ("encrypt", "wrapKey", "deriveKey", "deriveBits")
_PRIVATE_OPS: Final = ("decrypt", "unwrapKey", "deriveKey", "deriveBits")
# What `read_public_jwk` is shown: the key alone, for it knows the other members of signatures.
_NUMBERS: Final = ("kty", "crv", "x", "y", "n", "e")


class Naming(NamedTuple):
    """What a JWK says of itself, beside its numbers."""

    kid: str | None
    key_management: KeyManagement | None
    content_encryption: ContentEncryption | None


def read_naming(members: Mapping[str, Any], *, private: bool) -> Naming:
    """Raises `KeyRefused` for a key that is for signatures or names an algorithm we do not use."""
    # RFC 7517 §4.2, RFC 7517 §4.3
    if members.get("use", "enc") != "enc":
        raise KeyRefused("use is not enc")
    _require_key_ops(members.get("key_ops"), _PRIVATE_OPS if private else _PUBLIC_OPS)
    kid = members.get("kid")
    if "kid" in members and (not isinstance(kid, str) or not 0 < len(kid) <= MAX_KID_LENGTH):
        raise KeyRefused("kid is no text, or too long")
    if "alg" not in members:
        return Naming(kid, None, None)
    try:
        # A symmetric key for `dir` names what it encrypts (RFC 7517 §4.4).
        if members.get("kty") == "oct" and members["alg"] != KeyManagement.DIR:
            return Naming(kid, KeyManagement.DIR, parse_content_encryption(members["alg"]))
        return Naming(kid, parse_key_management(members["alg"]), None)
    except AlgorithmRefused as refusal:
        raise KeyRefused(refusal.reason) from None


def _require_key_ops(key_ops: Any, allowed: tuple[str, ...]) -> None:
    if key_ops is None:
        return
    if not isinstance(key_ops, list) or not any(one in allowed for one in key_ops):
        raise KeyRefused("key_ops does not offer what encryption needs")
    if any(key_ops.count(one) > 1 for one in key_ops):
        raise KeyRefused("key_ops names something twice")


def read_public_key(members: Mapping[str, Any]) -> PublicKey:
    """Raises `KeyRefused`: it is private, symmetric, weak, off its curve or unreadable."""
    if not PRIVATE_MEMBERS.isdisjoint(members):
        raise KeyRefused("the key has private members")
    return _read_numbers(members)


def _read_numbers(members: Mapping[str, Any]) -> PublicKey:
    if members.get("kty") == "OKP":
        return _read_x25519(members)
    public = read_public_jwk({name: members[name] for name in _NUMBERS if name in members})[0]
    assert isinstance(public, rsa.RSAPublicKey | ec.EllipticCurvePublicKey)  # OKP is above
    return public


def _read_x25519(members: Mapping[str, Any]) -> X25519PublicKey:
    if members.get("crv") != Curve.X25519:
        raise KeyRefused("crv is not one we use")
    try:
        public = X25519PublicKey.from_public_bytes(_octets(members, "x"))
        # A point of small order makes the same secret with everybody, and refuses here.
        X25519PrivateKey.generate().exchange(public)
    except ValueError:
        raise KeyRefused("the X25519 key is no sound one") from None
    return public


def read_private_key(members: Mapping[str, Any]) -> PrivateKey:
    """Raises `KeyRefused`: it is public, weak, not in itself consistent, or unreadable."""
    try:
        if members.get("kty") == "oct":
            return _octets(members, "k")
        private = _read_private(members, _read_numbers(members))
    except (ValueError, TypeError, OverflowError, UnsupportedAlgorithm):
        raise KeyRefused("the key is not a valid one") from None
    return private


def _read_private(members: Mapping[str, Any], public: PublicKey) -> PrivateKey:
    private: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | X25519PrivateKey
    if isinstance(public, rsa.RSAPublicKey):
        return _read_rsa(members, public)
    if isinstance(public, X25519PublicKey):
        private = X25519PrivateKey.from_private_bytes(_octets(members, "d"))
    else:
        private = ec.derive_private_key(_integer(members, "d"), public.curve)
    # With the public half of another key, somebody else would read what is sent to this one.
    if private.public_key() != public:
        raise KeyRefused("d is not of this public key")
    return private


def _read_rsa(members: Mapping[str, Any], public: rsa.RSAPublicKey) -> rsa.RSAPrivateKey:
    # RFC 7518 §6.3.2: either all of them, or a slow search for the primes, which we leave.
    if "oth" in members:
        raise KeyRefused("the RSA key has more than two primes")
    p, q, d, dp, dq, qi = (_integer(members, name) for name in ("p", "q", "d", "dp", "dq", "qi"))
    return rsa.RSAPrivateNumbers(p, q, d, dp, dq, qi, public.public_numbers()).private_key()


def write_public_key(public: PublicKey) -> dict[str, str]:
    """The required members alone, in the order of a thumbprint (RFC 7638 §3.2)."""
    if isinstance(public, X25519PublicKey):
        x = encode(public.public_bytes_raw())
        return {"crv": Curve.X25519.value, "kty": "OKP", "x": x}
    return write_public_jwk(public)


def _octets(members: Mapping[str, Any], name: str) -> bytes:
    value = members.get(name)
    if not isinstance(value, str) or len(value) > 2048:
        raise KeyRefused(f"{name} is missing, no text, or too long")
    try:
        return decode(value)
    except Malformed as refusal:
        raise KeyRefused(refusal.reason) from None


def _integer(members: Mapping[str, Any], name: str) -> int:
    return int.from_bytes(_octets(members, name), "big")
