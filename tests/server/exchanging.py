"""A server whose clients have tokens exchanged, along a chain of three APIs."""

import json
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
from tests.jose.forge import ES256
from tests.server.conftest import ISSUER, Endpoint, claims_of
from tests.server.events import Recorded

from mintmark.app import OwnGrant, Settings, build, require_usable
from mintmark.jose.jws import sign
from mintmark.protocol.jwt_bearer import JwtBearerRequest
from mintmark.protocol.token_exchange import ACCESS_TOKEN, TokenExchangeRequest
from mintmark.storage.sql.migrations import migrate
from mintmark.storage.sql.stores import SqlStores
from mintmark.testing import FrozenClock

__all__ = ["EXCHANGE", "JWT_BEARER", "ORDERS", "PARTNER", "PRINT", "STOCK", "Exchanging", "opened"]

EXCHANGE = TokenExchangeRequest.grant_type
JWT_BEARER = JwtBearerRequest.grant_type
ORDERS, STOCK, PRINT = "https://orders.example", "https://stock.example", "https://print.example"
PARTNER = "https://partner.example"
# Nobody signs in with a password here, and hashing one takes longer than a test.
NOBODY_KNOWS = "$argon2id$v=19$m=65536,t=3,p=4$bm9ib2R5a25vd3M$" + "A" * 43
NAMES = ("MASTER", "WEB", "ORDERS", "STOCK", "MASK", "LOOP", "PLAIN", "JOB")

SETTINGS = f"""
issuer = "{ISSUER}"
master_key = {{ env = "MASTER" }}
[scopes]
"orders.read" = "See orders"
"orders.write" = "Change orders"
"stock.read" = "See stock"
"stock.write" = "Change stock"
"print.all" = "Print"
[[resources]]
identifier = "{ORDERS}"
scopes = ["orders.read", "orders.write"]
owners = ["orders", "mask", "loop"]
[[resources]]
identifier = "{STOCK}"
scopes = ["stock.read", "stock.write"]
owners = ["stock"]
may_act = "stock"
[[resources]]
identifier = "{PRINT}"
scopes = ["print.all"]
[[clients]]
client_id = "web"
name = "Web"
requires_consent = false
grant_types = ["authorization_code", "refresh_token", "client_credentials"]
scopes = ["openid", "offline_access", "orders.read", "orders.write", "stock.read", "print.all"]
secrets = [{{ env = "WEB" }}]
redirect_uris = ["https://app.example/callback"]
[[clients]]
client_id = "orders"
name = "Orders"
grant_types = ["client_credentials", "{EXCHANGE}", "{JWT_BEARER}"]
scopes = ["orders.read", "stock.read", "stock.write", "print.all"]
secrets = [{{ env = "ORDERS" }}]
[[clients.exchanges]]
from = "{ORDERS}"
to = "{STOCK}"
scopes = {{ "orders.read" = ["stock.read"], "orders.write" = ["stock.read", "stock.write"] }}
actors = ["2-bob"]
[[clients.exchanges]]
from = "{ORDERS}"
to = "{PRINT}"
scopes = {{ "orders.read" = ["print.all"] }}
max_age = 300
[[clients]]
client_id = "stock"
name = "Stock"
grant_types = ["{EXCHANGE}"]
scopes = ["print.all"]
secrets = [{{ env = "STOCK" }}]
[[clients.exchanges]]
from = "{STOCK}"
to = "{PRINT}"
scopes = {{ "stock.read" = ["print.all"] }}
[[clients]]
client_id = "mask"
name = "Impersonating"
grant_types = ["{EXCHANGE}"]
scopes = ["stock.read"]
secrets = [{{ env = "MASK" }}]
[[clients.exchanges]]
from = "{ORDERS}"
to = "{STOCK}"
scopes = {{ "orders.read" = ["stock.read"] }}
style = "impersonation"
[[clients]]
client_id = "loop"
name = "An API that asks itself"
access_token_lifetime = 86400
grant_types = ["{EXCHANGE}"]
scopes = ["orders.read"]
secrets = [{{ env = "LOOP" }}]
[[clients.exchanges]]
from = "{ORDERS}"
to = "{ORDERS}"
scopes = {{ "orders.read" = ["orders.read"] }}
[[clients]]
client_id = "plain"
name = "No exchange"
grant_types = ["client_credentials"]
scopes = ["stock.read"]
secrets = [{{ env = "PLAIN" }}]
[[clients]]
client_id = "job"
name = "The partner's job"
grant_types = ["{JWT_BEARER}"]
scopes = ["orders.read", "stock.read"]
secrets = [{{ env = "JOB" }}]
[[clients]]
client_id = "phone"
name = "Phone"
method = "none"
requires_consent = false
grant_types = ["authorization_code", "refresh_token"]
scopes = ["openid", "offline_access", "orders.read"]
redirect_uris = ["http://127.0.0.1/callback"]
[[trusted_issuers]]
issuer = "{PARTNER}"
clients = ["job"]
scopes = ["orders.read"]
subjects = {{ "p-1" = "1-alice", "p-2" = "2-bob" }}
claims = {{ tenant = "acme", staff = true }}
jwks = {{ file = "partner.jwks.json" }}
[[users]]
subject = "1-alice"
username = "alice"
password_hash = {{ insecure_literal = "{NOBODY_KNOWS}" }}
[[users]]
subject = "2-bob"
username = "bob"
password_hash = {{ insecure_literal = "{NOBODY_KNOWS}" }}
"""


