"""Sealed entries and leases in a real Redis, as `SharedTokens` promises them."""

import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from redis import Redis
from tests import services

from mintmark.client.shared import LeaseLost, StaleFence, StoreUnavailable
from mintmark.secret import Secret
from mintmark.storage.redis.tokens import RedisTokens

PATIENT = 20.0  # seconds: the machine of the tests may be busy

pytestmark = pytest.mark.service


@pytest.fixture
def store(redis_url: str) -> Iterator[RedisTokens]:
    opened = RedisTokens(redis_url, timeout=PATIENT)
    yield opened
    opened.close()


@pytest.fixture
def name() -> str:
    """An entry that no other test uses: they share one Redis."""
    return secrets.token_hex(32)


def leased(store: RedisTokens, name: str, owner: str = "one", seconds: float = 60) -> int:
    fence = store.lease(name, owner=owner, seconds=seconds)
    assert fence is not None
    return fence


class TestEntries:
    def test_what_is_written_is_there_until_its_time_is_over(
        self, store: RedisTokens, name: str
    ) -> None:
        assert store.load(name) is None
        fence = leased(store, name)
        store.write(name, b"\x00\xffentry", fence=fence, seconds=60)
        assert store.load(name) == b"\x00\xffentry"

        store.write(name, b"short", fence=fence, seconds=0.05)
        time.sleep(0.1)
        assert store.load(name) is None

    def test_a_later_lease_shuts_the_earlier_ones_writer_out(
        self, store: RedisTokens, name: str
    ) -> None:
        """W-58: of two writers the late one must not win."""
        early = leased(store, name, "one", 0.05)
        time.sleep(0.1)
        late = leased(store, name, "two")
        assert late > early

        with pytest.raises(StaleFence):
            store.write(name, b"early", fence=early, seconds=60)
        store.write(name, b"late", fence=late, seconds=60)
        assert store.load(name) == b"late"

    def test_a_lease_that_ended_without_another_lets_its_writer_in(
        self, store: RedisTokens, name: str
    ) -> None:
        fence = leased(store, name, seconds=0.05)
        time.sleep(0.1)
        store.write(name, b"entry", fence=fence, seconds=60)

        assert store.load(name) == b"entry"

    def test_an_entry_is_swapped_for_exactly_the_old_one(
        self, store: RedisTokens, name: str
    ) -> None:
        assert store.swap(name, b"nothing of it", b"new", seconds=60) is None
        assert store.swap(name, None, b"one", seconds=60) == b"one"
        assert store.swap(name, None, b"two", seconds=60) == b"one"
        assert store.swap(name, b"other", b"two", seconds=60) == b"one"
        assert store.swap(name, b"one", b"two", seconds=60) == b"two"
        assert store.load(name) == b"two"

    def test_w58_of_fifty_swaps_at_once_one_wins(self, store: RedisTokens, name: str) -> None:
        store.swap(name, None, b"old", seconds=60)
        with ThreadPoolExecutor(50) as pool:
            there = set(
                pool.map(lambda n: store.swap(name, b"old", f"{n}".encode(), seconds=60), range(50))
            )

        assert there == {store.load(name)}

    def test_exactly_one_entry_is_forgotten(self, store: RedisTokens, name: str) -> None:
        store.swap(name, None, b"new", seconds=60)
        store.forget(name, b"old")
        assert store.load(name) == b"new"
        store.forget(name, b"new")
        assert store.load(name) is None
        store.swap(name, None, b"new", seconds=60)
        store.forget(name)
        store.forget(name)
        assert store.load(name) is None


