"""Tokens in memory: handed out without a lock, fetched once however many ask.

A fetch runs in a thread of the manager's own, whoever asked first. So it belongs to no event loop
and to no caller: coroutines of several loops and threads wait for the same future, and a caller
that is cancelled or gives up takes nothing away from the others.
"""

import asyncio
import threading
import weakref
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as WaitedTooLong
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol, final

from mintmark.client.errors import AuthorityUnavailable, LoginRequired, TokenUnavailable
from mintmark.client.events import (
    TokenFetched,
    TokenFetchFailed,
    TokenForgotten,
    TokenServedStale,
)
from mintmark.client.renewal import Lease, RenewalPolicy
from mintmark.clock import Clock, SystemClock
from mintmark.events import Events, LogEvents
from mintmark.protocol.scope import Scope
from mintmark.secret import Secret

__all__ = ["Acquired", "HeldToken", "Slot", "TokenKey", "TokenManager"]

WORKERS = 16
SWEEP_FROM = 1024
EARLIER = 60.0


class TokenKey(Hashable, Protocol):
    """The whole request behind a token."""

    @property
    def kind(self) -> str: ...
    @property
    def client_id(self) -> str: ...
    @property
    def scope(self) -> Scope: ...
    @property
    def resource(self) -> frozenset[str]: ...


@dataclass(frozen=True, slots=True)
class Acquired:
    """A token, and when to do what with it."""

    token: Secret
    received: float
    lease: Lease
    fetched: bool = True  # False: it was in a store already


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldToken:
    """What may be shown of a token: everything but itself."""

    kind: str
    fingerprint: str
    client_id: str
    scope: Scope
    resource: frozenset[str]
    received: datetime
    expires_at: datetime
    asked: int
    from_cache: int
    fetched: int
    renewed: int


@dataclass(slots=True)
class _Failed:
    error: TokenUnavailable
    since: float
    until: float
    count: int

    def rests(self, now: float) -> bool:
        # A clock that was set back must not turn a second's pause into a day's. A caller that read
        # the time a moment before the failure still counts as resting.
        return self.since - EARLIER <= now < self.until


@final
class Slot:
    """The place of one token. Equal keys share one."""

    __slots__ = (
        "__weakref__", "asked", "failed", "fetched", "flight", "held", "key", "lock", "renewed", "waited",
    )  # fmt: skip

    def __init__(self, key: TokenKey) -> None:
        self.key = key
        self.lock = threading.Lock()
        self.held: Acquired | None = None
        self.flight: Future[Acquired | TokenUnavailable] | None = None
        self.failed: _Failed | None = None
        self.asked = self.waited = self.fetched = self.renewed = 0


