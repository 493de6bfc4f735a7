"""A web application, an API, the next API: one person all the way, over loopback.

Three servers of our own listen: the token server, the API for orders, which has its caller's token
exchanged, and the API for stock behind it. Both APIs have a gate.
"""

import asyncio
import json
from collections.abc import AsyncIterator, MutableMapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.server.conftest import ISSUER, claims_of
from tests.server.exchanging import EXCHANGE, JWT_BEARER, ORDERS, SETTINGS, STOCK, opened

from mintmark.api import Caller, CallerKind, Gate, kind, scope
from mintmark.app.serving import bind, quiet_uvicorn
from mintmark.protocol.client_authentication import basic_header
from mintmark.protocol.token_exchange import ACCESS_TOKEN
from mintmark.secret import Secret
from mintmark.testing import FrozenClock

Message = MutableMapping[str, Any]

EXCHANGED = {"grant_type": EXCHANGE, "subject_token_type": ACCESS_TOKEN, "resource": STOCK}
ON_BEHALF = {
    "grant_type": JWT_BEARER, "requested_token_use": "on_behalf_of", "scope": f"{STOCK}/.default",
}  # fmt: skip


@asynccontextmanager
async def listening(app: Any) -> AsyncIterator[str]:
    """An application on a loopback port of its own."""
    bound = bind("127.0.0.1", 0)
    server = quiet_uvicorn(app, lifespan="off", grace=1)
    task = asyncio.create_task(server.serve(sockets=[bound]))
    try:
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"
    finally:
        server.should_exit = True
        await task


async def answer(send: Any, status: int, body: dict[str, Any], challenge: str = "") -> None:
    headers = [(b"content-type", b"application/json")]
    if challenge:
        headers.append((b"www-authenticate", challenge.encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(body).encode()})


async def stock(asgi: Message, receive: Any, send: Any) -> None:
    """The last API: it says whom it sees."""
    caller: Caller = asgi["state"]["mintmark.caller"]
    chain = [actor.subject for actor in caller.actor_chain]
    body = {
        "kind": caller.kind.value, "subject": caller.subject, "client": caller.client_id,
        "actors": chain, "scopes": sorted(caller.scopes),
    }  # fmt: skip
    await answer(send, 200, body)


@dataclass
class Orders:
    """The API in the middle: it has the token that came exchanged for one for the next."""

    http: httpx2.AsyncClient
    basic: str
    token_endpoint: str
    next: str
    how: dict[str, str] = field(default_factory=dict)

    async def __call__(self, asgi: Message, receive: Any, send: Any) -> None:
        came = dict(asgi["headers"])[b"authorization"].decode().partition(" ")[2]
        name = "assertion" if "requested_token_use" in self.how else "subject_token"
        given = await self.http.post(
            self.token_endpoint,
            data={**self.how, name: came},
            headers={"authorization": self.basic},
        )
        said = given.json()
        if said.get("error") == "interaction_required":
            # RFC 9470 §3: the caller's client is told what would help.
            challenge = 'Bearer error="insufficient_user_authentication", max_age="300"'
            await answer(send, 401, {}, challenge)
        elif given.status_code != 200:
            await answer(send, 502, {"error": said["error"]})
        else:
            bearer = {"authorization": f"Bearer {said['access_token']}"}
            seen = await self.http.get(f"{self.next}/stock", headers=bearer)
            await answer(send, seen.status_code, seen.json() if seen.content else {})


@dataclass
class Picture:
    """All of it, and what a test needs to know of it."""

    server: Any
    orders: Orders
    orders_url: str
    stock_url: str
    http: httpx2.AsyncClient

    async def call(self, token: str) -> httpx2.Response:
        headers = {"authorization": f"Bearer {token}"}
        return await self.http.get(f"{self.orders_url}/orders", headers=headers)


