"""HTTP out: https only, no redirects, limits on time and size, no private addresses.

Every request that Mintmark makes on its own behalf goes through a `Fetcher`. It is synchronous,
because such a request happens once in minutes and must serve threads and event loops alike: an
event loop awaits it in a thread (`asyncio.to_thread`), and nothing here belongs to one loop.
"""

import ipaddress
import logging
import os
import socket
import ssl
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, final
from urllib.parse import SplitResult, urlsplit

import httpcore2
import httpx2

from mintmark.clock import monotonic

__all__ = [
    "FetchError",
    "FetchPolicy",
    "FetchRefused",
    "Fetched",
    "Fetcher",
    "is_loopback_host",
    "require_safe_url",
]

_logger = logging.getLogger("mintmark.fetch")


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
class Fetched:
    """An answer, whatever its status, read to its end."""

    status: int
    headers: Mapping[str, str]  # names in lower case
    body: bytes = field(repr=False)


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


@final
class Fetcher:
    """Makes guarded requests; one for a process, from any thread."""

    def __init__(self, policy: FetchPolicy | None = None) -> None:
        self.policy = policy or FetchPolicy()
        if self.policy.insecure_allow_http_on_loopback:
            _logger.warning("insecure_allow_http_on_loopback is on: not for production")
        self._lock = threading.Lock()
        self._made: httpx2.Client | None = None
        self._process = os.getpid()

    def get(self, url: str, headers: Mapping[str, str] | None = None) -> Fetched:
        """Raises `FetchError`."""
        return self._send("GET", url, None, headers)

    def post(self, url: str, body: bytes, headers: Mapping[str, str] | None = None) -> Fetched:
        """Raises `FetchError`."""
        return self._send("POST", url, body, headers)

    def close(self) -> None:
        with self._lock:
            made, self._made = self._made, None
        if made is not None:
            made.close()

    def _client(self) -> httpx2.Client:
        # Made when it is needed: reading the machine's certificates takes longer than all the rest
        # of a start, and of what follows a fork.
        if self._process != os.getpid():
            # Forked: on one connection parent and child would read each other's answers.
            self._lock, self._made, self._process = threading.Lock(), None, os.getpid()
        with self._lock:
            if self._made is None:
                self._made = httpx2.Client(
                    transport=_GuardedTransport(self.policy),
                    timeout=self.policy.timeout.total_seconds(),
                    follow_redirects=False,
                    trust_env=False,
                    # Nobody's cookie is kept: what one answer sets would go along with another's
                    # request.
                    cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
                )
            return self._made

    def _send(
        self, method: str, url: str, body: bytes | None, headers: Mapping[str, str] | None
    ) -> Fetched:
        host = require_safe_url(url, self.policy).hostname
        try:
            client = self._client()
            request = client.build_request(method, url, content=body, headers=headers)
            _deadline.at = monotonic() + self.policy.timeout.total_seconds()
            with _closing(client.send(request, stream=True)) as response:
                if response.is_redirect:
                    raise FetchRefused(f"{host}: redirects are not followed")
                return Fetched(
                    response.status_code,
                    {name.lower(): value for name, value in response.headers.items()},
                    self._read(response, f"{host}"),
                )
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError) as failure:
            # `from None`: an httpx2 exception carries the whole request, with its credentials.
            raise FetchError(f"{host}: {type(failure).__name__}", retryable=True) from None

    def _read(self, response: httpx2.Response, host: str) -> bytes:
        received = bytearray()
        # Raw: a compressed answer could unpack to more than any limit, so none is asked for.
        for chunk in response.iter_raw():
            received += chunk
            if len(received) > self.policy.max_bytes:
                raise FetchRefused(f"{host}: the answer is too large")
        return bytes(received)


@final
class _closing:  # noqa: N801 -- reads as the contextlib function it stands in for
    def __init__(self, response: httpx2.Response) -> None:
        self._response = response

    def __enter__(self) -> httpx2.Response:
        return self._response

    def __exit__(self, *_: object) -> None:
        self._response.close()


class _GuardedTransport(httpx2.HTTPTransport):
    """httpx2's own transport, connecting only to addresses that were looked at."""

    def __init__(self, policy: FetchPolicy) -> None:
        super().__init__(trust_env=False)
        context = policy.trust or httpx2.create_ssl_context(trust_env=False)
        self._pool = httpcore2.ConnectionPool(
            ssl_context=context,
            max_connections=20,
            max_keepalive_connections=10,
            keepalive_expiry=5.0,
            network_backend=_GuardedBackend(policy),
        )

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        request.headers["accept-encoding"] = "identity"
        return super().handle_request(request)


class _Deadline(threading.local):
    """When the exchange that this thread is in the middle of must be over (monotonic seconds)."""

    at = float("inf")

    def left(self, timeout: float | None) -> float:
        left = self.at - monotonic()
        if left <= 0:
            raise httpcore2.ReadTimeout("the exchange takes too long")
        return left if timeout is None else min(timeout, left)


_deadline = _Deadline()


@final
class _TimedStream(httpcore2.NetworkStream):
    """A connection whose every wait ends with the whole exchange.

    A limit for each wait alone never ends with a server that sends a byte a second.
    """

    def __init__(self, stream: httpcore2.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _deadline.left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _deadline.left(timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore2.NetworkStream:
        left = _deadline.left(timeout)
        return _TimedStream(self._stream.start_tls(ssl_context, server_hostname, left))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _GuardedBackend(httpcore2.SyncBackend):
    """Looks a name up once and connects to that very address.

    Checking a name and then connecting by name would leave the choice of the address to whoever
    answers the second look-up.
    """

    def __init__(self, policy: FetchPolicy) -> None:
        self._policy = policy

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.NetworkStream:
        failure: Exception | None = None
        for address in self._addresses(host, port):
            try:
                return _TimedStream(
                    super().connect_tcp(
                        address, port, _deadline.left(timeout), local_address, socket_options
                    )
                )
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as refused:
                failure = refused
        raise failure or httpcore2.ConnectError("no address")

    def _addresses(self, host: str, port: int) -> list[str]:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError:
            raise httpcore2.ConnectError("the name is not known") from None
        addresses = [str(entry[4][0]) for entry in found]
        allowed = [address for address in addresses if self._allows(host, address)]
        if addresses and not allowed:
            raise FetchRefused(f"{host}: a private address")
        return allowed

    def _allows(self, host: str, address: str) -> bool:
        ip = ipaddress.ip_address(address.partition("%")[0])
        if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped:
            ip = ip.ipv4_mapped
        if ip.is_loopback:
            # By name: a stranger's host name that points to this machine is no loopback host.
            return is_loopback_host(host) and (
                self._policy.insecure_allow_http_on_loopback or self._policy.allow_private_addresses
            )
        if ip.is_multicast or ip.is_unspecified or ip.is_link_local:
            return False
        return ip.is_global or self._policy.allow_private_addresses
