"""The token endpoint beside npm `oidc-provider`: client credentials, one core each, one run.

Both servers are pinned to CPU 0 and the load to CPU 1. Ours runs as anybody would run it,
`mintmark serve` on SQLite; the peer runs on node 24 with its adapter in memory. The rounds take
turns, so that whatever else the machine does falls on both alike.
"""

import base64
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

from mintmark.testing.ports import free_ports

PEERS = Path(__file__).parent / "peers"
NODE = PEERS / "node_modules" / ".bin" / "node"
SECRET = "vP8dQ2hX4mK9sL1rT6wZ3yB7nC5gJ0fA"  # it guards a server that lives for half a minute
ROUNDS, SECONDS, CONNECTIONS = 5, 3, 32

CONFIGURATION = """\
issuer = "http://localhost:{port}"
insecure_allow_http_on_loopback = true
master_key = {{ env = "BENCH_MASTER_KEY" }}

[database]
path = "{folder}/bench.sqlite3"

[[resources]]
identifier = "https://api.bench.example"
scopes = ["orders.read", "orders.write", "stock.read"]

[scopes]
"orders.read" = "Read orders"
"orders.write" = "Change orders"
"stock.read" = "Read stock"

[[clients]]
client_id = "bench"
name = "Bench"
secrets = [{{ env = "BENCH_CLIENT_SECRET" }}]
grant_types = ["client_credentials"]
scopes = ["orders.read", "orders.write", "stock.read"]
"""


@dataclass(frozen=True, slots=True)
class Round:
    """One round of load on one server."""

    per_second: float
    p99: float  # milliseconds
    resident: float  # MiB


def main() -> int:
    for need in ("wrk", "taskset", "npm"):
        if shutil.which(need) is None:
            print(f"token endpoint: not measured, {need} is missing")
            return 1
    if not NODE.exists():
        subprocess.run(["npm", "ci", "--no-fund", "--no-audit"], cwd=PEERS, check=True)
    with ours() as our_server, theirs() as their_server:
        servers = {"mintmark serve, SQLite": our_server, "oidc-provider, memory": their_server}
        rounds: dict[str, list[Round]] = {name: [] for name in servers}
        for port, _ in servers.values():
            load(port, 1)  # warm: compiled statements, JIT, key schedules
        for _ in range(ROUNDS):
            for name, (port, process) in servers.items():
                rounds[name].append(measured(port, process))
    report(rounds)
    return 0


def report(rounds: dict[str, list[Round]]) -> None:
    (_, first), (_, second) = rounds.items()
    print(f"token endpoint, client credentials, ES256, {CONNECTIONS} connections, one core each")
    for name, measurements in rounds.items():
        rates = [one.per_second for one in measurements]
        p99 = statistics.median(one.p99 for one in measurements)
        print(
            f"  {name:24} {statistics.median(rates):8,.0f}/s ({min(rates):,.0f}-{max(rates):,.0f})"
            f"  p99 {p99:.1f} ms  {measurements[-1].resident:.0f} MiB"
        )
    ratios = [a.per_second / b.per_second for a, b in zip(first, second, strict=True)]
    print(
        f"  ratio to oidc-provider   {statistics.median(ratios):.2f} x"
        f" ({min(ratios):.2f}-{max(ratios):.2f})"
    )


def measured(port: int, process: subprocess.Popen[bytes]) -> Round:
    per_second, p99 = load(port, SECONDS)
    return Round(per_second, p99, resident_mebibytes(process.pid))


def load(port: int, seconds: int) -> tuple[float, float]:
    """Requests a second and the 99th percentile in milliseconds; raises on any refused request."""
    pair = base64.b64encode(f"bench:{SECRET}".encode()).decode()
    command = ["taskset", "-c", "1", "wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency"]
    script = str(PEERS / "token.lua")
    finished = subprocess.run(
        [*command, "-s", script, f"http://127.0.0.1:{port}/token"],
        env={**os.environ, "BENCH_AUTHORIZATION": f"Basic {pair}"},
        capture_output=True,
        text=True,
        check=True,
    )
    if "Non-2xx" in finished.stdout or "Socket errors" in finished.stdout:
        raise RuntimeError(f"a request was refused or lost:\n{finished.stdout}")
    rate = re.search(r"Requests/sec:\s+([\d.]+)", finished.stdout)
    tail = re.search(r"99%\s+([\d.]+)(us|ms|s)", finished.stdout)
    if rate is None or tail is None:
        raise RuntimeError(f"wrk said something else:\n{finished.stdout}")
    unit = {"us": 0.001, "ms": 1.0, "s": 1000.0}[tail.group(2)]
    return float(rate.group(1)), float(tail.group(1)) * unit


def resident_mebibytes(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    return int(found.group(1)) / 1024 if found else float("nan")


Server = tuple[int, "subprocess.Popen[bytes]"]


@contextmanager
def ours() -> Iterator[Server]:
    port = free_ports()[0]
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "mintmark.toml"
        config.write_text(CONFIGURATION.format(port=port, folder=folder))
        key = base64.urlsafe_b64encode(os.urandom(32)).decode().rstrip("=")
        environment = {**os.environ, "BENCH_MASTER_KEY": key, "BENCH_CLIENT_SECRET": SECRET}
        command = [sys.executable, "-m", "mintmark.cli", "serve"]
        command += ["--config", str(config), "--port", str(port)]
        with running(command, environment) as process:
            wait_until_ready(port, "/jwks")
            yield port, process


@contextmanager
def theirs() -> Iterator[Server]:
    port = free_ports()[0]
    command = [str(NODE), str(PEERS / "oidc-provider.mjs"), str(port), "ES256", SECRET]
    with running(command, dict(os.environ)) as process:
        wait_until_ready(port, "/jwks")
        yield port, process


@contextmanager
def running(command: list[str], environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        ["taskset", "-c", "0", *command],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(10)


def wait_until_ready(port: int, path: str) -> None:
    for _ in range(200):
        try:
            with urlopen(f"http://127.0.0.1:{port}{path}", timeout=1):
                return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError("a server did not start")


if __name__ == "__main__":
    sys.exit(main())