@final
class TokenManager:
    """Holds every token of a process."""

    def __init__(
        self,
        *,
        clock: Clock | None = None,
        events: Events | None = None,
        policy: RenewalPolicy | None = None,
    ) -> None:
        self.clock = clock or SystemClock()
        self.policy = policy or RenewalPolicy()
        self._events = events or LogEvents()
        self._lock = threading.Lock()
        self._slots: dict[TokenKey, Slot] = {}
        # Swept slots that a recipe still holds: found again, so that no key ever has two flights.
        self._known: weakref.WeakValueDictionary[TokenKey, Slot] = weakref.WeakValueDictionary()
        self._sweep_at = SWEEP_FROM
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="mintmark-token")

    def slot(self, key: TokenKey) -> Slot:
        """The one slot of this key."""
        with self._lock:
            found = self._slots.get(key)
            if found is None:
                self._sweep()
                found = self._known.get(key) or Slot(key)
                self._slots[key] = self._known[key] = found
            return found

    def _sweep(self) -> None:
        """Let go of the slots of sessions that ended without a word, now and then."""
        if len(self._slots) < self._sweep_at:
            return
        now = self.clock.timestamp()
        over = [key for key, slot in self._slots.items() if _is_over(slot, now)]
        for key in over:
            del self._slots[key]
        # Twice what is alive: each slot is looked at a bounded number of times on average.
        self._sweep_at = max(SWEEP_FROM, 2 * len(self._slots))

    def get(self, slot: Slot, acquire: Callable[[], Acquired]) -> Secret:
        """A token that is good for a call made now.

        Raises:
            TokenUnavailable: and the caller sends nothing.
        """
        now = self.clock.timestamp()
        held = slot.held
        slot.asked += 1
        if held is not None and now < held.lease.renew_from:
            return held.token
        flight = self._flight_or_token(slot, acquire, now)
        if isinstance(flight, Secret):
            return flight
        try:
            outcome = flight.result(self.policy.patience.total_seconds())
        except WaitedTooLong:
            outcome = AuthorityUnavailable("the token did not come in time")
        return self._settle(slot, outcome, now)

    async def aget(self, slot: Slot, acquire: Callable[[], Acquired]) -> Secret:
        """The same for a coroutine; its event loop goes on meanwhile."""
        now = self.clock.timestamp()
        held = slot.held
        slot.asked += 1
        if held is not None and now < held.lease.renew_from:
            return held.token
        flight = self._flight_or_token(slot, acquire, now)
        if isinstance(flight, Secret):
            return flight
        outcome: Acquired | TokenUnavailable
        try:
            waiting = asyncio.shield(asyncio.wrap_future(flight))
            outcome = await asyncio.wait_for(waiting, self.policy.patience.total_seconds())
        except TimeoutError:
            outcome = AuthorityUnavailable("the token did not come in time")
        return self._settle(slot, outcome, now)

    def forget(self, slot: Slot, token: Secret) -> None:
        """Drop exactly this token: another caller may have fetched a newer one meanwhile."""
        with slot.lock:
            held = slot.held
            if held is None or held.token != token:
                return
            slot.held = None
        self._events.emit(
            TokenForgotten(
                kind=slot.key.kind, client_id=slot.key.client_id, fingerprint=token.fingerprint()
            )
        )

    def drop(self, wanted: Callable[[TokenKey], object]) -> None:
        """Drop every slot whose key is wanted: a session ended."""
        with self._lock:
            dropped = [slot for key, slot in self._known.items() if wanted(key)]
            for slot in dropped:
                self._slots.pop(slot.key, None)
                del self._known[slot.key]
        for slot in dropped:
            # A recipe that was made before still holds the slot, and must not hold the token.
            with slot.lock:
                slot.held = None

    def snapshot(self) -> tuple[HeldToken, ...]:
        """What is held now, for a page or a log; no token among it."""
        with self._lock:
            slots = list(self._slots.values())
        return tuple(_shown(slot, slot.held) for slot in slots if slot.held is not None)

    def slots(self) -> tuple[Slot, ...]:
        """Every place of a token, for whoever counts them."""
        with self._lock:
            return tuple(self._slots.values())

    def _flight_or_token(
        self, slot: Slot, acquire: Callable[[], Acquired], now: float
    ) -> "Future[Acquired | TokenUnavailable] | Secret":
        with slot.lock:
            held, flight, failed = slot.held, slot.flight, slot.failed
            usable = held is not None and now < held.lease.usable_until
            resting = failed is not None and failed.rests(now)
            if held is not None and usable and (flight is not None or resting):
                return held.token
            if flight is None:
                if resting and failed is not None:
                    if held is not None and failed.error.retryable and now < held.lease.expires_at:
                        return self._stale(slot, held)
                    raise failed.error.again()
                flight = Future()
                # From here on nobody can cancel it: it belongs to everybody who waits.
                flight.set_running_or_notify_cancel()
                self._take_off(slot, acquire, flight)
            slot.waited += not usable
        return held.token if held is not None and usable else flight

    def _take_off(
        self,
        slot: Slot,
        acquire: Callable[[], Acquired],
        flight: "Future[Acquired | TokenUnavailable]",
    ) -> None:
        closed = AuthorityUnavailable("the client is closed")
        try:
            job = self._pool.submit(self._fetch, slot, acquire, flight)
        except RuntimeError:
            raise closed from None
        slot.flight = flight
        # Closed before its turn came: whoever waits hears of it now, not after all their patience.
        job.add_done_callback(lambda job: flight.set_result(closed) if job.cancelled() else None)

    def _fetch(
        self,
        slot: Slot,
        acquire: Callable[[], Acquired],
        flight: "Future[Acquired | TokenUnavailable]",
    ) -> None:
        outcome: Acquired | TokenUnavailable
        try:
            outcome = acquire()
        except TokenUnavailable as failure:
            outcome = failure
        except BaseException as failure:  # noqa: BLE001 -- every waiter must hear of it
            outcome = AuthorityUnavailable(f"unforeseen: {type(failure).__name__}")
        with slot.lock:
            slot.flight = None
            if isinstance(outcome, Acquired):
                self._keep(slot, outcome)
            else:
                self._rest(slot, outcome)
        flight.set_result(outcome)

    def _keep(self, slot: Slot, acquired: Acquired) -> None:
        slot.failed = None
        if acquired.fetched:
            slot.renewed += slot.fetched > 0
            slot.fetched += 1
            self._events.emit(
                TokenFetched(
                    kind=slot.key.kind,
                    client_id=slot.key.client_id,
                    fingerprint=acquired.token.fingerprint(),
                )
            )
        # A token that is used up as it comes serves those who waited, and is not kept.
        slot.held = acquired if self.clock.timestamp() < acquired.lease.usable_until else None

    def _rest(self, slot: Slot, failure: TokenUnavailable) -> None:
        count = slot.failed.count + 1 if slot.failed else 1
        retry_after = failure.retry_after if isinstance(failure, AuthorityUnavailable) else None
        pause = self.policy.pause(count, retry_after).total_seconds()
        if isinstance(failure, LoginRequired):
            # Remembering it spares the server nothing, for it is not asked, and would refuse
            # somebody who signs in a moment later.
            pause = 0.0
        now = self.clock.timestamp()
        slot.failed = _Failed(failure, now, now + pause, count)
        self._events.emit(
            TokenFetchFailed(
                kind=slot.key.kind, client_id=slot.key.client_id, reason=str(failure), pause=pause
            )
        )

    def _settle(self, slot: Slot, outcome: Acquired | TokenUnavailable, now: float) -> Secret:
        if isinstance(outcome, Acquired):
            return outcome.token
        held = slot.held
        # The server is down, but the last token is not dead yet: the call has a chance.
        if outcome.retryable and held is not None and now < held.lease.expires_at:
            return self._stale(slot, held)
        raise outcome.again()

    def _stale(self, slot: Slot, held: Acquired) -> Secret:
        self._events.emit(TokenServedStale(kind=slot.key.kind, client_id=slot.key.client_id))
        return held.token

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)


def _is_over(slot: Slot, now: float) -> bool:
    held, failed = slot.held, slot.failed
    alive = held is not None and now < held.lease.expires_at
    return not alive and slot.flight is None and (failed is None or not failed.rests(now))


def _shown(slot: Slot, held: Acquired) -> HeldToken:
    key = slot.key
    return HeldToken(
        kind=key.kind,
        fingerprint=held.token.fingerprint(),
        client_id=key.client_id,
        scope=key.scope,
        resource=key.resource,
        received=datetime.fromtimestamp(held.received, UTC),
        expires_at=datetime.fromtimestamp(held.lease.expires_at, UTC),
        asked=slot.asked,
        from_cache=slot.asked - slot.waited,
        fetched=slot.fetched,
        renewed=slot.renewed,
    )
