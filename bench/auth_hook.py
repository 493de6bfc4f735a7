"""What the auth hook adds to one httpx2 request: over TLS and plain to an API on loopback, and to no network.

A request to an API takes longer than either, so that the share is smaller in life. Synchronous and
asynchronous clients.
"""

import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import httpx2
from tests.interop.certificates import Certificates, Pair

from mintmark.client import Client
from mintmark.testing import FakeAuthority
from mintmark.testing.ports import free_ports

__all__ = ["main"]

ROUNDS: Final = 11
CALLS: Final = 400
AT_MOST: Final = 1.03
SERVER: Final = """
import asyncio, ssl, sys
ANSWER = b"HTTP/1.1 200 OK\\r\\ncontent-type: application/json\\r\\ncontent-length: 2\\r\\n\\r\\n{}"
async def answer(reader, writer):
    try:
        while await reader.readuntil(b"\\r\\n\\r\\n"):
            writer.write(ANSWER)
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()
async def main():
    tls = None
    if len(sys.argv) > 2:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(sys.argv[2], sys.argv[3])
    server = await asyncio.start_server(answer, "127.0.0.1", int(sys.argv[1]), ssl=tls)
    print("ready", flush=True)
    await server.serve_forever()
asyncio.run(main())
"""


def main() -> int:
    nowhere = httpx2.MockTransport(lambda _: httpx2.Response(200))
    with tempfile.TemporaryDirectory() as folder, FakeAuthority().serve() as authority:
        certificates = Certificates(Path(folder))
        print("what the auth hook adds to a request of httpx2")
        with api(certificates.server) as port, client_of(authority) as client:
            over_tls = Case(client, f"https://localhost:{port}", {"verify": certificates.trust})
            missed = [over_tls.measured("over TLS on loopback")]
        with api(None) as port, client_of(authority) as client:
            Case(client, f"http://127.0.0.1:{port}", {}).measured("plain on loopback")
        with client_of(authority) as client:
            Case(client, "https://api.example", {"transport": nowhere}).measured("no network")
    print(f"  at most {AT_MOST} x was wanted over TLS: {'MISSED' if any(missed) else 'kept'}")
    return int(any(missed))


@contextmanager
def client_of(authority: FakeAuthority) -> Iterator[Client]:
    client = authority.client("bench")
    yield client
    client.close()


class Case:
    """Requests to one origin, without the hook and with it."""

    def __init__(self, client: Client, origin: str, settings: dict[str, Any]) -> None:
        self.recipe = client.app_token(scope="orders.read", resource=origin)
        self.url = f"{origin}/orders"
        # What is sent is no part of the hook's cost: the other client has the header by hand.
        header = {"authorization": f"Bearer {self.recipe.token().reveal()}"}
        self.bare: dict[str, Any] = {**settings, "trust_env": False, "headers": header}
        self.hooked: dict[str, Any] = {**settings, "trust_env": False, "auth": self.recipe.auth()}

    def measured(self, name: str) -> bool:
        """Whether it adds too much, in threads or in coroutines."""
        return judged(f"{name}, sync", *self.sync()) | judged(
            f"{name}, async", *asyncio.run(self.awaited())
        )

    def sync(self) -> tuple[list[float], list[float]]:
        found: tuple[list[float], list[float]] = ([], [])
        with httpx2.Client(**self.bare) as bare, httpx2.Client(**self.hooked) as hooked:
            for round_ in range(ROUNDS + 1):
                figures: tuple[list[int], list[int]] = ([], [])
                for which in turns():
                    begin = time.perf_counter_ns()
                    (bare, hooked)[which].get(self.url)
                    figures[which].append(time.perf_counter_ns() - begin)
                keep(found, figures, round_)
        return found

    async def awaited(self) -> tuple[list[float], list[float]]:
        found: tuple[list[float], list[float]] = ([], [])
        async with (
            httpx2.AsyncClient(**self.bare) as bare,
            httpx2.AsyncClient(**self.hooked) as hooked,
        ):
            for round_ in range(ROUNDS + 1):
                figures: tuple[list[int], list[int]] = ([], [])
                for which in turns():
                    begin = time.perf_counter_ns()
                    await (bare, hooked)[which].get(self.url)
                    figures[which].append(time.perf_counter_ns() - begin)
                keep(found, figures, round_)
        return found


def turns() -> Iterator[int]:
    """One request of each by turns, and each first as often: a busy moment falls on both."""
    for call in range(CALLS):
        yield from (0, 1) if call % 2 else (1, 0)


def judged(name: str, bare: list[float], with_hook: list[float]) -> bool:
    """Whether it adds too much: by the median of the rounds' own ratios."""
    ratios = [a / b for a, b in zip(with_hook, bare, strict=True)]
    added = [a - b for a, b in zip(with_hook, bare, strict=True)]
    median = statistics.median(ratios)
    print(
        f"  {name:28} {statistics.median(bare):8.1f} us bare  {median:6.3f} x"
        f" ({min(ratios):.3f}-{max(ratios):.3f})  {statistics.median(added):+.1f} us",
        flush=True,
    )
    return median > AT_MOST


def keep(
    found: tuple[list[float], list[float]], figures: tuple[list[int], list[int]], round_: int
) -> None:
    if round_:  # the first warms up
        for which in (0, 1):
            found[which].append(statistics.median(figures[which]) / 1000)


@contextmanager
def api(tls: Pair | None) -> Iterator[int]:
    """An API in a process of its own, which answers everybody the same; gives its port."""
    port = free_ports()[0]
    files = [str(tls.certificate_file), str(tls.key_file)] if tls else []
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER, str(port), *files], stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        if process.stdout.readline() != b"ready\n":
            raise RuntimeError("the API did not start")
        yield port
    finally:
        process.terminate()
        process.communicate(timeout=20)


if __name__ == "__main__":
    raise SystemExit(main())
