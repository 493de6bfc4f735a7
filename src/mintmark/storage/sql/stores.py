"""All stores of one token server on one SQLite file."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Self, final

from mintmark.server.config import LONGEST_ACCESS_TOKEN
from mintmark.server.stores import AlreadyClaimed, KeyRecord
from mintmark.storage.sql.people import SqlAccounts, SqlConsents, SqlSessions
from mintmark.storage.sql.rows import read_key, stamp, write_key
from mintmark.storage.sql.sqlite import SqliteDatabase, Writer
from mintmark.storage.sql.statements import Statements
from mintmark.storage.sql.tokens import SqlCodes, SqlRefreshTokens
from mintmark.storage.sql.waiting import SqlDevices, SqlPushedRequests, WaitingStatements

__all__ = ["SqlAssertions", "SqlKeys", "SqlStores"]

# Longer than a spent code can still be replayed to any purpose.
KEEP_CODES = timedelta(hours=1)
KEEP_ASSERTIONS = timedelta(minutes=5)
# A device that asks late learns that its time is over, and not that nobody knows it.
KEEP_DEVICES = timedelta(hours=1)
KEEP_REVOKED = LONGEST_ACCESS_TOKEN + KEEP_CODES


@final
class SqlKeys:
    """`KeyStore` on SQL."""

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database

    async def all(self) -> Sequence[KeyRecord]:
        return [read_key(row) for row in self._database.read(Statements.all_keys)]

    async def add_first(self, record: KeyRecord) -> Sequence[KeyRecord]:
        row = write_key(record)

        def job(writer: Writer) -> None:
            found = writer.one(Statements.keys_of_algorithm, by_algorithm=record.algorithm)
            if found is None:
                writer.run(Statements.add_key, **row)

        await self._database.write(job)
        return await self.all()


@final
class SqlAssertions:
    """`AssertionStore` on SQL."""

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database

    async def claim(self, digest: bytes, *, ends: datetime, now: datetime) -> None:  # noqa: ARG002 -- pruned by itself
        def job(writer: Writer) -> None:
            if writer.run(Statements.claim_assertion, digest=digest, ends=stamp(ends)) != 1:
                raise AlreadyClaimed

        await self._database.write(job)


@final
class SqlStores:
    """The bundle that `mintmark.app` wires."""

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database
        self.codes = SqlCodes(database)
        self.refresh_tokens = SqlRefreshTokens(database)
        self.sessions = SqlSessions(database)
        self.consents = SqlConsents(database)
        self.accounts = SqlAccounts(database)
        self.assertions = SqlAssertions(database)
        self.keys = SqlKeys(database)
        self.pushed_requests = SqlPushedRequests(database)
        self.devices = SqlDevices(database)

    @classmethod
    def open(cls, path: Path) -> Self:
        """Raises `StoreUnavailable`."""
        return cls(SqliteDatabase.open(path))

    async def prune(self, *, now: datetime, at_most: int = 500) -> int:
        """Delete what is over, no more than `at_most` rows of each kind; how many went."""

        def job(writer: Writer) -> int:
            return sum(
                writer.run(statement, before=stamp(before), at_most=at_most)
                for statement, before in (
                    (Statements.prune_codes, now - KEEP_CODES),
                    (Statements.prune_refresh_tokens, now),
                    (Statements.prune_sessions, now),
                    # Another process whose clock is behind would still accept what is over here.
                    (Statements.prune_client_assertions, now - KEEP_ASSERTIONS),
                    (WaitingStatements.prune_pushed_requests, now),
                    (WaitingStatements.prune_devices, now - KEEP_DEVICES),
                    # They matter while a code or an access token of the family could still come.
                    (Statements.prune_revoked_families, now - KEEP_REVOKED),
                )
            )

        return await self._database.write(job)

    def close(self) -> None:
        self._database.close()
