"""People's tokens in several processes: no refresh token is spent twice, and nobody is signed out."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest
from redis import Redis
from tests.client.rotating import Rotating
from tests.client.sharing import API, Processes, until

from mintmark.client import (
    AuthorityUnavailable,
    Client,
    DelegatedToken,
    LoginRequired,
    MemoryUserTokens,
    RenewalPolicy,
    StoreUnavailable,
    UserTokens,
    UserTokenStore,
)
from mintmark.secret import Secret
from mintmark.testing import FakeAuthority, FrozenClock
from mintmark.testing.authority import Fault

pytestmark = pytest.mark.service

STOCK = "https://stock.example"


@pytest.fixture
def processes(authority: FakeAuthority, clock: FrozenClock, redis_url: str) -> Iterator[Processes]:
    made = Processes(authority, clock, redis_url)
    yield made
    made.close()


@pytest.fixture
def rotating(authority: FakeAuthority) -> Rotating:
    return Rotating(authority)


@pytest.fixture
def session() -> Secret:
    return Secret.generate()


def mine(
    client: Client, session: Secret, store: UserTokenStore, resource: str = API
) -> DelegatedToken:
    return client.user_token(session, store, resource=resource)


def stored(store: UserTokenStore, session: Secret) -> UserTokens:
    found = store.load(session)
    assert found is not None
    return found


def refresh_token(store: UserTokenStore, session: Secret) -> Secret:
    found = stored(store, session).refresh_token
    assert found is not None
    return found


@dataclass
class Failing:
    """A store whose next writes, so many, do not arrive."""

    store: UserTokenStore
    failures: int = 0

    def load(self, session: Secret) -> UserTokens | None:
        return self.store.load(session)

    def replace(self, session: Secret, tokens: UserTokens) -> UserTokens:
        if self.failures:
            self.failures -= 1
            raise OSError("the disk is full")
        return self.store.replace(session, tokens)

    def forget(self, session: Secret) -> None:
        self.store.forget(session)


class TestSharedUserTokens:
    """The store itself: any `SharedTokens` keeps people's tokens."""

    def test_what_begins_is_read_by_every_process_and_by_nobody_else(
        self, processes: Processes, rotating: Rotating, session: Secret
    ) -> None:
        """W-06."""
        tokens = rotating.sign_in("alice")
        processes.people().begin(session, tokens)

        assert processes.people().load(session) == tokens
        assert processes.people().load(Secret.generate()) is None
        assert tokens.refresh_token is not None
        for name, entry in processes.entries().items():
            assert tokens.refresh_token.reveal().encode() not in name + entry
            assert session.digest().hex().encode() not in name + entry

    def test_of_two_next_versions_one_wins(
        self, processes: Processes, rotating: Rotating, session: Secret
    ) -> None:
        """W-58."""
        store = processes.people()
        first = rotating.sign_in("alice")
        store.begin(session, first)
        nexts = [replace(first, version=2, subject=f"{n}") for n in range(20)]
        with ThreadPoolExecutor(20) as pool:
            outcomes = list(pool.map(lambda one: store.replace(session, one), nexts))

        assert outcomes == [stored(store, session)] * 20

    def test_a_session_that_is_gone_is_not_begun_by_a_late_writer(
        self, processes: Processes, rotating: Rotating, session: Secret
    ) -> None:
        store = processes.people()
        tokens = rotating.sign_in("alice")
        store.begin(session, tokens)
        store.begin(session, replace(tokens, subject="bob"))
        assert stored(store, session).subject == "bob"
        store.forget(session)
        store.forget(session)

        with pytest.raises(KeyError):
            store.replace(session, replace(tokens, version=2))
        assert store.load(session) is None

    def test_w25_one_persons_entry_under_anothers_name_is_an_alarm(
        self, processes: Processes, rotating: Rotating
    ) -> None:
        store, alice, bob = processes.people(), Secret.generate(), Secret.generate()
        before = set(processes.entries())
        store.begin(alice, rotating.sign_in("alice"))
        (hers,) = set(processes.entries()) - before
        store.begin(bob, rotating.sign_in("bob"))
        (his,) = set(processes.entries()) - before - {hers}
        processes.put(his, processes.entries()[hers])

        assert store.load(bob) is None
        assert "shared.entry_unreadable" in processes.events.names()
        assert stored(store, alice).subject == "alice"
        store.begin(bob, rotating.sign_in("bob"))  # who signs in again is not held up by it
        assert stored(store, bob).subject == "bob"


