"""Tokens in memory: handed out without a lock, fetched once however many ask.

A fetch runs in a thread of the manager's own, whoever asked first. So it belongs to no event loop
and to no caller: coroutines of several loops and threads wait for the same future, and a caller
that is cancelled or gives up takes nothing away from the others. With a shared store a fetch looks
there first, and one process fetches for all (`sharing.py`).
"""

import asyncio
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import TimeoutError as WaitedTooLong
from typing import TypeGuard, final

from mintmark.client.errors import AuthorityUnavailable, TokenUnavailable
from mintmark.client.events import TokenForgotten, TokenServedStale
from mintmark.client.flights import WORKERS, Flight, Flights
from mintmark.client.held import (
    Acquired,
    Failed,
    HeldToken,
    SessionLock,
    Slot,
    TokenKey,
    is_over,
    shown,
)
from mintmark.client.outage import Guarded
from mintmark.client.packed import PackedKey, packed_key
from mintmark.client.renewal import RenewalPolicy
from mintmark.client.sealed import KeyRing, name_of
from mintmark.client.shared import SharedTokens
from mintmark.client.sharing import Sharing
from mintmark.client.successors import Successors
from mintmark.clock import Clock, SystemClock
from mintmark.events import Events, LogEvents
from mintmark.forks import begin_again_after_fork
from mintmark.secret import Secret

__all__ = ["WORKERS", "Acquired", "HeldToken", "Slot", "TokenKey", "TokenManager"]

SWEEP_FROM = 1024


