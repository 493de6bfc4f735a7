"""Connections to addresses that were looked at, each of whose waits ends with the whole exchange."""

import ipaddress
import socket
import ssl
import threading
from collections.abc import Iterable
from typing import Any, final

import httpcore2
import httpx2

from mintmark.clock import monotonic
from mintmark.fetch.policy import ClientTls, FetchPolicy, FetchRefused, is_loopback_host

__all__ = ["GuardedTransport", "deadline"]


class GuardedTransport(httpx2.HTTPTransport):
    """httpx2's own transport, connecting only to addresses that were looked at."""

    def __init__(self, policy: FetchPolicy, shown: ClientTls | None = None) -> None:
        super().__init__(trust_env=False)
        if shown is not None:
            context = shown.context(policy.trust)
        else:
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


deadline = _Deadline()


@final
class _TimedStream(httpcore2.NetworkStream):
    """A connection whose every wait ends with the whole exchange.

    A limit for each wait alone never ends with a server that sends a byte a second.
    """

    def __init__(self, stream: httpcore2.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, deadline.left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, deadline.left(timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore2.NetworkStream:
        left = deadline.left(timeout)
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
                        address, port, deadline.left(timeout), local_address, socket_options
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
