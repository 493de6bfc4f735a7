"""Pushed requests and waiting devices, on every backend (RFC 9126 §4, RFC 8628 §3.5)."""

import asyncio
import sqlite3
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from tests.stores.conftest import NOW

from mintmark.server.stores import Stores
from mintmark.server.waiting import (
    Approval,
    CodeTaken,
    Decision,
    DeviceRecord,
    PushedRequestRecord,
)
from mintmark.storage.sql.migrations import DatabaseNotCurrent, migrate, require_current
from mintmark.storage.sql.stores import SqlStores

SECOND = timedelta(seconds=1)
FIVE = 5 * SECOND
PUSHED = PushedRequestRecord(
    digest=b"p" * 32, client_id="web", sealed=b"sealed", expires=NOW + 60 * SECOND
)
DEVICE = DeviceRecord(
    digest=b"d" * 32, user_code=b"u" * 32, client_id="tv", scope=frozenset({"openid"}),
    resource=("https://api.example",), expires=NOW + 600 * SECOND,
)  # fmt: skip
APPROVAL = Approval(subject="alice", session="sid", auth_time=NOW, amr=("pwd",))


async def test_a_pushed_request_is_found_until_it_ends_or_is_removed(stores: Stores) -> None:
    await stores.pushed_requests.add(PUSHED)

    assert await stores.pushed_requests.find(PUSHED.digest, now=PUSHED.expires - SECOND) == PUSHED
    assert await stores.pushed_requests.find(PUSHED.digest, now=PUSHED.expires) is None
    assert await stores.pushed_requests.find(b"x" * 32, now=NOW) is None
    await stores.pushed_requests.remove(PUSHED.digest)
    await stores.pushed_requests.remove(PUSHED.digest)
    assert await stores.pushed_requests.find(PUSHED.digest, now=NOW) is None


async def test_of_many_decisions_one_counts(stores: Stores) -> None:
    await stores.devices.add(DEVICE, interval=FIVE)
    assert await stores.devices.find_by_user_code(DEVICE.user_code, now=NOW) == DEVICE

    decided = await asyncio.gather(
        *(
            stores.devices.decide(
                DEVICE.digest,
                Decision.DENIED if number % 2 else Decision.APPROVED,
                None if number % 2 else APPROVAL,
                now=NOW,
            )
            for number in range(20)
        )
    )

    assert len([one for one in decided if one is not None]) == 1
    assert await stores.devices.find_by_user_code(DEVICE.user_code, now=NOW) is None


async def test_of_many_polls_one_sees_the_approval(stores: Stores) -> None:
    await stores.devices.add(DEVICE, interval=FIVE)
    await stores.devices.decide(DEVICE.digest, Decision.APPROVED, APPROVAL, now=NOW)

    polls = await asyncio.gather(
        *(stores.devices.poll(DEVICE.digest, "tv", now=NOW) for _ in range(20))
    )

    seen = [one.record.decision for one in polls if one is not None]
    assert sorted(seen) == [Decision.APPROVED, *[Decision.REDEEMED] * 19]
    assert next(one for one in polls if one).record.approval == APPROVAL


async def test_the_interval_grows_for_who_does_not_keep_it(stores: Stores) -> None:
    await stores.devices.add(DEVICE, interval=FIVE)

    async def too_soon(seconds: int) -> bool:
        polled = await stores.devices.poll(DEVICE.digest, "tv", now=NOW + seconds * SECOND)
        assert polled is not None
        return polled.too_soon

    assert [await too_soon(at) for at in (0, 5, 9, 19, 28, 43)] == [
        False, False, True, False, True, False,
    ]  # fmt: skip


async def test_nothing_happens_to_what_is_over_or_anothers(stores: Stores) -> None:
    await stores.devices.add(DEVICE, interval=FIVE)
    await stores.devices.decide(DEVICE.digest, Decision.APPROVED, APPROVAL, now=NOW)

    over = await stores.devices.poll(DEVICE.digest, "tv", now=DEVICE.expires)
    assert over is not None
    assert over.record.decision is Decision.APPROVED
    assert await stores.devices.poll(DEVICE.digest, "other", now=NOW) is None
    alive = await stores.devices.poll(DEVICE.digest, "tv", now=DEVICE.expires - SECOND)
    assert alive is not None
    assert alive.record.decision is Decision.APPROVED
    late = replace(DEVICE, digest=b"e" * 32, user_code=b"v" * 32)
    await stores.devices.add(late, interval=FIVE)
    decided = await stores.devices.decide(late.digest, Decision.DENIED, None, now=late.expires)
    assert decided is None


async def test_two_devices_never_have_one_user_code(stores: Stores) -> None:
    await stores.devices.add(DEVICE, interval=FIVE)

    with pytest.raises(CodeTaken):
        await stores.devices.add(replace(DEVICE, digest=b"e" * 32), interval=FIVE)


async def test_what_is_over_is_pruned(tmp_path: Path) -> None:
    path = tmp_path / "server.sqlite3"
    migrate(path)
    stores = SqlStores.open(path)
    await stores.pushed_requests.add(PUSHED)
    await stores.devices.add(DEVICE, interval=FIVE)

    assert await stores.prune(now=PUSHED.expires) == 0
    assert await stores.prune(now=PUSHED.expires + SECOND) == 1
    assert await stores.prune(now=DEVICE.expires + timedelta(hours=1)) == 0
    assert await stores.prune(now=DEVICE.expires + timedelta(hours=1, seconds=1)) == 1
    stores.close()


async def test_a_database_of_the_version_before_goes_on_with_what_it_holds(tmp_path: Path) -> None:
    from alembic import command
    from sqlalchemy import create_engine
    from sqlalchemy.pool import NullPool

    from mintmark.storage.sql.migrations import _config

    path = tmp_path / "older.sqlite3"
    engine = create_engine(f"sqlite:///{path}", poolclass=NullPool)
    with engine.begin() as connection:
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "0002")
    older = sqlite3.connect(path)
    older.execute("INSERT INTO revoked_families VALUES ('family', 1)")
    older.commit()
    older.close()

    with pytest.raises(DatabaseNotCurrent, match="mintmark migrate"):
        require_current(path)
    migrate(path)
    stores = SqlStores.open(path)
    await stores.devices.add(DEVICE, interval=FIVE)
    await stores.pushed_requests.add(PUSHED)
    assert await stores.pushed_requests.find(PUSHED.digest, now=NOW) == PUSHED
    stores.close()
    kept = sqlite3.connect(path)
    assert kept.execute("SELECT family FROM revoked_families").fetchall() == [("family",)]
    kept.close()
