"""Application tokens in a Redis that several processes share."""

import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest
from redis import Redis
from tests import services
from tests.client.sharing import API, Processes, until
from tests.client.slow_redis import SlowRedis

from mintmark.client import AuthorityUnavailable, Client, KeyRing, StoreUnavailable, TokenManager
from mintmark.client.keys import ApplicationKey
from mintmark.client.outage import Guarded
from mintmark.client.sealed import name_of
from mintmark.secret import Secret
from mintmark.testing import FakeAuthority, FrozenClock

pytestmark = pytest.mark.service

SECOND = timedelta(seconds=1)


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[services.OwnRedis]:
    redis = services.OwnRedis(tmp_path)
    redis.start()
    yield redis
    redis.kill()


@pytest.fixture
def processes(
    authority: FakeAuthority, clock: FrozenClock, own_redis: services.OwnRedis
) -> Iterator[Processes]:
    made = Processes(authority, clock, own_redis.url)
    yield made
    made.close()


def token(client: Client, scope: str = "orders.read") -> Secret:
    return client.app_token(scope=scope, resource=API).token()


def entry_name(client: Client, scope: str = "orders.read") -> str:
    key = ApplicationKey(
        issuer=client.authority.issuer, client_id="client", scope=frozenset({scope}),
        resource=frozenset({API}),
    )  # fmt: skip
    return name_of(key)


class TestSharing:
    def test_s06_a_restart_asks_for_nothing(
        self, processes: Processes, authority: FakeAuthority
    ) -> None:
        first = token(processes.client())

        assert token(processes.client()) == first
        assert authority.counts["client_credentials"] == 1

    def test_s06_no_longer_than_the_token_is_good(
        self, processes: Processes, authority: FakeAuthority, clock: FrozenClock
    ) -> None:
        first = token(processes.client())
        clock.advance(authority.lifetime - 61 * SECOND)
        assert token(processes.client()) == first
        clock.advance(SECOND)
        assert token(processes.client()) != first

    def test_one_renews_for_all(
        self, processes: Processes, authority: FakeAuthority, clock: FrozenClock
    ) -> None:
        clients = [processes.client() for _ in range(4)]
        first = {token(client) for client in clients}
        clock.advance(authority.lifetime * 0.8)
        assert {token(client) for client in clients} == first
        until(lambda: all(token(client) not in first for client in clients))

        assert len({token(client) for client in clients}) == 1
        assert authority.counts["client_credentials"] == 2

    def test_s05_w01_two_scopes_are_two_entries(self, processes: Processes) -> None:
        one, other = processes.client(), processes.client()

        assert token(one, "a") != token(other, "b")
        assert token(one, "b") == token(other, "b")
        assert len(processes.entries()) == 2

    def test_s08_w07_a_refused_token_is_forgotten_by_all(
        self, processes: Processes, authority: FakeAuthority
    ) -> None:
        one, other = processes.client(), processes.client()
        first = token(one)
        one.app_token(scope="orders.read", resource=API).forget(first)
        assert processes.entries() == {}
        second = token(one)
        # The other one was told of the first as well, and comes late.
        assert token(other) == second
        other.app_token(scope="orders.read", resource=API).forget(first)

        assert token(processes.client()) == second
        assert authority.counts["client_credentials"] == 2

    def test_a_token_that_is_used_up_as_it_comes_is_not_shared(
        self, processes: Processes, authority: FakeAuthority
    ) -> None:
        authority.lifetime = timedelta(seconds=10)
        token(processes.client())

        assert processes.entries() == {}

    def test_s10_a_new_process_gets_the_last_good_token_while_the_server_is_down(
        self, processes: Processes, authority: FakeAuthority, clock: FrozenClock
    ) -> None:
        first = token(processes.client())
        authority.down = True
        clock.advance(authority.lifetime - SECOND)
        # The entry's own time is Redis's, which did not move.
        late = processes.client()
        assert token(late) == first
        assert "token.served_stale" in processes.events.names()
        clock.advance(SECOND)
        with pytest.raises(AuthorityUnavailable):
            token(late)

    def test_a_clock_set_back_makes_no_token_immortal(
        self, processes: Processes, authority: FakeAuthority, clock: FrozenClock
    ) -> None:
        client = processes.client()
        first = token(client)
        clock.advance(timedelta(minutes=-1))
        assert token(client) == first
        clock.advance(timedelta(seconds=-1))

        assert token(client) != first
        assert token(processes.client()) == token(client)
        assert authority.counts["client_credentials"] == 2

    def test_a_shared_store_needs_a_key_ring(self, processes: Processes) -> None:
        """W-06: without one, everybody who reads the store has the tokens."""
        with pytest.raises(ValueError, match="together"):
            TokenManager(shared=processes.redis())