class TestLeases:
    def test_one_at_a_time(self, store: RedisTokens, name: str) -> None:
        leased(store, name)
        assert store.lease(name, owner="two", seconds=60) is None
        store.release(name, owner="two")  # nobody gives back what another has
        assert store.lease(name, owner="two", seconds=60) is None
        store.release(name, owner="one")
        leased(store, name, "two")

    def test_of_fifty_at_once_one_has_it(self, store: RedisTokens, name: str) -> None:
        with ThreadPoolExecutor(50) as pool:
            fences = list(
                pool.map(lambda n: store.lease(name, owner=f"{n}", seconds=60), range(50))
            )

        assert sum(fence is not None for fence in fences) == 1

    def test_a_lease_ends_by_itself_and_lasts_while_it_is_renewed(
        self, store: RedisTokens, name: str
    ) -> None:
        leased(store, name, seconds=0.3)
        store.renew(name, owner="one", seconds=60)
        time.sleep(0.4)
        assert store.lease(name, owner="two", seconds=60) is None
        store.renew(name, owner="one", seconds=0.05)
        time.sleep(0.1)
        leased(store, name, "two")
        with pytest.raises(LeaseLost):
            store.renew(name, owner="one", seconds=60)

    def test_fences_grow_though_redis_lost_its_memory(
        self, store: RedisTokens, name: str, redis_url: str
    ) -> None:
        fences = []
        for _ in range(5):
            fences.append(leased(store, name))
            store.release(name, owner="one")
        with Redis.from_url(redis_url) as client:
            client.delete(f"mintmark:tokens:{{{name}}}:fence")
        fences.append(leased(store, name))

        assert fences == sorted(set(fences))

    def test_who_waits_goes_on_soon_after_the_lease_is_given_back(
        self, store: RedisTokens, name: str
    ) -> None:
        leased(store, name)
        threading.Timer(0.2, store.release, [name], {"owner": "one"}).start()
        began = time.monotonic()
        store.wait(name, 30)

        assert 0.15 < time.monotonic() - began < 10

    def test_who_waits_goes_on_when_its_time_is_over(self, store: RedisTokens, name: str) -> None:
        leased(store, name)
        began = time.monotonic()
        store.wait(name, 0.2)

        assert 0.2 <= time.monotonic() - began < 10


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_process_makes_connections_of_its_own(store: RedisTokens, name: str) -> None:
    """On one connection the two would read each other's answers."""
    store.swap(name, None, b"parent", seconds=60)
    child = os.fork()
    if child == 0:
        try:
            there = [store.load(name) for _ in range(200)]
            os._exit(0 if set(there) == {b"parent"} else 1)
        finally:
            os._exit(2)
    there = [store.load(name) for _ in range(200)]

    assert os.waitpid(child, 0)[1] == 0
    assert set(there) == {b"parent"}


