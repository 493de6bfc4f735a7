"""What may be fetched, as far as an address tells, and by whom."""

import ipaddress
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from urllib.parse import SplitResult, urlsplit

__all__ = [
    "ClientTls",
    "FetchError",
    "FetchPolicy",
    "FetchRefused",
    "is_loopback_host",
    "require_safe_url",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchPolicy:
    """What may be fetched, and how long and large an answer may be."""

    insecure_allow_http_on_loopback: bool = False
    """Plain http to this very machine: for a demo, a test, development."""

    allow_private_addresses: bool = False
    """Addresses that are not on the public internet. An identity provider inside a company has
    one; an address that came out of a token or a form must never reach one."""

    timeout: timedelta = timedelta(seconds=5)
    """For the whole exchange, and for each wait within it."""

    max_bytes: int = 512 * 1024
    trust: ssl.SSLContext | None = None  # None: the machine's own certificates


class FetchError(Exception):
    """No answer came. `reason` is for the log: host and cause, never a query, header or body."""

    def __init__(self, reason: str, *, retryable: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retryable = retryable


class FetchRefused(FetchError):
    """The policy does not allow it; trying again will not help."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason, retryable=False)


@dataclass(frozen=True, slots=True)
class ClientTls:
    """A client certificate, for the connections that show it."""

    name: str  # its thumbprint: another certificate has another one
    context: Callable[[ssl.SSLContext | None], ssl.SSLContext] = field(repr=False)
    """A new one that shows it, and believes what the given one believes."""


def is_loopback_host(host: str) -> bool:
    """Whether a host, as written in a URL, is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def require_safe_url(url: str, policy: FetchPolicy) -> SplitResult:
    """Raises `FetchRefused` unless this may be fetched as far as its text can tell."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise FetchRefused("the address cannot be read") from None
    if not host or parts.username is not None or port == 0 or not url.isascii():
        raise FetchRefused("the address has no host, or carries user-info")
    if parts.scheme == "https":
        return parts
    if parts.scheme == "http" and is_loopback_host(host):
        if policy.insecure_allow_http_on_loopback:
            return parts
        raise FetchRefused("http on loopback needs insecure_allow_http_on_loopback")
    raise FetchRefused(f"{host}: only https is fetched")
