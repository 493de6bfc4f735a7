"""Shared tokens in SQLite and PostgreSQL, whatever happens to the database."""

import asyncio
import contextlib
import os
import secrets
import signal
import socket
import sqlite3
import stat
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn

import asyncpg  # type: ignore[import-untyped]  # -- it has no types
import pytest
from tests.stores.shared_stores import python

from mintmark.client.shared import StaleFence, StoreUnavailable
from mintmark.secret import Secret
from mintmark.storage.sql.postgres_tokens import PostgresTokens
from mintmark.storage.sql.sqlite_tokens import SqliteTokens
from mintmark.testing import FrozenClock
from mintmark.testing.ports import free_ports

TABLE = "mintmark_client_tokens"


def seconds_until_unavailable(ask: Callable[[], object]) -> float:
    began = time.monotonic()
    with pytest.raises(StoreUnavailable) as raised:
        ask()
    # A traceback shows nothing of the driver's, whose words name hosts and users.
    assert raised.value.__cause__ is None
    assert raised.value.__context__ is None or raised.value.__suppress_context__
    return time.monotonic() - began


FORKED = """
import os, sys
from mintmark.client.shared import StoreUnavailable
from mintmark.storage.sql.postgres_tokens import PostgresTokens
from mintmark.storage.sql.sqlite_tokens import SqliteTokens
kind, where, name = sys.argv[1:]
store = {"sqlite": SqliteTokens, "postgresql": PostgresTokens}[kind](where, limit=20)
store.swap(name, None, b"0", seconds=60)
for number in range(5):
    child = os.fork()
    if child == 0:
        assert store.swap(name, b"%d" % number, b"%d" % (number + 1), seconds=60)
        store.close()
        sys.exit(0)  # the interpreter tidies up, unlike with os._exit
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert store.load(name) == b"%d" % (number + 1)
    assert store.lease(name, owner="parent", seconds=60) is not None
store.close()
"""


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgresql", marks=pytest.mark.service)])
def test_a_child_that_ends_takes_nothing_from_its_parent(
    request: pytest.FixtureRequest, tmp_path: Path, kind: str
) -> None:
    where, name = str(tmp_path / "tokens"), f"mintmark {secrets.token_hex(8)}"
    if kind == "postgresql":
        url: str = request.getfixturevalue("postgresql_url")
        with contextlib.closing(PostgresTokens(url, limit=20)) as made:
            made.create()
        where = f"{url}?application_name={name}"
    done = python(FORKED, kind, where, name)

    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


# SQLite


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tokens.sqlite3"


@pytest.fixture
def sqlite(path: Path) -> Iterator[SqliteTokens]:
    store = SqliteTokens(path, limit=0.4)
    yield store
    store.close()


def test_the_file_is_for_this_user_alone(sqlite: SqliteTokens, path: Path) -> None:
    before = os.umask(0)
    try:
        sqlite.swap("name", None, b"entry", seconds=60)
    finally:
        os.umask(before)

    for one in path.parent.iterdir():
        assert stat.S_IMODE(one.stat().st_mode) == 0o600, one.name


def test_a_file_that_somebody_locked_is_waited_for_no_longer_than_the_limit(
    sqlite: SqliteTokens, path: Path
) -> None:
    sqlite.swap("name", None, b"entry", seconds=60)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        taken = seconds_until_unavailable(lambda: sqlite.lease("name", owner="one", seconds=60))
        assert 0.3 < taken < 5
        assert sqlite.load("name") == b"entry"
        other.execute("ROLLBACK")

    assert sqlite.lease("name", owner="one", seconds=60) is not None


def test_threads_of_one_store_wait_no_longer_either(sqlite: SqliteTokens, path: Path) -> None:
    sqlite.load("name")
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with ThreadPoolExecutor(6) as threads:
            taken = list(
                threads.map(
                    lambda _: seconds_until_unavailable(lambda: sqlite.forget("name")), range(6)
                )
            )
    assert max(taken) < 5


