"""The token out of the request, from the `Authorization` header and from nowhere else."""

import re
from typing import Final

import msgspec

from mintmark.api.answers import Scheme

__all__ = [
    "MAX_HEADER",
    "Credentials",
    "HeaderTooLong",
    "MalformedCredentials",
    "NoCredentials",
    "read_credentials",
]

MAX_HEADER: Final = 16 * 1024 + 16

# RFC 6750 §2.1, RFC 9449 §7.1: the scheme in any case, one blank, one b64token or token68.
_BEARER = re.compile(rb"[Bb][Ee][Aa][Rr][Ee][Rr] ([A-Za-z0-9\-._~+/]+=*)")
_DPOP = re.compile(rb"[Dd][Pp][Oo][Pp] ([A-Za-z0-9\-._~+/]+=*)")


class Credentials(msgspec.Struct, frozen=True, gc=False):
    """One token, and the scheme it came with."""

    scheme: Scheme
    token: bytes

    def __repr__(self) -> str:
        return f"<Credentials {self.scheme}>"


class NoCredentials(Exception):
    """Nothing was sent that this API could look at."""


class MalformedCredentials(Exception):
    """Something was sent that is no token in its one form."""


class HeaderTooLong(Exception):
    """Longer than any token; it is not read."""


def read_credentials(headers: list[tuple[bytes, bytes]], *, dpop: bool = False) -> Credentials:
    """The one token of a request.

    A token in the query or the body is not looked for: addresses are logged and remembered
    (RFC 6750 §2.3, RFC 9700 §4.3.2).

    Args:
        dpop: whether the `DPoP` scheme is offered here; elsewhere it is one that nobody knows.

    Raises:
        NoCredentials, MalformedCredentials, HeaderTooLong.
    """
    value: bytes | None = None
    for name, content in headers:
        if name == b"authorization":
            # Of two, a proxy may have checked the one and we would take the other.
            if value is not None:
                raise MalformedCredentials("two Authorization headers")
            value = content
    if value is None:
        raise NoCredentials("no Authorization header")
    if len(value) > MAX_HEADER:
        raise HeaderTooLong("the Authorization header is too long")
    match = _BEARER.fullmatch(value)
    if match is not None:
        return Credentials(Scheme.BEARER, match.group(1))
    return _other(value, dpop=dpop)


def _other(value: bytes, *, dpop: bool) -> Credentials:
    scheme = value.strip(b" \t").partition(b" ")[0].lower()
    if dpop and scheme == b"dpop":
        match = _DPOP.fullmatch(value)
        if match is None:
            raise MalformedCredentials("not one DPoP token")
        return Credentials(Scheme.DPOP, match.group(1))
    # RFC 9110 §11.6.2: another scheme is no attempt at this one.
    if value and scheme != b"bearer" and _is_scheme(scheme):
        raise NoCredentials("another authentication scheme")
    raise MalformedCredentials("not one bearer token")


def _is_scheme(scheme: bytes) -> bool:
    return re.fullmatch(rb"[!#$%&'*+\-.^_`|~0-9a-z]+", scheme) is not None
