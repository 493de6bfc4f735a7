"""How the key of one token's content comes to its reader (RFC 7518 §4, RFC 8037 §3.2)."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final

import msgspec
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.kdf.concatkdf import ConcatKDFHash
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from mintmark.jose.base64url import decode, encode
from mintmark.jose.content_encryption import ContentEncryption
from mintmark.jose.errors import AlgorithmRefused, HeaderRefused, KeyRefused, Malformed

__all__ = [
    "AGREEMENTS",
    "ALL_KEY_MANAGEMENTS",
    "OAEP",
    "Agreement",
    "Curve",
    "KeyManagement",
    "agree",
    "agree_afresh",
    "curve_of",
    "parse_key_management",
    "read_agreement",
    "unwrap_agreed",
    "wrap_agreed",
]


class KeyManagement(StrEnum):
    """Key management by its wire name (RFC 7518 §4.1).

    `RSA1_5` is missing because its padding is an oracle (RFC 8725 §3.2), the password ones because
    the token would choose how long we work.
    """

    RSA_OAEP = "RSA-OAEP"
    RSA_OAEP_256 = "RSA-OAEP-256"
    ECDH_ES = "ECDH-ES"
    ECDH_ES_A128KW = "ECDH-ES+A128KW"
    ECDH_ES_A256KW = "ECDH-ES+A256KW"
    DIR = "dir"

    # As in `Algorithm`: the hash of Enum is Python code.
    __hash__ = str.__hash__


class Curve(StrEnum):
    """The curves of ECDH-ES by their wire name."""

    P256 = "P-256"
    P384 = "P-384"
    P521 = "P-521"
    X25519 = "X25519"


ALL_KEY_MANAGEMENTS: Final = frozenset(KeyManagement)

# RFC 7518 §4.3: the plain name means SHA-1, which is sound within OAEP and nowhere else.
OAEP: Final = {
    KeyManagement.RSA_OAEP: padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None),  # noqa: S303 -- what the name says
    KeyManagement.RSA_OAEP_256: padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None),
}
# RFC 7518 §4.6: octets of the wrapping key; none where the agreed key is the content's own.
_WRAPPING_KEY_LENGTHS: Final = {
    KeyManagement.ECDH_ES: None,
    KeyManagement.ECDH_ES_A128KW: 16,
    KeyManagement.ECDH_ES_A256KW: 32,
}
AGREEMENTS: Final = frozenset(_WRAPPING_KEY_LENGTHS)

_BY_NAME: Final = {algorithm.value: algorithm for algorithm in KeyManagement}
_COORDINATE_LENGTHS: Final = {"secp256r1": 32, "secp384r1": 48, "secp521r1": 66}
_CRV: Final = {"secp256r1": Curve.P256, "secp384r1": Curve.P384, "secp521r1": Curve.P521}
_ECDH: Final = ec.ECDH()

AgreementKey = ec.EllipticCurvePrivateKey | X25519PrivateKey


def parse_key_management(name: object) -> KeyManagement:
    """Raises `AlgorithmRefused` for everything that is not ours."""
    algorithm = _BY_NAME.get(name) if isinstance(name, str) else None
    if algorithm is None:
        raise AlgorithmRefused("alg is not a key management we use")
    return algorithm


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
    okp = crv == Curve.X25519
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


def agree(private: AgreementKey, crv: Curve, agreement: Agreement) -> bytes:
    """The secret shared with whoever made the header's point.

    Raises:
        HeaderRefused: the point is of another curve, on no curve, or of small order. Answers to
            such points would give the private key away piece by piece.
    """
    if agreement.crv != crv:
        raise HeaderRefused("epk is of another curve than the key")
    try:
        if isinstance(private, X25519PrivateKey):
            # RFC 8037 §3.2, §5: an all-zero secret raises ValueError within.
            return private.exchange(X25519PublicKey.from_public_bytes(agreement.x))
        length = _COORDINATE_LENGTHS[private.curve.name]
        if len(agreement.x) == len(agreement.y) == length:
            point = b"\x04" + agreement.x + agreement.y
            public = ec.EllipticCurvePublicKey.from_encoded_point(private.curve, point)
            return private.exchange(_ECDH, public)
    except ValueError:
        pass
    raise HeaderRefused("epk is no sound point of its curve")


def agree_afresh(
    public: ec.EllipticCurvePublicKey | X25519PublicKey,
) -> tuple[bytes, dict[str, str]]:
    """A secret shared with the owner of this key, and the point that tells them (`epk`)."""
    if isinstance(public, X25519PublicKey):
        once = X25519PrivateKey.generate()
        x = encode(once.public_key().public_bytes_raw())
        return once.exchange(public), {"kty": "OKP", "crv": Curve.X25519.value, "x": x}
    ours = ec.generate_private_key(public.curve)
    point, length = ours.public_key().public_numbers(), _COORDINATE_LENGTHS[public.curve.name]
    epk = {
        "kty": "EC",
        "crv": _CRV[public.curve.name].value,
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


def _derive(
    secret: bytes,
    algorithm: KeyManagement,
    enc: ContentEncryption,
    parties: tuple[bytes, bytes],
) -> bytes:
    # RFC 7518 §4.6.2: name, parties and length go into the key, so that a key agreed for one
    # purpose is none for another.
    wrapping = _WRAPPING_KEY_LENGTHS[algorithm]
    name, length = (enc.value, enc.key_length) if wrapping is None else (algorithm.value, wrapping)
    fields = (name.encode("ascii"), *parties)
    info = b"".join(len(field).to_bytes(4, "big") + field for field in fields)
    info += (8 * length).to_bytes(4, "big")
    return ConcatKDFHash(hashes.SHA256(), length, info).derive(secret)