class TestSealing:
    def test_s07_w06_nothing_in_redis_can_be_read(
        self, processes: Processes, own_redis: services.OwnRedis
    ) -> None:
        tokens = [token(processes.client(), scope) for scope in ("a", "b")]
        with Redis.from_url(own_redis.url) as client:
            everything = b"".join(key + (client.get(key) or b"") for key in client.keys("*"))

        for one in tokens:
            assert one.reveal().encode() not in everything
            assert one.reveal().split(".")[1].encode() not in everything
        assert b"api.example" not in everything

    def test_s07_with_another_key_an_entry_counts_as_missing(self, processes: Processes) -> None:
        first = token(processes.client())
        other = processes.client(ring=KeyRing(KeyRing.generate_key()))

        assert token(other) != first
        assert "shared.entry_unreadable" in processes.events.names()

    def test_s07_an_older_key_still_reads(self, processes: Processes) -> None:
        old, new = KeyRing.generate_key(), KeyRing.generate_key()
        first = token(processes.client(ring=KeyRing(old)))

        assert token(processes.client(ring=KeyRing(new, old))) == first
        assert token(processes.client(ring=KeyRing(new))) != first

    def test_s07_entries_swapped_by_hand_are_alarms_and_never_wrong_tokens(
        self, processes: Processes
    ) -> None:
        before = processes.client()
        tokens = {scope: token(before, scope) for scope in "abcd"}
        entries = processes.entries()
        names = list(entries)
        for name, other in zip(names, names[1:] + names[:1], strict=True):
            processes.put(name, entries[other])
        after = processes.client()

        for scope in "abcd":
            assert token(after, scope) not in {t for s, t in tokens.items() if s != scope}
        alarms = [e for e in processes.events.events if e.name == "shared.entry_unreadable"]
        assert {alarm.entry for alarm in alarms} == {entry_name(after, s) for s in "abcd"}  # type: ignore[attr-defined]  # -- the event's own field

    @pytest.mark.parametrize(
        "garbage", [b"", b"\x01", b"\x01" + bytes(11), b"\x02" + bytes(60), b"{}"]
    )
    def test_s07_garbage_is_a_miss(self, processes: Processes, garbage: bytes) -> None:
        first = token(processes.client())
        (name,) = processes.entries()
        processes.put(name, garbage)

        assert token(processes.client()) != first
        assert "shared.entry_unreadable" in processes.events.names()


