"""Handing out a held token, in a thread and in a coroutine, beside a dictionary and other clients."""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Final

from bench.client_peers import LIBRARIES, Peers, peers
from bench.measure import Timing, ratio
from mintmark.client import ApplicationToken
from mintmark.secret import Secret
from mintmark.testing import FakeAuthority

__all__ = ["main"]

ROUNDS: Final = 9
CALLS: Final = 20_000
PEERS_CALLS: Final = 2_000
AT_MOST: Final = 1.0  # microseconds
TIMES_SLOWER: Final = {"msal": 10.0, "httpx-auth": 4.0}
THREAD, AWAITED = "mintmark, in a thread", "mintmark, awaited"


def main() -> int:
    with FakeAuthority().serve() as authority, peers(authority.issuer) as others:
        client = authority.client("bench", client_secret=Secret("x" * 32))
        orders = client.app_token(scope="orders.read", resource="https://api.example")
        orders.token()
        timings = measured(orders, others)
        client.close()
    print("handing out a held token, and how many times ours that takes")
    for name, timing in timings.items():
        print(f"  {name:24} {timing}  {ratio(timing, timings[THREAD])}")
    missed = [*_too_slow(timings), *_too_near(timings)]
    print("\n".join(f"  MISSED: {one}" for one in missed) or "  all that was wanted is kept")
    return 1 if missed else 0


def measured(orders: ApplicationToken, others: Peers) -> dict[str, Timing]:
    """Every case once a round."""
    cases: dict[str, Callable[[], float]] = {
        "a dictionary": lambda: timed(from_a_dictionary(orders.token())),
        THREAD: lambda: timed(orders.token),
        AWAITED: lambda: asyncio.run(awaited(orders)),
    }
    for library in LIBRARIES:
        cases[library] = lambda library=library: others.held(library, PEERS_CALLS)  # type: ignore[misc]  # -- a default that binds
    figures: dict[str, list[float]] = {name: [] for name in cases}
    for round_ in range(ROUNDS + 1):
        for name, case in cases.items():
            figure = case()
            if round_:  # the first warms up
                figures[name].append(figure)
    return {name: Timing(tuple(rounds)) for name, rounds in figures.items()}


def from_a_dictionary(token: Secret) -> Callable[[], object]:
    held = {("orders.read", "https://api.example"): (token, time.time() + 600)}

    def hand_out() -> object:
        token, until = held["orders.read", "https://api.example"]
        return token if time.time() < until else None

    return hand_out


def timed(hand_out: Callable[[], object]) -> float:
    begin = time.perf_counter_ns()
    for _ in range(CALLS):
        hand_out()
    return (time.perf_counter_ns() - begin) / CALLS / 1000


async def awaited(orders: ApplicationToken) -> float:
    begin = time.perf_counter_ns()
    for _ in range(CALLS):
        await orders.atoken()
    return (time.perf_counter_ns() - begin) / CALLS / 1000


def _too_slow(timings: Mapping[str, Timing]) -> list[str]:
    return [
        f"{name} takes {timings[name].median:.2f} us, at most {AT_MOST} was wanted"
        for name in (THREAD, AWAITED)
        if timings[name].median > AT_MOST
    ]


def _too_near(timings: Mapping[str, Timing]) -> list[str]:
    missed = []
    for library, wanted in TIMES_SLOWER.items():
        for ours in (THREAD, AWAITED):
            times = timings[library].median / timings[ours].median
            if times < wanted:
                missed.append(f"{library} takes {times:.1f} x {ours}, {wanted} was wanted")
    return missed


if __name__ == "__main__":
    raise SystemExit(main())
