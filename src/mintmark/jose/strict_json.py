"""JSON as RFC 8259 means it, and one meaning only (RFC 7515 §4, RFC 7519 §4)."""

import json
from types import GenericAlias
from typing import Any, Final, NoReturn

import msgspec

from mintmark.jose.errors import Malformed

__all__ = ["MAX_DEPTH", "decode_object"]

MAX_DEPTH: Final = 32
"""Deeper nesting than any claim needs; a parser's stack is not for strangers to fill."""


def _nested(levels: int) -> Any:
    """JSON values with at most so many lists and objects around them, as a type for msgspec."""
    scalar = str | int | float | bool | None
    if levels == 0:
        return scalar
    inner = _nested(levels - 1)
    return scalar | GenericAlias(list, (inner,)) | GenericAlias(dict, (str, inner))


# The type bounds the depth while it is read, which costs nothing; counting brackets would cost a
# quarter of all that is done here.
_decode: Final = msgspec.json.Decoder(GenericAlias(dict, (str, _nested(4)))).decode
_encode: Final = msgspec.json.Encoder().encode
_UNREADABLE: Final = (msgspec.MsgspecError, ValueError, OverflowError, RecursionError)


def decode_object(octets: bytes) -> dict[str, Any]:
    """One JSON object without duplicate members, NaN, lone surrogates, BOM or deep nesting.

    The fast path reads the text, writes it again and compares. Text that comes out byte for byte
    as it went in has lost nothing, and a duplicate member always loses one; NaN and lone
    surrogates cannot be written at all. Nearly every token is in that compact form, and shallow.
    Anything else takes the slow parser, which looks at every member.

    Raises:
        Malformed: it is anything else, whatever it is.
    """
    try:
        decoded: dict[str, Any] = _decode(octets)
        if _encode(decoded) == octets:
            return decoded
    except msgspec.ValidationError:
        pass  # nested more deeply than most, or no object: the slow parser tells which
    except _UNREADABLE:
        raise Malformed("not readable as JSON") from None
    try:
        return _decode_slowly(octets)
    except _UNREADABLE:
        raise Malformed("not readable as JSON") from None


def _decode_slowly(octets: bytes) -> dict[str, Any]:
    decoded = json.loads(
        octets.decode("utf-8"),
        object_pairs_hook=_without_duplicates,
        parse_constant=_refuse_constant,
    )
    _require_encodable(decoded, MAX_DEPTH)
    if not isinstance(decoded, dict):
        raise Malformed("not a JSON object")
    return decoded


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise Malformed("a JSON member is duplicated")
    return members


def _refuse_constant(_: str) -> NoReturn:
    raise Malformed("NaN and Infinity are not JSON")


def _require_encodable(value: Any, depth: int) -> None:
    if isinstance(value, str):
        value.encode("utf-8")  # a lone surrogate raises UnicodeEncodeError, a ValueError
        return
    if depth == 0 and isinstance(value, list | dict):
        raise Malformed("JSON nested too deeply")
    if isinstance(value, list):
        for inner in value:
            _require_encodable(inner, depth - 1)
    elif isinstance(value, dict):
        for name, inner in value.items():
            name.encode("utf-8")
            _require_encodable(inner, depth - 1)
