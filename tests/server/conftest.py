"""A token server on SQLite with a clock that stands still, and requests to its endpoints."""

import json
import secrets
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx2
import pytest
from tests.server.events import Recorded

from mintmark.app import Server, Settings, build, require_usable
from mintmark.protocol.client_authentication import basic_header
from mintmark.protocol.pkce import challenge_of, make_verifier
from mintmark.secret import Secret
from mintmark.server.stores import AccountRecord
from mintmark.storage.sql.migrations import migrate
from mintmark.storage.sql.stores import SqlStores
from mintmark.testing import FrozenClock

if TYPE_CHECKING:
    from tests.server.requesting import Asking

ISSUER = "https://id.example"
CALLBACK = "https://app.example/callback"
SETTINGS = f"""
issuer = "{ISSUER}"
master_key = {{ env = "MASTER" }}
[scopes]
"orders.read" = "See orders"
"orders.write" = "Change orders"
"stock.read" = "See stock"
[[resources]]
identifier = "https://orders.example"
scopes = ["orders.read", "orders.write"]
[[resources]]
identifier = "https://stock.example"
scopes = ["stock.read"]
[[clients]]
client_id = "web"
name = "Web"
grant_types = ["authorization_code", "refresh_token", "client_credentials"]
scopes = ["openid", "profile", "email", "offline_access", "orders.read", "orders.write", "stock.read"]
secrets = [{{ env = "WEB" }}, {{ env = "WEB_OLD" }}]
redirect_uris = ["{CALLBACK}"]
post_logout_redirect_uris = ["https://app.example/"]
[[clients]]
client_id = "posting"
name = "Posting"
method = "client_secret_post"
grant_types = ["client_credentials", "refresh_token"]
scopes = ["stock.read"]
secrets = [{{ env = "POSTING" }}]
[[clients]]
client_id = "phone"
name = "Phone"
method = "none"
requires_consent = false
grant_types = ["authorization_code", "refresh_token"]
scopes = ["openid", "offline_access", "orders.read"]
redirect_uris = ["http://127.0.0.1/callback"]
[[users]]
subject = "1-alice"
username = "alice"
password = {{ insecure_literal = "wonderland" }}
name = "Alice Liddell"
email = "alice@wonderland.example"
"""


class Endpoint:
    """The server under test, asked over ASGI."""

    def __init__(
        self, server: Server, clock: FrozenClock, secrets: Mapping[str, str], events: Recorded
    ) -> None:
        self.server = server
        self.clock = clock
        self.secrets = secrets
        self.events = events
        transport = httpx2.ASGITransport(app=server)
        self.http = httpx2.AsyncClient(transport=transport, base_url=ISSUER)

    def headers(self, client_id: str = "web") -> dict[str, str]:
        secret = Secret(self.secrets[client_id.upper()])
        return {"authorization": basic_header(client_id, secret)}

    async def token(self, by: str | None = "web", /, **form: Any) -> httpx2.Response:
        headers = self.headers(by) if by else {}
        return await self.http.post("/token", data=form, headers=headers)

    async def sign_in(
        self,
        scope: str = "openid offline_access orders.read",
        subject: str = "1-alice",
        **more: Any,
    ) -> "SignIn":
        """A code for Alice, as a client that asked for it would hold it."""
        verifier = make_verifier()
        query = {
            "client_id": "web", "redirect_uri": CALLBACK, "response_type": "code", "scope": scope,
            "state": "state-of-this-test", "nonce": "nonce-of-this-test", "code_challenge": challenge_of(verifier),
            "code_challenge_method": "S256", **more,
        }  # fmt: skip
        site = self.server._site
        _, session = await site._sessions.begin(
            await self.account(subject), None, now=self.clock.now()
        )
        outcome: Any = await site._authorize.begin(urlencode(query), session)
        if hasattr(outcome, "interaction"):
            outcome = await site._authorize.after_consent(outcome.interaction, session, agreed=True)
        answer = {k: v[0] for k, v in parse_qs(urlsplit(outcome.url).query).items()}
        return SignIn(Secret(answer["code"]), verifier, session.sid, answer)

    async def account(self, subject: str = "1-alice") -> AccountRecord:
        account = await self.server.stores.accounts.find(subject)
        assert account is not None
        return account

    async def exchange(self, sign_in: "SignIn", **changes: Any) -> httpx2.Response:
        form = {
            "grant_type": "authorization_code", "code": sign_in.code.reveal(), "redirect_uri": CALLBACK,
            "code_verifier": sign_in.verifier.reveal(), **changes,
        }  # fmt: skip
        return await self.token(
            **{name: value for name, value in form.items() if value is not None}
        )

    async def refresh_token(self, **more: Any) -> str:
        answer = await self.exchange(await self.sign_in(**more))
        token: str = answer.json()["refresh_token"]
        return token

    async def refresh(self, token: str, **more: Any) -> httpx2.Response:
        return await self.token(grant_type="refresh_token", refresh_token=token, **more)


class SignIn:
    """What came of a sign-in, before the tokens."""

    def __init__(self, code: Secret, verifier: Secret, sid: str, answer: dict[str, str]) -> None:
        self.code = code
        self.verifier = verifier
        self.sid = sid
        self.answer = answer


def require_refusal(answer: httpx2.Response, error: str, status: int = 400) -> None:
    """An error as RFC 6749 §5.2 wants it."""
    assert (answer.status_code, answer.json()["error"]) == (status, error)
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-type"] == "application/json"


@pytest.fixture
async def endpoint(tmp_path: Path, clock: FrozenClock) -> AsyncIterator[Endpoint]:
    names = ("MASTER", "WEB", "WEB_OLD", "POSTING")
    environment = {name: secrets.token_urlsafe(32) for name in names}
    config = tmp_path / "mintmark.toml"
    config.write_text(SETTINGS)
    parts = require_usable(Settings.load(config), tmp_path, environment)
    path = tmp_path / "server.sqlite3"
    migrate(path)
    events = Recorded()
    server = await build(parts, SqlStores.open(path), clock=clock, events=events)
    made = Endpoint(server, clock, environment, events)
    yield made
    await made.http.aclose()
    server.close()


def claims_of(token: str) -> dict[str, Any]:
    """The payload, for looking at."""
    import base64

    payload = token.split(".")[1]
    claims: dict[str, Any] = json.loads(
        base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))
    )
    return claims


MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)


@pytest.fixture
async def asking(tmp_path: Path, clock: FrozenClock) -> AsyncIterator["Asking"]:
    """The same server for clients that push, sign and ask in detail."""
    from tests.server.requesting import opened

    async with opened(tmp_path, clock) as made:
        yield made
