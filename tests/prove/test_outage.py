"""Item 4 of the guard at its full length: a day without the issuer, a minute of invented keys."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from tests.api.conftest import API, bearer
from tests.api.outage import Storm, client_of, outage

from mintmark.api import Gate, TrustedIssuer
from mintmark.testing import FakeAuthority, FrozenClock

pytestmark = [pytest.mark.prove, pytest.mark.timeout(1800)]


@pytest.fixture
def gate(authority: FakeAuthority, clock: FrozenClock) -> Iterator[Gate]:
    authority.clock = clock
    trusted = TrustedIssuer(issuer=authority.issuer, audience=API, policy=authority.policy)
    made = Gate(API, issuers=[trusted], clock=clock)
    yield made
    made.close()


async def test_a_day_in_steps_of_twenty_seconds_refuses_no_honest_token(
    gate: Gate, authority: FakeAuthority, clock: FrozenClock
) -> None:
    step = timedelta(seconds=20)
    statuses = await outage(gate, authority, clock, step=step, length=timedelta(hours=24))

    assert statuses == {200: 4_320}


async def test_a_thousand_invented_keys_a_second_for_a_minute(
    gate: Gate, authority: FakeAuthority, clock: FrozenClock
) -> None:
    storm = Storm()
    async with client_of(gate) as http:
        await http.get("/orders", headers=bearer(authority.access_token()))
    clock.advance(timedelta(seconds=30))
    before = authority.counts["jwks"]
    await storm.blow(gate, authority, clock, a_second=1_000)

    assert storm.honest == {200: 60}
    assert storm.invented == {401: 60_000}
    assert authority.counts["jwks"] - before <= 2
