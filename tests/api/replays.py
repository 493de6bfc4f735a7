"""One proof, sent again and again to several processes of one API that share a Redis."""

import asyncio
import multiprocessing
from collections import Counter
from collections.abc import Mapping
from multiprocessing.synchronize import Barrier
from typing import Any

import httpx2
from tests.api.conftest import API, who

from mintmark.api import AUTHENTICATED, DPoP, Gate, TrustedIssuer
from mintmark.fetch import FetchPolicy
from mintmark.storage.redis.replay import RedisReplayStore
from mintmark.testing import FrozenClock

__all__ = ["replay_at_once"]

PATIENT = 60.0  # seconds: here nobody's request is to fail because the machine is busy


async def _answers(
    issuer: str, redis_url: str, headers: Mapping[str, str], count: int, start: Barrier
) -> Counter[int]:
    store = RedisReplayStore(redis_url, timeout=PATIENT)
    trusted = TrustedIssuer(
        issuer=issuer,
        audience=API,
        policy=FetchPolicy(insecure_allow_http_on_loopback=True),
    )
    gate = Gate(API, issuers=[trusted], dpop=DPoP(replay=store), clock=FrozenClock())
    app = gate.wrap(who, {"/orders": AUTHENTICATED})
    start.wait(60)
    try:
        transport = httpx2.ASGITransport(app)
        async with httpx2.AsyncClient(transport=transport, base_url=API) as http:
            sent = [http.get("/orders", headers=headers) for _ in range(count)]
            return Counter(answer.status_code for answer in await asyncio.gather(*sent))
    finally:
        await store.aclose()
        gate.close()


def _one_process(answers: Any, *arguments: Any) -> None:
    answers.put(asyncio.run(_answers(*arguments)))


def replay_at_once(
    *, issuer: str, redis_url: str, headers: Mapping[str, str], processes: int, each: int
) -> Counter[int]:
    """The statuses of `processes * each` equal requests, each process with a gate of its own."""
    spawn = multiprocessing.get_context("spawn")
    start, answers = spawn.Barrier(processes), spawn.Queue()
    arguments = (answers, issuer, redis_url, dict(headers), each, start)
    running = [spawn.Process(target=_one_process, args=arguments) for _ in range(processes)]
    for process in running:
        process.start()
    try:
        return sum((answers.get(timeout=100) for _ in running), Counter())
    finally:
        for process in running:
            process.join(20)
            process.kill()