@pytest.mark.parametrize("name", ["text", "folder", "missing/file"])
def test_what_is_no_database_is_a_store_that_cannot_be_had(tmp_path: Path, name: str) -> None:
    text = "no database at all, and rather long for a header " * 100
    (tmp_path / "text").write_text(text)
    (tmp_path / "folder").mkdir()
    store = SqliteTokens(tmp_path / name, limit=0.2)

    assert seconds_until_unavailable(lambda: store.load("name")) < 5
    assert seconds_until_unavailable(lambda: store.forget("name")) < 5
    store.close()
    assert (tmp_path / "text").read_text() == text


def test_a_table_of_another_shape_is_not_touched(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as other:
        other.execute(f"CREATE TABLE {TABLE} (digest BLOB PRIMARY KEY, kept_until INTEGER)")
    store = SqliteTokens(path, limit=0.2)
    seconds_until_unavailable(lambda: store.load("name"))
    store.close()


def test_a_file_that_was_deleted_is_made_anew_for_all(sqlite: SqliteTokens, path: Path) -> None:
    another = SqliteTokens(path, limit=5)
    another.swap("name", None, b"entry", seconds=60)
    sqlite.load("name")
    for one in path.parent.iterdir():
        one.unlink()

    assert sqlite.lease("name", owner="one", seconds=60) is not None
    assert another.lease("name", owner="another", seconds=60) is None
    another.close()


def test_who_is_interrupted_holds_nobody_up(path: Path) -> None:
    class Interrupting:
        def timestamp(self) -> float:
            raise KeyboardInterrupt

        def now(self) -> NoReturn:
            raise KeyboardInterrupt

    store, another = SqliteTokens(path, clock=Interrupting()), SqliteTokens(path, limit=0.3)
    with pytest.raises(KeyboardInterrupt):
        store.forget("name")
    assert another.lease("name", owner="one", seconds=60) is not None
    for one in (store, another):
        one.close()


def test_a_file_that_may_only_be_read_is_read(path: Path, sqlite: SqliteTokens) -> None:
    sqlite.swap("name", None, b"entry", seconds=60)
    current = sqlite._connection
    assert current is not None
    current.execute("PRAGMA query_only = ON")

    assert sqlite.load("name") == b"entry"
    seconds_until_unavailable(lambda: sqlite.forget("name"))
    assert sqlite.load("name") == b"entry"


def test_a_fence_that_no_column_holds_is_nobody_s(sqlite: SqliteTokens) -> None:
    sqlite.lease("name", owner="one", seconds=60)
    with pytest.raises(StaleFence):
        sqlite.write("name", b"entry", fence=-1, seconds=60)
    seconds_until_unavailable(lambda: sqlite.write("name", b"", fence=2**70, seconds=60))


def test_many_who_find_no_file_make_one(path: Path) -> None:
    stores = [SqliteTokens(path, limit=20) for _ in range(8)]
    gate = threading.Barrier(8)

    def ask(store: SqliteTokens) -> int | None:
        gate.wait(20)
        return store.lease("name", owner=secrets.token_hex(8), seconds=60)

    with ThreadPoolExecutor(8) as threads:
        fences = list(threads.map(ask, stores))
    for store in stores:
        store.close()

    assert len([fence for fence in fences if fence is not None]) == 1


def test_rows_that_are_over_go_a_batch_at_a_time(path: Path) -> None:
    clock = FrozenClock()
    store = SqliteTokens(path, limit=20, clock=clock)
    with contextlib.closing(sqlite3.connect(path)) as other:

        def rows() -> int:
            (found,) = other.execute(f"SELECT count(*) FROM {TABLE}").fetchone()  # noqa: S608 -- a constant
            return int(found)

        for number in range(120):
            store.swap(f"name {number}", None, b"entry", seconds=60)
        clock.advance(timedelta(days=1, seconds=59))
        store.swap("new", None, b"entry", seconds=60)
        assert rows() == 121
        clock.advance(timedelta(seconds=2))
        store.forget("whatever")
        assert rows() == 71
        store.forget("whatever")
        store.forget("whatever")
        assert rows() == 1
    store.close()


# PostgreSQL


@pytest.fixture
def postgres(postgresql_url: str) -> Iterator[PostgresTokens]:
    store = PostgresTokens(postgresql_url, limit=1.0)
    with contextlib.closing(PostgresTokens(postgresql_url, limit=20)) as made:
        made.create()
    yield store
    store.close()


@pytest.fixture
def name() -> str:
    return secrets.token_hex(16)


def ask_postgres(url: str, ask: Callable[[Any], Coroutine[Any, Any, Any]]) -> Any:
    """On a connection of the test's own."""

    async def run() -> Any:
        connection = await asyncpg.connect(url)
        try:
            return await ask(connection)
        finally:
            await connection.close()

    return asyncio.run(run())


def backends(url: str, name: str) -> list[int]:
    """The server's processes for the connections that call themselves so."""

    async def ask(connection: Any) -> list[int]:
        rows = await connection.fetch(
            "SELECT pid FROM pg_stat_activity WHERE application_name = $1", name
        )
        return [row["pid"] for row in rows]

    found: list[int] = ask_postgres(url, ask)
    return found


@pytest.mark.service
def test_any_number_may_make_the_table_at_once(postgresql_url: str) -> None:
    async def drop(connection: Any) -> None:
        await connection.execute(f"DROP TABLE IF EXISTS {TABLE}")

    ask_postgres(postgresql_url, drop)
    missing = PostgresTokens(postgresql_url, limit=5)
    seconds_until_unavailable(lambda: missing.load("name"))
    stores = [PostgresTokens(Secret(postgresql_url), limit=20) for _ in range(4)]
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda store: store.create(), stores))

    assert missing.load("name") is None
    for store in (*stores, missing):
        store.close()


