"""ECDH-ES: two sides that agree on a key without sending it (RFC 7518 §4.6, RFC 8037 §3.2)."""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from mintmark.jose.base64url import decode, encode
from mintmark.jose.content_encryption import ContentEncryption
from mintmark.jose.errors import HeaderRefused, KeyRefused, Malformed
from mintmark.jose.key_management import AGREEMENTS, Curve, KeyManagement

__all__ = [
    "Agreement",
    "agree_afresh",
    "agree_with",
    "curve_of",
    "read_agreement",
    "unwrap_agreed",
    "wrap_agreed",
]

AgreementKey = ec.EllipticCurvePrivateKey | X25519PrivateKey

_COORDINATE_LENGTHS: Final = {Curve.P256: 32, Curve.P384: 48, Curve.P521: 66}
_CRV: Final = {"secp256r1": Curve.P256, "secp384r1": Curve.P384, "secp521r1": Curve.P521}
_ECDH: Final = ec.ECDH()


class Agreement(msgspec.Struct, frozen=True, gc=False):
    """What a header tells of an agreement: the sender's point, and who the two parties are."""

    crv: str
    x: bytes
    y: bytes
    apu: bytes
    apv: bytes


def read_agreement(members: Mapping[str, Any]) -> Agreement:
    """The members `epk`, `apu` and `apv`; whether the point is on a curve is not known yet.

    Raises:
        HeaderRefused: one is missing or no text. Malformed: one is not base64url.
    """
    epk = members.get("epk")
    # RFC 7518 §4.6.1.1: a public key, of our curve; a private one has lost its meaning.
    if not isinstance(epk, dict) or "d" in epk:
        raise HeaderRefused("epk is missing, or no public key")
    crv = epk.get("crv")
    okp = crv == "X25519"
    if not isinstance(crv, str) or epk.get("kty") != ("OKP" if okp else "EC"):
        raise HeaderRefused("epk is not a key of a curve")
    return Agreement(
        crv,
        _text(epk, "x"),
        b"" if okp else _text(epk, "y"),
        # RFC 7518 §4.6.1.2, RFC 7518 §4.6.1.3
        _text(members, "apu") if "apu" in members else b"",
        _text(members, "apv") if "apv" in members else b"",
    )


def _text(members: Mapping[str, Any], name: str) -> bytes:
    value = members.get(name)
    if not isinstance(value, str):
        raise HeaderRefused(f"{name} is missing, or no text")
    return decode(value)


def curve_of(key: AgreementKey | ec.EllipticCurvePublicKey | X25519PublicKey) -> Curve:
    """The curve's wire name. Raises `KeyRefused` if it is not one of ours."""
    if isinstance(key, X25519PrivateKey | X25519PublicKey):
        return Curve.X25519
    crv = _CRV.get(key.curve.name)
    if crv is None:
        raise KeyRefused("crv is not one we use")
    return crv


def agree_with(private: AgreementKey) -> Callable[[Agreement], bytes]:
    """The secret shared with whoever made a header's point, as a function of it.

    It raises `HeaderRefused` for a point of another curve, on no curve, or of small order: answers
    to such points would give the private key away piece by piece.
    """
    crv = curve_of(private)
    exchange = _exchange_with(private, crv)

    def agree(agreement: Agreement) -> bytes:
        if agreement.crv != crv:
            raise HeaderRefused("epk is of another curve than the key")
        try:
            return exchange(agreement)
        except ValueError:
            raise HeaderRefused("epk is no sound point of its curve") from None

    return agree


def _exchange_with(private: AgreementKey, crv: Curve) -> Callable[[Agreement], bytes]:
    if isinstance(private, X25519PrivateKey):
        # RFC 8037 §3.2, RFC 8037 §5: an all-zero secret raises ValueError within.
        exchange, read = private.exchange, X25519PublicKey.from_public_bytes
        return lambda agreement: exchange(read(agreement.x))
    exchange_ec, curve, length = private.exchange, private.curve, _COORDINATE_LENGTHS[crv]
    read_point = ec.EllipticCurvePublicKey.from_encoded_point

    def exchange_with_point(agreement: Agreement) -> bytes:
        if not len(agreement.x) == len(agreement.y) == length:
            raise ValueError("length")
        # Reading the point checks that it is on the curve.
        return exchange_ec(_ECDH, read_point(curve, b"\x04" + agreement.x + agreement.y))

    return exchange_with_point


