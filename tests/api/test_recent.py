"""Headers of the last second are known by their own octets; no longer, and not without a loop."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from tests.api.conftest import API, bearer, who

from mintmark.api import AUTHENTICATED, Caller, DenyList, Gate, TrustedIssuer
from mintmark.api.deny_list import Denied
from mintmark.api.recent import KEEP, MOST, Recent
from mintmark.testing import FakeAuthority, FrozenClock

Call = Callable[..., Any]


class TestRecent:
    async def test_it_is_known_within_its_second_and_forgotten_after_it(self) -> None:
        recent = Recent[str]()
        recent.keep(b"Bearer a", "known", 100.0)
        assert recent.get(b"Bearer a") == "known"

        await asyncio.sleep(KEEP + 0.1)

        assert recent.get(b"Bearer a") is None

    @pytest.mark.parametrize("later", [100.0 + KEEP, 99.9])
    async def test_another_second_begins_anew_whichever_way_the_clock_went(
        self, later: float
    ) -> None:
        recent = Recent[str]()
        recent.keep(b"Bearer a", "known", 100.0)
        recent.keep(b"Bearer b", "known", 100.0 + KEEP - 0.01)
        assert recent.get(b"Bearer a") == "known"

        recent.keep(b"Bearer c", "known", later)

        assert recent.get(b"Bearer a") is None
        assert recent.get(b"Bearer c") == "known"

    async def test_it_holds_so_many_and_no_more(self) -> None:
        recent = Recent[int]()
        for number in range(MOST):
            recent.keep(b"%d" % number, number, 100.0)
        assert recent.get(b"0") == 0

        recent.keep(b"one more", 1, 100.0)

        assert recent.get(b"0") is None
        assert recent.get(b"one more") == 1

    def test_without_a_loop_to_end_the_second_nothing_is_kept(self) -> None:
        recent = Recent[str]()
        recent.keep(b"Bearer a", "known", 100.0)

        assert recent.get(b"Bearer a") is None


class TestBehindTheGate:
    """What a header is known by changes nothing of what is asked about its token."""

    async def test_it_ends_with_its_token(
        self, call: Call, authority: FakeAuthority, clock: FrozenClock
    ) -> None:
        authority.lifetime = timedelta(seconds=1)
        headers = bearer(authority.access_token())
        assert [(await call(headers)).status_code for _ in range(3)] == [200, 200, 200]

        clock.advance(timedelta(seconds=32))  # 30 of them are the skew

        assert (await call(headers)).status_code == 401

    async def test_a_withdrawn_key_ends_it_at_once(
        self, gate: Gate, call: Call, authority: FakeAuthority, clock: FrozenClock
    ) -> None:
        headers = bearer(authority.access_token())
        assert [(await call(headers)).status_code for _ in range(3)] == [200, 200, 200]

        authority.rotate_key(keep_old=False)
        (entry,) = gate.admission.validator.issuers.entries()
        await entry.fresher_keys(entry.keys.require(), clock.timestamp() + 31)

        assert (await call(headers)).status_code == 401

    async def test_a_list_of_taken_back_tokens_is_asked_every_time(
        self, authority: FakeAuthority, clock: FrozenClock
    ) -> None:
        class TakenBack(DenyList):
            denied = False

            async def require_not_denied(self, caller: Caller, *, now: float) -> Caller:
                del now
                if self.denied:
                    raise Denied("taken back")
                return caller

        authority.clock = clock
        listed = TakenBack()
        issuer = TrustedIssuer(issuer=authority.issuer, audience=API, policy=authority.policy)
        gate = Gate(API, issuers=[issuer], clock=clock, deny_list=listed)
        headers = [(b"authorization", b"Bearer " + authority.access_token().reveal().encode())]
        answers: list[int] = []

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                answers.append(message["status"])

        async def receive() -> Any:
            return {"type": "http.request"}

        app = gate.wrap(who, {"/": AUTHENTICATED})
        for denied in (False, False, True):
            listed.denied = denied
            scope = {"type": "http", "method": "GET", "path": "/", "headers": headers}
            await app(scope, receive, send)
        gate.close()

        assert answers == [200, 200, 401]

    async def test_two_headers_at_once_are_no_header_however_well_known_each_is(
        self, call: Call, authority: FakeAuthority
    ) -> None:
        headers = bearer(authority.access_token())
        assert [(await call(headers)).status_code for _ in range(3)] == [200, 200, 200]
        twice = [(b"authorization", headers["authorization"].encode())] * 2

        assert (await call(twice)).status_code == 400
