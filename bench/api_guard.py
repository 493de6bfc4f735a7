"""A guarded API beside the same one unprotected, and beside other people's guards.

Each server has CPU 0 to itself while it is measured, the load CPU 1. Rounds take turns, so that
whatever else the machine does falls on all alike, and each ratio is of neighbours in time. On a
machine with other work the ratio "by CPU" counts: of the servers' own CPU time for a request.

Tokens come in three mixes: one that repeats, 1,000 in turn, and every one new. "New" is a pool that
is larger than what the guard remembers, in turn; so none is known when it comes back. Those that
repeat are sent once before each measurement, for the guard proves them anew only once a minute. The
peers remember no token, so the mix makes no difference to them.
"""

import http.client
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from pathlib import Path
from typing import Final
from uuid import uuid4

from bench.api_servers import ORDER
from bench.token_endpoint import NODE, PEERS, running
from mintmark.api.validate import MAX_REMEMBERED
from mintmark.jose.algorithms import Algorithm
from mintmark.jose.keys import SigningKey
from mintmark.protocol.access_token import mint_access_token
from mintmark.testing import FakeAuthority
from mintmark.testing.ports import free_ports

__all__ = ["main"]

ROUNDS, SECONDS, CONNECTIONS = 3, 1, 64
ALGORITHMS: Final = (Algorithm.RS256, Algorithm.ES256)
NEW: Final = MAX_REMEMBERED * 5 // 4
MIXES: Final = {"one token": 1, "1,000 tokens in turn": 1000, "every token new": NEW}

SCOPE: Final = frozenset({"orders.read", "orders.write"})
EXPRESS: Final = "express-oauth2-jwt-bearer"
OPEN: Final = ("ASGI, open", "Starlette, open", "FastAPI, open")
GUARDED: Final = ("ASGI, guarded", "Starlette, guarded", "FastAPI, guarded")
PEERS_OF: Final = {
    "FastAPI + PyJWKClient": "FastAPI, guarded",
    "FastAPI + Authlib": "FastAPI, guarded",
    "Starlette + joserfc": "Starlette, guarded",
    EXPRESS: "Starlette, guarded",
}
"""Each peer, and which of ours stands beside it."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """Distinct tokens of one issuer, in a file of one a line."""

    path: Path
    first: Sequence[str]  # as many as are ever sent before a measurement


@dataclass(slots=True)
class Server:
    """One server that runs, and how far it has come in the pool of tokens."""

    port: int
    pid: int
    sent: int = 0


@dataclass(slots=True)
class Figures:
    """One figure a round."""

    rates: list[float] = field(default_factory=list)  # requests a second
    tails: list[float] = field(default_factory=list)  # the 99th percentile, milliseconds
    costs: list[float] = field(
        default_factory=list
    )  # CPU time of the server, microseconds a request


def main() -> int:
    for need in ("wrk", "taskset", "npm"):
        if shutil.which(need) is None:
            print(f"API guard: not measured, {need} is missing")
            return 1
    if not all((PEERS / "node_modules" / name).exists() for name in ("node", EXPRESS)):
        subprocess.run(["npm", "ci", "--no-fund", "--no-audit"], cwd=PEERS, check=True)
    for algorithm in ALGORITHMS:
        measure(algorithm)
    return 0


def measure(algorithm: Algorithm) -> None:
    with ExitStack() as stack:
        authority = stack.enter_context(FakeAuthority(algorithm=algorithm).serve())
        authority.metadata_changes = {"id_token_signing_alg_values_supported": [algorithm.value]}
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        tokens = minted(authority, folder)
        servers = stack.enter_context(all_serving(authority))
        for name, server in servers.items():
            if name not in OPEN:
                require_guarded(server, tokens.first[0])
        for mix, count in MIXES.items():
            report(f"API guard, {algorithm}, {mix}", rounds_of(servers, tokens, count))


def rounds_of(servers: Mapping[str, Server], tokens: Tokens, count: int) -> dict[str, Figures]:
    figures = {name: Figures() for name in servers}
    for _ in range(ROUNDS):
        for name, server in servers.items():
            if count < NEW:
                send_once(server, tokens.first[:count])
            load(server, tokens, count, figures[name])
    return figures


def report(title: str, figures: Mapping[str, Figures]) -> None:
    print(f"{title}, {CONNECTIONS} connections, one core each")
    for name, figure in figures.items():
        print(
            f"  {name:26} {statistics.median(figure.rates):8,.0f}/s"
            f" ({min(figure.rates):,.0f}-{max(figure.rates):,.0f})"
            f"  p99 {statistics.median(figure.tails):6.1f} ms"
            f"  CPU {statistics.median(figure.costs):5.0f} us"
        )
    pairs = list(zip(GUARDED, OPEN, strict=True)) + [(our, peer) for peer, our in PEERS_OF.items()]
    for of, to in pairs:
        print(
            f"  {of} to {to}".ljust(54)
            + f" {ratio(figures[of].rates, figures[to].rates)}"
            + f"  p99 {ratio(figures[of].tails, figures[to].tails)}"
            + f"  by CPU {ratio(figures[to].costs, figures[of].costs)}"
        )


def ratio(of: Sequence[float], to: Sequence[float]) -> str:
    """The median of the rounds' own ratios, with the smallest and the largest."""
    ratios = [a / b for a, b in zip(of, to, strict=True)]
    return f"{statistics.median(ratios):5.2f} x ({min(ratios):.2f}-{max(ratios):.2f})"