class TestOutage:
    def test_a_redis_that_is_gone_is_unavailable_and_comes_back_by_itself(
        self, tmp_path: Path, name: str
    ) -> None:
        redis = services.OwnRedis(tmp_path)
        redis.start()
        store = RedisTokens(redis.url, timeout=PATIENT)
        try:
            store.swap(name, None, b"one", seconds=60)
            redis.kill()
            with pytest.raises(StoreUnavailable):
                store.load(name)
            redis.start()
            assert store.load(name) is None
        finally:
            store.close()
            redis.kill()

    def test_a_redis_that_does_not_answer_costs_little_time(self, name: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            store = RedisTokens(f"redis://127.0.0.1:{silent.getsockname()[1]}/0", timeout=0.2)
            began = time.monotonic()
            with pytest.raises(StoreUnavailable):
                store.lease(name, owner="one", seconds=1)
            assert time.monotonic() - began < 5
            store.close()

    def test_a_redis_that_is_full_says_so_and_still_reads(self, tmp_path: Path, name: str) -> None:
        redis = services.OwnRedis(tmp_path)
        redis.start()
        store = RedisTokens(redis.url, timeout=PATIENT)
        try:
            store.swap(name, None, b"one", seconds=60)
            with Redis.from_url(redis.url) as client:
                client.config_set("maxmemory", "1")
            with pytest.raises(StoreUnavailable):
                store.swap(name, b"one", b"two", seconds=60)
            with pytest.raises(StoreUnavailable):
                store.lease(name, owner="one", seconds=1)
            assert store.load(name) == b"one"
        finally:
            store.close()
            redis.kill()

    def test_what_redis_refuses_is_unavailable_too(
        self, store: RedisTokens, name: str, redis_url: str
    ) -> None:
        with Redis.from_url(redis_url) as client:
            client.lpush(f"mintmark:tokens:{{{name}}}:entry", "not", "ours")
            with pytest.raises(StoreUnavailable):
                store.load(name)
            client.delete(f"mintmark:tokens:{{{name}}}:entry")

    def test_the_password_of_redis_is_shown_by_nobody(self, redis_url: str, name: str) -> None:
        password = Secret.generate()
        url = redis_url.replace("redis://", f"redis://nobody:{password.reveal()}@")
        store = RedisTokens(url, timeout=PATIENT)

        with pytest.raises(StoreUnavailable) as refusal:  # this Redis knows no such user
            store.load(name)

        assert password.reveal() not in f"{store!r} {refusal.value!r}"
        assert refusal.value.__cause__ is None
        store.close()

    def test_a_url_that_is_none_of_redis_is_said_at_start(self) -> None:
        with pytest.raises(ValueError, match="redis://"):
            RedisTokens("http://127.0.0.1/")


def connections(url: str, name: str) -> int:
    """How many of that name Redis has."""
    with Redis.from_url(url) as client:
        return sum(one["name"] == name for one in client.client_list())


class TestWaiting:
    def test_w58_two_hundred_who_wait_need_one_connection_and_all_go_on(
        self, redis_url: str, name: str
    ) -> None:
        store = RedisTokens(f"{redis_url}?client_name={name}", timeout=PATIENT)
        names = [f"{name}{number}" for number in range(10)]
        for one in names:
            leased(store, one)
        with ThreadPoolExecutor(200) as pool:
            waiting = [pool.submit(store.wait, names[n % 10], 30) for n in range(200)]
            while len(store._waiters._waiting) < 200:
                time.sleep(0.01)
            store._redis.connection_pool.disconnect()  # of those who came all at once
            time.sleep(0.2)
            counted = connections(redis_url, name)
            assert not any(wait.done() for wait in waiting)
            store.release(names[0], owner="one")
            for wait in waiting[::10]:
                wait.result(10)
            assert sum(wait.done() for wait in waiting) == 20, "only who waited for this one"
            for one in names:
                store.swap(one, None, b"entry", seconds=60)
            for wait in waiting:
                wait.result(10)
        store.close()

        assert counted == 1
        assert not store._waiters._waiting

    def test_the_one_who_looks_for_all_hands_on_as_it_goes(
        self, store: RedisTokens, name: str
    ) -> None:
        leased(store, name)
        with ThreadPoolExecutor(3) as pool:
            first = pool.submit(store.wait, name, 0.1)
            while not store._waiters._waiting:
                time.sleep(0.001)
            others = [pool.submit(store.wait, name, 30) for _ in range(2)]
            first.result(10)
            assert not any(one.done() for one in others)
            store.release(name, owner="one")
            for one in others:
                one.result(10)

    def test_what_cannot_be_read_of_one_name_stops_no_other_wait(
        self, store: RedisTokens, name: str, redis_url: str
    ) -> None:
        leased(store, name)
        leased(store, f"{name}x")
        with ThreadPoolExecutor(2) as pool, Redis.from_url(redis_url) as client:
            bad, good = pool.submit(store.wait, f"{name}x", 30), pool.submit(store.wait, name, 30)
            while len(store._waiters._waiting) < 2:
                time.sleep(0.001)
            client.lpush(f"mintmark:tokens:{{{name}x}}:entry", "not", "ours")
            bad.result(10)
            time.sleep(0.1)
            assert not good.done()
            store.release(name, owner="one")
            good.result(10)
            client.delete(f"mintmark:tokens:{{{name}x}}:entry")

    def test_a_redis_that_goes_away_is_said_to_all_who_wait(
        self, tmp_path: Path, name: str
    ) -> None:
        redis = services.OwnRedis(tmp_path)
        redis.start()
        store = RedisTokens(redis.url, timeout=PATIENT)
        leased(store, name)
        with ThreadPoolExecutor(20) as pool:
            waiting = [pool.submit(store.wait, name, 30) for _ in range(20)]
            while len(store._waiters._waiting) < 20:
                time.sleep(0.001)
            redis.kill()
            assert [type(one.exception(10)) for one in waiting] == [StoreUnavailable] * 20
        store.close()

    def test_who_waits_hears_that_the_store_is_closed(self, redis_url: str, name: str) -> None:
        store = RedisTokens(f"{redis_url}?client_name={name}", timeout=PATIENT)
        leased(store, name)
        with ThreadPoolExecutor(5) as pool:
            waiting = [pool.submit(store.wait, name, 30) for _ in range(5)]
            while len(store._waiters._waiting) < 5:
                time.sleep(0.001)
            store.close()
            assert [type(one.exception(10)) for one in waiting] == [StoreUnavailable] * 5

        assert connections(redis_url, name) == 0

    @pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
    def test_a_child_that_was_forked_while_somebody_waits_waits_for_itself(
        self, store: RedisTokens, name: str
    ) -> None:
        leased(store, name)
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(store.wait, name, 30)
            while store._waiters._leader is None:
                time.sleep(0.001)
            with store._waiters._lock:
                child = os.fork()
                if child == 0:
                    try:
                        began = time.monotonic()
                        store.wait(name, 0.1)
                        os._exit(0 if time.monotonic() - began >= 0.1 else 1)
                    finally:
                        os._exit(2)
            assert os.waitpid(child, 0)[1] == 0
            store.release(name, owner="one")
            waiting.result(10)


def test_closing_while_many_call_raises_nothing_else_and_leaves_no_connection(
    redis_url: str, name: str
) -> None:
    store = RedisTokens(f"{redis_url}?client_name={name}", timeout=PATIENT)
    store.swap(name, None, b"entry", seconds=60)

    def call() -> None:
        while True:
            assert store.load(name) == b"entry"

    with ThreadPoolExecutor(8) as pool:
        calling = [pool.submit(call) for _ in range(8)]
        time.sleep(0.1)
        store.close()
        ended = [type(one.exception(10)) for one in calling]

    assert ended == [StoreUnavailable] * 8
    assert connections(redis_url, name) == 0


def test_names_and_owners_may_be_of_what_is_no_character(store: RedisTokens, name: str) -> None:
    odd = f"{name}\ud800"
    fence = leased(store, odd, odd)
    store.renew(odd, owner=odd, seconds=60)
    store.write(odd, b"entry", fence=fence, seconds=60)
    store.release(odd, owner=odd)

    assert store.load(odd) == b"entry"
