"""Binding to a certificate: whose thumbprint a token carries, and whether this one is his."""

import hashlib
import hmac
import re
from typing import Final

from mintmark.jose import base64url
from mintmark.jose.errors import JoseError, Malformed

__all__ = [
    "CertificateRefused",
    "certificate_thumbprint",
    "require_bound_to",
    "require_thumbprint",
]

# A SHA-256 in base64url: 43 characters, of which the last has two bits that encode nothing.
_THUMBPRINT: Final = re.compile(r"[A-Za-z0-9\-_]{43}")


class CertificateRefused(JoseError):
    """There is no certificate, or it cannot be read, or it is another one than the token's.

    For the caller these are one thing: his token is not good here. `reason` never holds a part
    of the certificate, because whoever sent it chose its text.
    """


def certificate_thumbprint(der: bytes) -> str:
    """The value of `x5t#S256` for a certificate (RFC 8705 §3.1)."""
    return base64url.encode(hashlib.sha256(der).digest())


def require_thumbprint(value: object) -> str:
    """The value of a token's `x5t#S256`, in its one spelling.

    Raises:
        CertificateRefused: padded, in the standard alphabet, of a SHA-1's length, or no text.
    """
    # RFC 8705 §3.1: base64url, no padding, of a SHA-256. A second spelling of the same octets
    # would be a second name for one certificate, and a SHA-1 can be met by a forged one.
    if type(value) is not str or _THUMBPRINT.fullmatch(value) is None:
        raise CertificateRefused("x5t#S256 is not the base64url of a SHA-256")
    try:
        base64url.decode(value)
    except Malformed:
        raise CertificateRefused("x5t#S256 is not canonical base64url") from None
    return value


def require_bound_to(certificate_der: bytes | None, thumbprint: str) -> str:
    """The thumbprint that the token and the connection's certificate share.

    Only the very same certificate will do. A renewed one has another thumbprint, even with the
    same subject and key: its holder asks for a new token (RFC 8705 §3).

    Args:
        certificate_der: the certificate whose key the client has proven to hold, as TLS saw it;
            `None` when it showed none.
        thumbprint: the token's `x5t#S256`, as its claims have it.

    Raises:
        CertificateRefused
    """
    expected = require_thumbprint(thumbprint)
    if certificate_der is None:
        raise CertificateRefused("the token is bound to a certificate, and none came along")
    # In constant time: answers that took longer for a better guess would lead to the thumbprint.
    if not hmac.compare_digest(certificate_thumbprint(certificate_der), expected):
        raise CertificateRefused("the token is bound to another certificate")
    return expected
