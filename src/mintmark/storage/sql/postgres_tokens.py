"""Shared tokens in PostgreSQL: for processes on many machines."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import CancelledError
from contextlib import suppress
from typing import Any, Final, TypeVar, final

import asyncpg  # type: ignore[import-untyped]  # -- it has no types

from mintmark.client.shared import StoreUnavailable
from mintmark.clock import monotonic
from mintmark.forks import begin_again_after_fork, leave_behind
from mintmark.secret import Secret
from mintmark.storage.sql.client_tokens import POSTGRES
from mintmark.storage.sql.shared_tokens import Rows, SqlTokens
from mintmark.storage.sql.statements import Statement

__all__ = ["PostgresTokens"]

T = TypeVar("T")

_CREATE_LOCK: Final = 0x6D696E74
_MOST_OF_IT: Final = 0.8


@final
class PostgresTokens(SqlTokens):
    """A `SharedTokens` in PostgreSQL; `create()` makes its table.

    It has an event loop in a thread of its own, and asks from any thread and any other loop's. The
    moment is the database's: the clocks of the machines need not agree. `limit` is how many
    seconds a call takes at most, whatever the database does. It sets `statement_timeout` and
    `lock_timeout` as it connects, which a PgBouncer in between must be told to let pass.
    """

    _do = POSTGRES

    def __init__(self, url: str | Secret, *, limit: float = 1.0, max_connections: int = 4) -> None:
        self._url = url if isinstance(url, Secret) else Secret(url)  # it may hold a password
        self._limit, self._max_connections, self._closed = limit, max_connections, False
        self._connections: _Connections | None = None
        self.begin()
        begin_again_after_fork(self)

    def begin(self) -> None:
        """With no connections, and a lock that nobody holds."""
        leave_behind(self._connections)
        self._lock = threading.Lock()
        self._connections = None

    def create(self) -> None:
        """Make the table, if it is not there; any number of processes at once may.

        Raises:
            StoreUnavailable: the database does not answer, or this user may make no tables.
        """

        async def ask(connection: Any) -> None:
            async with connection.transaction():
                # Two that make a table at once hinder each other, though neither is wrong.
                await connection.execute(f"SELECT pg_advisory_xact_lock({_CREATE_LOCK})")
                for text in self._do.create:
                    await connection.execute(text)

        self._started().run(ask, self._limit)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            if self._connections is not None:
                self._connections.close()
                self._connections = None

    def _read(self, statement: Statement, *, until: float | None = None, **values: Any) -> Rows:
        async def ask(connection: Any) -> Rows:
            rows: Rows = await connection.fetch(statement.text, *statement.bind(**values))
            return rows

        return self._started().run(ask, self._left(until))

    def _change(self, statement: Statement, *, until: float | None = None, **values: Any) -> Rows:
        async def ask(connection: Any) -> Rows:
            rows: Rows = await connection.fetch(statement.text, *statement.bind(**values))
            with suppress(Exception):  # it is done, whatever becomes of what is over
                await connection.fetch(self._do.prune.text, *self._do.prune.bind())
            return rows

        return self._started().run(ask, self._left(until))

    def _left(self, until: float | None) -> float:
        return self._limit if until is None else max(0.0, until - monotonic())

    def _started(self) -> "_Connections":
        with self._lock:
            if self._closed:
                raise StoreUnavailable("the store is closed")
            if self._connections is None:
                self._connections = _Connections(self._url, self._limit, self._max_connections)
            return self._connections

    def __repr__(self) -> str:
        return "<PostgresTokens>"


@final
class _Connections:
    """A few connections, and the loop they live in."""

    def __init__(self, url: Secret, limit: float, at_most: int) -> None:
        self._url, self._limit = url, limit
        self._idle: list[Any] = []
        self._busy: set[Any] = set()
        self._free = asyncio.Semaphore(at_most)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="mintmark-tokens", daemon=True
        )
        self._thread.start()

    def run(self, ask: Callable[[Any], Awaitable[T]], limit: float) -> T:
        """Raises `StoreUnavailable` and nothing else."""
        answer = self._answer(ask, self._loop.time() + _MOST_OF_IT * limit)
        try:
            future = asyncio.run_coroutine_threadsafe(answer, self._loop)
        except RuntimeError:  # somebody closes it at this moment
            answer.close()
            raise StoreUnavailable("the store is closed") from None
        try:
            return future.result(limit)
        except (Exception, CancelledError) as failure:  # noqa: BLE001 -- the driver's are of many kinds
            future.cancel()
            # Its text may name hosts and users, which nobody needs here.
            raise StoreUnavailable(f"PostgreSQL: {type(failure).__name__}") from None

    async def _answer(self, ask: Callable[[Any], Awaitable[T]], until: float) -> T:
        async with asyncio.timeout_at(until):
            await self._free.acquire()
        try:
            connection = await self._connection(until)
            self._busy.add(connection)
            # Not called off: asyncpg would ask the server to stop, on another connection, and wait.
            alarm = self._loop.call_at(until, connection.terminate)
            try:
                answer = await ask(connection)
                self._idle.append(connection)
                return answer
            except BaseException:
                connection.terminate()
                raise
            finally:
                alarm.cancel()
                self._busy.discard(connection)
        finally:
            self._free.release()

    async def _connection(self, until: float) -> Any:
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed():
                return connection
        # The server gives up as well: or what nobody waits for any more would be done later.
        milliseconds = str(max(1, round(self._limit * 1000)))
        return await asyncpg.connect(
            self._url.reveal(),
            timeout=max(0.001, until - self._loop.time()),
            server_settings={"statement_timeout": milliseconds, "lock_timeout": milliseconds},
        )

    def close(self) -> None:
        future = asyncio.run_coroutine_threadsafe(self._end(), self._loop)
        with suppress(Exception):  # what does not end in time ends with its thread
            future.result(self._limit)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(self._limit)
        if not self._thread.is_alive():
            self._loop.close()

    async def _end(self) -> None:
        for connection in (*self._idle, *self._busy):
            connection.terminate()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await asyncio.sleep(0)  # the transports say that they are closed