@pytest.fixture
async def picture(tmp_path: Path, clock: FrozenClock) -> AsyncIterator[Picture]:
    async with AsyncExitStack() as stack:
        place = bind("127.0.0.1", 0)
        issuer = f"http://127.0.0.1:{place.getsockname()[1]}"
        settings = "insecure_allow_http_on_loopback = true\n" + SETTINGS.replace(ISSUER, issuer)
        # Who signed in longer ago than this is asked to do it again.
        settings = settings.replace('actors = ["2-bob"]', "max_age = 300")
        made = await stack.enter_async_context(opened(tmp_path, clock, settings=settings))
        serving = quiet_uvicorn(made.endpoint.server, lifespan="off", grace=1)
        task = asyncio.create_task(serving.serve(sockets=[place]))
        http = await stack.enter_async_context(httpx2.AsyncClient(trust_env=False))

        def gate(resource: str) -> Gate:
            return Gate(resource, issuer=issuer, insecure_allow_http_on_loopback=True, clock=clock)

        stock_gate, orders_gate = gate(STOCK), gate(ORDERS)
        rules = {"/stock": scope("stock.read") & kind(CallerKind.ON_BEHALF)}
        stock_url = await stack.enter_async_context(listening(stock_gate.wrap(stock, rules)))
        secret = Secret(made.endpoint.secrets["ORDERS"])
        orders = Orders(
            http, basic_header("orders", secret), f"{issuer}/token", stock_url, dict(EXCHANGED)
        )
        rules = {"/orders": scope("orders.read") & kind(CallerKind.DELEGATED)}
        orders_url = await stack.enter_async_context(listening(orders_gate.wrap(orders, rules)))
        yield Picture(made, orders, orders_url, stock_url, http)
        serving.should_exit = True
        await task
        stock_gate.close()
        orders_gate.close()


@pytest.mark.parametrize("how", [EXCHANGED, ON_BEHALF], ids=["exchange", "on-behalf-of"])
async def test_w33_the_last_api_sees_the_person_and_who_acts_for_them(
    picture: Picture, how: dict[str, str]
) -> None:
    """OBO-01, RFC 8693 §4.1: and judges both, not only that somebody signed in."""
    picture.orders.how = dict(how)

    for subject in ("1-alice", "2-bob", "1-alice"):
        answer = await picture.call(await picture.server.caller_token(subject=subject))
        assert answer.json() == {
            "kind": "on_behalf", "subject": subject, "client": "orders", "actors": ["orders"],
            "scopes": ["stock.read"],
        }  # fmt: skip


async def test_a_callers_own_token_is_no_use_at_the_next_api(picture: Picture) -> None:
    """The honest twin is above: it is the exchange that opens the door."""
    token = await picture.server.caller_token()
    own = await picture.server.caller_token("stock.read")

    for refused, status in ((token, 401), (own, 403)):
        headers = {"authorization": f"Bearer {refused}"}
        answer = await picture.http.get(f"{picture.stock_url}/stock", headers=headers)
        assert answer.status_code == status


async def test_what_the_middle_api_got_is_no_use_at_its_own_door(picture: Picture) -> None:
    made = await picture.server.ask(await picture.server.caller_token())

    answer = await picture.call(made.json()["access_token"])

    assert answer.status_code == 401


async def test_after_sign_out_nothing_more_is_exchanged(picture: Picture) -> None:
    token = await picture.server.caller_token()
    assert (await picture.call(token)).status_code == 200

    stores = picture.server.endpoint.server.stores
    await stores.refresh_tokens.revoke_session(
        claims_of(token)["sid"], now=picture.server.endpoint.clock.now()
    )

    answer = await picture.call(token)
    assert (answer.status_code, answer.json()) == (502, {"error": "invalid_request"})


async def test_s36_w32_a_step_up_travels_back_to_the_person_and_then_the_call_succeeds(
    picture: Picture,
) -> None:
    """RFC 9470 §3: a challenge, and no fault of the server."""
    token = await picture.server.caller_token()
    picture.server.endpoint.clock.advance(timedelta(seconds=300))
    assert (await picture.call(token)).status_code == 200
    picture.server.endpoint.clock.advance(timedelta(seconds=1))

    challenged = await picture.call(token)

    assert challenged.status_code == 401
    assert 'error="insufficient_user_authentication"' in challenged.headers["www-authenticate"]
    again = await picture.call(await picture.server.caller_token())
    assert again.status_code == 200
