"""Processes that share tokens, to be counted and to be killed."""

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from typing import Any

from tests.forkserver import CONTEXT

from mintmark.client import (
    Authority,
    Client,
    KeyRing,
    RenewalPolicy,
    SharedUserTokens,
    TokenManager,
    TokenUnavailable,
)
from mintmark.fetch import FetchPolicy
from mintmark.secret import Secret
from mintmark.storage.redis.tokens import RedisTokens

__all__ = ["CONTEXT", "Place", "ask_together", "ask_without_end", "client_at", "store_at"]

API = "https://api.example"
PATIENT = 20.0  # seconds: what is shown here is not how quick Redis is on a busy machine


@dataclass(frozen=True)
class Place:
    """Where everything is; goes from process to process."""

    issuer: str
    redis_url: str
    key: str
    client_secret: str
    turn: float = 10.0  # seconds of a lease

    def shared(self) -> RedisTokens:
        return RedisTokens(self.redis_url, timeout=PATIENT)

    def ring(self) -> KeyRing:
        return KeyRing(Secret(self.key))


def client_at(place: Place, shared: RedisTokens) -> Client:
    policy = RenewalPolicy(
        min_slack=timedelta(milliseconds=100),
        turn=timedelta(seconds=place.turn),
        turn_renewed_every=timedelta(seconds=place.turn * 0.3),
    )
    fetching = FetchPolicy(insecure_allow_http_on_loopback=True, timeout=timedelta(seconds=20))
    return Client(
        Authority(place.issuer, policy=fetching),
        client_id="client",
        client_secret=Secret(place.client_secret),
        tokens=TokenManager(policy=policy, shared=shared, key_ring=place.ring()),
    )


def store_at(place: Place, shared: RedisTokens) -> SharedUserTokens:
    return SharedUserTokens(shared, place.ring())


def ask_together(
    place: Place, scopes: list[str], callers: int, ready: Barrier, answers: Connection
) -> None:
    """So many threads and so many coroutines, for each of these tokens; all begin cold, at once."""
    shared = place.shared()
    client = client_at(place, shared)
    recipes = [client.app_token(scope=scope, resource=API) for scope in scopes]

    async def coroutines() -> list[Secret]:
        return await asyncio.gather(*(r.atoken() for r in recipes for _ in range(callers)))

    with ThreadPoolExecutor(callers * len(recipes) + 1) as pool:
        ready.wait(60)
        threads = [pool.submit(r.token) for r in recipes for _ in range(callers)]
        tokens = asyncio.run(coroutines()) + [thread.result() for thread in threads]
    per_scope = [
        {token.digest() for token in tokens[n * callers : (n + 1) * callers]}
        | {
            t.digest()
            for t in tokens[(len(recipes) + n) * callers : (len(recipes) + n + 1) * callers]
        }
        for n in range(len(recipes))
    ]
    answers.send(per_scope)
    client.close()
    shared.close()


def ask_without_end(place: Place, sessions: list[str], answers: Connection) -> None:
    """Ask for everybody's token again and again; say when each came, or what went wrong."""
    shared = place.shared()
    client, store = client_at(place, shared), store_at(place, shared)
    lock = threading.Lock()

    def one(ask: Callable[[], Any]) -> None:
        while True:
            began = time.monotonic()
            try:
                ask()
                said: tuple[float, float] | str = (began, time.monotonic())
            except TokenUnavailable as failure:
                said = f"{type(failure).__name__}: {failure}"
            with lock:
                answers.send(said)
            time.sleep(0.02)

    recipes: list[Any] = [client.app_token(scope="orders.read", resource=API)]
    recipes += [client.user_token(Secret(session), store, resource=API) for session in sessions]
    threads = [threading.Thread(target=one, args=(recipe.token,)) for recipe in recipes]
    for thread in threads:
        thread.start()
    for thread in threads:  # once the main thread has ended, no pool takes a job any more
        thread.join()
