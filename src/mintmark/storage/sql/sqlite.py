"""SQLite: keyed reads on the event-loop thread, all writes through one writer that commits in groups.

A trip through a thread costs twenty times what a keyed read does, so reads do not make it. A
durable commit costs as much as thirty inserts, so the writes that wait together are committed
together; each is answered when it is on disk, and not before.
"""

import asyncio
import contextlib
import logging
import queue
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Final, Self, TypeVar, final

from mintmark.server.stores import StoreUnavailable
from mintmark.storage.sql.statements import Statement

__all__ = ["SqliteDatabase", "Writer", "connect"]

T = TypeVar("T")
Row = sqlite3.Row

_logger = logging.getLogger("mintmark.storage")

BUSY_MILLISECONDS: Final = 5000
MAX_GROUP: Final = 256


@final
class Writer:
    """What a write may do inside its transaction."""

    __slots__ = ("_connection",)

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def run(self, statement: Statement, **values: Any) -> int:
        """Run it; the number of rows it changed."""
        return self._connection.execute(statement.text, statement.bind(**values)).rowcount

    def one(self, statement: Statement, **values: Any) -> Row | None:
        """Run it; its first row, all rows read."""
        rows: list[Row] = self._connection.execute(
            statement.text, statement.bind(**values)
        ).fetchall()
        return rows[0] if rows else None

    def every(self, statement: Statement, **values: Any) -> list[Row]:
        rows: list[Row] = self._connection.execute(
            statement.text, statement.bind(**values)
        ).fetchall()
        return rows


Job = tuple[Callable[[Writer], Any], "Future[Any]"]


@final
class SqliteDatabase:
    """One database file, for one process and its event loop; several processes may share it."""

    def __init__(self, reader: sqlite3.Connection, writer: sqlite3.Connection) -> None:
        self._reader = reader
        self._connection = writer
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._closed = False
        self._thread = threading.Thread(target=self._write, name="mintmark-writer", daemon=True)
        self._thread.start()

    @classmethod
    def open(cls, path: Path) -> Self:
        """Raises `StoreUnavailable` with the reason, in one line."""
        try:
            return cls(connect(path), connect(path))
        except sqlite3.Error as failure:
            raise StoreUnavailable(f"{path.name}: {failure}") from None

    def read_one(self, statement: Statement, **values: Any) -> Row | None:
        """The row of a keyed read. Raises `StoreUnavailable`."""
        rows = self.read(statement, **values)
        return rows[0] if rows else None

    def read(self, statement: Statement, **values: Any) -> list[Row]:
        """The rows of a keyed read. Raises `StoreUnavailable`."""
        try:
            rows: list[Row] = self._reader.execute(
                statement.text, statement.bind(**values)
            ).fetchall()
        except sqlite3.Error as failure:
            raise StoreUnavailable(_reason(failure)) from None
        return rows

    async def write(self, job: Callable[[Writer], T]) -> T:
        """Run a job in the writer's transaction; done when it is durable.

        Raises:
            StoreUnavailable: nothing of the job was done.
            Exception: what the job raised; nothing of it was done either.
        """
        if self._closed:
            raise StoreUnavailable("the database is closed")
        future: Future[T] = Future()
        self._jobs.put((job, future))
        return await asyncio.wrap_future(future)

    def close(self) -> None:
        """Finish the writes that wait, then close the file."""
        if not self._closed:
            self._closed = True
            self._jobs.put(None)
            self._thread.join()
            self._reader.close()
            self._connection.close()

    def _write(self) -> None:
        while True:
            jobs, last = self._waiting()
            if jobs:
                self._commit(jobs)
            if last:
                return

    def _waiting(self) -> tuple[list[Job], bool]:
        first = self._jobs.get()
        if first is None:
            return [], True
        jobs = [first]
        while len(jobs) < MAX_GROUP:
            try:
                more = self._jobs.get_nowait()
            except queue.Empty:
                break
            if more is None:
                return jobs, True
            jobs.append(more)
        return jobs, False

    def _commit(self, jobs: list[Job]) -> None:
        connection, writer = self._connection, Writer(self._connection)
        outcomes: list[tuple[Future[Any], Any, BaseException | None]] = []
        try:
            connection.execute("BEGIN IMMEDIATE")
            for job, future in jobs:
                outcomes.append((future, *_attempt(connection, writer, job)))
            connection.execute("COMMIT")
        except sqlite3.Error as failure:
            _logger.error("store.unavailable %s", _reason(failure))  # noqa: TRY400 -- no trace
            with contextlib.suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            for _, future in jobs:
                _settle(future, None, StoreUnavailable(_reason(failure)))
            return
        for future, result, error in outcomes:
            _settle(future, result, error)


def _attempt(
    connection: sqlite3.Connection, writer: Writer, job: Callable[[Writer], Any]
) -> tuple[Any, BaseException | None]:
    """One job of a group; its failure undoes it alone."""
    connection.execute("SAVEPOINT job")
    try:
        result = job(writer)
    except sqlite3.OperationalError:
        raise  # the disk is full or gone: nobody's job alone
    except Exception as failure:  # noqa: BLE001 -- handed to the caller who sent the job
        connection.execute("ROLLBACK TO job")
        connection.execute("RELEASE job")
        if isinstance(failure, sqlite3.Error):
            return None, StoreUnavailable(_reason(failure))
        return None, failure
    connection.execute("RELEASE job")
    return result, None


def _settle(future: "Future[Any]", result: Any, error: BaseException | None) -> None:
    # A caller that was cancelled meanwhile is no reason to stop: its write is done.
    if not future.set_running_or_notify_cancel():
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(result)


def connect(path: Path) -> sqlite3.Connection:
    """A connection that waits for others, writes ahead, and means it when it says written."""
    connection = sqlite3.connect(
        path, isolation_level=None, check_same_thread=False, cached_statements=256
    )
    connection.row_factory = sqlite3.Row
    connection.execute(f"PRAGMA busy_timeout = {BUSY_MILLISECONDS}")
    connection.execute("PRAGMA journal_mode = WAL")
    # FULL: an answer that was given survives the power going out, not only this process.
    connection.execute("PRAGMA synchronous = FULL")
    return connection


def _reason(failure: sqlite3.Error) -> str:
    # SQLite's own words ("database or disk is full") name no values.
    return str(failure).partition("\n")[0][:120]
