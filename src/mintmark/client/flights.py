"""Fetches under way: in threads of the manager's own, one for each slot at a time."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import final

from mintmark.client.errors import AuthorityUnavailable, LoginRequired, TokenUnavailable
from mintmark.client.events import TokenFetched, TokenFetchFailed
from mintmark.client.held import Acquired, Failed, Slot
from mintmark.client.renewal import RenewalPolicy
from mintmark.client.sharing import Sharing
from mintmark.clock import Clock
from mintmark.events import Event, Events

__all__ = ["WORKERS", "Flight", "Flights"]

WORKERS = 16

Flight = Future[Acquired | TokenUnavailable]


@final
class Flights:
    """Starts fetches, and keeps in their slots what they brought."""

    def __init__(
        self, *, clock: Clock, events: Events, policy: RenewalPolicy, sharing: Sharing | None
    ) -> None:
        self._clock = clock
        self._events = events
        self._policy = policy
        self._sharing = sharing
        self.begin()

    def begin(self) -> None:
        """Anew, in a process in which nobody holds the lock and nobody is fetching."""
        self.lock = threading.Lock()
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="mintmark-token")

    def take_off(self, slot: Slot, acquire: Callable[[], Acquired]) -> Flight:
        """Start a fetch; whoever calls has the lock."""
        flight: Flight = Future()
        # From here on nobody can cancel it: it belongs to everybody who waits.
        flight.set_running_or_notify_cancel()
        closed = AuthorityUnavailable("the client is closed")
        try:
            job = self._pool.submit(self._fetch, slot, acquire, flight)
        except RuntimeError:
            raise closed from None
        slot.flight = flight
        # Closed before its turn came: whoever waits hears of it now, not after all their patience.
        job.add_done_callback(lambda job: flight.set_result(closed) if job.cancelled() else None)
        return flight

    def _fetch(self, slot: Slot, acquire: Callable[[], Acquired], flight: Flight) -> None:
        outcome: Acquired | TokenUnavailable
        try:
            outcome = self._outcome(slot, acquire)
        except TokenUnavailable as failure:
            outcome = failure
        except BaseException as failure:  # noqa: BLE001 -- every waiter must hear of it
            outcome = AuthorityUnavailable(f"unforeseen: {type(failure).__name__}")
        spare = self._spare(slot, outcome)
        with self.lock:
            slot.flight = None
            if isinstance(outcome, Acquired):
                event: Event | None = self._keep(slot, outcome)
            else:
                slot.held = spare or slot.held
                event = self._rest(slot, outcome)
        if event is not None:
            # Without the lock: whoever takes events may need a token for it.
            self._events.emit(event)
        flight.set_result(outcome)

    def _outcome(self, slot: Slot, acquire: Callable[[], Acquired]) -> Acquired:
        if self._sharing is None or slot.name is None:
            return acquire()
        return self._sharing.fetch(slot, slot.name, acquire)

    def _spare(self, slot: Slot, outcome: Acquired | TokenUnavailable) -> Acquired | None:
        """The server is down, and this process began without a token: another's may be alive."""
        failed = isinstance(outcome, TokenUnavailable) and outcome.retryable
        if not failed or slot.name is None or self._sharing is None:
            return None
        held = slot.held
        alive = held is not None and self._clock.timestamp() < held.lease.expires_at
        return None if alive else self._sharing.spare(slot, slot.name)

    def _keep(self, slot: Slot, acquired: Acquired) -> Event | None:
        slot.failed = None
        # A token that is used up as it comes serves those who waited, and is not kept.
        slot.held = acquired if self._clock.timestamp() < acquired.lease.usable_until else None
        if not acquired.fetched:
            return None
        slot.count(fetched=1)
        fingerprint = acquired.token.fingerprint()
        return TokenFetched(kind=slot.kind, client_id=slot.client_id, fingerprint=fingerprint)

    def _rest(self, slot: Slot, failure: TokenUnavailable) -> Event:
        count = slot.failed.count + 1 if slot.failed else 1
        retry_after = failure.retry_after if isinstance(failure, AuthorityUnavailable) else None
        pause = self._policy.pause(count, retry_after).total_seconds()
        if isinstance(failure, LoginRequired):
            # Remembering it spares the server nothing, for it is not asked, and would refuse
            # somebody who signs in a moment later.
            pause = 0.0
        now = self._clock.timestamp()
        # Another like it: this one's traceback would keep the recipe that fetched, and its session.
        slot.failed = Failed(failure.again(), now, now + pause, count)
        return TokenFetchFailed(
            kind=slot.kind, client_id=slot.client_id, reason=str(failure), pause=pause
        )

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
