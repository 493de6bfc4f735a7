"""The token server's pages over real HTTP, on SQLite, with a clock that stands still."""

import asyncio
import secrets
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.server.events import Recorded

from mintmark.app import Server, Settings, build, require_usable
from mintmark.app.serving import bind, quiet_uvicorn
from mintmark.protocol.pkce import challenge_of, make_verifier
from mintmark.storage.sql.migrations import migrate
from mintmark.storage.sql.stores import SqlStores
from mintmark.testing import FrozenClock, HeadlessBrowser, Page
from mintmark.testing.ports import free_ports

SETTINGS = """
issuer = "http://127.0.0.1:{port}"
insecure_allow_http_on_loopback = true
master_key = {{ env = "MASTER" }}
[scopes]
"orders.read" = "See your orders"
"orders.write" = "Change your orders"
[[resources]]
identifier = "https://orders.example"
scopes = ["orders.read", "orders.write"]
authorization_details = {{ payment = "Make a payment" }}
[[clients]]
client_id = "shop"
authorization_details_types = ["payment"]
name = "Shop & <b>Sons</b>"
grant_types = ["authorization_code", "refresh_token"]
scopes = ["openid", "profile", "offline_access", "orders.read", "orders.write"]
secrets = [{{ env = "SHOP" }}]
redirect_uris = ["http://127.0.0.1:{port}/not-there"]
post_logout_redirect_uris = ["http://127.0.0.1:{port}/not-there-either"]
[[clients]]
client_id = "phone"
name = "Phone"
method = "none"
requires_consent = false
grant_types = ["authorization_code"]
scopes = ["openid", "orders.read"]
redirect_uris = ["http://127.0.0.1/callback"]
[[clients]]
client_id = "tv"
name = "Living room television"
method = "none"
grant_types = ["urn:ietf:params:oauth:grant-type:device_code"]
scopes = ["openid", "orders.read"]
[[users]]
subject = "1-alice"
username = "alice"
password = {{ insecure_literal = "wonderland" }}
name = "Alice Liddell"
"""


class Pages:
    """The server, and what a test needs to walk through its pages."""

    def __init__(self, port: int, clock: FrozenClock, events: Recorded) -> None:
        self.issuer = f"http://127.0.0.1:{port}"
        # The client's own address is one of this server that shows "not found": a page to end on.
        self.callback = f"{self.issuer}/not-there"
        self.clock = clock
        self.events = events
        self.server: Server | None = None

    def authorize_url(self, scope: str = "openid orders.read", **more: str) -> str:
        import httpx2

        query = {
            "client_id": "shop", "redirect_uri": self.callback, "response_type": "code",
            "scope": scope, "state": "state-of-this-test",
            "code_challenge": challenge_of(make_verifier()), "code_challenge_method": "S256", **more,
        }  # fmt: skip
        return f"{self.issuer}/authorize?{httpx2.QueryParams(query)}"

    def signed_in(self, browser: HeadlessBrowser, scope: str = "openid orders.read") -> Page:
        page = browser.open(self.authorize_url(scope))
        page = browser.submit(page, {"username": "alice", "password": "wonderland"})
        if page.forms:
            page = browser.submit(page, button="allow")
        return page


@pytest.fixture
def pages(tmp_path: Path, clock: FrozenClock) -> Iterator[Pages]:
    port = free_ports()[0]
    environment = {name: secrets.token_urlsafe(32) for name in ("MASTER", "SHOP")}
    config = tmp_path / "mintmark.toml"
    config.write_text(SETTINGS.format(port=port))
    parts = require_usable(Settings.load(config), tmp_path, environment)
    path = tmp_path / "server.sqlite3"
    migrate(path)
    made = Pages(port, clock, Recorded())
    ready, box = threading.Event(), dict[str, Any]()

    async def main() -> None:
        server = await build(parts, SqlStores.open(path), clock=clock, events=made.events)
        made.server = server
        listening = bind("127.0.0.1", port)
        box["uvicorn"] = quiet_uvicorn(server, lifespan="off", grace=1)
        serving = asyncio.create_task(box["uvicorn"].serve(sockets=[listening]))
        while not box["uvicorn"].started:  # noqa: ASYNC110 -- uvicorn has no event
            await asyncio.sleep(0.01)
        ready.set()
        await serving
        server.close()
        listening.close()

    thread = threading.Thread(target=asyncio.run, args=(main(),))
    thread.start()
    assert ready.wait(20)
    yield made
    box["uvicorn"].should_exit = True
    thread.join(20)


@pytest.fixture
def browser() -> Iterator[HeadlessBrowser]:
    made = HeadlessBrowser()
    yield made
    made.close()
