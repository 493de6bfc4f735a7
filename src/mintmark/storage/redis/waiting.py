"""Everybody in a process who waits for a name; one of them looks for all."""

import secrets
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final, final

from mintmark.client.shared import StoreUnavailable
from mintmark.clock import monotonic

__all__ = ["Waiters"]

FIRST_LOOK, LAST_LOOK = 0.01, 0.05
LONGEST: Final = 10 * 365 * 24 * 3600.0

Look = Callable[[Sequence[str]], Sequence[object]]


@final
class Waiters:
    """However many wait, and for however many names, there is one question at a time.

    `look` says for each name what is there now, or None where nobody has the lease. A message could
    be missed, and a subscription needs a connection of its own; a look cannot and does not.
    """

    def __init__(self, look: Look) -> None:
        self._look = look
        self._lock = threading.Lock()
        self._waiting: set[_Waiter] = set()
        self._leader: _Waiter | None = None

    def wait(self, name: str, seconds: float) -> None:
        """Until what is there changes, or the lease is nobody's, or so long at most.

        Raises:
            StoreUnavailable
        """
        until = monotonic() + min(LONGEST, seconds)
        (first,) = self._look([name])
        if first is None:
            return
        waiter, pause = _Waiter(name, first), FIRST_LOOK
        with self._lock:
            self._waiting.add(waiter)
        try:
            while not waiter.over and (left := until - monotonic()) > 0:
                if self._is_leader(waiter):
                    # At a moment of its own, or all processes would come at once.
                    time.sleep(min(left, pause * (0.5 + secrets.randbelow(1000) / 1000)))
                    pause = min(2 * pause, LAST_LOOK)
                    self._look_for_all()
                else:
                    waiter.woken.wait(left)
                    waiter.woken.clear()
        finally:
            self._leave(waiter)
        if waiter.failure is not None:
            raise StoreUnavailable(waiter.failure)

    def _is_leader(self, waiter: "_Waiter") -> bool:
        with self._lock:
            if self._leader is None:
                self._leader = waiter
            return self._leader is waiter

    def _leave(self, waiter: "_Waiter") -> None:
        with self._lock:
            self._waiting.discard(waiter)
            if self._leader is waiter:
                self._leader = None
            # Also where there was none: it may be this one who was woken to lead, and goes.
            if self._leader is None and self._waiting:
                next(iter(self._waiting)).woken.set()

    def _look_for_all(self) -> None:
        with self._lock:
            waiting = tuple(self._waiting)
        names = list({waiter.name for waiter in waiting})
        try:
            there = dict(zip(names, self._look(names), strict=True))
        except StoreUnavailable as failure:
            # Said to all at once: each would otherwise find out for itself, one timeout after another.
            for waiter in waiting:
                waiter.end(str(failure))
            return
        for waiter in waiting:
            if there[waiter.name] is None or there[waiter.name] != waiter.first:
                waiter.end()


@final
class _Waiter:
    """One who waits, and what there was when it began."""

    __slots__ = ("failure", "first", "name", "over", "woken")

    def __init__(self, name: str, first: object) -> None:
        self.name, self.first = name, first
        self.woken = threading.Event()
        self.over = False
        self.failure: str | None = None

    def end(self, failure: str | None = None) -> None:
        self.failure, self.over = failure, True
        self.woken.set()
