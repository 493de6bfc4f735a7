"""A proof is good once for the whole API, however many processes it has (RFC 9449 §11.1)."""

import logging
import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests import services
from tests.api.conftest import API, who
from tests.api.replays import replay_at_once

from mintmark.api import AUTHENTICATED, DPoP, Gate, TrustedIssuer
from mintmark.jose.algorithms import Algorithm
from mintmark.jose.keys import SigningKey
from mintmark.protocol.dpop import make_proof
from mintmark.storage.redis.replay import RedisReplayStore
from mintmark.testing import FakeAuthority, FrozenClock

pytestmark = pytest.mark.service

Send = Callable[[dict[str, str]], Any]


class Holder:
    """A client with a key of its own; `headers()` are good for one request."""

    def __init__(self, authority: FakeAuthority, clock: FrozenClock) -> None:
        authority.clock = self.clock = clock
        self.key = SigningKey.generate(Algorithm.ES256)
        bound = {"cnf": {"jkt": self.key.public.thumbprint()}}
        self.token = authority.access_token(sub="alice", extra=bound)

    def headers(self) -> dict[str, str]:
        proof = make_proof(
            self.key,
            htm="GET",
            htu=f"{API}/orders",
            now=self.clock.now(),
            jti=secrets.token_hex(16),
            access_token=self.token,
        )
        return {"authorization": f"DPoP {self.token.reveal()}", "dpop": proof.reveal()}


@pytest.fixture
def holder(authority: FakeAuthority, clock: FrozenClock) -> Holder:
    return Holder(authority, clock)


@pytest.fixture
def own_redis(redis_url: str, tmp_path: Path) -> Iterator[services.OwnRedis]:
    made = services.OwnRedis(tmp_path)
    made.start()
    yield made
    made.kill()


@pytest.fixture
async def sender(
    authority: FakeAuthority, clock: FrozenClock, own_redis: services.OwnRedis
) -> AsyncIterator[Callable[..., Send]]:
    """`sender(on_replay_store_failure=...)` gives `await send(headers)` to a gate of that kind."""
    opened: list[tuple[RedisReplayStore, Gate]] = []

    def made(**settings: Any) -> Send:
        # Long enough for a busy machine; a dead Redis is known at once, as its port is closed.
        store = RedisReplayStore(own_redis.url, timeout=10)
        trusted = TrustedIssuer(issuer=authority.issuer, audience=API, policy=authority.policy)
        gate = Gate(API, issuers=[trusted], dpop=DPoP(replay=store, **settings), clock=clock)
        opened.append((store, gate))
        app = gate.wrap(who, {"/orders": AUTHENTICATED})

        async def send(headers: dict[str, str]) -> httpx2.Response:
            transport = httpx2.ASGITransport(app)
            async with httpx2.AsyncClient(transport=transport, base_url=API) as http:
                return await http.get("/orders", headers=headers)

        return send

    yield made
    for store, gate in opened:
        await store.aclose()
        gate.close()


def test_j20_w85_four_processes_and_two_hundred_replays_have_one_success(
    redis_url: str, authority: FakeAuthority, holder: Holder
) -> None:
    """W-85: asking first and storing then lets two pass; so does a memory for each process."""
    statuses = replay_at_once(
        issuer=authority.issuer,
        redis_url=redis_url,
        headers=holder.headers(),
        processes=4,
        each=50,
    )

    assert statuses == {200: 1, 401: 199}


async def test_j24_without_the_store_nobody_is_let_in_until_it_is_back(
    sender: Callable[..., Send], own_redis: services.OwnRedis, holder: Holder
) -> None:
    send = sender(on_replay_store_failure="refuse")
    assert (await send(holder.headers())).status_code == 200

    own_redis.kill()
    kept = holder.headers()
    for _ in range(3):
        answer = await send(kept)
        assert answer.status_code == 503
        assert "www-authenticate" not in answer.headers
    own_redis.start()

    # The proof was never used, so it is good; and then it is used.
    assert [(await send(kept)).status_code for _ in range(2)] == [200, 401]


async def test_j24_where_that_was_chosen_they_are_let_in_and_the_alarm_is_given(
    sender: Callable[..., Send],
    own_redis: services.OwnRedis,
    holder: Holder,
    caplog: pytest.LogCaptureFixture,
) -> None:
    send = sender(on_replay_store_failure="accept")
    assert (await send(holder.headers())).status_code == 200
    assert alarms(caplog) == []

    own_redis.kill()
    assert [(await send(holder.headers())).status_code for _ in range(2)] == [200, 200]
    assert alarms(caplog) == [logging.ERROR] * 2
    own_redis.start()

    kept = holder.headers()
    assert [(await send(kept)).status_code for _ in range(2)] == [200, 401]
    assert len(alarms(caplog)) == 2


def alarms(caplog: pytest.LogCaptureFixture) -> list[int]:
    """The levels of what was said about proofs that nobody could look up."""
    return [
        record.levelno
        for record in caplog.records
        if record.name.startswith("mintmark") and record.getMessage().startswith("replay.unchecked")
    ]
