"""The rules of `SharedTokens`, for stores in which one can hold a lock over reading and writing.

What is kept of a lease outlives it by a day: its fence is what refuses a write that comes late.
"""

import time
from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Final

from mintmark.client.shared import LeaseLost, StaleFence
from mintmark.clock import Clock, monotonic

__all__ = ["FENCES_KEPT", "LeaseRecord", "LockedTokens", "microseconds"]

FENCES_KEPT: Final = 24 * 3600 * 1_000_000
_LONGEST: Final = 10 * 365 * 24 * 3600.0
_SET_BACK: Final = 1_000_000
_FIRST_LOOK, _LAST_LOOK = 0.01, 0.05


def microseconds(seconds: float) -> int:
    """Whole ones, from nothing to ten years: also of what is no number."""
    return round(min(_LONGEST, max(0.0, seconds)) * 1_000_000)


@dataclass(frozen=True, slots=True)
class LeaseRecord:
    """The last lease of a name. Moments are microseconds since 1970."""

    fence: int
    owner: str
    began: int
    ends: int

    def holds(self, now: int) -> bool:
        # Where the clock was set back, it would hold for as long as that was, and the others wait.
        return self.began - _SET_BACK <= now < self.ends

    def over(self, now: int) -> bool:
        """Nobody who had it can come with something late."""
        return now >= self.ends + FENCES_KEPT


class LockedTokens(ABC):
    """`SharedTokens`, given the six things below; each may raise `StoreUnavailable`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    @abstractmethod
    def _held(self) -> AbstractContextManager[object]:
        """Nobody else reads or writes meanwhile, in any process."""

    @abstractmethod
    def _entry(self, name: str) -> tuple[bytes, int] | None:
        """An entry and when it ends. Needs no lock."""

    @abstractmethod
    def _put_entry(self, name: str, entry: bytes, ends: int) -> None: ...

    @abstractmethod
    def _drop_entry(self, name: str) -> None: ...

    @abstractmethod
    def _lease(self, name: str) -> LeaseRecord | None:
        """Needs no lock."""

    @abstractmethod
    def _put_lease(self, name: str, lease: LeaseRecord) -> None: ...

    def load(self, name: str) -> bytes | None:
        """See `SharedTokens`."""
        found = self._entry(name)
        return found[0] if found is not None and self._now() < found[1] else None

    def lease(self, name: str, *, owner: str, seconds: float) -> int | None:
        with self._held():
            last, now = self._lease(name), self._now()
            if last is not None and last.owner != owner and last.holds(now):
                return None
            # The time as well, so that it grows although the last one was lost.
            fence = max(now, last.fence + 1 if last is not None else 0)
            self._put_lease(name, LeaseRecord(fence, owner, now, now + microseconds(seconds)))
            return fence

    def renew(self, name: str, *, owner: str, seconds: float) -> None:
        with self._held():
            last, now = self._lease(name), self._now()
            if last is None or last.owner != owner or not last.holds(now):
                raise LeaseLost(name)
            self._put_lease(name, replace(last, began=now, ends=now + microseconds(seconds)))

    def release(self, name: str, *, owner: str) -> None:
        with self._held():
            last, now = self._lease(name), self._now()
            if last is not None and last.owner == owner and last.ends > now:
                self._put_lease(name, replace(last, ends=now))

    def write(self, name: str, entry: bytes, *, fence: int, seconds: float) -> None:
        with self._held():
            last = self._lease(name)
            if last is not None and last.fence != fence:
                raise StaleFence(name)
            self._put_entry(name, entry, self._now() + microseconds(seconds))

    def swap(self, name: str, old: bytes | None, new: bytes, *, seconds: float) -> bytes | None:
        with self._held():
            there = self.load(name)
            if there != old:
                return there
            self._put_entry(name, new, self._now() + microseconds(seconds))
            return new

    def forget(self, name: str, entry: bytes | None = None) -> None:
        with self._held():
            if entry is None or self.load(name) == entry:
                self._drop_entry(name)

    def wait(self, name: str, seconds: float) -> None:
        """Looks every few hundredths of a second. Where nobody has the lease, nobody waits."""
        until, pause, first = monotonic() + min(_LONGEST, seconds), _FIRST_LOOK, self.load(name)
        while self._somebody_has(name) and (left := until - monotonic()) > 0:
            time.sleep(min(left, pause))
            pause = min(2 * pause, _LAST_LOOK)
            if self.load(name) != first:
                return

    def _somebody_has(self, name: str) -> bool:
        last = self._lease(name)
        return last is not None and last.holds(self._now())

    def _now(self) -> int:
        return round(self._clock.timestamp() * 1_000_000)
