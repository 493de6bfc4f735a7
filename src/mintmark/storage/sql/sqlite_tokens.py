"""Shared tokens in a SQLite file: for the processes of one machine."""

import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, final

from mintmark.client.shared import StoreUnavailable
from mintmark.clock import Clock, SystemClock, monotonic
from mintmark.forks import begin_again_after_fork, leave_behind
from mintmark.storage.sql.client_tokens import SQLITE
from mintmark.storage.sql.shared_tokens import Rows, SqlTokens
from mintmark.storage.sql.statements import Statement

__all__ = ["SqliteTokens"]


@final
class SqliteTokens(SqlTokens):
    """A `SharedTokens` in a file, which it makes (0600) with its table.

    Threads and processes may share it, on a disk of one machine. `limit` is how many seconds a
    call waits for others; a disk that hangs holds it up for longer.
    """

    _do = SQLITE

    def __init__(
        self, path: str | os.PathLike[str], *, limit: float = 1.0, clock: Clock | None = None
    ) -> None:
        self._path, self._limit, self._closed = Path(path).absolute(), limit, False
        self._clock = clock or SystemClock()
        self._connection: sqlite3.Connection | None = None
        self.begin()
        begin_again_after_fork(self)

    def begin(self) -> None:
        """With no connection, and a lock that nobody holds."""
        leave_behind(self._connection)
        self._lock = threading.Lock()
        self._connection = None
        self._file: tuple[int, int] | None = None

    def close(self) -> None:
        self._closed = True
        with self._lock:
            self._drop()

    def _read(self, statement: Statement, *, until: float | None = None, **values: Any) -> Rows:
        with self._connected(until) as connection:
            return self._rows(connection, statement, values)

    def _change(self, statement: Statement, *, until: float | None = None, **values: Any) -> Rows:
        with self._connected(until) as connection:
            connection.execute("BEGIN IMMEDIATE")
            rows = self._rows(connection, statement, values)
            self._rows(connection, self._do.prune, {})
            connection.execute("COMMIT")
            return rows

    def _rows(
        self, connection: sqlite3.Connection, statement: Statement, values: dict[str, Any]
    ) -> Rows:
        now = round(self._clock.timestamp() * 1_000_000)
        rows: Rows = connection.execute(
            statement.text, statement.bind(now=now, **values)
        ).fetchall()
        return rows

    @contextmanager
    def _connected(self, until: float | None) -> Iterator[sqlite3.Connection]:
        until, lock = until or monotonic() + self._limit, self._lock
        if not lock.acquire(timeout=max(0.0, until - monotonic())):
            raise StoreUnavailable("SQLite: others were faster")
        try:
            yield self._current(until)
        except (sqlite3.Error, OSError, OverflowError) as failure:
            self._drop()  # the next one begins afresh, and what was begun is undone
            raise StoreUnavailable(f"SQLite: {type(failure).__name__}") from None
        except BaseException:
            self._drop()  # interrupted from the keyboard, say: nobody else must wait for us
            raise
        finally:
            lock.release()

    def _current(self, until: float) -> sqlite3.Connection:
        if self._closed:
            raise StoreUnavailable("the store is closed")
        # Where somebody deleted the file, the others have a new one, and we an old one of our own.
        if self._connection is not None and self._file != self._there():
            self._drop()
        if self._connection is None:
            self._connection = self._open(until)
            self._file = self._there()
        _wait_until(self._connection, until)
        return self._connection

    def _there(self) -> tuple[int, int] | None:
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return None
        return found.st_dev, found.st_ino

    def _open(self, until: float) -> sqlite3.Connection:
        # Only a new file is opened by hand: to close one would drop what locks we have on it.
        with suppress(FileExistsError):
            os.close(os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        try:
            _wait_until(connection, until)
            _write_ahead(connection, until)
            # FULL: a refresh token that was rotated must survive the power going out.
            connection.execute("PRAGMA synchronous = FULL")
            for text in self._do.create:
                connection.execute(text)
        except BaseException:
            connection.close()
            raise
        return connection

    def _drop(self) -> None:
        if self._connection is not None:
            with suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None

    def __repr__(self) -> str:
        return "<SqliteTokens>"


def _write_ahead(connection: sqlite3.Connection, until: float) -> None:
    # SQLite does not wait by itself where two that found a new file both want this.
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError:
            if monotonic() >= until:
                raise
        time.sleep(0.005)


def _wait_until(connection: sqlite3.Connection, until: float) -> None:
    left = max(0, round((until - monotonic()) * 1000))
    connection.execute(f"PRAGMA busy_timeout = {left}")
