"""SQLite itself: many processes, full disks, groups of writes, and what lies on the disk."""

import asyncio
import sqlite3
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from tests.stores.conftest import NOW, grant
from tests.stores.test_tokens import code, rotate, token

from mintmark.secret import Secret
from mintmark.server.stores import Redeemed, RefreshTokenRecord, StoreUnavailable
from mintmark.storage.sql import schema
from mintmark.storage.sql.migrations import (
    DatabaseNotCurrent,
    migrate,
    migrate_connection,
    require_current,
)
from mintmark.storage.sql.sqlite import SqliteDatabase
from mintmark.storage.sql.statements import Statements
from mintmark.storage.sql.stores import SqlStores


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "server.sqlite3"
    migrate(path)
    return path


REDEEM = """
import asyncio, sys
from datetime import datetime, UTC
from pathlib import Path
from mintmark.storage.sql.stores import SqlStores
async def main():
    stores = SqlStores.open(Path(sys.argv[1]))
    print("ready", flush=True); sys.stdin.readline()
    for digest in sys.argv[2].split(","):
        outcome = await stores.codes.redeem(bytes.fromhex(digest), now=datetime.now(UTC))
        print(type(outcome).__name__, flush=True)
    stores.close()
asyncio.run(main())
"""


async def test_of_two_processes_one_redeems_each_code(path: Path) -> None:
    """RFC 6749 §4.1.2, with two processes on one file."""
    stores = SqlStores.open(path)
    records = [code(f"family{number}") for number in range(30)]
    for record in records:
        await stores.codes.add(record)
    digests = ",".join(record.digest.hex() for record in records)
    command = [sys.executable, "-c", REDEEM, str(path), digests]
    children = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    for child in children:
        assert child.stdout is not None
        child.stdout.readline()

    outputs = [child.communicate("go\n")[0].split() for child in children]
    stores.close()

    for one, other in zip(*outputs, strict=True):
        assert {one, other} == {"Redeemed", "AlreadyRedeemed"}


async def test_a_write_that_fails_undoes_itself_alone(path: Path) -> None:
    database = SqliteDatabase.open(path)
    row = {
        "digest": b"d" * 32,
        "sid": "s",
        "subject": "x",
        "auth_time": 0,
        "amr": "[]",
        "expires": 0,
    }

    def fail(_: object) -> None:
        raise KeyError("mine")

    results = await asyncio.gather(
        database.write(lambda writer: writer.run(Statements.add_session, **row)),
        database.write(fail),
        database.write(lambda writer: writer.run(Statements.add_session, **row)),
        database.write(
            lambda writer: writer.run(Statements.add_session, **row | {"digest": b"e" * 32})
        ),
        return_exceptions=True,
    )

    assert results[0] == results[3] == 1
    assert isinstance(results[1], KeyError)
    assert isinstance(results[2], StoreUnavailable)
    assert len(database.read(Statements.find_session, by_digest=b"d" * 32)) == 1
    database.close()


async def test_a_cancelled_caller_stops_nobody(path: Path) -> None:
    stores = SqlStores.open(path)
    task = asyncio.create_task(stores.codes.add(code("cancelled")))
    await asyncio.sleep(0)
    task.cancel()
    record = code()

    await stores.codes.add(record)

    assert isinstance(await stores.codes.redeem(record.digest, now=NOW), Redeemed)
    stores.close()


async def test_a_full_disk_is_said_and_nothing_is_half_done(path: Path) -> None:
    stores = SqlStores.open(path)
    first = token()
    await stores.refresh_tokens.add(first)
    database = stores._database
    pages = database._connection.execute("PRAGMA page_count").fetchone()[0]
    database._connection.execute(f"PRAGMA max_page_count = {pages}")

    with pytest.raises(StoreUnavailable, match="full"):
        for number in range(500):
            await stores.refresh_tokens.add(token(f"family{number}"))
    database._connection.execute("PRAGMA max_page_count = 100000")

    assert await stores.refresh_tokens.find(first.digest) == first
    await stores.refresh_tokens.add(token("after"))
    stores.close()


async def test_a_closed_database_says_so(path: Path) -> None:
    stores = SqlStores.open(path)
    waiting = [asyncio.create_task(stores.codes.add(code(f"f{n}"))) for n in range(50)]
    await asyncio.sleep(0)
    await asyncio.to_thread(stores.close)

    await asyncio.gather(*waiting)
    with pytest.raises(StoreUnavailable):
        await stores.codes.add(code())


