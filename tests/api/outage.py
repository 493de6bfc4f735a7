"""An issuer that cannot be asked, for a simulated day and under a storm of invented keys."""

import asyncio
import secrets
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta

import httpx2
from tests.api.conftest import API, bearer, who
from tests.jose import forge

from mintmark.api import AUTHENTICATED, Gate
from mintmark.api.issuer_keys import IssuerKeys
from mintmark.testing import FakeAuthority, FrozenClock

__all__ = ["Storm", "client_of", "fetch_ended", "invented", "outage"]


def client_of(gate: Gate) -> httpx2.AsyncClient:
    app = gate.wrap(who, {"/orders": AUTHENTICATED})
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url=API)


async def fetch_ended(gate: Gate) -> None:
    """A renewal in the background is over, so that the next request sees what came of it."""
    for entry in gate.admission.validator.issuers._listed.values():
        assert isinstance(entry.keys, IssuerKeys)
        for _ in range(2_000):
            if entry.keys._flight is None:
                break
            await asyncio.sleep(0.005)
        else:
            raise AssertionError("the fetch does not end")


async def outage(
    gate: Gate, authority: FakeAuthority, clock: FrozenClock, *, step: timedelta, length: timedelta
) -> Counter[int]:
    """The statuses of new tokens, one a step, while the issuer's keys cannot be fetched.

    The tokens are honest: signed, fresh, with the key that was published before.
    """
    statuses: Counter[int] = Counter()
    async with client_of(gate) as http:
        assert (await http.get("/orders", headers=bearer(authority.access_token()))).is_success
        authority.down = True
        for _ in range(round(length / step)):
            clock.advance(step)
            answer = await http.get("/orders", headers=bearer(authority.access_token()))
            statuses[answer.status_code] += 1
            await fetch_ended(gate)
    return statuses


def invented(authority: FakeAuthority) -> Iterator[str]:
    """Tokens of this issuer's form, each with a `kid` of its own that nobody ever published."""
    honest = authority.access_token().reveal()
    _, payload, signature = honest.split(".")
    while True:
        kid = secrets.token_hex(8)
        header = f'{{"alg":"ES256","typ":"at+jwt","kid":"{kid}"}}'
        yield f"{forge.segment(header.encode())}.{payload}.{signature}"


class Storm:
    """So many invented keys in every second of a minute, and one honest token beside them."""

    def __init__(self) -> None:
        self.honest: Counter[int] = Counter()
        self.invented: Counter[int] = Counter()

    async def blow(
        self, gate: Gate, authority: FakeAuthority, clock: FrozenClock, *, a_second: int
    ) -> None:
        tokens = invented(authority)
        async with client_of(gate) as http:
            for _ in range(60):
                clock.advance(timedelta(seconds=1))
                for _ in range(a_second):
                    answer = await http.get("/orders", headers=bearer(next(tokens)))
                    self.invented[answer.status_code] += 1
                answer = await http.get("/orders", headers=bearer(authority.access_token()))
                self.honest[answer.status_code] += 1
