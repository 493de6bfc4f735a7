"""The keys of one issuer: fetched, kept, fetched again at most so often."""

import random
import re
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from typing import Final, final
from urllib.parse import urlsplit

from mintmark.api.clock_drift import ClockComparison
from mintmark.api.config import TrustedIssuer
from mintmark.api.events import KeysFetched, KeysUnavailable
from mintmark.api.key_source import KeysMissing
from mintmark.clock import Clock
from mintmark.events import Events
from mintmark.fetch import Fetched, Fetcher, FetchError
from mintmark.forks import begin_again_after_fork
from mintmark.jose.errors import JoseError
from mintmark.jose.key_set import KeySet
from mintmark.protocol.metadata import ServerMetadata, UnusableMetadata, openid_configuration_url

__all__ = ["IssuerKeys", "KeysMissing"]

FRESH: Final = timedelta(minutes=10)
SHORTEST: Final = timedelta(minutes=1)
LONGEST: Final = timedelta(hours=24)
STALE: Final = timedelta(hours=24)
AGAIN_AFTER: Final = timedelta(seconds=30)
FIRST_AGAIN_AFTER: Final = timedelta(seconds=1)
SPREAD: Final = 0.05
EARLY: Final = 0.8

_MAX_AGE = re.compile(r"(?:^|[,\s])max-age=(\d{1,9})(?:$|[,\s])")