async def test_w06_nothing_but_digests_lies_on_the_disk(path: Path) -> None:
    """W-06, S-07: whoever copies the files finds no handle that works."""
    stores = SqlStores.open(path)
    live = [Secret.generate() for _ in range(5)]
    for number, secret in enumerate(live):
        record = RefreshTokenRecord(
            digest=secret.digest(), grant=grant(f"family{number}"), issued=NOW,
            expires=NOW + timedelta(days=1), family_expires=NOW + timedelta(days=1),
        )  # fmt: skip
        await stores.refresh_tokens.add(record)
        await rotate(stores, record)
    octets = b"".join(one.read_bytes() for one in path.parent.iterdir())
    stores.close()

    assert live[0].digest() in octets
    for secret in live:
        assert secret.reveal().encode() not in octets


async def test_what_is_over_is_pruned_in_bounded_batches(path: Path) -> None:
    stores = SqlStores.open(path)
    for number in range(7):
        await stores.refresh_tokens.add(token(f"family{number}"))
    late = NOW + timedelta(days=90, microseconds=1)

    assert await stores.prune(now=NOW + timedelta(days=90), at_most=5) == 0
    assert await stores.prune(now=late, at_most=5) == 5
    assert await stores.prune(now=late, at_most=5) == 2
    stores.close()


class TestMigrations:
    """A database is of this version, or it is refused with what to do about it."""

    def test_a_new_file_is_made_and_a_current_one_is_taken(self, tmp_path: Path) -> None:
        path = tmp_path / "new.sqlite3"

        require_current(path)
        require_current(path)

        connection = sqlite3.connect(path)
        names = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
        connection.close()
        assert set(schema.metadata.tables) <= names

    @pytest.mark.parametrize(
        ("revision", "words"), [("9999", "newer version"), (None, "not a Mintmark database")]
    )
    def test_another_one_is_refused(self, path: Path, revision: str | None, words: str) -> None:
        connection = sqlite3.connect(path)
        if revision is None:
            connection.execute("DROP TABLE alembic_version")
        else:
            connection.execute("UPDATE alembic_version SET version_num = ?", (revision,))
        connection.commit()
        connection.close()

        with pytest.raises(DatabaseNotCurrent, match=words):
            require_current(path)

    def test_a_file_that_is_no_database_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "text.sqlite3"
        path.write_text("this is a shopping list, and a long one at that" * 100)

        with pytest.raises(DatabaseNotCurrent, match="not a Mintmark database"):
            require_current(path)

    def test_the_migrations_give_exactly_the_schema(self, tmp_path: Path) -> None:
        from alembic.autogenerate import compare_metadata
        from alembic.migration import MigrationContext
        from sqlalchemy import create_engine
        from sqlalchemy.pool import NullPool

        engine = create_engine(f"sqlite:///{tmp_path / 'a.sqlite3'}", poolclass=NullPool)
        with engine.begin() as connection:
            migrate_connection(connection)
            context = MigrationContext.configure(connection)
            assert compare_metadata(context, schema.metadata) == []


async def test_revoked_families_are_not_kept_for_ever(path: Path) -> None:
    stores = SqlStores.open(path)
    await stores.refresh_tokens.revoke_family("family", now=NOW)

    # As long as the longest access token that the family may have.
    assert await stores.prune(now=NOW + timedelta(hours=25)) == 0
    assert await stores.prune(now=NOW + timedelta(hours=25, microseconds=1)) == 1
    stores.close()


async def test_a_refresh_token_of_an_older_version_has_no_key(path: Path) -> None:
    """What was granted is one JSON text: a member that is younger than the row is missing."""
    stores = SqlStores.open(path)
    record = RefreshTokenRecord(
        digest=b"d" * 32, grant=grant(), issued=NOW, expires=NOW, family_expires=NOW
    )
    await stores.refresh_tokens.add(record)
    stores.close()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE refresh_tokens SET granted = json_remove(granted, '$.jkt')")
    connection.close()

    stores = SqlStores.open(path)
    found = await stores.refresh_tokens.find(record.digest)
    stores.close()

    assert found == replace(record, grant=replace(grant(), jkt=None))