class TestLeases:
    def test_s03_who_waits_for_another_process_takes_what_it_brings(
        self, processes: Processes, authority: FakeAuthority
    ) -> None:
        authority.delay = 0.3
        clients = [processes.client() for _ in range(3)]
        with ThreadPoolExecutor(3) as pool:
            tokens = set(pool.map(token, clients))

        assert len(tokens) == 1
        assert authority.counts["client_credentials"] == 1

    def test_s03_what_came_between_the_look_and_the_lease_is_found(
        self, processes: Processes, authority: FakeAuthority, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Another process fetched, wrote and gave its lease back in just that moment."""
        store, other, tokens = processes.redis(), processes.client(), list[Secret]()
        real = store.lease

        def late(name: str, *, owner: str, seconds: float) -> int | None:
            tokens.append(token(other))
            return real(name, owner=owner, seconds=seconds)

        monkeypatch.setattr(store, "lease", late)

        assert [token(processes.client(store))] == tokens
        assert authority.counts["client_credentials"] == 1

    def test_a_slow_fetch_keeps_its_lease(
        self, processes: Processes, authority: FakeAuthority
    ) -> None:
        """Longer than the lease: the watchdog renews it."""
        authority.delay = 1.2
        policy = processes.client().tokens.policy.__class__(
            turn=timedelta(seconds=0.6), turn_renewed_every=timedelta(seconds=0.1)
        )
        clients = [processes.client(policy=policy) for _ in range(2)]
        with ThreadPoolExecutor(2) as pool:
            tokens = set(pool.map(token, clients))

        assert len(tokens) == 1
        assert authority.counts["client_credentials"] == 1

    def test_the_lease_of_a_process_that_died_ends(self, processes: Processes) -> None:
        client, store = processes.client(), processes.redis()
        name = entry_name(client)
        store.lease(name, owner="dead", seconds=0.5)
        began = time.monotonic()
        token(client)

        assert 0.4 < time.monotonic() - began < 10

    def test_who_waited_too_long_hears_so(self, processes: Processes) -> None:
        policy = processes.client().tokens.policy.__class__(patience=timedelta(seconds=0.3))
        client, store = processes.client(policy=policy), processes.redis()
        store.lease(entry_name(client), owner="another", seconds=60)

        with pytest.raises(AuthorityUnavailable):
            token(client)

    def test_a_late_writer_has_its_token_and_harms_nobody(
        self, processes: Processes, authority: FakeAuthority
    ) -> None:
        """It stood still for longer than its lease, and another one fetched meanwhile."""
        authority.delay = 0.5
        policy = processes.client().tokens.policy.__class__(
            turn=timedelta(seconds=0.1), turn_renewed_every=timedelta(hours=1)
        )
        stopped, store = processes.client(policy=policy), processes.redis()
        with ThreadPoolExecutor(1) as pool:
            late = pool.submit(token, stopped)
            until(lambda: authority.counts["token"] == 1)
            time.sleep(0.15)
            authority.delay = 0.0
            winner = token(processes.client())
            assert late.result() != winner

        assert token(processes.client()) == winner
        assert "shared.lease_lost" in processes.events.names()
        assert store.load(entry_name(stopped)) is not None

    @pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
    def test_a_forked_process_fetches_for_itself(
        self, processes: Processes, clock: FrozenClock, authority: FakeAuthority
    ) -> None:
        """Its threads stayed behind, and so did whoever held a lock."""
        client = processes.client()
        first = token(client, "a")
        with client.tokens._flights.lock, client.authority._lock:
            child = os.fork()
            if child == 0:
                try:
                    same = token(client, "a") == first
                    os._exit(0 if same and isinstance(token(client, "b"), Secret) else 1)
                finally:
                    os._exit(2)
        assert os.waitpid(child, 0)[1] == 0
        assert authority.counts["client_credentials"] == 2


class TestOutage:
    """A store that is away breaks no call that can be made without it."""

    def test_a_redis_that_stopped_and_came_back(
        self, processes: Processes, own_redis: services.OwnRedis, authority: FakeAuthority
    ) -> None:
        client = processes.client()
        first = token(client)
        own_redis.kill()
        assert token(client) == first
        assert isinstance(token(client, "b"), Secret)
        began = time.monotonic()
        with ThreadPoolExecutor(20) as pool:
            tokens = set(pool.map(lambda _: token(client, "c"), range(20)))
        assert len(tokens) == 1
        assert time.monotonic() - began < 5
        assert processes.events.names().count("shared.store_lost") == 1

        own_redis.start()

        def shared_again() -> bool:
            token(client, f"scope-{time.monotonic_ns()}")
            return "shared.store_back" in processes.events.names()

        until(shared_again, 20)
        assert token(client, "d") == token(processes.client(), "d")

    def test_a_redis_that_is_full(self, processes: Processes, own_redis: services.OwnRedis) -> None:
        client = processes.client()
        first = token(client, "a")
        with Redis.from_url(own_redis.url) as redis:
            redis.config_set("maxmemory", "1")

        assert token(processes.client(), "a") == first  # reading needs no room
        assert isinstance(token(client, "b"), Secret)
        assert "shared.store_lost" in processes.events.names()

    def test_a_redis_of_two_seconds_is_waited_for_once(self, processes: Processes) -> None:
        with SlowRedis(processes.redis_url) as slow:
            client = processes.client(processes.redis(slow.url, timeout=0.3))
            token(client, "warm")
            slow.seconds = 2.0
            began = time.monotonic()
            tokens = {token(client, f"scope-{n}") for n in range(20)}
            took = time.monotonic() - began

        assert len(tokens) == 20
        # Each of the twenty would have waited; two may, as the pause is a second at first.
        assert took < 20 * 0.3

    def test_a_refused_token_is_not_taken_up_from_a_store_that_was_away(
        self, processes: Processes
    ) -> None:
        with SlowRedis(processes.redis_url) as slow:
            client = processes.client(processes.redis(slow.url, timeout=0.3))
            first = token(client)
            slow.seconds = 1.0
            client.app_token(scope="orders.read", resource=API).forget(first)
            slow.seconds = 0.0
            (entry,) = processes.entries()
            assert entry
            time.sleep(1.2)  # until it is asked again

            assert token(client) != first

    def test_many_failures_at_once_are_one(
        self, processes: Processes, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Else sixteen threads would put the next try off by many seconds."""
        store, meeting = processes.redis(), threading.Barrier(8)

        def away(name: str) -> bytes:
            meeting.wait(10)
            raise StoreUnavailable("away")

        monkeypatch.setattr(store, "load", away)
        guarded = Guarded(store, processes.events)

        def load(_: int) -> None:
            with suppress(StoreUnavailable):
                guarded.load("name")

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(load, range(8)))
        monkeypatch.undo()
        with pytest.raises(StoreUnavailable):
            guarded.load("name")
        time.sleep(1.1)

        assert guarded.load("name") is None
        assert processes.events.names() == ["shared.store_lost", "shared.store_back"]

    def test_a_store_that_breaks_its_promise_breaks_nobody(
        self, processes: Processes, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store = processes.redis()

        def defect(name: str) -> bytes:
            raise ZeroDivisionError(name)

        monkeypatch.setattr(store, "load", defect)

        assert isinstance(token(processes.client(store)), Secret)
        assert threading.active_count() < 100
