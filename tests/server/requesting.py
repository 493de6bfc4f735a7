"""A token server whose clients push, sign, and ask in detail; and how a test asks it."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from tests.server.conftest import CALLBACK, ISSUER, Endpoint
from tests.server.events import Recorded

from mintmark.app import Settings, build, require_usable
from mintmark.jose.algorithms import Algorithm
from mintmark.jose.key_set import KeySet
from mintmark.jose.keys import SigningKey
from mintmark.protocol.pkce import challenge_of, make_verifier
from mintmark.protocol.request_object import make_request_object
from mintmark.secret import Secret
from mintmark.server.accounts import hash_password
from mintmark.server.authorize.outcome import AskConsent, AskLogin, PostBack, Redirect
from mintmark.server.stores import SessionRecord
from mintmark.storage.sql.migrations import migrate
from mintmark.storage.sql.stores import SqlStores
from mintmark.testing import FrozenClock

KEY = SigningKey.generate(Algorithm.ES256)
DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
VERIFIER = make_verifier()
HASH = hash_password(Secret("wonderland"))
SETTINGS = f"""
issuer = "{ISSUER}"
master_key = {{ env = "MASTER" }}
[scopes]
"orders.read" = "See orders"
[[resources]]
identifier = "https://orders.example"
scopes = ["orders.read"]
[[resources]]
identifier = "https://pay.example"
scopes = []
authorization_details = {{ payment = "Make a payment", account = "See an account" }}
[[clients]]
client_id = "web"
name = "Web"
grant_types = ["authorization_code", "refresh_token"]
scopes = ["openid", "profile", "email", "offline_access", "orders.read"]
secrets = [{{ env = "WEB" }}]
jwks = {{ file = "web.jwks.json" }}
redirect_uris = ["{CALLBACK}"]
authorization_details_types = ["payment"]
request_uris = ["https://app.example/request.jwt"]
[[clients]]
client_id = "other"
name = "Other"
requires_consent = false
grant_types = ["authorization_code"]
scopes = ["openid", "orders.read"]
secrets = [{{ env = "OTHER" }}]
redirect_uris = ["{CALLBACK}", "com.example.app:/done"]
[[clients]]
client_id = "strict"
name = "Strict"
requires_consent = false
grant_types = ["authorization_code"]
scopes = ["openid"]
secrets = [{{ env = "STRICT" }}]
jwks = {{ file = "web.jwks.json" }}
redirect_uris = ["{CALLBACK}"]
require_pushed_authorization_requests = true
require_signed_request_object = true
[[clients]]
client_id = "tv"
name = "Television"
method = "none"
grant_types = ["{DEVICE}", "refresh_token"]
scopes = ["openid", "offline_access", "orders.read"]
[[users]]
subject = "1-alice"
username = "alice"
password_hash = {{ insecure_literal = "{HASH}" }}
name = "Alice Liddell"
email = "alice@wonderland.example"
[[users]]
subject = "2-bob"
username = "bob"
password_hash = {{ insecure_literal = "{HASH}" }}
"""

BASE = {
    "client_id": "web", "redirect_uri": CALLBACK, "response_type": "code", "scope": "openid orders.read",
    "state": "state-of-this-test", "code_challenge": challenge_of(VERIFIER), "code_challenge_method": "S256",
}  # fmt: skip


class Asking(Endpoint):
    """The endpoint, and the browser and the client in front of it."""

    def parameters(self, **changes: Any) -> dict[str, Any]:
        return {k: v for k, v in (BASE | changes).items() if v is not None}

    async def push(self, by: str = "web", /, **changes: Any) -> Any:
        form = self.parameters(client_id=by, **changes)
        return await self.http.post("/par", data=form, headers=self.headers(by))

    async def pushed(self, by: str = "web", /, **changes: Any) -> str:
        answer = await self.push(by, **changes)
        assert answer.status_code == 201, answer.text
        name: str = answer.json()["request_uri"]
        return name

    async def session(self, subject: str = "1-alice") -> SessionRecord:
        site = self.server._site
        account = await self.account(subject)
        _, record = await site._sessions.begin(account, None, now=self.clock.now())
        return record

    async def arrive(self, session: SessionRecord | None = None, /, **query: Any) -> Any:
        return await self.server._site._authorize.begin(urlencode(query, doseq=True), session)

    async def ask(self, session: SessionRecord | None = None, /, **changes: Any) -> Any:
        """In the open."""
        return await self.arrive(session, **self.parameters(**changes))

    async def agree(self, outcome: Any, session: SessionRecord, *, agreed: bool = True) -> Any:
        assert isinstance(outcome, AskConsent), outcome
        authorize = self.server._site._authorize
        return await authorize.after_consent(outcome.interaction, session, agreed=agreed)

    async def enter(self, outcome: Any, session: SessionRecord) -> Any:
        assert isinstance(outcome, AskLogin), outcome
        return await self.server._site._authorize.after_login(outcome.interaction, session)

    def object(self, key: SigningKey = KEY, **changes: Any) -> str:
        """A request object of `web`, or of whom the changes name."""
        more = {k: changes.pop(k) for k in ("audience", "now", "issued_by") if k in changes}
        parameters = self.parameters(**changes)
        return make_request_object(
            key,
            client_id=more.get("issued_by", parameters["client_id"]),
            audience=more.get("audience", ISSUER),
            parameters=list(parameters.items()),
            now=more.get("now", self.clock.now().timestamp()),
        ).reveal()

    async def tokens(self, outcome: Any, by: str = "web", /, **more: Any) -> dict[str, Any]:
        answer = await self.token(
            by, grant_type="authorization_code", code=answered(outcome)["code"],
            redirect_uri=CALLBACK, code_verifier=VERIFIER.reveal(), **more,
        )  # fmt: skip
        assert answer.status_code == 200, answer.text
        members: dict[str, Any] = answer.json()
        return members


def answered(outcome: Any) -> dict[str, str]:
    """What came back to the client."""
    if isinstance(outcome, PostBack):
        assert outcome.redirect_uri == CALLBACK
        return dict(outcome.parameters)
    assert isinstance(outcome, Redirect), outcome
    assert outcome.url.startswith(CALLBACK + "?")
    return {k: v[0] for k, v in parse_qs(urlsplit(outcome.url).query).items()}


@asynccontextmanager
async def opened(tmp_path: Path, clock: FrozenClock, change: str = "") -> AsyncIterator[Asking]:
    names = ("MASTER", "WEB", "OTHER", "STRICT")
    environment = {name: secrets.token_urlsafe(32) for name in names}
    config = tmp_path / "mintmark.toml"
    config.write_text(change + SETTINGS)
    (tmp_path / "web.jwks.json").write_bytes(KeySet.of(KEY.public).to_json())
    parts = require_usable(Settings.load(config), tmp_path, environment)
    path = tmp_path / "server.sqlite3"
    migrate(path)
    events = Recorded()
    server = await build(parts, SqlStores.open(path), clock=clock, events=events)
    made = Asking(server, clock, environment, events)
    yield made
    await made.http.aclose()
    server.close()
