"""What proxies write down about a request that they pass on: `Forwarded`, `X-Forwarded-For`.

This reads. Whom to believe is the question of `proxy`.
"""

import ipaddress
import re
from collections.abc import Sequence
from typing import Final

__all__ = [
    "Address",
    "Headers",
    "OriginRefused",
    "parse_address",
    "parse_node",
    "read_forwarded",
    "read_list",
]

Headers = Sequence[tuple[bytes, bytes]]
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

MAX_FORWARDED: Final = 8 * 1024

_NODE_WITH_PORT: Final = re.compile(r"\[([^\]]*)\](?::[0-9A-Za-z._-]+)?|([0-9.]+):[0-9A-Za-z._-]+")

# RFC 7239 §4: pairs of a token and a token or quoted string; `;` parts pairs, `,` elements.
# Blanks around the two separators are let pass, because many proxies write them.
_WORD: Final = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_PAIR: Final = re.compile(
    rf'[ \t]*(?:({_WORD})=(?:({_WORD})|"((?:[^"\\\x00-\x08\x0a-\x1f\x7f]|\\[\t -~])*)"))?[ \t]*'
)
_ESCAPE: Final = re.compile(r"\\(.)")


class OriginRefused(Exception):
    """Nobody who is believed has said under which address this request came in.

    A proof for it cannot be checked then. `reason` is for the log, in fixed words.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def _joined(headers: Headers, name: bytes) -> str:
    # RFC 9110 §5.3: several lines of a list are one list.
    value = b",".join(field for key, field in headers if key == name)
    if len(value) > MAX_FORWARDED or not value.isascii():
        raise OriginRefused("what the trusted proxy passed on is too long, or not ASCII")
    return value.decode("ascii")


def read_forwarded(headers: Headers) -> list[dict[str, str]]:
    """The elements of `Forwarded`, or a refusal of all of it.

    A quotation mark that the client left open swallows what the proxy appended. It cannot be
    closed again without the proxy's own marks, so such a header never reads as a whole.
    """
    text, at = _joined(headers, b"forwarded"), 0
    elements: list[dict[str, str]] = [{}]
    while True:
        pair = _PAIR.match(text, at)
        assert pair is not None  # it matches the empty text as well
        if pair[1]:
            _add(elements[-1], pair)
        at = pair.end()
        if at == len(text):
            return [element for element in elements if element]
        if text[at] == ",":
            elements.append({})
        elif text[at] != ";":
            raise OriginRefused("Forwarded cannot be read")
        at += 1


def _add(element: dict[str, str], pair: re.Match[str]) -> None:
    name = pair[1].lower()
    # RFC 7239 §4: each parameter at most once in an element.
    if name in element:
        raise OriginRefused("Forwarded says something twice")
    element[name] = pair[2] if pair[2] is not None else _ESCAPE.sub(r"\1", pair[3])


def read_list(headers: Headers, name: bytes) -> list[str]:
    """The parts of an `X-Forwarded-...` header; one empty part when there is none."""
    return [part.strip(" \t") for part in _joined(headers, name).split(",")]


def parse_address(text: str) -> Address | None:
    """An IP address, or nothing."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    # A socket for both families shows 10.0.0.1 as ::ffff:10.0.0.1.
    mapped = address.ipv4_mapped if address.version == 6 else None
    return mapped or address


def parse_node(node: str | None) -> Address | None:
    """RFC 7239 §6: an address, perhaps with a port; `unknown` and made-up names are none."""
    if not node:
        return None
    match = _NODE_WITH_PORT.fullmatch(node)
    return parse_address(node if match is None else match[1] or match[2] or "")
