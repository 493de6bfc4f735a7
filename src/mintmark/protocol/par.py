"""Pushed authorization requests: what the server answers, and where it sends a browser (RFC 9126)."""

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Self

import msgspec

from mintmark.jose.errors import Malformed
from mintmark.jose.strict_json import decode_object

__all__ = ["STATUS", "PushedAuthorizationResponse", "UnreadablePushedResponse"]

STATUS: Final = 201
"""Of a request that was taken (RFC 9126 §2.2)."""

MAX_REQUEST_URI: Final = 512
"""RFC 9101 §5.2: a `request_uri` is no longer; it goes into an address as well."""


# Visible ASCII with a scheme, as every URI is.
_URI: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[\x21-\x7E]+")


class UnreadablePushedResponse(Exception):
    """The answer names no request; the message quotes no part of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PushedAuthorizationResponse:
    """The name under which the server keeps the request, and for how long (RFC 9126 §2.2)."""

    request_uri: str
    expires_in: timedelta

    def to_json(self) -> bytes:
        seconds = int(self.expires_in.total_seconds())
        return msgspec.json.encode({"request_uri": self.request_uri, "expires_in": seconds})

    @classmethod
    def parse(cls, body: bytes) -> Self:
        """Raises `UnreadablePushedResponse`."""
        try:
            members = decode_object(body)
        except Malformed:
            raise UnreadablePushedResponse("the answer is no JSON object") from None
        return cls(
            request_uri=_require_uri(members.get("request_uri")),
            expires_in=_lifetime(members.get("expires_in")),
        )


def _require_uri(value: Any) -> str:
    if (
        not isinstance(value, str)
        or _URI.fullmatch(value) is None
        or not len(value) <= MAX_REQUEST_URI
    ):
        raise UnreadablePushedResponse("request_uri is missing or no URI")
    return value


def _lifetime(value: Any) -> timedelta:
    # RFC 9126 §2.2: a positive integer.
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 10**9:
        raise UnreadablePushedResponse("expires_in is not a positive number of seconds")
    return timedelta(seconds=value)
