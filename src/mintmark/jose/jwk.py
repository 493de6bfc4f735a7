"""The members of a public JWK, read with suspicion and written in order (RFC 7517 §4, RFC 7518 §6)."""

from collections.abc import Mapping
from functools import cache
from typing import Any, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from mintmark.jose.algorithms import CURVES, Algorithm, parse_algorithm
from mintmark.jose.base64url import decode, encode
from mintmark.jose.errors import AlgorithmRefused, KeyRefused, Malformed

__all__ = ["PublicKey", "read_public_jwk", "write_public_jwk"]

PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey | Ed25519PublicKey

PRIVATE_MEMBERS: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
MIN_RSA_BITS: Final = 2048
MAX_RSA_BITS: Final = 8192
MAX_KID_LENGTH: Final = 256


def read_public_jwk(
    members: Mapping[str, Any],
) -> tuple[PublicKey, str | None, Algorithm | None]:
    """A public signature key, its `kid`, and the algorithm it names.

    Raises:
        KeyRefused: it is private, symmetric, for encryption, weak, off its curve or unreadable.
    """
    # A key set with private members has leaked; using it would hide that.
    if not PRIVATE_MEMBERS.isdisjoint(members):
        raise KeyRefused("the key has private members")
    # RFC 7517 §4.2, §4.3: a key for something else signs nothing here.
    if members.get("use", "sig") != "sig":
        raise KeyRefused("use is not sig")
    key_ops = members.get("key_ops")
    if key_ops is not None and (
        not isinstance(key_ops, list)
        or "verify" not in key_ops
        or any(key_ops.count(one) > 1 for one in key_ops)
    ):
        raise KeyRefused("key_ops does not offer verify")
    kid = members.get("kid")
    if "kid" in members and (not isinstance(kid, str) or not 0 < len(kid) <= MAX_KID_LENGTH):
        raise KeyRefused("kid is no text, or too long")
    try:
        algorithm = parse_algorithm(members["alg"]) if "alg" in members else None
        return _read_key(members), kid, algorithm
    except (AlgorithmRefused, Malformed) as refusal:
        raise KeyRefused(refusal.reason) from None
    except (ValueError, UnsupportedAlgorithm):
        raise KeyRefused("the key is not a valid one") from None


def _read_key(members: Mapping[str, Any]) -> PublicKey:
    match members.get("kty"):
        case "RSA":
            return _read_rsa(members)
        case "EC":
            return _read_ec(members)
        case "OKP":
            return _read_okp(members)
        case _:
            raise KeyRefused("kty is not one we use")


def _read_rsa(members: Mapping[str, Any]) -> rsa.RSAPublicKey:
    n, e = _integer(members, "n"), _integer(members, "e")
    # RFC 7518 §3.3: 2048 bits or more. A huge modulus is an attack on the verifier's time.
    if not MIN_RSA_BITS <= n.bit_length() <= MAX_RSA_BITS:
        raise KeyRefused("the RSA modulus is too short or too long")
    if e < 3 or e % 2 == 0 or e.bit_length() > 64:
        raise KeyRefused("the RSA exponent is not a sound one")
    if n % 2 == 0 or _looks_like_roca(n):
        raise KeyRefused("the RSA modulus is a weak one")
    return rsa.RSAPublicNumbers(e, n).public_key()


def _read_ec(members: Mapping[str, Any]) -> ec.EllipticCurvePublicKey:
    for curve in CURVES.values():
        if curve.crv == members.get("crv"):
            x, y = _octets(members, "x"), _octets(members, "y")
            # RFC 7518 §6.2.1.2: exactly as long as the field, leading zeros included.
            if len(x) != curve.coordinate_length or len(y) != curve.coordinate_length:
                raise KeyRefused("an EC coordinate has the wrong length")
            point = ec.EllipticCurvePublicNumbers(
                int.from_bytes(x, "big"), int.from_bytes(y, "big"), curve.curve
            )
            return point.public_key()
    raise KeyRefused("crv is not one we use")


def _read_okp(members: Mapping[str, Any]) -> Ed25519PublicKey:
    # RFC 8037 §2
    if members.get("crv") != "Ed25519":
        raise KeyRefused("crv is not one we use")
    x = _octets(members, "x")
    if len(x) == 32 and x[:31] + bytes([x[31] & 0x7F]) in _SMALL_ORDER:
        raise KeyRefused("the Ed25519 key has a small order")
    return Ed25519PublicKey.from_public_bytes(x)


def write_public_jwk(public: PublicKey) -> dict[str, str]:
    """The required members alone, which are also what a thumbprint covers (RFC 7638 §3.2)."""
    if isinstance(public, rsa.RSAPublicKey):
        numbers = public.public_numbers()
        return {"e": _unsigned(numbers.e), "kty": "RSA", "n": _unsigned(numbers.n)}
    if isinstance(public, ec.EllipticCurvePublicKey):
        curve = next(c for c in CURVES.values() if c.curve.name == public.curve.name)
        point = public.public_numbers()
        length = curve.coordinate_length
        return {
            "crv": curve.crv,
            "kty": "EC",
            "x": encode(point.x.to_bytes(length, "big")),
            "y": encode(point.y.to_bytes(length, "big")),
        }
    raw = public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return {"crv": "Ed25519", "kty": "OKP", "x": encode(raw)}


def _octets(members: Mapping[str, Any], name: str) -> bytes:
    value = members.get(name)
    if not isinstance(value, str) or len(value) > 2048:
        raise KeyRefused(f"{name} is missing, no text, or too long")
    return decode(value)


def _integer(members: Mapping[str, Any], name: str) -> int:
    octets = _octets(members, name)
    # RFC 7518 §2: Base64urlUInt is the shortest form; a leading zero is another spelling.
    if not octets or octets[0] == 0:
        raise KeyRefused(f"{name} is not in its shortest form")
    return int.from_bytes(octets, "big")


def _unsigned(number: int) -> str:
    return encode(number.to_bytes((number.bit_length() + 7) // 8, "big"))


@cache
def _roca_residues() -> tuple[tuple[int, frozenset[int]], ...]:
    primes = [p for p in range(11, 168) if all(p % q for q in range(2, int(p**0.5) + 1))]
    return tuple((p, frozenset(pow(65537, k, p) for k in range(p - 1))) for p in primes)


def _looks_like_roca(n: int) -> bool:
    """Whether the modulus has the shape of CVE-2017-15361, which can be factored.

    Its primes are powers of 65537 modulo many small primes, so the product is one too; for an
    honest modulus the chance of that is below 2^-27.
    """
    return all(n % prime in residues for prime, residues in _roca_residues())


# The points of order 1, 2, 4 and 8 in every spelling, sign bit cleared: with such a key anybody's
# signature holds for many messages.
_SMALL_ORDER: Final = frozenset(
    bytes.fromhex(point)
    for point in (
        "00" * 32,
        "01" + "00" * 31,
        "ec" + "ff" * 30 + "7f",
        "ed" + "ff" * 30 + "7f",
        "ee" + "ff" * 30 + "7f",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    )
)
