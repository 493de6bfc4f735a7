"""A shared store that may be away: asked seldom then, and never waited for by every call."""

import threading
from collections.abc import Callable
from typing import TypeVar, final

from mintmark.client.events import SharedStoreBack, SharedStoreLost
from mintmark.client.shared import LeaseLost, SharedTokens, StaleFence, StoreUnavailable
from mintmark.clock import monotonic
from mintmark.events import Events
from mintmark.forks import begin_again_after_fork

__all__ = ["Guarded"]

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 15.0

T = TypeVar("T")


@final
class Guarded:
    """Every method of a store, with a short circuit.

    After a failure the store is left alone for a second, then twice as long, up to 15 seconds; in
    between `StoreUnavailable` comes at once. One call at a time finds out whether it is back.
    """

    def __init__(self, store: SharedTokens, events: Events) -> None:
        self.store = store
        self._events = events
        self.begin()
        begin_again_after_fork(self)

    def begin(self) -> None:
        self._lock = threading.Lock()
        self._away_until = 0.0
        self._failures = 0

    def load(self, name: str) -> bytes | None:
        return self._ask(lambda: self.store.load(name))

    def lease(self, name: str, *, owner: str, seconds: float) -> int | None:
        return self._ask(lambda: self.store.lease(name, owner=owner, seconds=seconds))

    def renew(self, name: str, *, owner: str, seconds: float) -> None:
        self._ask(lambda: self.store.renew(name, owner=owner, seconds=seconds))

    def release(self, name: str, *, owner: str) -> None:
        self._ask(lambda: self.store.release(name, owner=owner))

    def write(self, name: str, entry: bytes, *, fence: int, seconds: float) -> None:
        self._ask(lambda: self.store.write(name, entry, fence=fence, seconds=seconds))

    def swap(self, name: str, old: bytes | None, new: bytes, *, seconds: float) -> bytes | None:
        return self._ask(lambda: self.store.swap(name, old, new, seconds=seconds))

    def forget(self, name: str, entry: bytes | None = None) -> None:
        self._ask(lambda: self.store.forget(name, entry))

    def wait(self, name: str, seconds: float) -> None:
        self._ask(lambda: self.store.wait(name, seconds))

    def close(self) -> None:
        self.store.close()

    def _ask(self, ask: Callable[[], T]) -> T:
        failures = self._require_turn()
        try:
            answer = ask()
        except (LeaseLost, StaleFence):
            raise  # an answer as well
        except StoreUnavailable as failure:
            self._failed(failures, str(failure))
            raise
        except Exception as failure:  # noqa: BLE001 -- somebody's own store must not end a flight
            self._failed(failures, type(failure).__name__)
            raise StoreUnavailable(type(failure).__name__) from None
        if self._failures:
            self._succeeded()
        return answer

    def _require_turn(self) -> int:
        """How often it failed before."""
        if not self._failures:
            return 0
        with self._lock:
            now = monotonic()
            if self._failures and now < self._away_until:
                raise StoreUnavailable("the shared store was away a moment ago")
            # The others stay away while this one finds out.
            self._away_until = now + self._pause()
            return self._failures

    def _failed(self, before: int, reason: str) -> None:
        with self._lock:
            if self._failures != before:
                return  # many were under way when it went away, and that is one failure
            self._failures += 1
            self._away_until = monotonic() + self._pause()
            first = self._failures == 1
        if first:
            self._events.emit(SharedStoreLost(reason=reason))

    def _succeeded(self) -> None:
        with self._lock:
            was_away, self._failures = self._failures > 0, 0
        if was_away:
            self._events.emit(SharedStoreBack())

    def _pause(self) -> float:
        return min(FIRST_PAUSE * 2.0 ** min(max(self._failures - 1, 0), 16), LONGEST_PAUSE)
