"""What stands before the API, and which of its words about a request are believed.

One answer serves both proofs of possession: a DPoP proof names the request's own address, and a
certificate may come in a header. Whoever may write the one could write the other.
"""

import ipaddress
import re
from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any, Final, Protocol, Self, final
from urllib.parse import quote, quote_from_bytes

from mintmark.api.forwarded import (
    Address,
    Headers,
    OriginRefused,
    parse_address,
    parse_node,
    read_forwarded,
    read_list,
)
from mintmark.fetch import FetchPolicy, FetchRefused, require_safe_url

__all__ = [
    "FixedOrigin",
    "Forwarding",
    "OriginRefused",
    "PublicOrigin",
    "TrustedProxy",
    "origin_for",
    "request_uri",
]

Scope = Mapping[str, Any]
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_HOST: Final = re.compile(
    r"(?P<name>[a-z0-9](?:[a-z0-9._-]{0,253}[a-z0-9])?|\[[0-9a-f:.]{2,45}\])(?::(?P<port>\d{1,5}))?"
)
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
# A WebSocket begins as a request over HTTP, and some proxies name it after what it becomes.
_SCHEMES: Final = {"http": "http", "https": "https", "ws": "http", "wss": "https"}
# In a request's target only these stand for themselves; a `#` or `?` would end the path.
_PATH: Final = "/:@!$&'()*+,;=~%[]|^`{}\"<>\\"


class Forwarding(Enum):
    """How a proxy says where a request came from. One of them: the other may be the client's."""

    FORWARDED = "Forwarded"  # RFC 7239 §4
    X_FORWARDED = "X-Forwarded-*"  # For, Proto and Host, all set by the proxy


class PublicOrigin(Protocol):
    """Under which address this API is called, and which headers are not the caller's own."""

    def origin_of(self, scope: Scope) -> str:
        """Scheme, host and port as the client sees them. Raises `OriginRefused`."""
        ...

    def client_address(self, scope: Scope) -> str:
        """Who asks, as far as it is known; for limits and logs. Never raises."""
        ...

    def vouched_headers(self, scope: Scope) -> Headers:
        """The request's headers when a trusted proxy passed them on; otherwise none."""
        ...


@final
class FixedOrigin:
    """The API has one address, and it is written down. No header is believed.

    Args:
        origin: `https://api.example`, without a path.
    """

    def __init__(self, origin: str, *, insecure_allow_http_on_loopback: bool = False) -> None:
        found, rest = _split_origin(origin, insecure_allow_http_on_loopback)
        if rest not in {"", "/"}:
            raise ValueError("origin: scheme, host and port, and nothing behind them")
        self._origin = found

    @classmethod
    def of_resource(cls, resource: str, *, insecure_allow_http_on_loopback: bool = False) -> Self:
        """The origin of an API's own identifier, which may have a path."""
        origin, _ = _split_origin(resource, insecure_allow_http_on_loopback)
        return cls(origin, insecure_allow_http_on_loopback=insecure_allow_http_on_loopback)

    def origin_of(self, scope: Scope) -> str:  # noqa: ARG002 -- nothing of the request counts
        return self._origin

    def client_address(self, scope: Scope) -> str:
        return _peer_text(scope)

    def vouched_headers(self, scope: Scope) -> Headers:  # noqa: ARG002 -- whoever sent it
        return ()


@final
class TrustedProxy:
    """The API is reached through proxies that are known by their addresses.

    The networks hold proxies alone: whoever else is in them may say what he likes. The server
    must leave `scope["client"]` as it is (`uvicorn --no-proxy-headers`); what it put there from
    a header would be checked as if it were the connection.

    Args:
        peers: networks, as `10.0.0.0/24`; `unix` for connections that have no address.
        forwarding: by which header the proxy says what was asked for. It must overwrite or
            append to that header, whatever the client has sent.
        origin: the API's one address, if it has only one. Then no header moves it.
        hosts: hosts that are this API's; others are refused. Worth it whenever they are known.
    """

    def __init__(
        self,
        peers: Iterable[str],
        *,
        forwarding: Forwarding | None = None,
        origin: str | None = None,
        hosts: Iterable[str] | None = None,
        insecure_allow_http_on_loopback: bool = False,
    ) -> None:
        if forwarding is None and origin is None:
            # Scheme and Host of the connection would be the caller's own word.
            raise ValueError("a proxy that says nothing of the address needs `origin` beside it")
        self._networks, self._unix = _networks(peers)
        self._forwarding = forwarding
        self._hosts = None if hosts is None else frozenset(map(_configured_host, hosts))
        self._fixed = (
            None
            if origin is None
            else FixedOrigin(
                origin, insecure_allow_http_on_loopback=insecure_allow_http_on_loopback
            )
        )

    def origin_of(self, scope: Scope) -> str:
        if self._fixed is not None:
            return self._fixed.origin_of(scope)
        headers = self.vouched_headers(scope)
        if not headers:
            raise OriginRefused("the request came past the trusted proxy")
        if self._forwarding is Forwarding.FORWARDED:
            said, _ = self._outermost(read_forwarded(headers))
        else:
            said = _last_said(headers)
        return self._said_origin(said)

    def _said_origin(self, said: Mapping[str, str]) -> str:
        scheme = _SCHEMES.get(said.get("proto", "").lower())
        host = said.get("host", "").lower()
        if scheme is None or not host:
            raise OriginRefused("the trusted proxy does not say scheme and host")
        authority = _require_host(host, scheme)
        if self._hosts is not None and authority not in self._hosts:
            raise OriginRefused("the trusted proxy names a host that is not this API's")
        return f"{scheme}://{authority}"

    def client_address(self, scope: Scope) -> str:
        peer = _peer_text(scope)
        headers = self.vouched_headers(scope)
        if not headers or self._forwarding is None:
            return peer
        try:
            elements = (
                read_forwarded(headers)
                if self._forwarding is Forwarding.FORWARDED
                else [{"for": node} for node in read_list(headers, b"x-forwarded-for") if node]
            )
            return self._outermost(elements)[1] or peer
        except OriginRefused:
            return peer

    def _outermost(self, elements: list[dict[str, str]]) -> tuple[dict[str, str], str | None]:
        """What the first trusted proxy wrote down, and for whom.

        The last element is the peer's. Each one is believed as long as the element behind it was
        written for a trusted address: everything before that is the client's own invention.
        """
        if not elements:
            raise OriginRefused("the trusted proxy says nothing of the request")
        believed, node = elements[-1], None
        for element in reversed(elements):
            believed = element
            address = parse_node(element.get("for"))
            node = str(address) if address else element.get("for") or node
            if address is None or not self._trusts(address):
                break
        return believed, node

    def vouched_headers(self, scope: Scope) -> Headers:
        client = scope.get("client")
        if client is None:
            trusted = self._unix
        else:
            address = parse_address(client[0])
            # No connection has port 0: a middleware took this address from a header.
            trusted = address is not None and client[1] != 0 and self._trusts(address)
        headers: Headers = scope["headers"]
        return headers if trusted else ()

    def _trusts(self, address: Address) -> bool:
        return any(address in network for network in self._networks)


