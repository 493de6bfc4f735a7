"""Many callers and no token: how many requests come of it, and how long everybody waits.

The token endpoint takes 50 ms. The counts are the server's own, ours beside other clients' in one run;
each client is one object that all threads share, as its documentation has it.
"""

import asyncio
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Final

from bench.client_peers import LIBRARIES, peers
from mintmark.client import ApplicationToken, Client
from mintmark.testing import FakeAuthority, FrozenClock

__all__ = ["main"]

ENDPOINT: Final = 0.05  # seconds
CALLERS: Final = 200
RENEWERS: Final = 20  # threads that go on calling while the token is renewed
THREADS: Final = (8, 25, 50, 100, 200)
ROUNDS: Final = 5
AT_MOST: Final = 1.6  # of the endpoint's own time
LONGEST: Final = 25.0  # milliseconds: half of the endpoint's time, or somebody waited for it


def main() -> int:
    with FakeAuthority().serve() as authority:
        authority.delay = ENDPOINT
        return max(waiting(authority), renewing(), counted(authority))


def waiting(authority: FakeAuthority) -> int:
    """Everybody at once, and nothing held."""
    alone, threads, coroutines = [], [], []
    for _ in range(ROUNDS):
        with cold(authority) as (_, recipe):
            begin = time.perf_counter()
            recipe.token()
            alone.append((time.perf_counter() - begin) * 1000)
        with cold(authority) as (_, recipe):
            threads.append(in_threads(recipe.token, CALLERS))
        with cold(authority) as (_, recipe):
            coroutines.append(asyncio.run(in_coroutines(recipe)))
    own = statistics.median(alone)
    print(
        f"{CALLERS} callers, cold cache, an endpoint of {ENDPOINT * 1000:.0f} ms ({ROUNDS} rounds)"
    )
    print(f"  one caller               {own:8.1f} ms")
    missed = 0
    for name, rounds in (("threads", threads), ("coroutines", coroutines)):
        times = statistics.median(rounds) / own
        missed |= times > AT_MOST
        print(
            f"  {name:24} {statistics.median(rounds):8.1f} ms ({min(rounds):.1f}-{max(rounds):.1f})"
            f"  {times:.2f} x{'  MISSED' if times > AT_MOST else ''}"
        )
    return int(missed)


def renewing() -> int:
    """The time of renewal has come, and the token is good for a while yet."""
    clock, slowest = FrozenClock(), []
    with FakeAuthority(clock=clock).serve() as authority:
        authority.delay = ENDPOINT
        client = authority.client("bench")
        recipe = client.app_token(resource="https://api.example")
        recipe.token()
        for round_ in range(ROUNDS):
            clock.advance("8m")  # of ten minutes
            with ThreadPoolExecutor(RENEWERS) as pool:
                calls = [pool.submit(slowest_call, recipe) for _ in range(RENEWERS)]
                slowest.append(max(call.result() for call in calls))
            authority.require_count("client_credentials", round_ + 2)
        client.close()
    figure, worst = statistics.median(slowest), max(slowest)
    late = figure > LONGEST
    print(f"  slowest call at a planned renewal  {figure:.2f} ms ({min(slowest):.2f}-{worst:.2f})"
          f"{'  MISSED' if late else ''}")  # fmt: skip
    return int(late)


def counted(authority: FakeAuthority) -> int:
    """Token requests by client and number of threads."""
    print("token requests of a cold cache, by threads at once")
    print(f"  {'':24}" + "".join(f"{threads:8}" for threads in THREADS))
    with peers(authority.issuer) as others:
        asked = []
        for threads in THREADS:
            with cold(authority) as (_, recipe), counting(authority) as one:
                in_threads(recipe.token, threads)
            asked.append(one[0])
        show("mintmark", asked)
        for library in LIBRARIES:
            theirs = []
            for threads in THREADS:
                with counting(authority) as one:
                    others.cold(library, threads)
                theirs.append(one[0])
            show(library, theirs)
    return int(asked != [1] * len(THREADS))


def show(name: str, figures: list[int]) -> None:
    print(f"  {name:24}" + "".join(f"{figure:8}" for figure in figures), flush=True)


@contextmanager
def cold(authority: FakeAuthority) -> Iterator[tuple[Client, ApplicationToken]]:
    """A client that knows the server, as everybody's does after the first minute, and holds nothing."""
    client = authority.client("bench")
    try:
        client.authority.metadata()
        yield client, client.app_token(resource="https://api.example")
    finally:
        client.close()


@contextmanager
def counting(authority: FakeAuthority) -> Iterator[list[int]]:
    before, found = authority.count("client_credentials"), [0]
    yield found
    found[0] = authority.count("client_credentials") - before


def in_threads(hand_out: Callable[[], object], count: int) -> float:
    """Milliseconds from the moment when all are there until all are served."""
    ready = threading.Barrier(count + 1)

    def one() -> None:
        ready.wait()
        hand_out()

    with ThreadPoolExecutor(count) as pool:
        jobs = [pool.submit(one) for _ in range(count)]
        ready.wait()
        begin = time.perf_counter()
        for job in jobs:
            job.result()
        return (time.perf_counter() - begin) * 1000


async def in_coroutines(recipe: ApplicationToken) -> float:
    begin = time.perf_counter()
    await asyncio.gather(*(recipe.atoken() for _ in range(CALLERS)))
    return (time.perf_counter() - begin) * 1000


def slowest_call(recipe: ApplicationToken) -> float:
    """Milliseconds of the slowest call, from the one that starts the renewal to the new token."""
    first, slowest = recipe.token(), 0.0
    while True:
        begin = time.perf_counter()
        token = recipe.token()
        slowest = max(slowest, (time.perf_counter() - begin) * 1000)
        if token != first:
            return slowest
        time.sleep(0.0002)


if __name__ == "__main__":
    raise SystemExit(main())
