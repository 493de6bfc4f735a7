"""An issuer that is away, and a guard that goes on: no honest token is refused for it."""

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta

import pytest
from tests.api.conftest import API, bearer
from tests.api.outage import Storm, client_of, fetch_ended, outage

from mintmark.api import Gate
from mintmark.api.config import TrustedIssuer
from mintmark.api.events import KeysFetched, KeysUnavailable
from mintmark.api.issuer_keys import IssuerKeys
from mintmark.events import Event, Events
from mintmark.testing import FakeAuthority, FrozenClock


class TestADayWithoutTheIssuer:
    async def test_d15_no_new_token_is_refused_and_every_step_is_looked_at(
        self, gate: Gate, authority: FakeAuthority, clock: FrozenClock
    ) -> None:
        """Fresh tokens all day, of the key that was published before it went down."""
        step = timedelta(minutes=30)
        statuses = await outage(gate, authority, clock, step=step, length=timedelta(hours=24))

        assert statuses == {200: 48}

    async def test_d15_beyond_the_limit_it_is_503_and_never_401_until_the_issuer_is_back(
        self, gate: Gate, authority: FakeAuthority, clock: FrozenClock
    ) -> None:
        """Keys are fresh for ten minutes, spread by a twentieth, and stale for a day."""
        await outage(gate, authority, clock, step=timedelta(hours=24), length=timedelta(hours=24))
        clock.advance(timedelta(minutes=11))
        later = await outage_goes_on(gate, authority, clock)
        assert later == {503: 20}

        authority.down = False
        clock.advance(timedelta(seconds=31))
        async with client_of(gate) as http:
            answer = await http.get("/orders", headers=bearer(authority.access_token()))
        assert answer.status_code == 200

    async def test_s25_invented_keys_of_a_minute_cost_two_fetches_and_nobody_else_anything(
        self, gate: Gate, authority: FakeAuthority, clock: FrozenClock
    ) -> None:
        storm = Storm()
        async with client_of(gate) as http:
            await http.get("/orders", headers=bearer(authority.access_token()))
        clock.advance(timedelta(seconds=30))
        before = authority.counts["jwks"]
        await storm.blow(gate, authority, clock, a_second=10)

        assert storm.honest == {200: 60}
        assert storm.invented == {401: 600}
        assert authority.counts["jwks"] - before <= 2

    async def test_s25_invented_keys_while_the_issuer_is_down_shut_nobody_out(
        self, gate: Gate, authority: FakeAuthority, clock: FrozenClock
    ) -> None:
        """Whether a key was invented or is too new cannot be told then: 503, and not 401."""
        storm = Storm()
        async with client_of(gate) as http:
            await http.get("/orders", headers=bearer(authority.access_token()))
        authority.down = True
        clock.advance(timedelta(seconds=30))
        await storm.blow(gate, authority, clock, a_second=5)

        assert storm.honest == {200: 60}
        assert storm.invented == {503: 300}


async def outage_goes_on(gate: Gate, authority: FakeAuthority, clock: FrozenClock) -> Counter[int]:
    """Twenty more requests, half a minute apart."""
    statuses: Counter[int] = Counter()
    async with client_of(gate) as http:
        for _ in range(20):
            answer = await http.get("/orders", headers=bearer(authority.access_token()))
            statuses[answer.status_code] += 1
            assert "www-authenticate" not in answer.headers
            clock.advance(timedelta(seconds=30))
            await fetch_ended(gate)
    return statuses


class Heard(Events):
    """Keeps what was said."""

    def __init__(self) -> None:
        self.heard: list[Event] = []

    def emit(self, event: Event) -> None:
        self.heard.append(event)


class TestClosing:
    """Whoever waits is told; a fetch that is under way keeps its connections until it ends."""

    @pytest.fixture
    def slow(
        self, authority: FakeAuthority, monkeypatch: pytest.MonkeyPatch
    ) -> Iterator[threading.Event]:
        """An issuer whose answer comes when the event is set."""
        go_on, metadata = threading.Event(), authority.metadata

        def when_it_is_set() -> bytes:
            go_on.wait(10)
            return metadata()

        monkeypatch.setattr(authority, "metadata", when_it_is_set)
        yield go_on
        go_on.set()

    @pytest.fixture
    def trusted(self, authority: FakeAuthority) -> TrustedIssuer:
        return TrustedIssuer(issuer=authority.issuer, audience=API, policy=authority.policy)

    async def test_closing_ends_every_wait(
        self,
        authority: FakeAuthority,
        clock: FrozenClock,
        trusted: TrustedIssuer,
        slow: threading.Event,
    ) -> None:
        authority.clock = clock
        events = Heard()
        gate = Gate(API, issuers=[trusted], clock=clock, events=events)
        headers = bearer(authority.access_token())
        async with client_of(gate) as http:
            waiting = [asyncio.create_task(http.get("/orders", headers=headers)) for _ in range(3)]
            await asyncio.sleep(0.1)
            gate.close()
            answers = [await asyncio.wait_for(one, 5) for one in waiting]
            # The fetch was not cut off: it ends by itself, in peace.
            slow.set()
            for _ in range(500):
                if any(isinstance(one, KeysFetched) for one in events.heard):
                    break
                await asyncio.sleep(0.01)

        assert [answer.status_code for answer in answers] == [503] * 3
        assert not any(isinstance(one, KeysUnavailable) for one in events.heard)
        assert any(isinstance(one, KeysFetched) for one in events.heard)

    async def test_a_request_after_the_end_does_not_wait_at_all(
        self, authority: FakeAuthority, clock: FrozenClock, trusted: TrustedIssuer
    ) -> None:
        authority.clock = clock
        gate = Gate(API, issuers=[trusted], clock=clock)
        gate.close()
        async with client_of(gate) as http:
            for _ in range(3):
                headers = bearer(authority.access_token())
                answer = await asyncio.wait_for(http.get("/orders", headers=headers), 5)
                assert answer.status_code == 503
        assert authority.counts.total() == 0

    async def test_a_fetch_that_never_began_ends_with_the_closing(
        self, authority: FakeAuthority, clock: FrozenClock, trusted: TrustedIssuer
    ) -> None:
        keys, hold = IssuerKeys(trusted, clock, Heard()), threading.Event()
        keys._pool.submit(hold.wait, 10)  # the one thread is busy
        flight = keys.fetch(clock.timestamp())
        keys.close()
        hold.set()

        assert flight.result(5) is None
        assert authority.counts.total() == 0

    def test_closing_twice_is_closing(self, clock: FrozenClock, trusted: TrustedIssuer) -> None:
        keys = IssuerKeys(trusted, clock, Heard())
        keys.close()
        keys.close()

        assert keys.fetch(clock.timestamp()).result(5) is None
