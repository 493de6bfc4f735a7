"""The manager under what programs do to it: closing, odd failures, clocks set back, many sessions."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from tests.client.sharing import until

from mintmark.client import AuthorityUnavailable, RenewalPolicy, TokenManager
from mintmark.client.keys import DelegatedKey
from mintmark.client.manager import SWEEP_FROM, WORKERS, Acquired
from mintmark.client.packed import packed_key
from mintmark.secret import Secret
from mintmark.testing import FrozenClock

MINUTE = timedelta(minutes=1)


@pytest.fixture
def manager(clock: FrozenClock) -> Iterator[TokenManager]:
    made = TokenManager(clock=clock)
    yield made
    made.close()


def key(session: int = 0) -> DelegatedKey:
    return DelegatedKey(
        issuer="https://id.example", client_id="client", session=session.to_bytes(32, "big"),
        scope=frozenset(), resource=frozenset(),
    )  # fmt: skip


def fetching(clock: FrozenClock) -> Callable[[], Acquired]:
    def acquire() -> Acquired:
        now = clock.timestamp()
        return Acquired(Secret.generate(), now, RenewalPolicy().lease(now, 10 * MINUTE))

    return acquire


class TestClosing:
    def test_after_closing_there_is_no_token_and_no_waiting(
        self, manager: TokenManager, clock: FrozenClock
    ) -> None:
        manager.close()
        began = time.monotonic()
        for _ in range(2):
            with pytest.raises(AuthorityUnavailable, match="closed"):
                manager.get(manager.slot(key()), fetching(clock))

        assert time.monotonic() - began < 5

    def test_who_waits_for_a_worker_hears_at_once_that_it_is_closed(
        self, clock: FrozenClock
    ) -> None:
        """Nobody here is patient for less than ten minutes, however busy the machine is."""
        policy = RenewalPolicy(patience=10 * MINUTE)
        manager = TokenManager(clock=clock, policy=policy)
        go_on, busy = threading.Event(), threading.Semaphore(0)

        def slow() -> Acquired:
            busy.release()
            go_on.wait(600)
            return fetching(clock)()

        with ThreadPoolExecutor(WORKERS + 1) as callers:
            try:
                for number in range(WORKERS):
                    callers.submit(manager.get, manager.slot(key(number)), slow)
                for _ in range(WORKERS):
                    assert busy.acquire(timeout=60)
                late_slot = manager.slot(key(WORKERS))
                late = callers.submit(manager.get, late_slot, fetching(clock))
                until(lambda: late_slot.flight is not None, 60)
                manager.close()
                failure = late.exception(60)
            finally:
                go_on.set()

        assert isinstance(failure, AuthorityUnavailable)
        assert "closed" in str(failure)


def test_a_leader_that_dies_of_anything_takes_nobody_along(
    manager: TokenManager, clock: FrozenClock
) -> None:
    """A store may raise what is no `Exception`, as a cancelled task does."""
    slot = manager.slot(key())

    def dying() -> Acquired:
        raise SystemExit(1)

    with pytest.raises(AuthorityUnavailable, match="SystemExit"):
        manager.get(slot, dying)
    clock.advance(MINUTE)

    assert isinstance(manager.get(slot, fetching(clock)), Secret)


def test_a_clock_set_back_does_not_lengthen_a_pause(
    manager: TokenManager, clock: FrozenClock
) -> None:
    slot = manager.slot(key())

    def down() -> Acquired:
        raise AuthorityUnavailable("down")

    with pytest.raises(AuthorityUnavailable):
        manager.get(slot, down)
    with pytest.raises(AuthorityUnavailable):
        manager.get(slot, fetching(clock))
    clock.advance(-60 * MINUTE)

    assert isinstance(manager.get(slot, fetching(clock)), Secret)


class TestSlots:
    """Sessions end without a word: browsers are closed, cookies run out."""

    def test_the_slots_of_sessions_that_are_over_go(
        self, manager: TokenManager, clock: FrozenClock
    ) -> None:
        for number in range(4 * SWEEP_FROM):
            manager.slot(key(number)).held = fetching(clock)()
            clock.advance(timedelta(seconds=2))

        assert len(manager._slots) <= SWEEP_FROM
        assert len(manager._swept) <= SWEEP_FROM

    def test_a_slot_with_a_live_token_stays(
        self, manager: TokenManager, clock: FrozenClock
    ) -> None:
        token = manager.get(manager.slot(key()), fetching(clock))
        for number in range(1, 2 * SWEEP_FROM):
            manager.slot(key(number))

        assert manager.get(manager.slot(key()), fetching(clock)) == token

    def test_a_slot_that_somebody_holds_is_found_again(self, manager: TokenManager) -> None:
        """Else two flights of one key would spend one refresh token."""
        mine = manager.slot(key())
        for number in range(1, 2 * SWEEP_FROM):
            manager.slot(key(number))
        assert packed_key(key()) not in manager._slots

        assert manager.slot(key()) is mine