@final
class TokenManager:
    """Holds every token of a process.

    Args:
        shared: where processes share tokens; each process has its own unless given.
        key_ring: seals what lies there; the same keys in every process.
    """

    def __init__(
        self,
        *,
        clock: Clock | None = None,
        events: Events | None = None,
        policy: RenewalPolicy | None = None,
        shared: SharedTokens | None = None,
        key_ring: KeyRing | None = None,
    ) -> None:
        if (shared is None) != (key_ring is None):
            # A store without a key would hold tokens that anybody can read.
            raise ValueError("shared and key_ring go together")
        self.clock = clock or SystemClock()
        self.policy = policy or RenewalPolicy()
        self.events = events or LogEvents()
        self.sharing: Sharing | None = None
        if shared is not None and key_ring is not None:
            guarded = Guarded(shared, self.events)
            self.sharing = Sharing(
                guarded, key_ring, clock=self.clock, events=self.events, policy=self.policy
            )
        self.successors = Successors(self.sharing)
        self._flights = Flights(
            clock=self.clock, events=self.events, policy=self.policy, sharing=self.sharing
        )
        self._slots: dict[PackedKey, Slot] = {}
        # Swept slots that a recipe still holds: found again, so that no key ever has two flights.
        self._swept: weakref.WeakValueDictionary[PackedKey, Slot] = weakref.WeakValueDictionary()
        self._locks: weakref.WeakValueDictionary[TokenKey, SessionLock] = (
            weakref.WeakValueDictionary()
        )
        self._sweep_at = SWEEP_FROM
        self._lock = threading.Lock()
        begin_again_after_fork(self)

    def begin(self) -> None:
        """Anew, in a forked process: the tokens go on, threads and locks do not."""
        self._lock = threading.Lock()
        self._flights.begin()
        self.successors.begin()
        for slot in self._all():
            slot.flight = None
        for one in list(self._locks.values()):
            one.begin()

    def slot(self, key: TokenKey, *, shared: bool = True) -> Slot:
        """The one slot of this key. `shared=False`: the recipe has a store of its own."""
        packed = packed_key(key)
        with self._lock:
            found = self._slots.get(packed)
            if found is None:
                self._sweep()
                found = self._swept.pop(packed, None)
                if found is None:
                    found = Slot(packed)
                    found.name = name_of(key) if shared and self.sharing is not None else None
                self._slots[found.packed] = found
            return found

    def session_lock(self, key: TokenKey) -> SessionLock:
        """The one lock of this key, for as long as somebody holds on to it."""
        with self._lock:
            found = self._locks.get(key)
            if found is None:
                found = self._locks[key] = SessionLock()
            return found

    def _sweep(self) -> None:
        """Let go of the slots of sessions that ended without a word, now and then."""
        if len(self._slots) < self._sweep_at:
            return
        now = self.clock.timestamp()
        over = [slot for slot in self._slots.values() if is_over(slot, now)]
        for slot in over:
            del self._slots[slot.packed]
            self._swept[slot.packed] = slot
        # Twice what is alive: each slot is looked at a bounded number of times on average.
        self._sweep_at = max(SWEEP_FROM, 2 * len(self._slots))

    def _all(self) -> list[Slot]:
        return [*self._slots.values(), *self._swept.values()]

    def get(self, slot: Slot, acquire: Callable[[], Acquired]) -> Secret:
        """A token that is good for a call made now.

        Raises:
            TokenUnavailable: and the caller sends nothing.
        """
        now = self.clock.timestamp()
        kept = slot.kept
        slot.asked += 1
        if kept is not None:
            terms = kept.terms
            if terms.usable_after <= now - kept.received < terms.renew_after:
                return kept.token
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
        kept = slot.kept
        slot.asked += 1
        if kept is not None:
            terms = kept.terms
            if terms.usable_after <= now - kept.received < terms.renew_after:
                return kept.token
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
        with self._flights.lock:
            held = slot.held
            if held is None or held.token != token:
                return
            slot.held = None
            slot.refused = token
        if self.sharing is not None and slot.name is not None:
            self.sharing.forget(slot, slot.name, token)
        self.events.emit(
            TokenForgotten(
                kind=slot.kind, client_id=slot.client_id, fingerprint=token.fingerprint()
            )
        )

    def drop(self, wanted: Callable[[TokenKey], object], *, own: bytes | str | None = None) -> None:
        """Drop every slot whose key is wanted: a session ended.

        Args:
            own: what the keys have in the field that tells them apart. Without it every key is
                unpacked and looked at.
        """
        with self._lock:
            dropped = [
                slot
                for slot in self._all()
                if (own is None or slot.packed.own == own) and wanted(slot.key)
            ]
            for slot in dropped:
                self._slots.pop(slot.packed, None)
                self._swept.pop(slot.packed, None)
        # A recipe that was made before still holds the slot, and must not hold the token.
        with self._flights.lock:
            for slot in dropped:
                slot.held = None

    def snapshot(self) -> tuple[HeldToken, ...]:
        """What is held now, for a page or a log; no token among it."""
        with self._lock:
            slots = list(self._slots.values())
        return tuple(shown(slot, held) for slot in slots if (held := slot.held) is not None)

    def slots(self) -> tuple[Slot, ...]:
        """Every place of a token, for whoever counts them."""
        with self._lock:
            return tuple(self._slots.values())

    def _flight_or_token(
        self, slot: Slot, acquire: Callable[[], Acquired], now: float
    ) -> Flight | Secret:
        with self._flights.lock:
            held, flight, failed = slot.held, slot.flight, slot.failed
            usable = held is not None and (held.lease.usable_from <= now < held.lease.usable_until)
            resting = failed if failed is not None and failed.rests(now) else None
            if held is not None and usable and (flight is not None or resting):
                return held.token
            if flight is None and resting is None:
                flight = self._flights.take_off(slot, acquire)
            slot.count(waited=flight is not None and not usable)
        if held is not None and usable:
            return held.token
        return flight if flight is not None else self._rested(slot, resting, now)

    def _rested(self, slot: Slot, failed: Failed | None, now: float) -> Secret:
        """The server is left alone for a while: what there is without asking it."""
        assert failed is not None
        held = slot.held
        if failed.error.retryable and _alive(held, now):
            return self._stale(slot, held)
        raise failed.error.again()

    def _settle(self, slot: Slot, outcome: Acquired | TokenUnavailable, now: float) -> Secret:
        if isinstance(outcome, Acquired):
            return outcome.token
        held = slot.held
        # The server is down, but the last token is not dead yet: the call has a chance.
        if outcome.retryable and _alive(held, now):
            return self._stale(slot, held)
        raise outcome.again()

    def _stale(self, slot: Slot, held: Acquired) -> Secret:
        self.events.emit(TokenServedStale(kind=slot.kind, client_id=slot.client_id))
        return held.token

    def close(self) -> None:
        """Fetch nothing any more; whoever waits hears of it. A shared store is its maker's to close."""
        self._flights.close()


def _alive(held: Acquired | None, now: float) -> TypeGuard[Acquired]:
    return held is not None and held.lease.usable_from <= now < held.lease.expires_at
