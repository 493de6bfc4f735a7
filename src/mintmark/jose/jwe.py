"""Compact encryption (RFC 7516): written, read, and opened."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from types import MappingProxyType
from typing import Any, Final

import msgspec

from mintmark.jose.base64url import decode_octets, encode, encode_octets
from mintmark.jose.content_encryption import (
    ContentEncryption,
    decrypt_content,
    encrypt_content,
    parse_content_encryption,
    require_lengths,
)
from mintmark.jose.decryption_keys import DecryptionKeys
from mintmark.jose.encryption_keys import EncryptionKey
from mintmark.jose.errors import AlgorithmRefused, ClaimRefused, HeaderRefused, Malformed
from mintmark.jose.jws import MAX_LENGTH
from mintmark.jose.key_agreement import Agreement, read_agreement
from mintmark.jose.key_management import AGREEMENTS, KeyManagement, parse_key_management
from mintmark.jose.strict_json import decode_object

__all__ = [
    "Decrypted",
    "EncryptionHeader",
    "Jwe",
    "decrypt",
    "encrypt",
    "parse",
    "require_nested_jws",
    "require_replicated",
]

_MAX_HEADER_LENGTH: Final = 2048
_MAX_KID_LENGTH: Final = 256

# RFC 7516 §4.1.13 and RFC 7516 §4.1.3: an extension, and a compression that makes 60 MB of 80 KB.
# The others belong to passwords and to AES-GCM key wrapping, which do not exist here.
_FOREIGN: Final = frozenset({"crit", "b64", "zip", "p2c", "p2s", "iv", "tag"})
_OF_AGREEMENTS: Final = frozenset({"epk", "apu", "apv"})
# RFC 7519 §5.3
_REPLICATED: Final = frozenset({"iss", "sub", "aud"})
_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


class EncryptionHeader(msgspec.Struct, frozen=True, gc=False):
    """The header members that we look at. Keys inside a header are never used (RFC 8725 §3.10)."""

    key_management: KeyManagement
    content_encryption: ContentEncryption
    kid: str | None
    typ: str | None  # in lower case, without "application/"
    cty: str | None  # the same
    replicated: Mapping[str, Any]  # those of `iss`, `sub` and `aud` that stand in it
    agreement: Agreement | None


class Jwe(msgspec.Struct, frozen=True, gc=False):
    """A compact JWE taken apart. Nothing of it is proved."""

    header: EncryptionHeader
    encrypted_key: bytes
    iv: bytes
    ciphertext: bytes
    tag: bytes
    aad: bytes


class Decrypted(msgspec.Struct, frozen=True, gc=False):
    """What was encrypted to us. Everybody who has the public key can do that: it proves nothing."""

    header: EncryptionHeader
    plaintext: bytes

    def __repr__(self) -> str:
        return f"<Decrypted {len(self.plaintext)} octets>"


# As in `jws`: headers repeat, except where they carry an ephemeral key.
_headers: dict[bytes, EncryptionHeader] = {}
_MAX_HEADERS: Final = 512


def parse(token: str | bytes) -> Jwe:
    """Take a token apart, strictly.

    Raises:
        Malformed, HeaderRefused, AlgorithmRefused.
    """
    if len(token) > MAX_LENGTH:
        raise Malformed("the token is too long")
    try:
        octets = token if isinstance(token, bytes) else token.encode("ascii")
    except UnicodeEncodeError:
        raise Malformed("not a compact JWE") from None
    # RFC 7516 §7.1: five segments, and nothing of the JSON serialization.
    segments = octets.split(b".", 5)
    if len(segments) != 5:
        raise Malformed("not a compact JWE")
    head = segments[0]
    header = _headers.get(head) or _remember(head)
    encrypted_key, iv, ciphertext, tag = map(decode_octets, segments[1:])
    require_lengths(header.content_encryption, iv, tag)
    return Jwe(header, encrypted_key, iv, ciphertext, tag, head)


def _remember(head: bytes) -> EncryptionHeader:
    header = _parse_header(head)
    if header.agreement is None:
        if len(_headers) >= _MAX_HEADERS:
            _headers.clear()
        _headers[head] = header
    return header


def _parse_header(head: bytes) -> EncryptionHeader:
    if len(head) > _MAX_HEADER_LENGTH:
        raise HeaderRefused("the header is too long")
    members = decode_object(decode_octets(head))
    if not _FOREIGN.isdisjoint(members):
        raise HeaderRefused("the header asks for an extension, for compression or for a password")
    kid = members.get("kid")
    if "kid" in members and (not isinstance(kid, str) or len(kid) > _MAX_KID_LENGTH):
        raise HeaderRefused("kid is no text, or too long")
    algorithm = parse_key_management(members.get("alg"))
    return EncryptionHeader(
        algorithm,
        parse_content_encryption(members.get("enc")),
        kid,
        _media_type(members, "typ"),
        _media_type(members, "cty"),
        _read_replicated(members),
        _read_agreement(members, algorithm),
    )


def _read_agreement(members: Mapping[str, Any], algorithm: KeyManagement) -> Agreement | None:
    if algorithm in AGREEMENTS:
        return read_agreement(members)
    if not _OF_AGREEMENTS.isdisjoint(members):
        raise HeaderRefused("the header has members of another alg")
    return None


def _media_type(members: Mapping[str, Any], name: str) -> str | None:
    if name not in members:
        return None
    value = members[name]
    if not isinstance(value, str):
        raise HeaderRefused(f"{name} is no text")
    # RFC 7516 §4.1.11, RFC 7516 §4.1.12: compared without case, "application/" left out.
    return value.lower().removeprefix("application/")


def _read_replicated(members: Mapping[str, Any]) -> Mapping[str, Any]:
    if _REPLICATED.isdisjoint(members):
        return _NOTHING
    return MappingProxyType({name: members[name] for name in _REPLICATED if name in members})


def decrypt(
    token: str | bytes,
    keys: DecryptionKeys,
    *,
    now: float,
    key_management: AbstractSet[KeyManagement],
    content_encryption: AbstractSet[ContentEncryption],
) -> Decrypted:
    """What is inside, if it was encrypted to one of these keys in one of these ways.

    Args:
        now: the moment of this request, in seconds since 1970.

    Raises:
        Malformed, HeaderRefused, AlgorithmRefused, KeyNotFound, KeyRetired, KeyAmbiguous:
            by what everybody can read in the token.
        DecryptionFailed: for every other cause, always with the same words.
    """
    jwe = parse(token)
    header = jwe.header
    algorithm, enc = header.key_management, header.content_encryption
    # RFC 8725 §3.1: what is acceptable is decided here, not by the token.
    if algorithm not in key_management or enc not in content_encryption:
        raise AlgorithmRefused("alg or enc is not allowed here")
    key = keys.select(header.kid, algorithm, now=now)
    cek = key.open_content_key(algorithm, enc, jwe.encrypted_key, header.agreement)
    plaintext = decrypt_content(enc, cek, jwe.iv, jwe.ciphertext, jwe.tag, jwe.aad)
    return Decrypted(header, plaintext)


def require_nested_jws(decrypted: Decrypted) -> bytes:
    """The signed token inside, for `jws.parse`. Its signature is still to be checked.

    Depth is one: claims without a signature could be anybody's, and a further encryption would
    let a token choose how often we decrypt.

    Raises:
        HeaderRefused: the header does not say that a token is inside (RFC 7519 §5.2).
        Malformed: what is inside is no compact JWS, or is itself encrypted.
    """
    if decrypted.header.cty != "jwt":
        raise HeaderRefused("cty does not say that a token is inside")
    if decrypted.plaintext.count(b".") != 2:
        raise Malformed("what was encrypted is not a signed token")
    return decrypted.plaintext


def require_replicated(header: EncryptionHeader, claims: Mapping[str, Any]) -> None:
    """Refuse a token whose header says `iss`, `sub` or `aud` otherwise than its claims.

    Whoever chose keys or a route by the header's would have chosen by a lie (RFC 7519 §5.3).

    Raises:
        ClaimRefused: naming the claim.
    """
    for name, value in header.replicated.items():
        if name not in claims or claims[name] != value:
            raise ClaimRefused(name, "is another in the header")


def encrypt(
    payload: bytes,
    key: EncryptionKey,
    *,
    enc: ContentEncryption,
    key_management: KeyManagement | None = None,
    cty: str | None = "JWT",
    typ: str | None = None,
    replicated: Mapping[str, Any] | None = None,
    apu: bytes | None = None,
    apv: bytes | None = None,
) -> str:
    """A compact JWE that only the owner of this key can read.

    Args:
        key_management: needed where the key may be used with several.
        replicated: claims to repeat in the header, where everybody reads them (RFC 7519 §5.3).
        apu, apv: names of the two parties, for ECDH-ES.

    Raises:
        AlgorithmRefused: the key is for something else.
        HeaderRefused: a claim to repeat is none of `iss`, `sub` and `aud`.
    """
    if replicated and not replicated.keys() <= _REPLICATED:
        raise HeaderRefused("only iss, sub and aud are repeated in a header")
    algorithm = key_management or _only(key.key_management)
    cek, encrypted_key, epk = key.seal_content_key(algorithm, enc, (apu or b"", apv or b""))
    parties = {"apu": apu, "apv": apv} if algorithm in AGREEMENTS else {}
    members = {
        "alg": algorithm.value,
        "enc": enc.value,
        "kid": key.kid,
        "typ": typ,
        "cty": cty,
        "epk": epk,
        **{name: None if party is None else encode(party) for name, party in parties.items()},
        **(replicated or {}),
    }
    present = {name: value for name, value in members.items() if value is not None}
    head = encode_octets(msgspec.json.encode(present))
    iv, ciphertext, tag = encrypt_content(enc, cek, payload, head)
    segments = (head, *map(encode_octets, (encrypted_key, iv, ciphertext, tag)))
    return b".".join(segments).decode("ascii")


def _only(algorithms: AbstractSet[KeyManagement]) -> KeyManagement:
    if len(algorithms) != 1:
        raise AlgorithmRefused("the key may be used with several; say which")
    return next(iter(algorithms))