def agree_afresh(
    public: ec.EllipticCurvePublicKey | X25519PublicKey,
) -> tuple[bytes, dict[str, str]]:
    """A secret shared with the owner of this key, and the point that tells them (`epk`)."""
    if isinstance(public, X25519PublicKey):
        once = X25519PrivateKey.generate()
        x = encode(once.public_key().public_bytes_raw())
        return once.exchange(public), {"kty": "OKP", "crv": Curve.X25519.value, "x": x}
    ours, crv = ec.generate_private_key(public.curve), curve_of(public)
    point, length = ours.public_key().public_numbers(), _COORDINATE_LENGTHS[crv]
    epk = {
        "kty": "EC",
        "crv": crv.value,
        "x": encode(point.x.to_bytes(length, "big")),
        "y": encode(point.y.to_bytes(length, "big")),
    }
    return ours.exchange(_ECDH, public), epk


def unwrap_agreed(
    secret: bytes,
    algorithm: KeyManagement,
    enc: ContentEncryption,
    encrypted_key: bytes,
    parties: tuple[bytes, bytes],
) -> bytes:
    """The content's key out of the shared secret.

    Raises:
        Malformed: a key beside an agreed one. InvalidUnwrap: the wrapping does not hold.
    """
    agreed = _derive(secret, algorithm, enc, parties)
    if algorithm is not KeyManagement.ECDH_ES:
        return _unwrap(agreed, encrypted_key)
    # RFC 7516 §5.2: with direct agreement this segment is empty.
    if encrypted_key:
        raise Malformed("there is an encrypted key beside the agreed one")
    return agreed


def _unwrap(key: bytes, wrapped: bytes) -> bytes:
    try:
        return aes_key_unwrap(key, wrapped)
    except ValueError:  # of an impossible length
        raise InvalidUnwrap from None


def wrap_agreed(
    secret: bytes,
    algorithm: KeyManagement,
    enc: ContentEncryption,
    cek: bytes,
    parties: tuple[bytes, bytes],
) -> tuple[bytes, bytes]:
    """The content's key, which is `cek` only where it is wrapped, and the wrapped one or nothing."""
    agreed = _derive(secret, algorithm, enc, parties)
    if algorithm is KeyManagement.ECDH_ES:
        return agreed, b""
    return cek, aes_key_wrap(agreed, cek)


def _purpose(algorithm: KeyManagement, enc: ContentEncryption) -> tuple[bytes, bytes, int]:
    """What of the derivation is fixed: its name, its length in bits, its length in octets."""
    name, length = {
        KeyManagement.ECDH_ES: (enc.value, enc.key_length),
        KeyManagement.ECDH_ES_A128KW: (algorithm.value, 16),
        KeyManagement.ECDH_ES_A256KW: (algorithm.value, 32),
    }[algorithm]
    return _field(name.encode("ascii")), (8 * length).to_bytes(4, "big"), length


def _field(octets: bytes) -> bytes:
    return len(octets).to_bytes(4, "big") + octets


_PURPOSES: Final = {
    (algorithm, enc): _purpose(algorithm, enc)
    for algorithm in AGREEMENTS
    for enc in ContentEncryption
}


def _derive(
    secret: bytes,
    algorithm: KeyManagement,
    enc: ContentEncryption,
    parties: tuple[bytes, bytes],
) -> bytes:
    # RFC 7518 §4.6.2: name, parties and length go into the key, so that a key agreed for one
    # purpose is none for another. The counter counts hashes, and most keys need one.
    name, bits, length = _PURPOSES[algorithm, enc]
    content = b"".join((secret, name, _field(parties[0]), _field(parties[1]), bits))
    derived = hashlib.sha256(b"\0\0\0\1" + content).digest()
    if length > len(derived):
        derived += hashlib.sha256(b"\0\0\0\2" + content).digest()
    return derived[:length]
