"""Codes and refresh tokens: what may happen once happens once, on every backend."""

import asyncio
from collections import Counter
from datetime import timedelta
from secrets import token_bytes

import pytest
from tests.stores.conftest import NOW, grant

from mintmark.server.stores import (
    AlreadyRedeemed,
    AlreadySpent,
    CodeRecord,
    FamilyRevoked,
    Redeemed,
    RefreshTokenRecord,
    Replayed,
    Rotated,
    Stores,
    Unknown,
)

GRACE = timedelta(seconds=30)


def code(family: str = "family") -> CodeRecord:
    return CodeRecord(
        digest=token_bytes(32), grant=grant(family), redirect_uri="https://a.example/cb",
        code_challenge="c" * 43, expires=NOW + timedelta(seconds=60),
    )  # fmt: skip


def token(family: str = "family", session: str = "session") -> RefreshTokenRecord:
    return RefreshTokenRecord(
        digest=token_bytes(32), grant=grant(family, session), issued=NOW,
        expires=NOW + timedelta(days=14), family_expires=NOW + timedelta(days=90),
    )  # fmt: skip


async def rotate(
    stores: Stores, spent: RefreshTokenRecord, after: timedelta = timedelta(0), sealed: bytes = b"s"
) -> tuple[Rotated | Replayed | AlreadySpent | Unknown, RefreshTokenRecord]:
    successor = token(spent.grant.family)
    now = NOW + after
    outcome = await stores.refresh_tokens.rotate(
        spent.digest, successor, sealed, now=now, replay_since=now - GRACE
    )
    return outcome, successor


class TestCodes:
    """RFC 6749 §4.1.2: a code works once."""

    async def test_of_fifty_at_once_exactly_one_redeems(self, stores: Stores) -> None:
        record = code()
        await stores.codes.add(record)

        outcomes = await asyncio.gather(
            *(stores.codes.redeem(record.digest, now=NOW) for _ in range(50))
        )

        assert Counter(type(outcome) for outcome in outcomes) == {Redeemed: 1, AlreadyRedeemed: 49}
        assert all(o.record == record for o in outcomes if not isinstance(o, Unknown))

    async def test_an_unknown_code_is_unknown(self, stores: Stores) -> None:
        assert await stores.codes.redeem(b"x" * 32, now=NOW) == Unknown()


class TestRotation:
    """RFC 9700 §4.14.2: of any number of calls with one token exactly one rotates it."""

    async def test_of_fifty_at_once_one_rotates_and_the_others_see_the_same_successor(
        self, stores: Stores
    ) -> None:
        first = token()
        await stores.refresh_tokens.add(first)

        outcomes = await asyncio.gather(
            *(rotate(stores, first, sealed=b"%d" % number) for number in range(50))
        )

        kinds = Counter(type(outcome) for outcome, _ in outcomes)
        replayed = {o.sealed_successor for o, _ in outcomes if isinstance(o, Replayed)}
        assert kinds == {Rotated: 1, Replayed: 49}
        assert len(replayed) == 1

    @pytest.mark.parametrize(
        ("after", "kind"), [(GRACE, Replayed), (GRACE + timedelta(microseconds=1), AlreadySpent)]
    )
    async def test_the_grace_ends_on_the_second(
        self, stores: Stores, after: timedelta, kind: type
    ) -> None:
        first = token()
        await stores.refresh_tokens.add(first)
        await rotate(stores, first)

        outcome, _ = await rotate(stores, first, after)

        assert isinstance(outcome, kind)

    async def test_a_used_successor_ends_the_grace(self, stores: Stores) -> None:
        first = token()
        await stores.refresh_tokens.add(first)
        _, second = await rotate(stores, first)
        await rotate(stores, second)

        outcome, _ = await rotate(stores, first)

        assert outcome == AlreadySpent(NOW)

    async def test_a_spent_token_is_found_and_a_revoked_one_is_not(self, stores: Stores) -> None:
        first = token()
        await stores.refresh_tokens.add(first)
        await rotate(stores, first)
        assert await stores.refresh_tokens.find(first.digest) == first

        await stores.refresh_tokens.revoke_family("family", now=NOW)

        assert await stores.refresh_tokens.find(first.digest) is None
        assert (await rotate(stores, first))[0] == Unknown()


class TestRevocation:
    """Everything that came of one sign-in ends together, and nothing else."""

    async def test_a_family_ends_with_its_codes_and_for_good(self, stores: Stores) -> None:
        record, mine, other = code(), token(), token("other")
        await stores.codes.add(record)
        await stores.refresh_tokens.add(mine)
        await stores.refresh_tokens.add(other)

        await stores.refresh_tokens.revoke_family("family", now=NOW)
        await stores.refresh_tokens.revoke_family("family", now=NOW)

        assert await stores.codes.redeem(record.digest, now=NOW) == Unknown()
        assert await stores.refresh_tokens.find(mine.digest) is None
        assert await stores.refresh_tokens.find(other.digest) == other
        with pytest.raises(FamilyRevoked):
            await stores.refresh_tokens.add(token())

    async def test_a_session_ends_with_all_its_families(self, stores: Stores) -> None:
        one, two, other = token("one"), token("two"), token("three", "another session")
        for record in (one, two, other):
            await stores.refresh_tokens.add(record)

        await stores.refresh_tokens.revoke_session("session", now=NOW)

        assert await stores.refresh_tokens.find(one.digest) is None
        assert await stores.refresh_tokens.find(two.digest) is None
        assert await stores.refresh_tokens.find(other.digest) == other


class TestWhatWasEnded:
    """Access tokens are not kept; what they came from is remembered once it was ended."""

    async def test_a_family_and_a_session_live_until_they_are_ended(self, stores: Stores) -> None:
        tokens = stores.refresh_tokens
        await tokens.add(token("one", "s-1"))
        await tokens.require_alive("one", "s-1")
        await tokens.revoke_family("one", now=NOW)

        with pytest.raises(FamilyRevoked):
            await tokens.require_alive("one", "s-1")
        await tokens.require_alive("two", "s-1")

    async def test_a_session_is_known_to_be_over_when_nothing_of_it_is_kept(
        self, stores: Stores
    ) -> None:
        tokens = stores.refresh_tokens
        await tokens.require_alive("one", "s-1")
        await tokens.revoke_session("s-1", now=NOW)
        await tokens.revoke_session("s-1", now=NOW)

        with pytest.raises(FamilyRevoked):
            await tokens.require_alive("one", "s-1")
        await tokens.require_alive("one", "s-2")
        await tokens.require_alive("one", "")

    async def test_only_what_could_still_be_rotated_is_unspent(self, stores: Stores) -> None:
        tokens, first = stores.refresh_tokens, token()
        await tokens.add(first)
        assert await tokens.find_unspent(first.digest) == first

        _, second = await rotate(stores, first)

        assert await tokens.find_unspent(first.digest) is None
        assert await tokens.find_unspent(second.digest) == second
        await tokens.revoke_family("family", now=NOW)
        assert await tokens.find_unspent(second.digest) is None
        assert await tokens.find_unspent(b"\0" * 32) is None
