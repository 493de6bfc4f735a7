"""Shared tokens of one process: for tests, and for programs whose threads share them."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, final

from mintmark.client.lease_rules import LeaseRecord, LockedTokens
from mintmark.client.shared import StoreUnavailable
from mintmark.clock import Clock, SystemClock
from mintmark.forks import begin_again_after_fork

__all__ = ["MemoryTokens"]

_LOOKED_AT: Final = 16


@final
class MemoryTokens(LockedTokens):
    """A `SharedTokens` for the threads of one process; a forked child begins with nothing."""

    def __init__(self, *, clock: Clock | None = None) -> None:
        super().__init__(clock or SystemClock())
        self._closed = False
        self.begin()
        begin_again_after_fork(self)

    def begin(self) -> None:
        """Empty, with a lock that nobody holds."""
        self._lock = threading.RLock()
        self._entries: dict[str, tuple[bytes, int]] = {}
        self._leases: dict[str, LeaseRecord] = {}
        self._to_look_at: list[str] = []

    def close(self) -> None:
        self._closed = True

    @contextmanager
    def _held(self) -> Iterator[None]:
        with self._lock:
            self._require_open()
            self._prune()
            yield

    def _entry(self, name: str) -> tuple[bytes, int] | None:
        self._require_open()
        return self._entries.get(name)

    def _put_entry(self, name: str, entry: bytes, ends: int) -> None:
        self._entries[name] = entry, ends

    def _drop_entry(self, name: str) -> None:
        self._entries.pop(name, None)

    def _lease(self, name: str) -> LeaseRecord | None:
        self._require_open()
        return self._leases.get(name)

    def _put_lease(self, name: str, lease: LeaseRecord) -> None:
        self._leases[name] = lease

    def _require_open(self) -> None:
        if self._closed:
            raise StoreUnavailable("the store is closed")

    def _prune(self) -> None:
        # A few at each write: nobody waits for all of them.
        if not self._to_look_at:
            self._to_look_at = list({*self._entries, *self._leases})
        now = self._now()
        for name in self._to_look_at[-_LOOKED_AT:]:
            entry, lease = self._entries.get(name), self._leases.get(name)
            if entry is not None and now >= entry[1]:
                del self._entries[name]
            if lease is not None and lease.over(now):
                del self._leases[name]
        del self._to_look_at[-_LOOKED_AT:]

    def __repr__(self) -> str:
        return "<MemoryTokens>"
