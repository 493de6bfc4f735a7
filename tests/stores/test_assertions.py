"""Client assertions: each is used once, on every backend (RFC 7523 §3)."""

import asyncio
from collections import Counter
from datetime import timedelta
from pathlib import Path
from secrets import token_bytes

import pytest
from tests.stores.conftest import NOW

from mintmark.server.stores import AlreadyClaimed, Stores
from mintmark.storage.sql.migrations import migrate
from mintmark.storage.sql.stores import SqlStores

ENDS = NOW + timedelta(seconds=90)
FIVE_MINUTES = timedelta(minutes=5)


async def test_w101_of_fifty_at_once_exactly_one_is_the_first(stores: Stores) -> None:
    digest = token_bytes(32)

    outcomes = await asyncio.gather(
        *(stores.assertions.claim(digest, ends=ENDS, now=NOW) for _ in range(50)),
        return_exceptions=True,
    )

    assert Counter(type(outcome) for outcome in outcomes) == {type(None): 1, AlreadyClaimed: 49}


async def test_another_one_is_not_refused_for_it(stores: Stores) -> None:
    await stores.assertions.claim(b"a" * 32, ends=ENDS, now=NOW)

    await stores.assertions.claim(b"b" * 32, ends=ENDS, now=NOW)


async def test_it_is_remembered_until_it_ends(stores: Stores) -> None:
    await stores.assertions.claim(b"a" * 32, ends=ENDS, now=NOW)
    await stores.assertions.claim(b"b" * 32, ends=ENDS, now=ENDS)

    with pytest.raises(AlreadyClaimed):
        await stores.assertions.claim(b"a" * 32, ends=ENDS, now=ENDS)


async def test_two_connections_to_one_file_know_of_each_other(tmp_path: Path) -> None:
    path = tmp_path / "server.sqlite3"
    migrate(path)
    one, other = SqlStores.open(path), SqlStores.open(path)

    await one.assertions.claim(b"a" * 32, ends=ENDS, now=NOW)
    with pytest.raises(AlreadyClaimed):
        await other.assertions.claim(b"a" * 32, ends=ENDS, now=NOW)
    one.close()
    other.close()


async def test_they_are_pruned_when_no_clock_can_still_accept_them(tmp_path: Path) -> None:
    path = tmp_path / "server.sqlite3"
    migrate(path)
    stores = SqlStores.open(path)
    for number in range(7):
        await stores.assertions.claim(b"%032d" % number, ends=ENDS, now=NOW)
    late = ENDS + FIVE_MINUTES + timedelta(microseconds=1)

    assert await stores.prune(now=ENDS + FIVE_MINUTES) == 0
    assert await stores.prune(now=late, at_most=5) == 5
    assert await stores.prune(now=late, at_most=5) == 2
    stores.close()
