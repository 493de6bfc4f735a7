"""The token out of the request, from the `Authorization` header and from nowhere else."""

import re
from typing import Final

__all__ = ["MAX_HEADER", "HeaderTooLong", "MalformedCredentials", "NoCredentials", "read_bearer"]

MAX_HEADER: Final = 16 * 1024 + 16

# RFC 6750 §2.1: the scheme in any case, one blank, one b64token.
_BEARER = re.compile(rb"[Bb][Ee][Aa][Rr][Ee][Rr] ([A-Za-z0-9\-._~+/]+=*)")


class NoCredentials(Exception):
    """Nothing was sent that this API could look at."""


class MalformedCredentials(Exception):
    """Something was sent that is no bearer token in its one form."""


class HeaderTooLong(Exception):
    """Longer than any token; it is not read."""


def read_bearer(headers: list[tuple[bytes, bytes]]) -> bytes:
    """The one bearer token of a request.

    A token in the query or the body is not looked for: addresses are logged and remembered
    (RFC 6750 §2.3, RFC 9700 §4.3.2).

    Raises:
        NoCredentials, MalformedCredentials, HeaderTooLong.
    """
    value: bytes | None = None
    for name, field in headers:
        if name == b"authorization":
            # Of two, a proxy may have checked the one and we would take the other.
            if value is not None:
                raise MalformedCredentials("two Authorization headers")
            value = field
    if value is None:
        raise NoCredentials("no Authorization header")
    if len(value) > MAX_HEADER:
        raise HeaderTooLong("the Authorization header is too long")
    match = _BEARER.fullmatch(value)
    if match is not None:
        return match.group(1)
    # RFC 9110 §11.6.2: another scheme is no attempt at this one.
    scheme = value.strip(b" \t").partition(b" ")[0].lower()
    if value and scheme != b"bearer" and _is_scheme(scheme):
        raise NoCredentials("another authentication scheme")
    raise MalformedCredentials("not one bearer token")


def _is_scheme(scheme: bytes) -> bool:
    return re.fullmatch(rb"[!#$%&'*+\-.^_`|~0-9a-z]+", scheme) is not None
