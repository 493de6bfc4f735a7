"""`mintmark` as a process of its own, as everybody runs it."""

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2

from mintmark.testing.ports import free_ports

__all__ = ["CLIENT", "TOML", "Folder", "mintmark"]

CLIENT = "shop"
TOML = """
issuer = "http://127.0.0.1:{port}"
insecure_allow_http_on_loopback = true
master_key = {{ env = "MASTER_KEY" }}

[scopes]
"orders.read" = "See your orders"

[[resources]]
identifier = "https://orders.example"
scopes = ["orders.read"]

[[clients]]
client_id = "shop"
name = "Shop"
grant_types = ["authorization_code", "refresh_token", "client_credentials"]
scopes = ["openid", "offline_access", "orders.read"]
secrets = [{{ env = "SHOP_KEY" }}]
redirect_uris = ["http://127.0.0.1:1/callback"]

[[users]]
subject = "1-alice"
username = "alice"
password = {{ insecure_literal = "wonderland" }}
name = "Alice Liddell"
"""


def mintmark(
    *arguments: str, folder: Path, environment: Mapping[str, str] | None = None, **more: Any
) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "mintmark.cli", *arguments],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "COLUMNS": "200", **(environment or {})},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        **more,
    )


class Folder:
    """A folder with a `mintmark.toml`, a database, and a server that runs and dies there."""

    def __init__(self, path: Path, environment: Mapping[str, str] | None = None) -> None:
        """Writes settings of its own, unless an environment says that they are there."""
        self.path = path
        self.port = free_ports()[0]
        self.issuer = f"http://127.0.0.1:{self.port}"
        self.environment = dict(
            environment or {name: secrets.token_urlsafe(32) for name in ("MASTER_KEY", "SHOP_KEY")}
        )
        self.config = path / "mintmark.toml"
        if environment is None:
            self.config.write_text(TOML.format(port=self.port))
        self.process: subprocess.Popen[bytes] | None = None

    def run(self, *arguments: str, **more: Any) -> "subprocess.CompletedProcess[str]":
        return mintmark(*arguments, folder=self.path, environment=self.environment, **more)

    def start(self) -> None:
        """Start the server and wait until it answers."""
        log = (self.path / "server.log").open("ab")
        with log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "mintmark.cli", "serve", "--port", str(self.port)],
                cwd=self.path,
                env={"PATH": os.environ["PATH"], **self.environment},
                stdout=log,
                stderr=log,
            )
        for _ in range(600):
            if self.process.poll() is not None:
                raise AssertionError(f"it ended: {(self.path / 'server.log').read_text()[-500:]}")
            try:
                httpx2.get(f"{self.issuer}/jwks", trust_env=False, timeout=5)
            except httpx2.HTTPError:
                time.sleep(0.05)
            else:
                return
        raise AssertionError("it does not answer")

    def kill(self) -> None:
        """No good-bye: what was answered must have been written."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(20)

    def stop(self, number: int = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(30)

    @contextmanager
    def running(self) -> Iterator[None]:
        self.start()
        try:
            yield
        finally:
            if self.process is not None and self.process.poll() is None:
                self.kill()
