"""Every store of shared tokens, and what other processes do with one."""

import hashlib
import importlib
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path

from tests.forkserver import CONTEXT

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
        self._line, theirs = CONTEXT.Pipe()
        self._process = CONTEXT.Process(
            target=begin, args=(theirs, kind, where, what, *arguments), daemon=True
        )
        self._process.start()
        theirs.close()

    def says(self) -> object:
        assert self._line.poll(60), "it says nothing"
        return self._line.recv()

    def go(self, line: str = "go") -> None:
        self._line.send(line)

    def kill(self) -> None:
        self._process.kill()
        self._process.join()
        self._line.close()


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


def begin(line: Connection, kind: str, where: str, what: str, *arguments: str) -> None:
    """In the other process."""
    opened = STORES[kind](where)
    opened.load("warm")
    line.send("ready")
    does: dict[str, Callable[..., None]] = {
        "hold": hold, "count_up": count_up, "write_on": write_on, "breed": breed, "key": key,
    }  # fmt: skip
    does[what](line, opened, *arguments)


def hold(line: Connection, store: SharedTokens, name: str, seconds: str) -> None:
    """Get the lease when told to, and sit on it."""
    line.recv()
    line.send(store.lease(name, owner=secrets.token_hex(8), seconds=float(seconds)))
    time.sleep(3600)


def count_up(line: Connection, store: SharedTokens, name: str, times: str) -> None:
    """Add one to a number so often, by swapping alone."""
    line.recv()
    for _ in range(int(times)):
        while True:
            old = store.load(name)
            number = b"%d %s" % (int((old or b"0").split()[0]) + 1, secrets.token_hex(8).encode())
            if store.swap(name, old, number, seconds=60) == number:
                break
    line.send("done")


def write_on(line: Connection, store: SharedTokens, name: str, size: str) -> None:
    """Fetch, write and swap, on and on."""
    line.recv()
    _write_for_ever(store, name, int(size))


def breed(line: Connection, store: SharedTokens, size: str) -> None:
    """For each name that is told, a process that writes to it: a fork begins at once."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        name = line.recv()
        child = os.fork()
        if child == 0:
            _write_for_ever(store, name, int(size))
        line.send(child)


def key(line: Connection, store: SharedTokens, path: str) -> None:
    """The key of a file, which it makes when told to."""
    from mintmark.storage.file.key import key_file

    line.recv()
    line.send(key_file(path).digest().hex())


def _write_for_ever(store: SharedTokens, name: str, size: int) -> None:
    while True:
        owner = secrets.token_hex(8)
        fence = store.lease(name, owner=owner, seconds=0.2)
        if fence is not None:
            with suppress(StaleFence):
                store.write(name, whole(size), fence=fence, seconds=60)
            store.release(name, owner=owner)
        store.swap(name, store.load(name), whole(size), seconds=60)
