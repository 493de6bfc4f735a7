"""What the auth hook adds to one httpx2 request: over loopback to a server of its own, and to no network.

A request to an API takes longer than either, so that the share is smaller in life. Synchronous and
asynchronous clients.
"""

import asyncio
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import httpx2

from mintmark.client import ApplicationToken
from mintmark.testing import FakeAuthority
from mintmark.testing.ports import free_ports

__all__ = ["main"]

ROUNDS: Final = 11
CALLS: Final = 400
AT_MOST: Final = 1.03
SERVER: Final = """
import asyncio, sys
ANSWER = b"HTTP/1.1 200 OK\\r\\ncontent-type: application/json\\r\\ncontent-length: 2\\r\\n\\r\\n{}"
async def answer(reader, writer):
    try:
        while await reader.readuntil(b"\\r\\n\\r\\n"):
            writer.write(ANSWER)
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()
async def main():
    server = await asyncio.start_server(answer, "127.0.0.1", int(sys.argv[1]))
    print("ready", flush=True)
    await server.serve_forever()
asyncio.run(main())
"""


def main() -> int:
    with api() as origin, FakeAuthority().serve() as authority:
        client = authority.client("bench")
        recipe = client.app_token(scope="orders.read", resource=origin)
        recipe.token()
        print("what the auth hook adds to a request of httpx2")
        missed = [
            judged("sync, over loopback", *in_threads(recipe, origin, None)),
            judged("async, over loopback", *asyncio.run(in_a_loop(recipe, origin, None))),
        ]
        nowhere = httpx2.MockTransport(lambda _: httpx2.Response(200))
        remote = "https://api.example"
        recipe = client.app_token(scope="orders.read", resource=remote)
        judged("sync, no network", *in_threads(recipe, remote, nowhere))
        judged("async, no network", *asyncio.run(in_a_loop(recipe, remote, nowhere)))
        client.close()
    print(f"  at most {AT_MOST} x was wanted over loopback: {'MISSED' if any(missed) else 'kept'}")
    return int(any(missed))


def judged(name: str, bare: list[float], with_hook: list[float]) -> bool:
    """Whether it adds too much: by the median of the rounds' own ratios."""
    ratios = [a / b for a, b in zip(with_hook, bare, strict=True)]
    added = [a - b for a, b in zip(with_hook, bare, strict=True)]
    median = statistics.median(ratios)
    print(
        f"  {name:24} {statistics.median(bare):8.1f} us bare  {median:6.3f} x"
        f" ({min(ratios):.3f}-{max(ratios):.3f})  {statistics.median(added):+.1f} us",
        flush=True,
    )
    return median > AT_MOST


def in_threads(
    recipe: ApplicationToken, origin: str, transport: httpx2.BaseTransport | None
) -> tuple[list[float], list[float]]:
    token = f"Bearer {recipe.token().reveal()}"
    with (
        httpx2.Client(transport=transport, trust_env=False) as http,
        httpx2.Client(transport=transport, trust_env=False, auth=recipe.auth()) as hooked,
    ):
        # The same header by hand: what is sent is no part of the hook's cost.
        http.headers["authorization"] = token
        url = f"{origin}/orders"
        return rounds(lambda: http.get(url), lambda: hooked.get(url))


def rounds(
    bare: Callable[[], object], with_hook: Callable[[], object]
) -> tuple[list[float], list[float]]:
    """One request of each by turns, so that a busy moment falls on both; the median of each round."""
    found: tuple[list[float], list[float]] = ([], [])
    for round_ in range(ROUNDS + 1):
        figures: tuple[list[int], list[int]] = ([], [])
        for call in range(CALLS):
            for which in (0, 1) if call % 2 else (1, 0):
                begin = time.perf_counter_ns()
                (bare, with_hook)[which]()
                figures[which].append(time.perf_counter_ns() - begin)
        keep(found, figures, round_)
    return found


def keep(
    found: tuple[list[float], list[float]], figures: tuple[list[int], list[int]], round_: int
) -> None:
    if round_:  # the first warms up
        for which in (0, 1):
            found[which].append(statistics.median(figures[which]) / 1000)


async def in_a_loop(
    recipe: ApplicationToken, origin: str, transport: httpx2.AsyncBaseTransport | None
) -> tuple[list[float], list[float]]:
    token = f"Bearer {recipe.token().reveal()}"
    found: tuple[list[float], list[float]] = ([], [])
    async with (
        httpx2.AsyncClient(transport=transport, trust_env=False) as http,
        httpx2.AsyncClient(transport=transport, trust_env=False, auth=recipe.auth()) as hooked,
    ):
        http.headers["authorization"] = token
        for round_ in range(ROUNDS + 1):
            figures: tuple[list[int], list[int]] = ([], [])
            for call in range(CALLS):
                for which in (0, 1) if call % 2 else (1, 0):
                    begin = time.perf_counter_ns()
                    await (http, hooked)[which].get(f"{origin}/orders")
                    figures[which].append(time.perf_counter_ns() - begin)
            keep(found, figures, round_)
    return found


@contextmanager
def api() -> Iterator[str]:
    """An API in a process of its own, which answers everybody the same."""
    port = free_ports()[0]
    process = subprocess.Popen([sys.executable, "-c", SERVER, str(port)], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        if process.stdout.readline() != b"ready\n":
            raise RuntimeError("the API did not start")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.communicate(timeout=20)


if __name__ == "__main__":
    raise SystemExit(main())
