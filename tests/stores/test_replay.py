"""Used proofs, in memory and in a real Redis: one suite for both (RFC 9449 §11.1)."""

import asyncio
import secrets
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import pytest
from redis.asyncio import Redis
from tests import services
from tests.forkserver import CONTEXT

from mintmark.api.replay import (
    Claim,
    MemoryReplayStore,
    ReplayStore,
    ReplayStoreUnavailable,
    proof_digest,
)
from mintmark.secret import Secret
from mintmark.storage.redis.replay import RedisReplayStore

NOW = 1_767_268_800.0
PATIENT = 20.0  # seconds: the machine of the tests may be busy


def redis_store(url: str, **settings: float) -> RedisReplayStore:
    return RedisReplayStore(url, **({"timeout": PATIENT} | settings))  # type: ignore[arg-type]  # -- all of them are numbers


Opened = Callable[..., RedisReplayStore]


@pytest.fixture
async def opened() -> AsyncIterator[Opened]:
    """`opened(url, timeout=...)`: a store that is closed again."""
    stores = []

    def one(url: str, **settings: float) -> RedisReplayStore:
        stores.append(redis_store(url, **settings))
        return stores[-1]

    yield one
    for store in stores:
        await store.aclose()


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.service)])
def store(request: pytest.FixtureRequest, opened: Opened) -> ReplayStore:
    if request.param == "memory":
        return MemoryReplayStore()
    return opened(request.getfixturevalue("redis_url"))


@pytest.fixture
def jkt() -> str:
    """A key that no other test uses: they share one Redis."""
    return secrets.token_urlsafe(32)


async def claim(
    store: ReplayStore,
    jkt: str,
    jti: str = "one",
    *,
    now: float = NOW,
    ttl: float = 70,
    quota: int = 1000,
) -> Claim:
    return await store.claim(proof_digest(jkt, jti), jkt=jkt, now=now, ttl=ttl, quota=quota)


# --- Both stores --------------------------------------------------------------------------------


async def test_j19_a_proof_is_first_once(store: ReplayStore, jkt: str) -> None:
    assert await claim(store, jkt) is Claim.FIRST
    assert await claim(store, jkt) is Claim.SEEN
    assert await claim(store, jkt) is Claim.SEEN
    assert await claim(store, jkt, "two") is Claim.FIRST


async def test_j20_of_200_parallel_claims_of_one_proof_one_is_first(
    store: ReplayStore, jkt: str
) -> None:
    outcomes = await asyncio.gather(*(claim(store, jkt) for _ in range(200)))

    assert Counter(outcomes) == {Claim.FIRST: 1, Claim.SEEN: 199}


async def test_w85_two_parallel_claims_are_not_both_first(store: ReplayStore, jkt: str) -> None:
    for number in range(25):
        pair = await asyncio.gather(*(claim(store, jkt, str(number)) for _ in range(2)))
        assert Counter(pair) == {Claim.FIRST: 1, Claim.SEEN: 1}


async def test_j21_nobody_uses_up_the_jti_of_another_key(store: ReplayStore, jkt: str) -> None:
    other = secrets.token_urlsafe(32)

    assert await claim(store, other, "shared") is Claim.FIRST
    assert await claim(store, jkt, "shared") is Claim.FIRST
    assert await claim(store, jkt, "shared") is Claim.SEEN


async def test_j23_a_key_has_a_quota_and_other_keys_do_not_feel_it(
    store: ReplayStore, jkt: str
) -> None:
    other = secrets.token_urlsafe(32)
    for number in range(5):
        assert await claim(store, jkt, str(number), quota=5) is Claim.FIRST

    assert await claim(store, jkt, "one too many", quota=5) is Claim.QUOTA_EXCEEDED
    assert await claim(store, jkt, "4", quota=5) is Claim.SEEN
    assert await claim(store, other, quota=5) is Claim.FIRST
    # It was not remembered either: with room it is the first of its kind.
    assert await claim(store, jkt, "one too many", quota=6) is Claim.FIRST


