"""`SharedTokens` as questions to a database; who runs them is `SqliteTokens` or `PostgresTokens`."""

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from mintmark.client.lease_rules import microseconds
from mintmark.client.shared import LeaseLost, StaleFence
from mintmark.clock import monotonic
from mintmark.storage.sql.client_tokens import TokenStatements, digest_of
from mintmark.storage.sql.statements import Statement

__all__ = ["SqlTokens"]

Rows = Sequence[Any]

_FIRST_LOOK, _LAST_LOOK = 0.02, 0.1


class SqlTokens(ABC):
    """Each change is one statement, so nothing comes between a question and what follows from it."""

    _do: TokenStatements
    _limit: float

    @abstractmethod
    def _read(self, statement: Statement, *, until: float | None = None, **values: Any) -> Rows:
        """The rows, by `until` at the latest. Raises `StoreUnavailable` and nothing else."""

    @abstractmethod
    def _change(self, statement: Statement, *, until: float | None = None, **values: Any) -> Rows:
        """The rows it gives back, once it is durable. Raises `StoreUnavailable` and nothing else."""

    def load(self, name: str) -> bytes | None:
        """See `SharedTokens`."""
        rows = self._read(self._do.load, by_digest=digest_of(name))
        return bytes(rows[0][0]) if rows else None

    def lease(self, name: str, *, owner: str, seconds: float) -> int | None:
        rows = self._change(
            self._do.lease,
            by_digest=digest_of(name),
            by_owner=digest_of(owner),
            lasting=microseconds(seconds),
        )
        return int(rows[0][0]) if rows else None

    def renew(self, name: str, *, owner: str, seconds: float) -> None:
        if not self._change(
            self._do.renew,
            by_digest=digest_of(name),
            by_owner=digest_of(owner),
            lasting=microseconds(seconds),
        ):
            raise LeaseLost(name)

    def release(self, name: str, *, owner: str) -> None:
        self._change(self._do.release, by_digest=digest_of(name), by_owner=digest_of(owner))

    def write(self, name: str, entry: bytes, *, fence: int, seconds: float) -> None:
        if not self._change(
            self._do.write,
            by_digest=digest_of(name),
            by_fence=fence,
            new_entry=entry,
            lasting=microseconds(seconds),
        ):
            raise StaleFence(name)

    def swap(self, name: str, old: bytes | None, new: bytes, *, seconds: float) -> bytes | None:
        until = monotonic() + self._limit  # for both questions
        put, by_entry = (
            (self._do.put_if_none, {}) if old is None else (self._do.put_if, {"by_entry": old})
        )
        done = self._change(
            put,
            until=until,
            by_digest=digest_of(name),
            new_entry=new,
            lasting=microseconds(seconds),
            **by_entry,
        )
        if done:
            return new
        rows = self._read(self._do.load, until=until, by_digest=digest_of(name))
        return bytes(rows[0][0]) if rows else None

    def forget(self, name: str, entry: bytes | None = None) -> None:
        if entry is None:
            self._change(self._do.forget, by_digest=digest_of(name))
        else:
            self._change(self._do.forget_if, by_digest=digest_of(name), by_entry=entry)

    def wait(self, name: str, seconds: float) -> None:
        """Looks ten times a second. Where nobody has the lease, nobody waits."""
        until, pause, first = monotonic() + seconds, _FIRST_LOOK, self.load(name)
        while self._read(self._do.held, by_digest=digest_of(name)):
            if (left := until - monotonic()) <= 0:
                return
            time.sleep(min(left, pause))
            pause = min(2 * pause, _LAST_LOOK)
            if self.load(name) != first:
                return
