"""Attack list D, G and N: an issuer's keys while the issuer is slow, wrong, changed or gone."""

import asyncio
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from tests.api.conftest import API, bearer, request_with
from tests.jose import forge

from mintmark.api import Gate, TrustedIssuer
from mintmark.api.events import KeysFetched, KeysUnavailable
from mintmark.api.issuers import Issuers
from mintmark.api.validate import MAX_REMEMBERED, Validator
from mintmark.events import Event, Events
from mintmark.fetch import FetchPolicy
from mintmark.jose.algorithms import Algorithm
from mintmark.jose.keys import SigningKey
from mintmark.testing import FakeAuthority, FrozenClock

Call = Callable[..., Any]


class Heard(Events):
    """Keeps what was said."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def emit(self, event: Event) -> None:
        self.events.append(event)


async def settled(authority: FakeAuthority, fetches: int) -> None:
    """Background renewals run in a thread; wait for this many key sets to have been asked for."""
    for _ in range(500):
        if authority.counts["jwks"] >= fetches:
            await asyncio.sleep(0.05)
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"{authority.counts['jwks']} fetches, and {fetches} were expected")


class TestUnknownKid:
    """V-02: one fetch for a key that is too new, and no storm."""

    async def test_d1_s22_an_unknown_kid_asks_once_and_is_refused(
        self, call: Call, authority: FakeAuthority, clock: FrozenClock
    ) -> None:
        thief = SigningKey.generate(Algorithm.ES256)
        assert (await call(bearer(authority.access_token()))).status_code == 200
        clock.advance(timedelta(seconds=30))
        answer = await call(bearer(forge.signed({"iss": authority.issuer}, thief)))

        assert answer.status_code == 401
        assert authority.counts["jwks"] == 2

    async def test_d2_ten_thousand_unknown_kids_cost_one_fetch(
        self, gate: Gate, authority: FakeAuthority, clock: FrozenClock
    ) -> None:
        honest = [(b"authorization", f"Bearer {authority.access_token().reveal()}".encode())]
        await gate.require_caller(request_with(honest))
        clock.advance(timedelta(seconds=30))
        for number in range(2_000):
            token = forge.signed({"iss": authority.issuer}, authority.key, kid=f"k{number}")
            with pytest.raises(Exception, match="kid"):
                await gate.require_caller(
                    request_with([(b"authorization", f"Bearer {token}".encode())])
                )
        await gate.require_caller(request_with(honest))

        assert authority.counts["jwks"] == 2

    @pytest.mark.parametrize(
        "kid",
        ["' OR 1=1 --", "../../etc/passwd", "$(id)", "*)(uid=*", "{{7*7}}", 5, {"a": 1}, ["x"],
         "k" * 100_000, ""],
        ids=lambda kid: str(kid)[:12],
    )  # fmt: skip
    async def test_d3_d4_a_kid_is_looked_up_and_nothing_else(
        self, call: Call, authority: FakeAuthority, kid: object
    ) -> None:
        token = forge.signed({"iss": authority.issuer}, authority.key, kid=kid)

        answer = await call(bearer(token))

        assert answer.status_code == 401

    async def test_a_new_key_is_taken_as_soon_as_it_is_published(
        self, call: Call, authority: FakeAuthority, clock: FrozenClock
    ) -> None:
        """S-25: tokens of the new and the old key pass, with one fetch."""
        old = authority.access_token()
        assert (await call(bearer(old))).status_code == 200
        clock.advance(timedelta(seconds=31))
        authority.rotate_key()

        assert (await call(bearer(authority.access_token()))).status_code == 200
        assert (await call(bearer(old))).status_code == 200
        assert authority.counts["jwks"] == 2

    async def test_within_the_pause_a_new_key_is_refused_and_after_it_taken(
        self, call: Call, authority: FakeAuthority, clock: FrozenClock
    ) -> None:
        await call(bearer(authority.access_token()))
        authority.rotate_key()
        token = authority.access_token()

        clock.advance(timedelta(seconds=29))
        assert (await call(bearer(token))).status_code == 401
        clock.advance(timedelta(seconds=1))
        assert (await call(bearer(token))).status_code == 200


class TestNoKeys:
    """R7: nothing can be said about a token, so nothing is said about it."""

    async def test_d16_issuer_down_and_nothing_held(
        self, call: Call, authority: FakeAuthority, clock: FrozenClock
    ) -> None:
        authority.down = True
        answer = await call(bearer(authority.access_token()))

        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert "www-authenticate" not in answer.headers
        authority.down = False
        clock.advance(timedelta(seconds=1))
        assert (await call(bearer(authority.access_token()))).status_code == 200

    async def test_d15_issuer_down_and_keys_held_for_a_day(
        self, call: Call, authority: FakeAuthority, clock: FrozenClock
    ) -> None:
        authority.lifetime = timedelta(days=3)
        token = authority.access_token()
        assert (await call(bearer(token))).status_code == 200
        authority.down = True

        clock.advance(timedelta(hours=24))
        assert (await call(bearer(token))).status_code == 200
        # Ten minutes fresh, spread by at most a twentieth, then 24 hours stale.
        clock.advance(timedelta(minutes=11))
        assert (await call(bearer(token))).status_code == 503

    async def test_d17_an_unknown_kid_is_the_issuers_fault_while_it_is_down(
        self, call: Call, authority: FakeAuthority, clock: FrozenClock
    ) -> None:
        assert (await call(bearer(authority.access_token()))).status_code == 200
        authority.rotate_key()
        authority.down = True
        clock.advance(timedelta(seconds=31))
        token = authority.access_token()
        assert (await call(bearer(token))).status_code == 503

        authority.down = False
        clock.advance(timedelta(seconds=31))
        assert (await call(bearer(token))).status_code == 200

    @pytest.mark.parametrize(
        "changes",
        [{"issuer": "https://evil.example"}, {"issuer": None}, {"jwks_uri": None},
         {"jwks_uri": "https://evil.example/jwks"}, {"jwks_uri": "http://192.0.2.1/jwks"},
         {"jwks_uri": "file:///etc/passwd"}, {"jwks_uri": 5}],
        ids=str,
    )  # fmt: skip
    async def test_d19_d20_metadata_of_somebody_else(
        self, call: Call, authority: FakeAuthority, changes: dict[str, Any]
    ) -> None:
        authority.metadata_changes = changes
        answer = await call(bearer(authority.access_token()))

        assert answer.status_code == 503
        assert authority.counts["jwks"] == 0

    async def test_h4_an_issuer_that_is_not_listed_is_never_asked(
        self, call: Call, authority: FakeAuthority, clock: FrozenClock
    ) -> None:
        with FakeAuthority(clock=clock).serve() as stranger:
            answer = await call(bearer(stranger.access_token()))

            assert answer.status_code == 401
            assert stranger.counts.total() == 0
        assert authority.counts.total() == 0

    async def test_a_key_set_without_a_usable_key_is_no_key_set(
        self, call: Call, authority: FakeAuthority
    ) -> None:
        authority.published = []

        assert (await call(bearer(authority.access_token()))).status_code == 503


class TestRenewal:
    async def test_the_keys_are_renewed_in_the_background_and_nobody_waits(
        self, call: Call, authority: FakeAuthority, clock: FrozenClock
    ) -> None:
        token = authority.access_token()
        await call(bearer(token))
        # Eight tenths of ten minutes, spread by at most a twentieth.
        clock.advance(timedelta(minutes=7, seconds=30))
        await call(bearer(token))
        assert authority.counts["jwks"] == 1
        clock.advance(timedelta(minutes=1))
        assert (await call(bearer(token))).status_code == 200
        await settled(authority, 2)

        assert authority.counts["jwks"] == 2

    async def test_d18_w07_a_key_taken_out_is_out_for_remembered_tokens_too(
        self, call: Call, authority: FakeAuthority, clock: FrozenClock
    ) -> None:
        """W-07: a withdrawn key must not go on working until its tokens end by themselves."""
        token = authority.access_token()
        assert (await call(bearer(token))).status_code == 200
        authority.rotate_key(keep_old=False)
        clock.advance(timedelta(seconds=31))
        assert (await call(bearer(authority.access_token()))).status_code == 200

        assert (await call(bearer(token))).status_code == 401

    async def test_two_hundred_cold_requests_make_one_fetch(
        self, gate: Gate, authority: FakeAuthority
    ) -> None:
        headers = [(b"authorization", f"Bearer {authority.access_token().reveal()}".encode())]
        callers = await asyncio.gather(
            *[gate.require_caller(request_with(headers)) for _ in range(200)]
        )

        assert {caller.subject for caller in callers} == {"client"}
        assert (authority.counts["metadata"], authority.counts["jwks"]) == (1, 1)

    async def test_n5_one_slow_issuer_holds_up_no_other(
        self, authority: FakeAuthority, clock: FrozenClock
    ) -> None:
        authority.clock = clock
        held = threading.Event()

        class Slow(FakeAuthority):  # type: ignore[misc]  # -- final for everybody but this test
            def metadata(self) -> bytes:
                held.wait(5)
                return super().metadata()

        with Slow(clock=clock).serve() as slow:
            issuers = [
                TrustedIssuer(issuer=one.issuer, audience=API, policy=one.policy)
                for one in (authority, slow)
            ]
            gate = Gate(API, issuers=issuers, clock=clock)
            gate.warm()
            token = authority.access_token().reveal()
            started = time.perf_counter()
            await gate.require_caller(
                request_with([(b"authorization", f"Bearer {token}".encode())])
            )
            elapsed = time.perf_counter() - started
            held.set()
            gate.close()

        assert elapsed < 4


class TestRemembered:
    """What was proved a moment ago is not proved again, and never for longer than it holds."""

    async def test_g8_a_remembered_token_that_has_ended(
        self, call: Call, authority: FakeAuthority, clock: FrozenClock
    ) -> None:
        authority.lifetime = timedelta(seconds=50)
        token = authority.access_token()
        assert (await call(bearer(token))).status_code == 200
        clock.advance(timedelta(seconds=79))
        assert (await call(bearer(token))).status_code == 200
        clock.advance(timedelta(seconds=1))

        assert (await call(bearer(token))).status_code == 401

    async def test_n3_n4_the_memory_is_bounded_and_holds_no_token(
        self, authority: FakeAuthority, clock: FrozenClock
    ) -> None:
        from mintmark.api import validate

        authority.clock = clock
        trusted = TrustedIssuer(issuer=authority.issuer, audience=API, policy=authority.policy)
        validator = Validator(Issuers([trusted], clock, Heard()))
        old, validate.MAX_REMEMBERED = MAX_REMEMBERED, 5  # type: ignore[misc]  # -- 10,000 take long
        try:
            tokens = [authority.access_token().reveal().encode() for _ in range(12)]
            for token in tokens:
                await validator.require(token, {}, clock.timestamp())
        finally:
            validate.MAX_REMEMBERED = old  # type: ignore[misc]  # -- as it was
        held = validator._seen
        validator.close()

        assert len(held) == 5
        assert all(len(key) == 32 for key in held)

    def test_the_bound_is_the_designs(self) -> None:
        assert MAX_REMEMBERED == 10_000


async def test_what_happens_to_keys_is_said(authority: FakeAuthority, clock: FrozenClock) -> None:
    authority.clock = clock
    heard = Heard()
    trusted = TrustedIssuer(issuer=authority.issuer, audience=API, policy=authority.policy)
    gate = Gate(API, issuers=[trusted], clock=clock, events=heard)
    authority.down = True
    token = authority.access_token().reveal()
    headers = [(b"authorization", f"Bearer {token}".encode())]
    with pytest.raises(Exception, match="no keys"):
        await gate.require_caller(request_with(headers))
    authority.down = False
    clock.advance(timedelta(seconds=1))
    await gate.require_caller(request_with(headers))
    gate.close()

    said = [event for event in heard.events if isinstance(event, KeysFetched | KeysUnavailable)]
    assert [event.name for event in said] == ["keys.unavailable", "keys.fetched"]


def test_an_issuer_over_http_needs_the_switch_that_says_so() -> None:
    with pytest.raises(ValueError, match="insecure_allow_http_on_loopback"):
        Gate(API, issuer="http://127.0.0.1:1")
    with pytest.raises(ValueError, match="only https"):
        TrustedIssuer(
            issuer="http://id.example",
            audience=API,
            policy=FetchPolicy(insecure_allow_http_on_loopback=True),
        )
    with pytest.raises(ValueError, match="no issuer"):
        Gate(API)
