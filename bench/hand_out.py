"""Handing out a held token, in a thread and in a coroutine, beside a dictionary."""

import asyncio
import time

from bench.measure import interleaved, ratio
from mintmark.client import Authority, Client
from mintmark.secret import Secret
from mintmark.testing import FakeAuthority


def main() -> int:
    with FakeAuthority().serve() as authority:
        client = Client(
            Authority(authority.issuer, policy=authority.policy),
            client_id="bench",
            client_secret=Secret("x" * 32),
        )
        orders = client.app_token(scope="orders.read", resource="https://api.example")
        orders.token()
        held = {("orders.read", "https://api.example"): (orders.token(), time.time() + 600)}

        def from_a_dictionary() -> object:
            token, until = held["orders.read", "https://api.example"]
            return token if time.time() < until else None

        timings = interleaved(
            {"a dictionary": from_a_dictionary, "mintmark, in a thread": orders.token}, calls=20000
        )
        print("handing out a held token")
        for name, timing in timings.items():
            print(f"  {name:24} {timing}  {ratio(timing, timings['a dictionary'])}")
        asyncio.run(_awaited(orders))
        client.close()
    return 0


async def _awaited(orders: object) -> None:
    calls, rounds = 20000, []
    for _ in range(9):
        begin = time.perf_counter_ns()
        for _ in range(calls):
            await orders.atoken()  # type: ignore[attr-defined]  # -- any recipe
        rounds.append((time.perf_counter_ns() - begin) / calls / 1000)
    print(
        f"  mintmark, awaited        {sorted(rounds)[4]:8.2f} us ({min(rounds):.2f}-{max(rounds):.2f})"
    )


if __name__ == "__main__":
    raise SystemExit(main())
