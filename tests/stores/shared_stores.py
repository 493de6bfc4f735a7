"""Every store of shared tokens, and what other processes do with one: `python -m` this module."""

import hashlib
import importlib
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mintmark.client.shared import SharedTokens, StaleFence

ROOT = Path(__file__).parents[2]
PATIENT = 20.0  # seconds: the machine of the tests may be busy


def _open(module: str, name: str, where: str, **settings: float) -> SharedTokens:
    # Imported when it is asked for: the other processes begin at once.
    store: SharedTokens = getattr(importlib.import_module(f"mintmark.{module}"), name)(
        *([where] if where else []), **settings
    )
    return store


# One line for each store: how it is opened at a place, which is a path or a URL.
STORES: dict[str, Callable[[str], SharedTokens]] = {
    "memory": lambda _: _open("client.memory_tokens", "MemoryTokens", ""),
    "file": lambda at: _open("storage.file.tokens", "FileTokens", at, limit=PATIENT),
    "sqlite": lambda at: _open("storage.sql.sqlite_tokens", "SqliteTokens", at, limit=PATIENT),
    "postgresql": lambda at: _open(
        "storage.sql.postgres_tokens", "PostgresTokens", at, limit=PATIENT
    ),
    "redis": lambda at: _open("storage.redis.tokens", "RedisTokens", at, timeout=PATIENT),
}
AMONG_PROCESSES = [kind for kind in STORES if kind != "memory"]
SERVICES = {"postgresql": "postgresql_url", "redis": "redis_url"}


def whole(size: int) -> bytes:
    """An entry that says itself whether it is whole."""
    body = secrets.token_bytes(size)
    return hashlib.sha256(body).digest() + body


def is_whole(entry: bytes) -> bool:
    return hashlib.sha256(entry[32:]).digest() == entry[:32]


def python(code: str, *arguments: object) -> "subprocess.CompletedProcess[str]":
    """A program of its own, warnings as errors."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *map(str, arguments)], cwd=ROOT,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


class Other:
    """Another process, which does one of the things below and says what came of it."""

    def __init__(self, kind: str, where: str, what: str, *arguments: str) -> None:
        command = [sys.executable, "-m", "tests.stores.shared_stores", kind, where, what]
        self._process = subprocess.Popen(
            [*command, *arguments], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True, env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )  # fmt: skip

    def says(self) -> object:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())

    def go(self, line: str = "go") -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()


@contextmanager
def others(count: int, kind: str, where: str, what: str, *arguments: str) -> Iterator[list[Other]]:
    """So many, each of them ready."""
    started = [Other(kind, where, what, *arguments) for _ in range(count)]
    try:
        for one in started:
            assert one.says() == "ready"
        yield started
    finally:
        for one in started:
            one.kill()


def say(what: object) -> None:
    print(json.dumps(what), flush=True)  # noqa: T201 -- what the test reads


def hold(store: SharedTokens, name: str, seconds: str) -> None:
    """Get the lease when told to, and sit on it."""
    sys.stdin.readline()
    say(store.lease(name, owner=secrets.token_hex(8), seconds=float(seconds)))
    time.sleep(3600)


def count_up(store: SharedTokens, name: str, times: str) -> None:
    """Add one to a number so often, by swapping alone."""
    sys.stdin.readline()
    for _ in range(int(times)):
        while True:
            old = store.load(name)
            number = b"%d %s" % (int((old or b"0").split()[0]) + 1, secrets.token_hex(8).encode())
            if store.swap(name, old, number, seconds=60) == number:
                break
    say("done")


def write_on(store: SharedTokens, name: str, size: str) -> None:
    """Fetch, write and swap, on and on."""
    sys.stdin.readline()
    _write_for_ever(store, name, int(size))


def breed(store: SharedTokens, size: str) -> None:
    """For each name that is told, a process that writes to it: a fork begins at once."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _write_for_ever(store, line.strip(), int(size))
        say(child)


def _write_for_ever(store: SharedTokens, name: str, size: int) -> None:
    while True:
        owner = secrets.token_hex(8)
        fence = store.lease(name, owner=owner, seconds=0.2)
        if fence is not None:
            with suppress(StaleFence):
                store.write(name, whole(size), fence=fence, seconds=60)
            store.release(name, owner=owner)
        store.swap(name, store.load(name), whole(size), seconds=60)


if __name__ == "__main__":
    kind, where, what, *arguments = sys.argv[1:]
    opened = STORES[kind](where)
    opened.load("warm")
    say("ready")
    does: dict[str, Callable[..., None]] = {
        "hold": hold, "count_up": count_up, "write_on": write_on, "breed": breed,
    }  # fmt: skip
    does[what](opened, *arguments)
