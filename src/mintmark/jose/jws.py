"""Compact signatures (RFC 7515): written, read, and checked."""

from collections.abc import Set as AbstractSet
from typing import Any, Final

import msgspec

from mintmark.jose.algorithms import Algorithm, parse_algorithm
from mintmark.jose.base64url import decode_octets, encode_octets
from mintmark.jose.errors import AlgorithmRefused, HeaderRefused, Malformed
from mintmark.jose.key_set import KeySet
from mintmark.jose.keys import SigningKey
from mintmark.jose.strict_json import decode_object

__all__ = ["MAX_LENGTH", "Header", "Jws", "parse", "parse_with_members", "require_typ", "sign"]

MAX_LENGTH: Final = 16 * 1024
"""Characters. Headers of HTTP servers end there too; a longer token is an attack or a mistake."""

_MAX_HEADER_LENGTH: Final = 2048
_MAX_KID_LENGTH: Final = 256

# RFC 7515 §4.1 and RFC 7516 §4.1: these change what the bytes mean, or belong to encryption.
_FOREIGN: Final = frozenset(
    {"crit", "b64", "zip", "enc", "epk", "apu", "apv", "p2c", "p2s", "iv", "tag"}
)


class Header(msgspec.Struct, frozen=True, gc=False):
    """The header members that we look at. Keys inside a header are never used (RFC 8725 §3.10)."""

    algorithm: Algorithm
    kid: str | None
    typ: str | None  # in lower case, without "application/"


class Jws(msgspec.Struct, frozen=True, gc=False):
    """A compact JWS taken apart. Nothing of it is proved before `require_signature`."""

    header: Header
    payload: bytes
    signature: bytes
    signing_input: bytes

    def require_signature(self, keys: KeySet, algorithms: AbstractSet[Algorithm]) -> None:
        """Refuse it unless one of these keys made it with one of these algorithms.

        Raises:
            AlgorithmRefused, KeyNotFound, KeyAmbiguous, SignatureInvalid.
        """
        header = self.header
        # RFC 8725 §3.1: what is acceptable is decided here, not by the token.
        if header.algorithm not in algorithms:
            raise AlgorithmRefused("alg is not allowed here")
        key = keys.select(header.kid, header.algorithm)
        key.verify(self.signature, self.signing_input, header.algorithm)


# Headers repeat: one issuer's tokens share theirs. The dictionary is emptied when it is full, so
# that a flood of strange headers costs memory for a while and parsing time only.
_headers: dict[bytes, Header] = {}
_MAX_HEADERS: Final = 512


def parse(token: str | bytes) -> Jws:
    """Take a token apart, strictly.

    Raises:
        Malformed, HeaderRefused, AlgorithmRefused.
    """
    signing_input, head, body, tail = _segments(token)
    header = _headers.get(head) or _remember(head)
    return Jws(header, decode_octets(body), decode_octets(tail), signing_input)


def parse_with_members(token: str | bytes) -> tuple[Jws, dict[str, Any]]:
    """The same, with all members of the header: for proofs, which carry their key there.

    Such a header is as good as unique, so it is not remembered.

    Raises:
        Malformed, HeaderRefused, AlgorithmRefused.
    """
    signing_input, head, body, tail = _segments(token)
    members = _header_members(head)
    header = _parse_header(members)
    return Jws(header, decode_octets(body), decode_octets(tail), signing_input), members


def _segments(token: str | bytes) -> tuple[bytes, bytes, bytes, bytes]:
    """What was signed, and the three segments."""
    if len(token) > MAX_LENGTH:
        raise Malformed("the token is too long")
    try:
        octets = token if isinstance(token, bytes) else token.encode("ascii")
    except UnicodeEncodeError:
        raise Malformed("not a compact JWS") from None
    # RFC 7515 §7.1: three segments; a further dot is no base64url and refused with its segment.
    signing_input, _, tail = octets.rpartition(b".")
    head, _, body = signing_input.partition(b".")
    return signing_input, head, body, tail


def _remember(head: bytes) -> Header:
    header = _parse_header(_header_members(head))
    if len(_headers) >= _MAX_HEADERS:
        _headers.clear()
    _headers[head] = header
    return header


def _header_members(head: bytes) -> dict[str, Any]:
    if len(head) > _MAX_HEADER_LENGTH:
        raise HeaderRefused("the header is too long")
    return decode_object(decode_octets(head))


def _parse_header(members: dict[str, Any]) -> Header:
    # RFC 7515 §4.1.11: an extension we do not understand, and we understand none.
    if not _FOREIGN.isdisjoint(members):
        raise HeaderRefused("the header asks for an extension or for encryption")
    # RFC 7519 §5.2: a token inside a token would be checked by nobody.
    if "cty" in members:
        raise HeaderRefused("cty says that something else is inside")
    # RFC 7515 §4.1.4: a string where it stands at all; `null` is none.
    kid = members.get("kid")
    if "kid" in members and (not isinstance(kid, str) or len(kid) > _MAX_KID_LENGTH):
        raise HeaderRefused("kid is no text, or too long")
    return Header(parse_algorithm(members.get("alg")), kid, _parse_typ(members))


def _parse_typ(members: dict[str, Any]) -> str | None:
    if "typ" not in members:
        return None
    typ = members["typ"]
    if not isinstance(typ, str):
        raise HeaderRefused("typ is no text")
    # RFC 7515 §4.1.9: a media type, compared without case, "application/" left out.
    return typ.lower().removeprefix("application/")


def require_typ(header: Header, typ: str) -> None:
    """Refuse a token that was made for another purpose (RFC 8725 §3.11)."""
    if header.typ != typ:
        raise HeaderRefused("typ says that this is another kind of token")


def sign(payload: bytes, key: SigningKey, *, typ: str) -> str:
    """A compact JWS over these bytes."""
    # A token is made in a few microseconds besides its signature: a call less is one in fifty.
    segment = key.headers.get(typ) or _write_header(key, typ)
    signing_input = segment + encode_octets(payload)
    signature = encode_octets(key.sign(signing_input))
    return b".".join((signing_input, signature)).decode("ascii")


def _write_header(key: SigningKey, typ: str) -> bytes:
    """With its dot. Written once for each key and type, and kept with the key."""
    members = {"alg": key.algorithm.value, "typ": typ, "kid": key.kid}
    segment = key.headers[typ] = encode_octets(msgspec.json.encode(members)) + b"."
    return segment