@pytest.mark.service
def test_a_row_that_somebody_locked_is_waited_for_no_longer_than_the_limit(
    postgres: PostgresTokens, postgresql_url: str, name: str
) -> None:
    postgres.swap(name, None, b"entry", seconds=60)
    store = PostgresTokens(postgresql_url, limit=0.6)
    taken = []

    async def lock(connection: Any) -> None:
        async with connection.transaction():
            await connection.execute(f"LOCK TABLE {TABLE} IN EXCLUSIVE MODE")

            def ask() -> float:
                return seconds_until_unavailable(
                    lambda: store.swap(name, b"entry", b"late", seconds=60)
                )

            taken.append(await asyncio.to_thread(ask))
            await asyncio.sleep(0.7)

    ask_postgres(postgresql_url, lock)
    time.sleep(0.3)

    store.close()
    assert 0.3 < taken[0] < 5
    # What nobody waited for any more was not done later.
    assert postgres.load(name) == b"entry"
    assert postgres.swap(name, b"entry", b"new", seconds=60) == b"new"


@pytest.mark.service
def test_a_database_that_stands_still_is_waited_for_no_longer_than_the_limit(
    postgresql_url: str, postgres: PostgresTokens, name: str
) -> None:
    calling = f"mintmark {name}"
    store = PostgresTokens(f"{postgresql_url}?application_name={calling}", limit=1.0)
    store.swap(name, None, b"entry", seconds=60)
    (backend,) = backends(postgresql_url, calling)
    os.kill(backend, signal.SIGSTOP)
    try:
        assert 0.5 < seconds_until_unavailable(lambda: store.load(name)) < 5
        assert store.load(name) == b"entry"  # on another connection
    finally:
        os.kill(backend, signal.SIGCONT)
    store.close()


@pytest.mark.service
def test_a_connection_that_was_cut_is_made_anew(postgresql_url: str, name: str) -> None:
    calling = f"mintmark {name}"
    store = PostgresTokens(f"{postgresql_url}?application_name={calling}", limit=20)
    store.load(name)

    async def cut(connection: Any) -> None:
        for one in backends_now:
            await connection.execute("SELECT pg_terminate_backend($1, 5000)", one)

    backends_now = backends(postgresql_url, calling)
    assert backends_now
    ask_postgres(postgresql_url, cut)
    with contextlib.suppress(StoreUnavailable):
        store.load(name)  # unless the news came first

    assert store.lease(name, owner="one", seconds=60) is not None
    store.close()