async def test_j23_the_quota_holds_when_everything_comes_at_once(
    store: ReplayStore, jkt: str
) -> None:
    outcomes = await asyncio.gather(*(claim(store, jkt, str(n), quota=50) for n in range(120)))

    assert Counter(outcomes) == {Claim.FIRST: 50, Claim.QUOTA_EXCEEDED: 70}


# --- Memory -------------------------------------------------------------------------------------


async def test_a_proof_is_remembered_until_its_time_is_over(jkt: str) -> None:
    store = MemoryReplayStore()
    await claim(store, jkt, ttl=70)

    assert await claim(store, jkt, now=NOW + 69.9) is Claim.SEEN
    assert await claim(store, jkt, now=NOW + 70) is Claim.FIRST


async def test_the_order_of_ends_is_not_the_order_of_claims(jkt: str) -> None:
    store = MemoryReplayStore()
    await claim(store, jkt, "long", ttl=100)
    await claim(store, jkt, "short", ttl=10)

    assert await claim(store, jkt, "short", now=NOW + 10, ttl=10) is Claim.FIRST
    assert await claim(store, jkt, "long", now=NOW + 10) is Claim.SEEN


async def test_a_quota_is_free_again_when_the_window_is_over(jkt: str) -> None:
    store = MemoryReplayStore()
    for number in range(3):
        await claim(store, jkt, str(number), ttl=70, quota=3)

    assert await claim(store, jkt, "new", now=NOW + 69, quota=3) is Claim.QUOTA_EXCEEDED
    assert await claim(store, jkt, "new", now=NOW + 70, quota=3) is Claim.FIRST


async def test_a_full_memory_forgets_no_proof_that_counts(jkt: str) -> None:
    store = MemoryReplayStore(max_proofs=3)
    for number in range(3):
        await claim(store, f"{jkt}{number}")

    with pytest.raises(ReplayStoreUnavailable, match="full"):
        await claim(store, "another key")
    assert await claim(store, f"{jkt}0") is Claim.SEEN
    assert await claim(store, "another key", now=NOW + 70) is Claim.FIRST


async def test_a_flood_leaves_nothing_behind() -> None:
    store = MemoryReplayStore()
    for number in range(2_000):
        await claim(store, f"key {number}", now=NOW + number, ttl=10)

    assert len(store) == len(store._of_key) == len(store._ends) == 10


async def test_threads_with_loops_of_their_own_share_the_memory(jkt: str) -> None:
    store, start = MemoryReplayStore(), threading.Barrier(8)

    def many() -> list[Claim]:
        start.wait()
        return [asyncio.run(claim(store, jkt)) for _ in range(10)]

    with ThreadPoolExecutor(8) as threads:
        waiting = [threads.submit(many) for _ in range(8)]
        outcomes = Counter(outcome for one in waiting for outcome in one.result())

    assert outcomes == {Claim.FIRST: 1, Claim.SEEN: 79}


def test_the_digest_is_of_key_and_jti_together() -> None:
    digests = {proof_digest(jkt, jti) for jkt in "ab" for jti in ("c", "d", "", "ü")}

    assert len(digests) == 8
    assert {len(digest) for digest in digests} == {32}


def test_a_memory_for_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="max_proofs"):
        MemoryReplayStore(max_proofs=0)


# --- Redis --------------------------------------------------------------------------------------


async def _claims_in_a_process(url: str, jkt: str, count: int) -> list[str]:
    store = redis_store(url)
    try:
        outcomes = await asyncio.gather(*(claim(store, jkt) for _ in range(count)))
        return [outcome.name for outcome in outcomes]
    finally:
        await store.aclose()


def claims_in_a_process(url: str, jkt: str, count: int) -> list[str]:
    return asyncio.run(_claims_in_a_process(url, jkt, count))


