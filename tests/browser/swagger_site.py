"""An API with documentation pages, its token server, and Swagger UI from our own disk."""

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI
from tests.services import missing
from tests.serving import Folder

from mintmark.api import Caller, DevelopmentDocs, Gate, scope
from mintmark.app.serving import bind, quiet_uvicorn
from mintmark.testing.ports import free_ports

__all__ = ["OTHER", "PASSWORD", "PERSON", "Site", "site", "swagger_ui"]

PERSON, OTHER, PASSWORD = "alice", "bob", "wonderland"
SCOPES = ("openid", "orders.read")
TOML = """
issuer = "{issuer}"
insecure_allow_http_on_loopback = true
master_key = {{ env = "MASTER_KEY" }}

[scopes]
"orders.read" = "See your orders"
"orders.write" = "Change your orders"

[[resources]]
identifier = "{api}"
scopes = ["orders.read", "orders.write"]

[[clients]]
client_id = "orders-docs"
name = "Documentation of Orders"
method = "none"
grant_types = ["authorization_code"]
scopes = ["openid", "orders.read", "orders.write"]
redirect_uris = ["{api}/docs/oauth2-redirect"]

[[clients]]
client_id = "orders-try"
name = "Somebody who tries Orders"
method = "none"
grant_types = ["authorization_code"]
scopes = ["openid", "orders.read", "orders.write"]
redirect_uris = ["{api}/callback"]

[[users]]
subject = "1-alice"
username = "alice"
password = {{ insecure_literal = "wonderland" }}
name = "Alice Liddell"

[[users]]
subject = "2-bob"
username = "bob"
password = {{ insecure_literal = "wonderland" }}
name = "Bob"
"""


@dataclass(frozen=True, slots=True)
class Site:
    """What runs."""

    api: str
    issuer: str
    app: FastAPI

    @property
    def callback(self) -> str:
        """Where the other public client takes its codes. Nobody has to answer there."""
        return f"{self.api}/callback"


def swagger_ui() -> Path:
    """Installs it, as the lock file says, and gives the folder with its files."""
    folder = Path(__file__).parent / "swagger"
    npm = shutil.which("npm")
    if npm is None:
        missing("npm")
    assert npm is not None
    # What it depends on would tell somebody that it was installed; no script is run.
    command = [npm, "ci", "--ignore-scripts", "--prefer-offline", "--no-audit", "--no-fund"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"npm ci ended with status {done.returncode}: {done.stderr[-500:]}")
    return folder / "node_modules" / "swagger-ui-dist"


@contextmanager
def site(folder: Path, *, assets: Path | None, docs: bool = True) -> Iterator[Site]:
    """A token server as a process, and the API in a thread: with documentation or as in production."""
    port = free_ports()[0]
    api = f"http://127.0.0.1:{port}"
    # The process runs what this one runs, installed or not.
    more = {name: os.environ[name] for name in ("PYTHONPATH",) if name in os.environ}
    server = Folder(folder)
    server.environment |= more
    server.config.write_text(TOML.format(issuer=server.issuer, api=api))
    opened = DevelopmentDocs(client_id="orders-docs", scopes=SCOPES, assets=assets)
    app = _api(api, server.issuer, {"development_docs": opened} if docs else {})
    with server.running(), _listening(app, port):
        if not docs:
            # Pages wait until the issuer was asked; who reads the document itself waits here.
            _wait_for_issuer(app)
        yield Site(api, server.issuer, app)


def _wait_for_issuer(app: FastAPI) -> None:
    for _ in range(600):
        if "oauth2" in app.openapi()["components"]["securitySchemes"]:
            return
        time.sleep(0.05)
    raise AssertionError("the API does not know its issuer")


def _api(api: str, issuer: str, settings: Mapping[str, Any]) -> FastAPI:
    gate = Gate(api, issuer=issuer, insecure_allow_http_on_loopback=True)
    app = gate.install(FastAPI(title="Orders"), **settings)

    @app.get("/orders", summary="See orders")
    async def orders(
        caller: Annotated[Caller, gate.requires(scope("orders.read"))],
    ) -> dict[str, str]:
        return {"for": caller.subject}

    @app.delete("/orders", summary="Forget orders")
    async def forget(
        caller: Annotated[Caller, gate.requires(scope("orders.write"))],
    ) -> dict[str, str]:
        return {"forgotten": caller.subject}

    return app


@contextmanager
def _listening(app: Any, port: int) -> Iterator[None]:
    listening = bind("127.0.0.1", port)
    server = quiet_uvicorn(app, lifespan="auto", grace=1)
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        yield
    finally:
        server.should_exit = True
        thread.join(20)
        listening.close()