@pytest.mark.service
def test_a_database_that_may_only_be_read_is_read(
    postgres: PostgresTokens, postgresql_url: str, name: str
) -> None:
    postgres.swap(name, None, b"entry", seconds=60)
    store = PostgresTokens(f"{postgresql_url}?default_transaction_read_only=on", limit=5)

    assert store.load(name) == b"entry"
    seconds_until_unavailable(lambda: store.forget(name))
    store.close()
    assert postgres.load(name) == b"entry"


@pytest.mark.service
def test_postgres_rows_that_are_over_go_a_batch_at_a_time(
    postgres: PostgresTokens, postgresql_url: str, name: str
) -> None:
    async def age(connection: Any) -> None:
        await connection.execute(f"UPDATE {TABLE} SET kept_until = 1")  # noqa: S608 -- a constant

    async def count(connection: Any) -> int:
        found: int = await connection.fetchval(
            f"SELECT count(*) FROM {TABLE} WHERE kept_until = 1"  # noqa: S608 -- a constant
        )
        return found

    for number in range(70):
        postgres.swap(f"{name} {number}", None, b"entry", seconds=60)
    ask_postgres(postgresql_url, age)
    before = ask_postgres(postgresql_url, count)
    postgres.forget("whatever")

    assert before >= 70
    assert ask_postgres(postgresql_url, count) == before - 50


@pytest.mark.service
def test_more_threads_than_connections_are_all_served(
    postgres: PostgresTokens, postgresql_url: str, name: str
) -> None:
    calling = f"mintmark {name}"
    url = f"{postgresql_url}?application_name={calling}"
    store = PostgresTokens(url, limit=20, max_connections=2)
    with ThreadPoolExecutor(12) as threads:
        fences = list(
            threads.map(lambda one: store.lease(name, owner=str(one), seconds=60), range(24))
        )

    assert len([fence for fence in fences if fence is not None]) == 1
    assert len(backends(postgresql_url, calling)) <= 2
    store.close()
    for _ in range(100):
        if not backends(postgresql_url, calling):
            break
        time.sleep(0.05)
    assert not backends(postgresql_url, calling), "a closed store leaves no connection"


def test_a_server_that_takes_connections_and_says_nothing(name: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        store = PostgresTokens(f"postgresql://mintmark@127.0.0.1:{port}/postgres", limit=0.5)
        assert 0.2 < seconds_until_unavailable(lambda: store.load(name)) < 5
        assert 0.2 < seconds_until_unavailable(store.create) < 5
        store.close()


@pytest.mark.parametrize(
    "url", ["postgresql://mintmark:hunter2-secret@127.0.0.1:{}/postgres", "nonsense://{}", ""]
)
def test_nobody_there_is_said_at_once_and_without_the_password(url: str) -> None:
    store = PostgresTokens(url.format(free_ports()[0]), limit=5)
    with pytest.raises(StoreUnavailable) as raised:
        store.load("name")

    assert "hunter2" not in f"{raised.value}{raised.value!r}{store!r}"
    store.close()


def test_a_store_that_never_asked_anything_is_closed() -> None:
    before = threading.active_count()
    PostgresTokens("postgresql://127.0.0.1:1/none").close()

    assert threading.active_count() == before


def test_a_forked_process_leaves_the_connections_of_its_parent_alone() -> None:
    """See `test_a_store_goes_on_in_a_forked_process`; here: while a thread holds the lock."""
    store = PostgresTokens("postgresql://127.0.0.1:1/none", limit=0.5)
    with store._lock:
        child = os.fork()
        if child == 0:
            try:
                store.load("name")
            except StoreUnavailable:
                os._exit(0)
            finally:
                os._exit(1)
    done, status = 0, 0
    for _ in range(200):
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            break
        time.sleep(0.05)
    else:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    store.close()

    assert done == child
    assert os.waitstatus_to_exitcode(status) == 0
