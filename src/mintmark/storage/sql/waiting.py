"""Pushed requests and waiting devices in SQL."""

import sqlite3
from datetime import datetime, timedelta
from typing import Any, final

import msgspec
from sqlalchemy import and_, bindparam, delete, insert, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from mintmark.server.waiting import (
    SLOWER,
    Approval,
    CodeTaken,
    Decision,
    DeviceRecord,
    Poll,
    PushedRequestRecord,
)
from mintmark.storage.sql import schema
from mintmark.storage.sql.rows import moment, stamp
from mintmark.storage.sql.sqlite import SqliteDatabase, Writer
from mintmark.storage.sql.statements import Statement

__all__ = ["SqlDevices", "SqlPushedRequests", "WaitingStatements"]


class WaitingStatements:
    """One for each thing that these stores do."""

    _pushed, _devices = schema.pushed_requests, schema.device_codes
    _waiting = and_(
        _devices.c.decision == bindparam("pending"), _devices.c.expires > bindparam("now")
    )

    add_pushed = Statement.compile(insert(_pushed))
    find_pushed = Statement.compile(
        select(_pushed).where(
            _pushed.c.digest == bindparam("by_digest"), _pushed.c.expires > bindparam("now")
        )
    )
    remove_pushed = Statement.compile(
        delete(_pushed).where(_pushed.c.digest == bindparam("by_digest"))
    )
    prune_pushed_requests = Statement.compile(
        delete(_pushed).where(
            _pushed.c.digest.in_(
                select(_pushed.c.digest)
                .where(_pushed.c.expires < bindparam("before"))
                .limit(bindparam("at_most"))
            )
        )
    )

    add_device = Statement.compile(upsert(_devices).on_conflict_do_nothing())
    find_waiting = Statement.compile(
        select(_devices).where(_devices.c.user_code == bindparam("by_user_code"), _waiting)
    )
    decide = Statement.compile(
        update(_devices)
        .where(_devices.c.digest == bindparam("by_digest"), _waiting)
        .values(decision=bindparam("decided"), approval=bindparam("approved"))
        .returning(*_devices.c)
    )
    find_device = Statement.compile(
        select(_devices).where(
            _devices.c.digest == bindparam("by_digest"),
            _devices.c.client_id == bindparam("by_client_id"),
        )
    )
    polled = Statement.compile(
        update(_devices)
        .where(_devices.c.digest == bindparam("by_digest"))
        .values(polled=bindparam("at"), pause=bindparam("new_pause"), decision=bindparam("decided"))
    )
    prune_devices = Statement.compile(
        delete(_devices).where(
            _devices.c.digest.in_(
                select(_devices.c.digest)
                .where(_devices.c.expires < bindparam("before"))
                .limit(bindparam("at_most"))
            )
        )
    )


@final
class SqlPushedRequests:
    """`PushedRequestStore` on SQL."""

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database

    async def add(self, record: PushedRequestRecord) -> None:
        row = {
            "digest": record.digest,
            "client_id": record.client_id,
            "sealed": record.sealed,
            "expires": stamp(record.expires),
        }
        await self._database.write(lambda writer: writer.run(WaitingStatements.add_pushed, **row))

    async def find(self, digest: bytes, *, now: datetime) -> PushedRequestRecord | None:
        row = self._database.read_one(
            WaitingStatements.find_pushed, by_digest=digest, now=stamp(now)
        )
        if row is None:
            return None
        return PushedRequestRecord(
            digest=row["digest"],
            client_id=row["client_id"],
            sealed=row["sealed"],
            expires=moment(row["expires"]),
        )

    async def remove(self, digest: bytes) -> None:
        await self._database.write(
            lambda writer: writer.run(WaitingStatements.remove_pushed, by_digest=digest)
        )


class _Asked(msgspec.Struct):
    scope: list[str]
    resource: list[str]


class _Approved(msgspec.Struct):
    subject: str
    session: str
    auth_time: int
    amr: list[str]


@final
class SqlDevices:
    """`DeviceStore` on SQL."""

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database

    async def add(self, record: DeviceRecord, *, interval: timedelta) -> None:
        row = _write(record, interval)

        def job(writer: Writer) -> None:
            if writer.run(WaitingStatements.add_device, **row) != 1:
                raise CodeTaken

        await self._database.write(job)

    async def find_by_user_code(self, user_code: bytes, *, now: datetime) -> DeviceRecord | None:
        row = self._database.read_one(
            WaitingStatements.find_waiting,
            by_user_code=user_code,
            pending=Decision.PENDING.value,
            now=stamp(now),
        )
        return None if row is None else _read(row)

    async def decide(
        self, digest: bytes, decision: Decision, approval: Approval | None, *, now: datetime
    ) -> DeviceRecord | None:
        values = {
            "by_digest": digest,
            "pending": Decision.PENDING.value,
            "now": stamp(now),
            "decided": decision.value,
            "approved": _write_approval(approval),
        }
        row = await self._database.write(
            lambda writer: writer.one(WaitingStatements.decide, **values)
        )
        return None if row is None else _read(row)

    async def poll(self, digest: bytes, client_id: str, *, now: datetime) -> Poll | None:
        return await self._database.write(lambda writer: _poll(writer, digest, client_id, now))


def _poll(writer: Writer, digest: bytes, client_id: str, now: datetime) -> Poll | None:
    row = writer.one(WaitingStatements.find_device, by_digest=digest, by_client_id=client_id)
    if row is None:
        return None
    record, at, pause = _read(row), stamp(now), row["pause"]
    if now >= record.expires:
        return Poll(record, too_soon=False)
    # A clock that was set back must not keep a device waiting until it has caught up.
    too_soon = row["polled"] is not None and 0 <= at - row["polled"] < pause
    spent = record.decision is Decision.APPROVED
    writer.run(
        WaitingStatements.polled,
        by_digest=digest,
        at=at,
        new_pause=pause + (SLOWER // timedelta(microseconds=1) if too_soon else 0),
        decided=(Decision.REDEEMED if spent else record.decision).value,
    )
    return Poll(record, too_soon)


def _write(record: DeviceRecord, interval: timedelta) -> dict[str, Any]:
    asked = _Asked(sorted(record.scope), list(record.resource))
    return {
        "digest": record.digest,
        "user_code": record.user_code,
        "client_id": record.client_id,
        "asked": msgspec.json.encode(asked).decode(),
        "expires": stamp(record.expires),
        "pause": interval // timedelta(microseconds=1),
        "polled": None,
        "decision": record.decision.value,
        "approval": _write_approval(record.approval),
    }


def _write_approval(approval: Approval | None) -> str | None:
    if approval is None:
        return None
    approved = _Approved(
        approval.subject, approval.session, stamp(approval.auth_time), list(approval.amr)
    )
    return msgspec.json.encode(approved).decode()


def _read(row: sqlite3.Row) -> DeviceRecord:
    asked = msgspec.json.decode(row["asked"], type=_Asked)
    return DeviceRecord(
        digest=row["digest"],
        user_code=row["user_code"],
        client_id=row["client_id"],
        scope=frozenset(asked.scope),
        resource=tuple(asked.resource),
        expires=moment(row["expires"]),
        decision=Decision(row["decision"]),
        approval=_read_approval(row["approval"]),
    )


def _read_approval(text: str | None) -> Approval | None:
    if text is None:
        return None
    approved = msgspec.json.decode(text, type=_Approved)
    return Approval(
        subject=approved.subject,
        session=approved.session,
        auth_time=moment(approved.auth_time),
        amr=tuple(approved.amr),
    )