@dataclass
class Exchanging:
    """The server, and what its clients do with tokens."""

    endpoint: Endpoint

    @property
    def now(self) -> int:
        return int(self.endpoint.clock.timestamp())

    async def caller_token(
        self, scope: str = "openid orders.read", subject: str = "1-alice", **more: Any
    ) -> str:
        """What somebody's web application calls the first API with."""
        sign_in = await self.endpoint.sign_in(scope, subject=subject)
        answer = await self.endpoint.exchange(sign_in, **more)
        token: str = answer.json()["access_token"]
        return token

    async def ask(
        self, token: str, by: str = "orders", headers: dict[str, str] | None = None, /, **more: Any
    ) -> httpx2.Response:
        form = {
            "grant_type": EXCHANGE, "subject_token": token, "subject_token_type": ACCESS_TOKEN,
            "resource": STOCK, **more,
        }  # fmt: skip
        return await self.post(form, by, headers)

    async def on_behalf(self, token: str, by: str = "orders", /, **more: Any) -> httpx2.Response:
        form = {
            "grant_type": JWT_BEARER, "assertion": token, "requested_token_use": "on_behalf_of",
            "scope": "stock.read", **more,
        }  # fmt: skip
        return await self.post(form, by)

    async def post(
        self, form: dict[str, Any], by: str, headers: dict[str, str] | None = None
    ) -> httpx2.Response:
        kept = {name: value for name, value in form.items() if value is not None}
        sent = {**self.endpoint.headers(by), **(headers or {})}
        return await self.endpoint.http.post("/token", data=kept, headers=sent)

    async def introspect(self, token: str, by: str, **headers: str) -> httpx2.Response:
        sent = {**self.endpoint.headers(by), **headers}
        return await self.endpoint.http.post("/introspect", data={"token": token}, headers=sent)

    def forged(self, token: str, **changes: Any) -> str:
        """The same claims, changed, under the server's own signature."""
        claims = {k: v for k, v in {**claims_of(token), **changes}.items() if v is not None}
        return sign(json.dumps(claims).encode(), self.endpoint.server.keys.current(), typ="at+jwt")


@asynccontextmanager
async def opened(
    folder: Path, clock: FrozenClock, own_grants: Sequence[OwnGrant[Any]] = (), settings: str = ""
) -> AsyncIterator[Exchanging]:
    environment = {name: secrets.token_urlsafe(32) for name in NAMES}
    config = folder / "mintmark.toml"
    config.write_text(settings or SETTINGS)
    (folder / "partner.jwks.json").write_text(json.dumps({"keys": [ES256.public.to_jwk()]}))
    parts = require_usable(Settings.load(config), folder, environment, own_grants=own_grants)
    path = folder / "server.sqlite3"
    migrate(path)
    events = Recorded()
    server = await build(parts, SqlStores.open(path), clock=clock, events=events)
    endpoint = Endpoint(server, clock, environment, events)
    yield Exchanging(endpoint)
    await endpoint.http.aclose()
    server.close()