@pytest.mark.service
def test_j20_two_processes_that_claim_one_proof_200_times_have_one_first(
    redis_url: str, jkt: str
) -> None:
    with ProcessPoolExecutor(2, mp_context=CONTEXT) as processes:
        waiting = [processes.submit(claims_in_a_process, redis_url, jkt, 100) for _ in range(2)]
        outcomes = Counter(outcome for one in waiting for outcome in one.result(60))

    assert outcomes == {"FIRST": 1, "SEEN": 199}


@pytest.mark.service
def test_w85_two_event_loops_with_one_store_have_one_first(redis_url: str, jkt: str) -> None:
    store, start = redis_store(redis_url), threading.Barrier(2)

    async def many() -> list[Claim]:
        start.wait()
        try:
            return await asyncio.gather(*(claim(store, jkt) for _ in range(100)))
        finally:
            await store.aclose()

    with ThreadPoolExecutor(2) as threads:
        waiting = [threads.submit(asyncio.run, many()) for _ in range(2)]
        outcomes = Counter(outcome for one in waiting for outcome in one.result(60))

    assert outcomes == {Claim.FIRST: 1, Claim.SEEN: 199}


@pytest.mark.service
async def test_redis_forgets_by_its_own_clock(redis_url: str, opened: Opened, jkt: str) -> None:
    store = opened(redis_url)
    assert await claim(store, jkt, "short", ttl=0.3) is Claim.FIRST
    assert await claim(store, jkt, "long", ttl=60) is Claim.FIRST
    # A process whose clock is a day ahead makes nobody forget.
    assert await claim(store, jkt, "long", now=NOW + 86_400) is Claim.SEEN

    await asyncio.sleep(0.35)

    assert await claim(store, jkt, "short", ttl=0.3, quota=2) is Claim.FIRST
    assert await claim(store, jkt, "long") is Claim.SEEN
    await store.aclose()


@pytest.mark.service
async def test_redis_holds_digests_that_end_and_nothing_else(
    redis_url: str, opened: Opened, jkt: str
) -> None:
    store, client = opened(redis_url), Redis.from_url(redis_url)
    await claim(store, jkt, "a jti that nobody else has", ttl=70)
    key = f"mintmark:dpop:{jkt}"

    kept = await client.zrange(key, 0, -1)
    left = await client.pttl(key)

    assert kept == [proof_digest(jkt, "a jti that nobody else has")]
    assert 60_000 < left <= 70_000
    await claim(store, jkt, "shorter", ttl=1)  # and does not end the others sooner
    assert await client.pttl(key) > 60_000
    await client.aclose()
    await store.aclose()


@pytest.fixture
def own_redis(redis_url: str, tmp_path: Path) -> Iterator[services.OwnRedis]:
    made = services.OwnRedis(tmp_path)
    made.start()
    yield made
    made.kill()


@pytest.mark.service
async def test_j24_a_killed_redis_is_said_and_one_that_comes_back_is_used(
    own_redis: services.OwnRedis, opened: Opened, jkt: str
) -> None:
    store = opened(own_redis.url)
    assert await claim(store, jkt) is Claim.FIRST

    own_redis.kill()
    for _ in range(3):
        with pytest.raises(ReplayStoreUnavailable):
            await claim(store, jkt, "two")
    own_redis.start()

    assert await claim(store, jkt, "two") is Claim.FIRST
    assert await claim(store, jkt, "two") is Claim.SEEN
    await store.aclose()


@pytest.mark.service
async def test_j24_a_redis_that_is_not_there_at_start_is_used_when_it_comes(
    own_redis: services.OwnRedis, opened: Opened, jkt: str
) -> None:
    own_redis.kill()
    store = opened(own_redis.url)
    with pytest.raises(ReplayStoreUnavailable):
        await claim(store, jkt)

    own_redis.start()

    assert await claim(store, jkt) is Claim.FIRST
    await store.aclose()


