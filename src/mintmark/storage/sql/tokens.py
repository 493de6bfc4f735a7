"""Codes and refresh tokens in SQL: whatever must happen once happens in one transaction."""

from datetime import datetime
from typing import final

from mintmark.server.stores import (
    AlreadyRedeemed,
    AlreadySpent,
    CodeRecord,
    FamilyRevoked,
    Redeemed,
    RefreshTokenRecord,
    Replayed,
    Rotated,
    Unknown,
)
from mintmark.storage.sql.rows import (
    moment,
    read_code,
    read_refresh_token,
    stamp,
    write_code,
    write_refresh_token,
)
from mintmark.storage.sql.sqlite import SqliteDatabase, Writer
from mintmark.storage.sql.statements import Statements

__all__ = ["SqlCodes", "SqlRefreshTokens"]


@final
class SqlCodes:
    """`CodeStore` on SQL."""

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database

    async def add(self, record: CodeRecord) -> None:
        row = write_code(record)
        await self._database.write(lambda writer: writer.run(Statements.add_code, **row))

    async def redeem(self, digest: bytes, *, now: datetime) -> Redeemed | AlreadyRedeemed | Unknown:
        at = stamp(now)

        def job(writer: Writer) -> Redeemed | AlreadyRedeemed | Unknown:
            row = writer.one(Statements.redeem_code, by_digest=digest, now=at)
            if row is not None:
                return Redeemed(read_code(row))
            row = writer.one(Statements.find_code, by_digest=digest)
            return Unknown() if row is None else AlreadyRedeemed(read_code(row))

        return await self._database.write(job)


@final
class SqlRefreshTokens:
    """`RefreshTokenStore` on SQL."""

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database

    async def add(self, record: RefreshTokenRecord) -> None:
        row = write_refresh_token(record)
        family = record.grant.family

        def job(writer: Writer) -> None:
            if writer.run(Statements.add_first_refresh_token, **row, by_family=family) != 1:
                raise FamilyRevoked

        await self._database.write(job)

    async def find(self, digest: bytes) -> RefreshTokenRecord | None:
        row = self._database.read_one(Statements.find_refresh_token, by_digest=digest)
        return None if row is None else read_refresh_token(row)

    async def find_unspent(self, digest: bytes) -> RefreshTokenRecord | None:
        row = self._database.read_one(Statements.find_unspent, by_digest=digest)
        return None if row is None else read_refresh_token(row)

    async def rotate(
        self,
        digest: bytes,
        successor: RefreshTokenRecord,
        sealed_successor: bytes,
        *,
        now: datetime,
        replay_since: datetime,
    ) -> Rotated | Replayed | AlreadySpent | Unknown:
        row = write_refresh_token(successor)

        def job(writer: Writer) -> Rotated | Replayed | AlreadySpent | Unknown:
            spent = writer.run(
                Statements.spend_refresh_token,
                by_digest=digest,
                now=stamp(now),
                new_successor=successor.digest,
                new_sealed_successor=sealed_successor,
            )
            if spent == 1:
                writer.run(Statements.add_refresh_token, **row)
                return Rotated()
            return _spent_before(writer, digest, replay_since)

        return await self._database.write(job)

    async def revoke_family(self, family: str, *, now: datetime) -> None:
        await self._database.write(lambda writer: _revoke(writer, family, now))

    async def revoke_session(self, session: str, *, now: datetime) -> None:
        def job(writer: Writer) -> None:
            for row in writer.every(Statements.families_of_session, by_session=session):
                _revoke(writer, row["family"], now)
            # A family without code or token any more may have an access token that lives. Names of
            # families and of sessions are random, so that one table does for both.
            writer.run(Statements.mark_family_revoked, family=session, revoked=stamp(now))

        await self._database.write(job)

    async def require_alive(self, family: str, session: str) -> None:
        names = {"by_family": family, "by_session": session}
        if self._database.read_one(Statements.find_revoked, **names) is not None:
            raise FamilyRevoked


def _spent_before(
    writer: Writer, digest: bytes, replay_since: datetime
) -> Replayed | AlreadySpent | Unknown:
    row = writer.one(Statements.find_spent, by_digest=digest)
    if row is None:
        return Unknown()
    spent = moment(row["spent"])
    unused = row["successor_exists"] is not None and row["successor_spent"] is None
    if spent >= replay_since and unused:
        return Replayed(row["sealed_successor"])
    return AlreadySpent(spent)


def _revoke(writer: Writer, family: str, now: datetime) -> None:
    writer.run(Statements.mark_family_revoked, family=family, revoked=stamp(now))
    writer.run(Statements.delete_family_tokens, by_family=family)
    writer.run(Statements.delete_family_codes, by_family=family)