@final
class IssuerKeys:
    """One issuer's key set. Its outage touches no other issuer.

    Fetches run in a thread of their own, one at a time; whoever needs no key never waits.
    """

    def __init__(
        self,
        trusted: TrustedIssuer,
        clock: Clock,
        events: Events,
        clocks: ClockComparison | None = None,
    ) -> None:
        self._trusted = trusted
        self._clock = clock
        self._events = events
        self._clocks = clocks or ClockComparison(trusted.issuer, trusted.skew, events)
        self.begin()
        begin_again_after_fork(self)
        self._keys: KeySet | None = None
        self._published = b""
        self._fresh_until = self._renew_from = 0.0
        self._last_attempt = self._last_success = float("-inf")
        self.metadata: ServerMetadata | None = None
        """What the issuer said of itself when it was last asked."""
        self.generation = 0
        """Grows whenever the keys change: what was proved with older ones is proved no more."""

    def begin(self) -> None:
        """What belongs to one process: a thread, connections, a fetch under way."""
        self._fetcher = Fetcher(self._trusted.policy)
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="mintmark-keys")
        self._flight: Future[None] | None = None
        self._running = self._closed = False

    def usable(self, now: float) -> KeySet | None:
        """The keys, if there are any to go by; starts a background renewal when it is time."""
        if self._keys is None:
            return None
        if now >= self._renew_from and now - self._last_attempt >= AGAIN_AFTER.total_seconds():
            self.fetch(now)
        # Stale keys serve only while fetching fails, and not for ever.
        if now >= self._fresh_until + STALE.total_seconds():
            return None
        return self._keys

    def may_fetch(self, now: float) -> Future[None] | None:
        """A fetch that may be waited for, or None while the last attempt is too young."""
        with self._lock:
            flight = self._flight
        if flight is not None:
            return flight
        # With no key at all there is nothing to protect but the issuer's peace.
        pause = AGAIN_AFTER if self._keys is not None else FIRST_AGAIN_AFTER
        if now - self._last_attempt < pause.total_seconds():
            return None
        return self.fetch(now)

    def fetch(self, now: float) -> Future[None]:
        """Start a fetch, or join the one that is under way."""
        with self._lock:
            if self._flight is not None:
                return self._flight
            self._last_attempt = now
            flight: Future[None] = Future()
            flight.set_running_or_notify_cancel()
            if self._closed:
                flight.set_result(None)
                return flight
            # Kept only once it is really under way: whoever joined one that never starts would
            # wait for ever.
            self._pool.submit(self._run, now, flight)
            self._flight = flight
            return flight

    def failing(self) -> bool:
        """Whether the last attempt brought nothing: an unknown `kid` proves nothing then."""
        return self._last_success < self._last_attempt

    def require(self) -> KeySet:
        """Raises `KeysMissing`."""
        keys = self._keys
        if keys is None:
            raise KeysMissing(f"no keys of {self._trusted.issuer}")
        return keys

    def close(self) -> None:
        """Ends the fetch; whoever waits for it is told that it brought nothing."""
        with self._lock:
            self._closed = True
            flight, self._flight = self._flight, None
            idle = not self._running
        self._pool.shutdown(wait=False, cancel_futures=True)
        # A connection that is closed under somebody's hands is never given back: otherwise the
        # fetch that is still on its way closes them.
        if idle:
            self._fetcher.close()
        if flight is not None:
            flight.set_result(None)

    def _run(self, now: float, flight: Future[None]) -> None:
        with self._lock:
            if self._closed:
                return
            self._running = True
        try:
            self._fetch_safely(now)
        finally:  # whatever happened: a waiter must not wait for ever
            self._land(flight)

    def _land(self, flight: Future[None]) -> None:
        with self._lock:
            self._running = False
            landed, closed = self._flight is flight, self._closed
            if landed:
                self._flight = None
        if closed:
            self._fetcher.close()
        if landed:  # and was not ended by `close` in the meantime
            flight.set_result(None)

    def _fetch_safely(self, now: float) -> None:
        try:
            self._accept(self._download(), now)
        except (FetchError, UnusableMetadata, JoseError) as failure:
            self._events.emit(
                KeysUnavailable(
                    issuer=self._trusted.issuer,
                    reason=str(failure),
                    stale=self._keys is not None,
                )
            )
        except Exception as failure:  # noqa: BLE001 -- nobody else would ever hear of it
            reason = type(failure).__name__
            self._events.emit(
                KeysUnavailable(issuer=self._trusted.issuer, reason=reason, stale=True)
            )

    def _download(self) -> Fetched:
        issuer = self._trusted.issuer
        document = self._fetcher.get(openid_configuration_url(issuer))
        if document.status != 200:
            raise UnusableMetadata(f"the metadata answer has status {document.status}")
        metadata = ServerMetadata.parse(document.body, issuer=issuer)
        if metadata.jwks_uri is None:
            raise UnusableMetadata("the metadata has no jwks_uri")
        # The keys come from the issuer's own site, so that whoever may write its metadata cannot
        # send us elsewhere.
        if urlsplit(metadata.jwks_uri).hostname != urlsplit(issuer).hostname:
            raise UnusableMetadata("jwks_uri is on another host")
        asked = self._clock.timestamp()
        fetched = self._fetcher.get(metadata.jwks_uri)
        self._clocks.answered(fetched.headers, asked, self._clock.timestamp())
        if fetched.status != 200:
            raise UnusableMetadata(f"the keys' answer has status {fetched.status}")
        self.metadata = metadata
        return fetched

    def _accept(self, fetched: Fetched, now: float) -> None:
        keys = KeySet.parse(fetched.body)
        if not keys.keys:
            raise UnusableMetadata("the key set has no usable key")
        published = keys.to_json()
        changed = published != self._published
        lifetime = _lifetime(fetched.headers.get("cache-control", "")).total_seconds()
        lifetime *= 1 + random.uniform(-SPREAD, SPREAD)  # noqa: S311 -- spreads load, no secret
        self._keys, self._published = keys, published
        self._last_success = now
        self._fresh_until = now + lifetime
        self._renew_from = now + lifetime * EARLY
        if changed:
            self.generation += 1
        self._events.emit(
            KeysFetched(
                issuer=self._trusted.issuer,
                keys=len(keys.keys),
                dropped=len(keys.dropped),
                changed=changed,
            )
        )


def _lifetime(cache_control: str) -> timedelta:
    match = _MAX_AGE.search(cache_control.lower())
    if match is None:
        return FRESH
    return min(max(timedelta(seconds=int(match.group(1))), SHORTEST), LONGEST)
