"""base64url without padding, in its one canonical spelling (RFC 7515 §2)."""

from typing import Final

import msgspec

from mintmark.jose.errors import Malformed

__all__ = ["decode", "decode_octets", "encode", "encode_octets"]

_decode_json: Final = msgspec.json.Decoder(bytes).decode
_encode_json: Final = msgspec.json.Encoder().encode
_TO_URL: Final = bytes.maketrans(b"+/", b"-_")

_ALPHABET: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
# Everything outside the alphabet becomes "!", which the strict decoder refuses; padding and the
# standard alphabet among it, because two spellings of one token defeat whoever compares texts.
_TO_STANDARD: Final = bytes(
    (ord("+") if byte == ord("-") else ord("/") if byte == ord("_") else byte)
    if byte in _ALPHABET
    else ord("!")
    for byte in range(256)
)
_PADDING: Final = (b'"', None, b'=="', b'="')  # and the quote behind it
# The last character of a short group has bits that encode nothing. They must be zero.
_LAST_OF_TWO: Final = frozenset(_ALPHABET[::16])
_LAST_OF_THREE: Final = frozenset(_ALPHABET[::4])


def encode(octets: bytes) -> str:
    """Without padding, as RFC 7515 §2 defines it."""
    return encode_octets(octets).decode("ascii")


def encode_octets(octets: bytes) -> bytes:
    """`encode` for those who go on with bytes."""
    # As a JSON string again, for its speed; the quotes go the way of the padding.
    return _encode_json(octets).translate(_TO_URL, b'"=')


def decode(text: str | bytes) -> bytes:
    """Raises `Malformed` unless `text` is exactly what `encode` would have written."""
    try:
        octets = text if isinstance(text, bytes) else text.encode("ascii")
    except UnicodeEncodeError:
        raise Malformed("a segment is not base64url") from None
    return decode_octets(octets)


def decode_octets(octets: bytes) -> bytes:
    """`decode` for those who have bytes already: it runs twice for every token."""
    rest = len(octets) & 3
    padding = _PADDING[rest]
    if padding is None:
        raise Malformed("a base64url segment has an impossible length")
    if rest and octets[-1] not in (_LAST_OF_TWO if rest == 2 else _LAST_OF_THREE):
        raise Malformed("a base64url segment is not canonical")
    try:
        # As a JSON string: msgspec's decoder is strict and twice as fast as binascii's. After the
        # translation no quote or backslash can be left in it.
        return _decode_json(b"".join((b'"', octets.translate(_TO_STANDARD), padding)))
    except msgspec.MsgspecError:
        raise Malformed("a segment is not base64url") from None