async def test_j24_a_redis_that_does_not_answer_costs_a_request_little_time(
    opened: Opened, jkt: str
) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    store = opened(f"redis://127.0.0.1:{port}/0", timeout=0.2)
    started = time.monotonic()

    with pytest.raises(ReplayStoreUnavailable):
        await claim(store, jkt)

    assert time.monotonic() - started < 5
    server.close()
    await server.wait_closed()


@pytest.mark.service
async def test_j24_what_redis_refuses_is_unavailable_too(
    redis_url: str, opened: Opened, jkt: str
) -> None:
    store, client = opened(redis_url), Redis.from_url(redis_url)
    await client.set(f"mintmark:dpop:{jkt}", "not a sorted set", ex=60)

    with pytest.raises(ReplayStoreUnavailable):
        await claim(store, jkt)

    await client.aclose()
    await store.aclose()


@pytest.mark.service
async def test_the_password_of_redis_is_shown_by_nobody(
    redis_url: str, opened: Opened, jkt: str
) -> None:
    password = Secret.generate()
    store = opened(redis_url.replace("redis://", f"redis://nobody:{password.reveal()}@"))

    with pytest.raises(ReplayStoreUnavailable) as refusal:  # this Redis knows no such user
        await claim(store, jkt)

    assert password.reveal() not in f"{store!r} {refusal.value!r}"
    assert refusal.value.__cause__ is None
    await store.aclose()


@pytest.mark.service
def test_one_store_serves_one_event_loop_after_another(redis_url: str, jkt: str) -> None:
    """A program may start a loop for each request, as a WSGI server does."""
    store = RedisReplayStore(Secret(redis_url), timeout=PATIENT)

    async def one() -> Claim:
        try:
            return await claim(store, jkt)
        finally:
            await store.aclose()

    assert [asyncio.run(one()) for _ in range(3)] == [Claim.FIRST, Claim.SEEN, Claim.SEEN]
    assert store._clients == {}


class _Delay:
    """Stands between the store and Redis, and holds back what Redis says."""

    def __init__(self, redis_url: str) -> None:
        self._redis_port = int(redis_url.rpartition(":")[2].partition("/")[0])
        self.seconds = 0.0

    async def serve(self) -> asyncio.Server:
        return await asyncio.start_server(self._connected, "127.0.0.1", 0)

    async def _connected(self, near: asyncio.StreamReader, to_near: asyncio.StreamWriter) -> None:
        far, to_far = await asyncio.open_connection("127.0.0.1", self._redis_port)
        await asyncio.gather(self._pass_on(near, to_far, 0), self._pass_on(far, to_near, None))

    async def _pass_on(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay: float | None
    ) -> None:
        try:
            while octets := await reader.read(65536):
                await asyncio.sleep(self.seconds if delay is None else delay)
                writer.write(octets)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()


@pytest.mark.service
async def test_j24_an_answer_that_came_too_late_is_not_taken_for_the_next_one(
    redis_url: str, opened: Opened, jkt: str
) -> None:
    """Left in the connection, the late FIRST of one proof would let a replay of another in."""
    delay = _Delay(redis_url)
    server = await delay.serve()
    store = opened(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0", timeout=1.0)
    assert await claim(store, jkt, "replayed") is Claim.FIRST

    delay.seconds = 2.0
    with pytest.raises(ReplayStoreUnavailable):
        await claim(store, jkt, "late")
    delay.seconds = 0.0
    outcomes = [await claim(store, jkt, jti) for jti in ("replayed", "late", "new")]

    assert outcomes == [Claim.SEEN, Claim.SEEN, Claim.FIRST]
    await store.aclose()
    server.close()
    await server.wait_closed()


def test_a_url_that_is_none_of_redis_is_said_at_start() -> None:
    with pytest.raises(ValueError, match="redis://"):
        RedisReplayStore("http://127.0.0.1/")
