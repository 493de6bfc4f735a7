"""Sessions, consents, accounts and keys, on every backend."""

import asyncio
from datetime import timedelta

import pytest
from tests.stores.conftest import NOW

from mintmark.server.stores import AccountRecord, KeyRecord, SessionRecord, Stores

SECOND = timedelta(seconds=1)


def session() -> SessionRecord:
    return SessionRecord(
        digest=b"d" * 32, sid="sid", subject="alice", auth_time=NOW, amr=("pwd",),
        expires=NOW + timedelta(hours=1),
    )  # fmt: skip


def key(kid: str) -> KeyRecord:
    return KeyRecord(
        kid=kid, algorithm="ES256", sealed_private_key=b"sealed", created=NOW, signs_from=NOW,
        retires=NOW + timedelta(days=90),
    )  # fmt: skip


async def test_a_session_ends_on_the_second(stores: Stores) -> None:
    record = session()
    await stores.sessions.add(record)

    assert await stores.sessions.find(record.digest, now=record.expires - SECOND) == record
    assert await stores.sessions.find(record.digest, now=record.expires) is None


async def test_a_session_is_ended_once(stores: Stores) -> None:
    record = session()
    await stores.sessions.add(record)

    ended = await asyncio.gather(*(stores.sessions.end(record.digest, now=NOW) for _ in range(5)))

    assert [one for one in ended if one is not None] == [record]
    assert await stores.sessions.find(record.digest, now=NOW) is None


async def test_consents_add_up_and_nothing_is_lost(stores: Stores) -> None:
    await asyncio.gather(
        *(
            stores.consents.remember("alice", "web", frozenset({f"s{n}"}), now=NOW)
            for n in range(20)
        )
    )

    assert await stores.consents.find("alice", "web") == {f"s{n}" for n in range(20)}
    assert await stores.consents.find("alice", "other") == frozenset()
    assert await stores.consents.find("bob", "web") == frozenset()


async def test_an_account_is_found_by_name_without_case(stores: Stores) -> None:
    account = AccountRecord(subject="1", username="Älice", password_hash="h", claims={"name": "A"})
    await stores.accounts.put(account)
    await stores.accounts.put(account)

    assert await stores.accounts.find_by_username("äLICE") == account
    assert await stores.accounts.find("1") == account
    assert await stores.accounts.find("2") is None


@pytest.mark.parametrize("many", [1, 20])
async def test_the_first_key_wins_whoever_else_comes(stores: Stores, many: int) -> None:
    seen = await asyncio.gather(*(stores.keys.add_first(key(f"k{n}")) for n in range(many)))

    assert {tuple(record.kid for record in records) for records in seen} == {(seen[0][0].kid,)}
    assert len(await stores.keys.all()) == 1