def load(server: Server, tokens: Tokens, count: int, figures: Figures) -> None:
    """One round on one server; raises on any refused request."""
    before = cpu_seconds(server.pid)
    command = ["taskset", "-c", "1", "wrk", "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s", "--latency"]
    finished = subprocess.run(
        [*command, "-s", str(PEERS / "bearer.lua"), f"http://127.0.0.1:{server.port}/orders"],
        env={
            **os.environ,
            "BENCH_TOKENS": str(tokens.path),
            "BENCH_COUNT": str(count),
            "BENCH_SKIP": str(server.sent % count),
        },
        capture_output=True,
        text=True,
        check=True,
    )
    spent = cpu_seconds(server.pid) - before
    requests, rate, tail = read_wrk(finished.stdout)
    # Those that were under way at the end are known to the guard, too.
    server.sent += requests + CONNECTIONS
    figures.rates.append(rate)
    figures.tails.append(tail)
    figures.costs.append(spent / requests * 1e6)


def read_wrk(said: str) -> tuple[int, float, float]:
    """Requests, requests a second, and the 99th percentile in milliseconds."""
    total = re.search(r"(\d+) requests in", said)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", said)
    tail = re.search(r"99%\s+([\d.]+)(us|ms|s)", said)
    if "Non-2xx" in said or "Socket errors" in said or not (total and rate and tail):
        raise RuntimeError(f"a request was refused or lost:\n{said}")
    unit = {"us": 0.001, "ms": 1.0, "s": 1000.0}[tail.group(2)]
    return int(total.group(1)), float(rate.group(1)), float(tail.group(1)) * unit


def cpu_seconds(pid: int) -> float:
    """CPU time of a process and all its threads so far."""
    after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(after_name[11]) + int(after_name[12])) / os.sysconf("SC_CLK_TCK")


def send_once(server: Server, tokens: Sequence[str]) -> None:
    """Every one of these tokens, so that the guard knows them; raises on any refused request."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    for token in tokens:
        status = ask(connection, token)
        if status != 200:
            raise RuntimeError(f"a good token was answered with {status}")
    connection.close()


def require_guarded(server: Server, token: str) -> None:
    """Raises unless nobody gets in without a token, or with one that was changed."""
    head, payload, signature = token.split(".")
    changed = f"{head}.{payload}.{'B' if signature[0] == 'A' else 'A'}{signature[1:]}"
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    for wrong in (None, changed):
        status = ask(connection, wrong)
        if status not in {401, 403}:
            raise RuntimeError(f"a server that should be guarded answered with {status}")
    connection.close()


def ask(connection: http.client.HTTPConnection, token: str | None) -> int:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    connection.request("GET", "/orders", headers=headers)
    answer = connection.getresponse()
    answer.read()
    return answer.status


def minted(authority: FakeAuthority, folder: Path) -> Tokens:
    """The pool. An RSA signature takes most of a millisecond, so every core has its part."""
    parts = os.cpu_count() or 1
    pkcs8, algorithm = authority.key.to_pkcs8(), authority.key.algorithm
    each = -(-NEW // parts)
    # Spawned, for the issuer's threads must not be copied into the children.
    with ProcessPoolExecutor(parts, get_context("spawn")) as pool:
        jobs = [
            pool.submit(
                mint,
                pkcs8,
                algorithm,
                authority.key.kid,
                authority.issuer,
                authority.audience,
                each,
            )
            for _ in range(parts)
        ]
        tokens = [token for job in jobs for token in job.result()][:NEW]
    path = folder / "tokens"
    path.write_text("\n".join(tokens) + "\n")
    return Tokens(path, tokens[: sorted(MIXES.values())[-2]])


def mint(
    pkcs8: bytes, algorithm: Algorithm, kid: str, issuer: str, audience: str, count: int
) -> list[str]:
    """Distinct tokens of one issuer; a function of the module, for other processes to find it."""
    key = SigningKey.from_pkcs8(pkcs8, algorithm, kid)
    return [
        mint_access_token(
            iss=issuer,
            sub=str(uuid4()),
            aud=(audience,),
            client_id="bench-client-0001",
            scope=SCOPE,
            jti=uuid4().hex,
            now=datetime.now(UTC),
            lifetime=timedelta(hours=1),
            key=key,
        ).reveal()
        for _ in range(count)
    ]


@contextmanager
def all_serving(authority: FakeAuthority) -> Iterator[dict[str, Server]]:
    """Every server at once; whoever is not asked costs nothing but memory."""
    environment = {**os.environ, "BENCH_ORDER": json.dumps(ORDER)}
    with ExitStack() as stack:
        servers = {}
        for name in (*OPEN, *GUARDED, *PEERS_OF):
            port = free_ports()[0]
            if name == EXPRESS:
                command = [str(NODE), str(PEERS / "express.mjs"), str(port)]
            else:
                command = [sys.executable, "-m", "bench.api_servers", name, str(port)]
            command += [authority.issuer, authority.audience]
            process = stack.enter_context(running(command, environment))
            servers[name] = Server(port, process.pid)  # taskset becomes the server
        for server in servers.values():
            wait_until_listening(server.port)
        yield servers


def wait_until_listening(port: int) -> None:
    for _ in range(1200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError("a server did not start")


if __name__ == "__main__":
    sys.exit(main())
