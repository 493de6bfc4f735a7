"""Sessions, consents and accounts in SQL."""

from collections.abc import Sequence
from datetime import datetime
from typing import final

from mintmark.protocol.scope import Scope
from mintmark.server.stores import AccountRecord, SessionRecord
from mintmark.storage.sql.rows import (
    read_account,
    read_session,
    stamp,
    write_account,
    write_session,
)
from mintmark.storage.sql.sqlite import SqliteDatabase, Writer
from mintmark.storage.sql.statements import Statements

__all__ = ["SqlAccounts", "SqlConsents", "SqlSessions"]


@final
class SqlSessions:
    """`SessionStore` on SQL."""

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database

    async def add(self, record: SessionRecord) -> None:
        row = write_session(record)
        await self._database.write(lambda writer: writer.run(Statements.add_session, **row))

    async def find(self, digest: bytes, *, now: datetime) -> SessionRecord | None:
        row = self._database.read_one(Statements.find_session, by_digest=digest)
        record = None if row is None else read_session(row)
        return record if record is not None and now < record.expires else None

    async def end(self, digest: bytes, *, now: datetime) -> SessionRecord | None:
        row = await self._database.write(
            lambda writer: writer.one(Statements.end_session, by_digest=digest)
        )
        record = None if row is None else read_session(row)
        return record if record is not None and now < record.expires else None


@final
class SqlConsents:
    """`ConsentStore` on SQL: a row for each scope value, so that nothing is lost by adding."""

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database

    async def find(self, subject: str, client_id: str) -> Scope:
        rows = self._database.read(
            Statements.find_consents, by_subject=subject, by_client_id=client_id
        )
        return frozenset(row["scope_value"] for row in rows)

    async def remember(self, subject: str, client_id: str, scope: Scope, *, now: datetime) -> None:
        def job(writer: Writer) -> None:
            for value in sorted(scope):
                writer.run(
                    Statements.remember_consent,
                    subject=subject,
                    client_id=client_id,
                    scope_value=value,
                    given=stamp(now),
                )

        await self._database.write(job)


@final
class SqlAccounts:
    """`AccountStore` on SQL."""

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database

    async def find_by_username(self, username: str) -> AccountRecord | None:
        folded = username.casefold()
        row = self._database.read_one(Statements.find_account_by_name, by_username_folded=folded)
        return None if row is None else read_account(row)

    async def find(self, subject: str) -> AccountRecord | None:
        row = self._database.read_one(Statements.find_account, by_subject=subject)
        return None if row is None else read_account(row)

    async def put(self, record: AccountRecord) -> None:
        row = write_account(record)
        await self._database.write(lambda writer: writer.run(Statements.put_account, **row))

    async def subjects(self) -> Sequence[str]:
        return [row["subject"] for row in self._database.read(Statements.all_subjects)]