class TestOneRenewal:
    def test_s12_twenty_requests_at_two_instances_renew_once(
        self, processes: Processes, rotating: Rotating, session: Secret, authority: FakeAuthority
    ) -> None:
        store = processes.people()
        store.begin(session, rotating.sign_in("alice"))
        authority.delay = 0.1
        clients = [processes.client() for _ in range(2)]
        with ThreadPoolExecutor(20) as pool:
            ask = [pool.submit(mine(clients[n % 2], session, store).token) for n in range(20)]
            tokens = {one.result() for one in ask}

        assert len(tokens) == 1
        assert (rotating.rotated, rotating.replayed, rotating.stolen) == (1, 0, 0)

    def test_s12_two_apis_at_two_instances_renew_one_after_the_other(
        self, processes: Processes, rotating: Rotating, session: Secret, authority: FakeAuthority
    ) -> None:
        store = processes.people()
        store.begin(session, rotating.sign_in("alice"))
        authority.delay = 0.1
        clients = [processes.client() for _ in range(2)]
        with ThreadPoolExecutor(8) as pool:
            ask = [
                pool.submit(mine(clients[n % 2], session, store, (API, STOCK)[n // 4]).token)
                for n in range(8)
            ]
            tokens = {one.result() for one in ask}

        assert len(tokens) == 2
        assert (rotating.rotated, rotating.replayed, rotating.stolen) == (2, 0, 0)

    def test_who_stood_still_for_longer_than_the_lease_sends_nothing(
        self, processes: Processes, rotating: Rotating, session: Secret,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        store = processes.people()
        store.begin(session, rotating.sign_in("alice"))
        policy = RenewalPolicy(turn=timedelta(seconds=0.1), turn_renewed_every=timedelta(hours=1))
        client = processes.client(policy=policy)
        real = store.prepare

        def stand_still(session: Secret) -> None:
            time.sleep(0.2)
            real(session)

        monkeypatch.setattr(store, "prepare", stand_still)

        with pytest.raises(AuthorityUnavailable, match="lease"):
            mine(client, session, store).token()
        assert rotating.rotated == 0

    def test_who_is_slow_and_keeps_the_lease_goes_on(
        self, processes: Processes, rotating: Rotating, session: Secret,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        store = processes.people()
        store.begin(session, rotating.sign_in("alice"))
        policy = RenewalPolicy(turn=timedelta(seconds=1), turn_renewed_every=timedelta(seconds=0.1))
        monkeypatch.setattr(store, "prepare", lambda _: time.sleep(1.3))

        assert isinstance(mine(processes.client(policy=policy), session, store).token(), Secret)
        assert rotating.rotated == 1

    def test_refresh_in_is_when_the_next_one_is_fetched(
        self, processes: Processes, rotating: Rotating, session: Secret,
        authority: FakeAuthority, clock: FrozenClock,
    ) -> None:  # fmt: skip
        authority.changes["refresh_in"] = 120
        store, client = processes.people(), processes.client()
        store.begin(session, rotating.sign_in("alice"))
        first = mine(client, session, store).token()
        clock.advance(timedelta(seconds=107))  # up to 12 s earlier, by the jitter
        assert mine(client, session, store).token() == first
        assert rotating.rotated == 1
        clock.advance(timedelta(seconds=13))
        assert mine(client, session, store).token() == first
        until(lambda: mine(client, session, store).token() != first)

        assert rotating.rotated == 2


class TestSuccessors:
    """What the server gave is never lost while somebody lives who knows it."""

    def test_w21_a_pair_that_was_not_stored_serves_this_process_and_the_others(
        self, processes: Processes, rotating: Rotating, session: Secret, clock: FrozenClock
    ) -> None:
        rotating.grace = 0.0
        store = Failing(processes.people(), failures=1)
        processes.people().begin(session, rotating.sign_in("alice"))
        client, other = processes.client(), processes.client()
        first = mine(client, session, store).token()
        assert "refresh_token.unsaved" in processes.events.names()

        # The other one reads the old pair, and finds what came for it.
        assert mine(other, session, store).token() == first
        clock.advance(timedelta(minutes=10))
        assert mine(other, session, store).token() != first
        assert mine(client, session, store).token() != first
        assert (rotating.rotated, rotating.replayed, rotating.stolen) == (2, 0, 0)

    def test_a_pair_that_no_store_takes_lives_on_in_memory(
        self, processes: Processes, rotating: Rotating, session: Secret, clock: FrozenClock
    ) -> None:
        rotating.grace = 0.0
        store = Failing(processes.people(), failures=1000)
        processes.people().begin(session, rotating.sign_in("alice"))
        client = processes.client()
        for number in range(1, 4):
            mine(client, session, store).token()
            clock.advance(timedelta(minutes=10))
            assert (rotating.rotated, rotating.stolen) == (number, 0)
        store.failures = 0
        mine(client, session, store).token()

        assert rotating.stolen == 0
        assert isinstance(mine(processes.client(), session, store).token(), Secret)
        assert (rotating.rotated, rotating.stolen) == (4, 0)

    def test_a_token_forgotten_during_a_renewal_does_not_bring_the_old_pair_back(
        self, processes: Processes, rotating: Rotating, session: Secret, authority: FakeAuthority,
        clock: FrozenClock,
    ) -> None:  # fmt: skip
        rotating.grace = 0.0
        store = processes.people()
        store.begin(session, rotating.sign_in("alice"))
        client = processes.client()
        stock = mine(client, session, store, STOCK).token()
        used = refresh_token(store, session)
        authority.delay = 0.3
        asked = authority.counts["token"]
        with ThreadPoolExecutor(1) as pool:
            renewing = pool.submit(mine(client, session, store).token)
            until(lambda: authority.counts["token"] > asked)
            mine(client, session, store, STOCK).forget(stock)
            renewing.result()
        assert refresh_token(store, session) != used
        clock.advance(timedelta(minutes=10))

        assert isinstance(mine(processes.client(), session, store).token(), Secret)
        assert (rotating.rotated, rotating.stolen) == (3, 0)

    def test_without_the_servers_keys_its_answer_waits_and_is_not_lost(
        self, processes: Processes, session: Secret, authority: FakeAuthority, clock: FrozenClock,
        rotating: Rotating,
    ) -> None:  # fmt: skip
        """An ID token came that cannot be checked now; the refresh token was spent all the same."""
        rotating.grace = 0.0
        store, client = processes.people(), processes.client()
        store.begin(session, rotating.sign_in("alice"))
        authority.changes["id_token"] = authority.access_token(sub="alice").reveal()
        authority.lies["/jwks"] = Fault(status=500)
        with pytest.raises(AuthorityUnavailable):
            mine(client, session, store).token()
        del authority.changes["id_token"], authority.lies["/jwks"]
        clock.advance(timedelta(seconds=2))

        assert isinstance(mine(client, session, store).token(), Secret)
        assert (rotating.rotated, rotating.stolen) == (2, 0)

    def test_s13_a_process_killed_before_it_wrote_costs_one_replay(
        self, processes: Processes, rotating: Rotating, session: Secret
    ) -> None:
        """RFC 9700 §4.14.2: between the answer and the first write nobody knows of the successor."""
        store = processes.people()
        store.begin(session, rotating.sign_in("alice"))
        before = stored(store, session)
        mine(processes.client(), session, store).token()
        # As if it had died: neither the pair nor the record of its successor was written.
        with Redis.from_url(processes.redis_url) as redis:
            redis.flushdb()
        store.begin(session, before)

        assert isinstance(mine(processes.client(), session, store).token(), Secret)
        assert (rotating.rotated, rotating.replayed, rotating.stolen) == (1, 1, 0)


class TestEnd:
    def test_s14_the_session_ends_if_the_stored_pair_is_the_refused_one(
        self, processes: Processes, session: Secret
    ) -> None:
        store = processes.people()
        store.begin(
            session, UserTokens(subject="alice", refresh_token=Secret("dead"), id_token=None)
        )

        with pytest.raises(LoginRequired):
            mine(processes.client(), session, store).token()
        assert store.load(session) is None
        assert "refresh_token.refused" in processes.events.names()

    def test_w21_a_pair_that_is_stored_a_moment_later_is_waited_for(
        self, authority: FakeAuthority, clock: FrozenClock, client: Client, rotating: Rotating,
        session: Secret,
    ) -> None:  # fmt: skip
        """Two processes and no shared store: the other one was given the pair, and not yet done."""
        store = MemoryUserTokens()
        tokens = rotating.sign_in("alice")
        living = rotating.sign_in("alice")
        store.begin(session, replace(tokens, refresh_token=Secret("used up")))
        with ThreadPoolExecutor(1) as pool:
            asking = pool.submit(mine(client, session, store).token)
            until(lambda: authority.counts["refresh_token"] == 1)
            time.sleep(0.05)
            store.replace(session, replace(living, version=2))

            assert isinstance(asking.result(), Secret)
        assert refresh_token(store, session) != Secret("used up")


class TestOutage:
    def test_a_store_that_would_not_take_the_successor_is_found_out_before(
        self, processes: Processes, rotating: Rotating, session: Secret,
        monkeypatch: pytest.MonkeyPatch, clock: FrozenClock,
    ) -> None:  # fmt: skip
        shared = processes.redis()
        store, client = processes.people(shared), processes.client()
        store.begin(session, rotating.sign_in("alice"))

        def full(*_: object, **__: object) -> bytes:
            raise StoreUnavailable("full")

        monkeypatch.setattr(shared, "swap", full)
        with pytest.raises(AuthorityUnavailable):
            mine(client, session, store).token()
        assert rotating.rotated == 0
        monkeypatch.undo()
        time.sleep(1.1)  # until it is asked again
        clock.advance(timedelta(seconds=2))

        assert isinstance(mine(client, session, store).token(), Secret)

    def test_without_the_lease_nothing_is_renewed_ahead_of_time(
        self, processes: Processes, rotating: Rotating, session: Secret, clock: FrozenClock,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        store, shared = MemoryUserTokens(), processes.redis()
        store.begin(session, rotating.sign_in("alice"))
        client = processes.client(shared)
        first = mine(client, session, store).token()

        def away(*_: object, **__: object) -> int:
            raise StoreUnavailable("away")

        monkeypatch.setattr(shared, "lease", away)
        clock.advance(timedelta(minutes=8))
        assert mine(client, session, store).token() == first
        until(lambda: "token.fetch_failed" in processes.events.names())
        # One that has just started takes what is stored, while it serves.
        assert mine(processes.client(shared), session, store).token() == first
        assert rotating.rotated == 1
        clock.advance(timedelta(minutes=2))

        assert mine(client, session, store).token() != first
        assert rotating.rotated == 2

    def test_people_in_a_store_that_is_away_keep_what_is_held(
        self, processes: Processes, rotating: Rotating, session: Secret, clock: FrozenClock,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        shared = processes.redis()
        store, client = processes.people(shared), processes.client()
        store.begin(session, rotating.sign_in("alice"))
        first = mine(client, session, store).token()

        def away(*_: object, **__: object) -> bytes:
            raise StoreUnavailable("away")

        monkeypatch.setattr(shared, "load", away)
        clock.advance(timedelta(minutes=9, seconds=59))
        assert mine(client, session, store).token() == first
        mine(client, session, store).forget(Secret("another"))
        clock.advance(timedelta(seconds=1))
        with pytest.raises(AuthorityUnavailable):
            mine(client, session, store).token()

    def test_a_refused_token_is_not_taken_up_again_from_a_store_that_was_away(
        self, processes: Processes, rotating: Rotating, session: Secret
    ) -> None:
        store = Failing(processes.people())
        processes.people().begin(session, rotating.sign_in("alice"))
        client = processes.client()
        first = mine(client, session, store).token()
        store.failures = 1
        mine(client, session, store).forget(first)

        assert mine(client, session, store).token() != first
