"""HTTP out: https only, no redirects, limits on time and size, no private addresses.

Every request that Mintmark makes on its own behalf goes through a `Fetcher`. It is synchronous,
because such a request happens once in minutes and must serve threads and event loops alike: an
event loop awaits it in a thread (`asyncio.to_thread`), and nothing here belongs to one loop.
"""

import logging
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import final

import httpx2

from mintmark.clock import monotonic
from mintmark.fetch.network import GuardedTransport, deadline
from mintmark.fetch.policy import (
    ClientTls,
    FetchError,
    FetchPolicy,
    FetchRefused,
    is_loopback_host,
    require_safe_url,
)
from mintmark.forks import begin_again_after_fork, leave_behind

__all__ = [
    "ClientTls",
    "FetchError",
    "FetchPolicy",
    "FetchRefused",
    "Fetched",
    "Fetcher",
    "is_loopback_host",
    "require_safe_url",
]

_logger = logging.getLogger("mintmark.fetch")


@dataclass(frozen=True, slots=True)
class Fetched:
    """An answer, whatever its status, read to its end."""

    status: int
    headers: Mapping[str, str]  # names in lower case
    body: bytes = field(repr=False)


IDENTITIES = 8  # whose connections are kept: certificates are replaced now and then


@final
class Fetcher:
    """Makes guarded requests; one for a process, from any thread."""

    def __init__(self, policy: FetchPolicy | None = None) -> None:
        self.policy = policy or FetchPolicy()
        if self.policy.insecure_allow_http_on_loopback:
            _logger.warning("insecure_allow_http_on_loopback is on: not for production")
        self._lock = threading.Lock()
        self._made: OrderedDict[str, httpx2.Client] = OrderedDict()
        begin_again_after_fork(self)

    def begin(self) -> None:
        """With no connections: on one of them parent and child would read each other's answers."""
        leave_behind(self._made)
        self._lock, self._made = threading.Lock(), OrderedDict()

    def get(
        self,
        url: str,
        headers: Mapping[str, str] | None = None,
        *,
        shown: ClientTls | None = None,
    ) -> Fetched:
        """On a connection that shows this certificate and no other. Raises `FetchError`."""
        return self._send("GET", url, None, headers, shown)

    def post(
        self,
        url: str,
        body: bytes,
        headers: Mapping[str, str] | None = None,
        *,
        shown: ClientTls | None = None,
    ) -> Fetched:
        """On a connection that shows this certificate and no other. Raises `FetchError`."""
        return self._send("POST", url, body, headers, shown)

    def put(self, url: str, body: bytes, headers: Mapping[str, str] | None = None) -> Fetched:
        """Raises `FetchError`."""
        return self._send("PUT", url, body, headers)

    def delete(self, url: str, headers: Mapping[str, str] | None = None) -> Fetched:
        """Raises `FetchError`."""
        return self._send("DELETE", url, None, headers)

    def close(self) -> None:
        with self._lock:
            made, self._made = self._made, OrderedDict()
        for client in made.values():
            client.close()

    def _client(self, shown: ClientTls | None) -> httpx2.Client:
        # Made when it is needed: reading the machine's certificates takes longer than all the rest
        # of a start, and of what follows a fork.
        name = shown.name if shown else ""  # on another's connection we would be somebody else
        with self._lock:
            found = self._made.get(name)
            if found is None:
                found = self._made[name] = _client_of(self.policy, shown)
            self._made.move_to_end(name)
            dropped = (
                [self._made.pop(next(iter(self._made)))] if len(self._made) > IDENTITIES else []
            )
        for client in dropped:
            client.close()
        return found

    def _send(
        self,
        method: str,
        url: str,
        body: bytes | None,
        headers: Mapping[str, str] | None,
        shown: ClientTls | None = None,
    ) -> Fetched:
        if shown is not None and not url.startswith("https://"):
            raise FetchRefused("a certificate is shown over https alone")
        host = require_safe_url(url, self.policy).hostname
        try:
            client = self._client(shown)
            request = client.build_request(method, url, content=body, headers=headers)
            deadline.at = monotonic() + self.policy.timeout.total_seconds()
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


def _client_of(policy: FetchPolicy, shown: ClientTls | None) -> httpx2.Client:
    return httpx2.Client(
        transport=GuardedTransport(policy, shown),
        timeout=policy.timeout.total_seconds(),
        follow_redirects=False,
        trust_env=False,
        # Nobody's cookie is kept: what one answer sets would go along with another's request.
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
    )


@final
class _closing:  # noqa: N801 -- reads as the contextlib function it stands in for
    def __init__(self, response: httpx2.Response) -> None:
        self._response = response

    def __enter__(self) -> httpx2.Response:
        return self._response

    def __exit__(self, *_: object) -> None:
        self._response.close()
