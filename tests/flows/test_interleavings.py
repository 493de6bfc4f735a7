"""Eight people at once through one API in the middle, over loopback, all of it ours.

The token server, the API for orders and the API for stock listen; the one in the middle has a gate
before it, one recipe for all of its callers, and calls an API that says whom it sees.
"""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.flows.test_exchange import Message, answer, listening, stock
from tests.server.conftest import ISSUER
from tests.server.exchanging import NOBODY_KNOWS, ORDERS, SETTINGS, STOCK, Exchanging, opened

from mintmark.api import Caller, CallerKind, Gate, kind, scope
from mintmark.app.serving import bind, quiet_uvicorn
from mintmark.client import Authority, CallerToken, Client, TokenManager
from mintmark.fetch import FetchPolicy
from mintmark.secret import Secret
from mintmark.testing import FrozenClock

CALLS = 1000
PEOPLE = ["1-alice", "2-bob", *(f"{number}-guest" for number in range(3, 9))]
DICE = random.Random(15)  # noqa: S311 -- the same interleavings each time, no secret


class Middle:
    """It waits between hearing who calls and calling for them, sometimes in a thread."""

    def __init__(self, client: Client, url: str) -> None:
        self._caller = CallerToken()
        self.stock = client.exchange(subject=self._caller, scope="stock.read", resource=STOCK)
        auth = self.stock.auth(origins=[url])
        self.http = httpx2.AsyncClient(auth=auth, trust_env=False, base_url=url, timeout=60)
        self.threads = httpx2.Client(auth=auth, trust_env=False, base_url=url, timeout=60)

    async def __call__(self, asgi: Message, _: Any, send: Any) -> None:
        caller: Caller = asgi["state"]["mintmark.caller"]
        came = dict(asgi["headers"])[b"authorization"].decode().partition(" ")[2]
        self._caller.set(Secret(came))
        await asyncio.sleep(DICE.random() / 50)
        chance = DICE.random()
        if chance < 0.05:
            # As if an API had refused it: this one is fetched anew, and nobody else's.
            await asyncio.to_thread(self.stock.forget, await self.stock.atoken())
        if chance < 0.3:
            seen = await asyncio.to_thread(self.threads.get, "/stock")
        else:
            seen = await self.http.get("/stock")
        await answer(send, seen.status_code, {"for": caller.subject, "stock": seen.json()})


@dataclass
class Picture:
    server: Exchanging
    http: httpx2.AsyncClient  # to the API in the middle

    def exchanges(self) -> Counter[str]:
        found = [one for one in self.server.endpoint.events.events if one.name == "token.exchanged"]
        return Counter(str(getattr(one, "subject", "")) for one in found)


@pytest.fixture
async def picture(tmp_path: Path, clock: FrozenClock) -> AsyncIterator[Picture]:
    async with AsyncExitStack() as stack:
        place = bind("127.0.0.1", 0)
        issuer = f"http://127.0.0.1:{place.getsockname()[1]}"
        guests = "".join(
            f'[[users]]\nsubject = "{name}"\nusername = "{name}"\n'
            f'password_hash = {{ insecure_literal = "{NOBODY_KNOWS}" }}\n'
            for name in PEOPLE[2:]
        )
        settings = SETTINGS.replace(ISSUER, issuer) + guests
        settings = "insecure_allow_http_on_loopback = true\n" + settings
        made = await stack.enter_async_context(opened(tmp_path, clock, settings=settings))
        serving = quiet_uvicorn(made.endpoint.server, lifespan="off", grace=1)
        task = asyncio.create_task(serving.serve(sockets=[place]))

        def gate(resource: str) -> Gate:
            found = Gate(resource, issuer=issuer, insecure_allow_http_on_loopback=True, clock=clock)
            stack.callback(found.close)
            return found

        rules = {"/stock": scope("stock.read") & kind(CallerKind.ON_BEHALF)}
        url = await stack.enter_async_context(listening(gate(STOCK).wrap(stock, rules)))
        policy = FetchPolicy(insecure_allow_http_on_loopback=True)
        client = Client(
            Authority(issuer, policy=policy, clock=clock),
            client_id="orders",
            client_secret=Secret(made.endpoint.secrets["ORDERS"]),
            tokens=TokenManager(clock=clock),
        )
        middle = Middle(client, url)
        rules = {"/orders": scope("orders.read") & kind(CallerKind.DELEGATED)}
        door = await stack.enter_async_context(listening(gate(ORDERS).wrap(middle, rules)))
        http = httpx2.AsyncClient(trust_env=False, base_url=door, timeout=60)
        yield Picture(made, http)
        await http.aclose()
        await middle.http.aclose()
        await asyncio.to_thread(middle.threads.close)
        await asyncio.to_thread(client.close)
        serving.should_exit = True
        await task


async def test_s15_w25_a_thousand_calls_of_eight_people_reach_the_last_api_as_their_own(
    picture: Picture,
) -> None:
    """RFC 8693 §4.1: whose call it is in `sub`, and who makes it for them in `act`."""
    # Each signed in at two browsers: two tokens of one person are two exchanges.
    tokens = [
        (name, await picture.server.caller_token(subject=name)) for name in PEOPLE for _ in "ab"
    ]
    at_once = asyncio.Semaphore(60)

    async def call() -> tuple[str, Any]:
        async with at_once:
            await asyncio.sleep(DICE.random() / 100)
            name, token = DICE.choice(tokens)
            headers = {"authorization": f"Bearer {token}"}
            return name, (await picture.http.get("/orders", headers=headers)).json()

    answers = await asyncio.gather(*(call() for _ in range(CALLS)))

    expected = {"kind": "on_behalf", "client": "orders", "actors": ["orders"], "scopes": ["stock.read"]}  # fmt: skip
    wrong = [
        (name, said)
        for name, said in answers
        if said != {"for": name, "stock": {**expected, "subject": name}}
    ]
    assert wrong == []
    assert Counter(name for name, _ in answers).keys() == set(PEOPLE)
    # The tokens were held, or this would show nothing of who gets whose.
    exchanges = picture.exchanges()
    assert exchanges.keys() == set(PEOPLE)
    assert 16 <= exchanges.total() <= 200
