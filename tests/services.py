"""Real servers for the tests: a PostgreSQL cluster and a Redis of this run alone, and Chromium."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mintmark.testing.ports import free_ports

__all__ = ["OwnRedis", "chromium_path", "missing", "postgresql", "redis"]


def missing(what: str, how: str = "make services says how to get it") -> None:
    """Without it the test cannot run. CI does not look away."""
    sentence = f"{what} is not installed here; {how}"
    if os.environ.get("CI") == "true":
        pytest.fail(sentence)
    pytest.skip(sentence)


def chromium_path() -> str:
    path = shutil.which("chromium")
    if path is None:
        missing("Chromium")
    assert path is not None
    return path


@contextmanager
def redis(folder: Path) -> Iterator[str]:
    """A Redis server; gives its URL."""
    program = shutil.which("redis-server")
    if program is None:
        missing("Redis")
    assert program is not None
    port = free_ports()[0]
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder]
    with _running([str(part) for part in command], port):
        yield f"redis://127.0.0.1:{port}/0"


class OwnRedis:
    """A Redis of one test alone, to be killed and started again at the same port."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_ports()[0]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._running: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
        self._running = subprocess.Popen(
            [*command, "--dir", str(self.folder)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for _ in range(400):
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                time.sleep(0.05)
        raise RuntimeError("Redis does not answer")

    def kill(self) -> None:
        if self._running is not None:
            self._running.kill()
            self._running.wait(20)
            self._running = None


@contextmanager
def postgresql() -> Iterator[str]:
    """A PostgreSQL cluster; gives its URL. PostgreSQL refuses to run as root."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    found = shutil.which("initdb")
    if not programs and found is None:
        missing("PostgreSQL")
    programs_folder = programs[-1] if programs else Path(str(found)).parent
    account = pwd.getpwnam("postgres") if os.geteuid() == 0 else None
    # A folder of its own: pytest closes the ones above its own again whenever another run begins.
    with tempfile.TemporaryDirectory(prefix="mintmark-postgresql-") as folder:
        cluster = Path(folder) / "cluster"
        cluster.mkdir()
        if account is not None:
            Path(folder).chmod(0o711)
            os.chown(cluster, account.pw_uid, account.pw_gid)
        with _cluster(programs_folder, cluster, account.pw_name if account else None) as url:
            yield url


@contextmanager
def _cluster(programs_folder: Path, cluster: Path, user: str | None) -> Iterator[str]:
    port = free_ports()[0]
    initdb = [programs_folder / "initdb", "-D", cluster, "-U", "mintmark", "-A", "trust", "-N"]
    subprocess.run(
        [str(part) for part in initdb], user=user, check=True, capture_output=True, cwd="/"
    )
    server = [
        programs_folder / "postgres",
        "-D",
        cluster,
        "-p",
        port,
        "-h",
        "127.0.0.1",
        "-k",
        cluster,
    ]
    with _running([str(part) for part in server], port, user=user):
        _wait_until_ready(programs_folder, port)
        yield f"postgresql://mintmark@127.0.0.1:{port}/postgres"


def _wait_until_ready(programs_folder: Path, port: int) -> None:
    # It takes connections a little before it answers them: "the database system is starting up".
    asked = [str(programs_folder / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)]
    for _ in range(400):
        if subprocess.run(asked, check=False, cwd="/").returncode == 0:
            return
        time.sleep(0.05)
    raise RuntimeError("PostgreSQL is not ready")


@contextmanager
def _running(command: list[str], port: int, user: str | None = None) -> Iterator[None]:
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, user=user, cwd="/"
    )
    try:
        _wait_for(port, process)
        yield
    finally:
        process.terminate()
        process.wait(20)


def _wait_for(port: int, process: "subprocess.Popen[bytes]") -> None:
    for _ in range(600):
        if process.poll() is not None:
            raise RuntimeError(f"it ended with status {process.returncode}")
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1):
                return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError("it does not answer")