def origin_for(
    resource: str, given: PublicOrigin | None, *, insecure_allow_http_on_loopback: bool = False
) -> PublicOrigin:
    """The origin of an API: what was configured, or that of its own identifier.

    Raises:
        ValueError: nothing was configured, and the identifier is no https address. The request's
            `Host` is no answer: it is the caller's to choose.
    """
    if given is not None:
        return given
    try:
        return FixedOrigin.of_resource(
            resource, insecure_allow_http_on_loopback=insecure_allow_http_on_loopback
        )
    except ValueError:
        raise ValueError(
            "the API's identifier is no https address: say under which one it is called, by"
            " FixedOrigin or TrustedProxy"
        ) from None


def request_uri(scope: Scope, origin: str) -> str:
    """The address of this request without its query, for `htu` (RFC 9449 §4.2).

    The path is the one that was sent, with its percent-encoding, and the root path in front of it
    where the server has taken that off.

    Raises:
        OriginRefused: the target is no path. Behind the origin, `@other.example` would be read
            as its host.
    """
    path: str = scope["path"]
    raw = scope.get("raw_path")
    target = (
        quote_from_bytes(raw.partition(b"?")[0], safe=_PATH)
        if raw is not None
        else quote(path, safe="/:@!$&'()*+,;=~")
    )
    if not target.startswith("/"):
        raise OriginRefused("the request's target is not a path")
    root = scope.get("root_path", "").rstrip("/")
    if root and path != root and not path.startswith(f"{root}/"):
        target = quote(root, safe="/:@!$&'()*+,;=~") + target
    return origin + target


def _split_origin(url: str, insecure: bool) -> tuple[str, str]:
    policy = FetchPolicy(insecure_allow_http_on_loopback=insecure)
    try:
        parts = require_safe_url(url, policy)
        authority = _require_host(parts.netloc.lower(), parts.scheme)
    except (FetchRefused, OriginRefused) as refusal:
        raise ValueError(f"origin: {refusal.reason}") from None
    rest = url[len(parts.scheme) + 3 + len(parts.netloc) :]
    return f"{parts.scheme}://{authority}", rest


def _require_host(host: str, scheme: str) -> str:
    """Host and port as one writes them: without the scheme's own port."""
    match = _HOST.fullmatch(host)
    if match is None:
        raise OriginRefused("the host cannot be read")
    name = match["name"]
    if name.startswith("[") and parse_address(name[1:-1]) is None:
        raise OriginRefused("the host is no address")
    port = int(match["port"] or _DEFAULT_PORTS[scheme])
    if not 0 < port < 65536:
        raise OriginRefused("the host's port cannot be")
    return name if port == _DEFAULT_PORTS[scheme] else f"{name}:{port}"


def _configured_host(host: str) -> str:
    try:
        return _require_host(host.lower(), "https")
    except OriginRefused as refusal:
        raise ValueError(f"hosts: {refusal.reason}") from None


def _networks(peers: Iterable[str]) -> tuple[list[Network], bool]:
    if isinstance(peers, str):
        raise TypeError("peers: a list of networks")
    named = list(peers)
    networks = [ipaddress.ip_network(peer) for peer in named if peer != "unix"]
    if not named:
        raise ValueError("peers: without one, no proxy is trusted")
    if any(network.prefixlen == 0 for network in networks):
        raise ValueError("peers: a network of everybody is no proxy's")
    return networks, "unix" in named


def _peer_text(scope: Scope) -> str:
    client = scope.get("client")
    return str(client[0]) if client else "unknown"


def _last_said(headers: Headers) -> dict[str, str]:
    # Of a list the nearest proxy wrote the last: what stands before it may be the client's.
    return {
        "proto": read_list(headers, b"x-forwarded-proto")[-1],
        "host": read_list(headers, b"x-forwarded-host")[-1],
    }
