"""Signing in on a device without a browser (RFC 8628), on a clock that stands still."""

import asyncio
import threading
from dataclasses import replace
from datetime import timedelta

import pytest
from tests.client.conftest import API

from mintmark.client import (
    ApprovalCancelled,
    ApprovalDenied,
    ApprovalExpired,
    AuthorityUnavailable,
    Client,
    LoginFailed,
    MemoryUserTokens,
)
from mintmark.client.approval import LONGEST_PAUSE, Pace
from mintmark.client.device import DeviceFlow
from mintmark.protocol.errors import ErrorCode
from mintmark.secret import Secret
from mintmark.testing import FakeAuthority, FrozenClock
from mintmark.testing.authority import Fault
from mintmark.testing.fake_device import FakeDevice

SECOND = timedelta(seconds=1)
PENDING, SLOW_DOWN = ErrorCode.AUTHORIZATION_PENDING, ErrorCode.SLOW_DOWN


@pytest.fixture
def device(authority: FakeAuthority, client: Client) -> FakeDevice:
    assert client.client_id == "client"
    return FakeDevice(authority)


@pytest.fixture
def flow(client: Client) -> DeviceFlow:
    return client.device(scope="openid offline_access orders.read", resource=API)


class Passing:
    """Waits by setting the clock forward, and remembers how long."""

    def __init__(self, clock: FrozenClock, *, give_up_after: int = 1000) -> None:
        self._clock = clock
        self._left = give_up_after
        self.pauses: list[float] = []

    def wait(self, timeout: float) -> bool:
        self._left -= 1
        if self._left < 0:
            return True
        self.pauses.append(timeout)
        self._clock.advance(timedelta(seconds=timeout))
        return False

    async def sleep(self, seconds: float) -> None:
        self.wait(seconds)


class TestBegin:
    """RFC 8628 §3.1, RFC 8628 §3.2."""

    def test_shows_where_and_what(
        self, flow: DeviceFlow, device: FakeDevice, clock: FrozenClock
    ) -> None:
        code = flow.begin()

        assert code.user_code == "WDJB-MJHT"
        assert code.verification_uri == device.verification_uri
        assert code.verification_uri_complete == f"{device.verification_uri}?user_code=WDJB-MJHT"
        assert code.expires_at == clock.now() + device.lifetime
        assert code.interval == device.interval
        assert code.device_code.reveal() not in repr(code)
        assert device.last is not None
        assert device.last.resource == (API,)

    def test_a_server_without_it_says_so(self, flow: DeviceFlow) -> None:
        with pytest.raises(AuthorityUnavailable, match="device_authorization_endpoint"):
            flow.begin()

    @pytest.mark.parametrize(
        "uri", ["javascript:alert(1)", "http://id.example/", "x", "https://a@b/"]
    )
    def test_an_address_that_nobody_should_open_is_refused(
        self, flow: DeviceFlow, device: FakeDevice, uri: str
    ) -> None:
        device.verification_uri = uri
        with pytest.raises(LoginFailed, match="not a safe one"):
            flow.begin()
        device.verification_uri = "https://id.example/device"
        assert flow.begin().user_code

    @pytest.mark.parametrize(
        ("fault", "kind", "match"),
        [
            (Fault(status=400, body=b'{"error":"unauthorized_client"}'), LoginFailed, "refused"),
            (Fault(status=200, body=b"<html>"), LoginFailed, "not JSON"),
            (Fault(status=503), AuthorityUnavailable, "503"),
        ],
        ids=["refused", "html", "down"],
    )
    def test_what_is_no_code_is_none(
        self,
        flow: DeviceFlow,
        authority: FakeAuthority,
        device: FakeDevice,
        fault: Fault,
        kind: type[Exception],
        match: str,
    ) -> None:
        assert device.last is None
        authority.lies["/begin"] = fault
        with pytest.raises(kind, match=match):
            flow.begin()


class TestWait:
    """RFC 8628 §3.4, RFC 8628 §3.5."""

    def test_until_somebody_approves_and_their_tokens_go_on(
        self,
        client: Client,
        flow: DeviceFlow,
        device: FakeDevice,
        authority: FakeAuthority,
        clock: FrozenClock,
    ) -> None:
        code = flow.begin()
        assert device.last is not None
        device.last.answers = [PENDING, PENDING, None]
        passing = Passing(clock)

        approved = flow.wait(code, cancelled=passing)

        assert passing.pauses == [5.0, 5.0, 5.0]
        assert approved.id_token is not None
        assert approved.id_token.sub == approved.tokens.subject == "alice"
        store, session = MemoryUserTokens(), Secret.generate()
        store.begin(session, approved.tokens)
        recipe = client.user_token(session, store, scope="orders.read", resource=API)
        assert recipe.token() == approved.tokens.access_tokens[0].access_token
        assert authority.counts["refresh_token"] == 0

    def test_when_the_server_would_like_to_be_asked_again_is_kept(
        self, flow: DeviceFlow, device: FakeDevice, authority: FakeAuthority, clock: FrozenClock
    ) -> None:
        code = flow.begin()
        assert device.last is not None
        device.last.answers = [None]
        authority.changes["refresh_in"] = 120

        (held,) = flow.wait(code, cancelled=Passing(clock)).tokens.access_tokens
        assert held.renew_at == clock.now() + timedelta(seconds=120)

    def test_slow_down_adds_five_seconds_for_good(
        self, flow: DeviceFlow, device: FakeDevice, clock: FrozenClock
    ) -> None:
        code = flow.begin()
        assert device.last is not None
        device.last.answers = [SLOW_DOWN, PENDING, SLOW_DOWN, PENDING, None]
        passing = Passing(clock)
        flow.wait(code, cancelled=passing)

        assert passing.pauses == [5.0, 10.0, 10.0, 15.0, 15.0]

    def test_it_is_never_faster_than_the_server_wants(
        self, flow: DeviceFlow, device: FakeDevice, clock: FrozenClock
    ) -> None:
        """The fake answers `slow_down` by itself to whoever is."""
        device.interval = timedelta(seconds=7)
        code = flow.begin()
        assert device.last is not None
        device.last.answers = [PENDING] * 20 + [None]
        flow.wait(code, cancelled=Passing(clock))

        assert len(device.last.polls) == 21
        hasty = flow.begin()
        with pytest.raises(ApprovalExpired):
            flow.wait(replace(hasty, interval=SECOND), cancelled=Passing(clock))
        assert device.last.interval > timedelta(seconds=7)

    def test_an_unreachable_server_is_asked_half_as_often_each_time(
        self, flow: DeviceFlow, device: FakeDevice, authority: FakeAuthority, clock: FrozenClock
    ) -> None:
        code = flow.begin()
        assert device.last is not None
        device.last.answers = [PENDING, None]
        authority.faults += [Fault(status=503), Fault(status=502), Fault(status=500)]
        passing = Passing(clock)
        flow.wait(code, cancelled=passing)

        # Doubled after each failure, and as before once it answers.
        assert passing.pauses == [5.0, 10.0, 20.0, 40.0, 5.0]

    def test_retry_after_is_obeyed(
        self, flow: DeviceFlow, device: FakeDevice, authority: FakeAuthority, clock: FrozenClock
    ) -> None:
        code = flow.begin()
        assert device.last is not None
        device.last.always = None
        authority.faults.append(Fault(status=429, headers={"retry-after": "60"}))
        passing = Passing(clock)
        flow.wait(code, cancelled=passing)

        assert passing.pauses == [5.0, 60.0]

    @pytest.mark.parametrize(
        ("answer", "kind"),
        [
            (ErrorCode.ACCESS_DENIED, ApprovalDenied),
            (ErrorCode.EXPIRED_TOKEN, ApprovalExpired),
            (ErrorCode.INVALID_GRANT, LoginFailed),
            (ErrorCode.INVALID_CLIENT, LoginFailed),
        ],
    )
    def test_a_refusal_ends_it(
        self,
        flow: DeviceFlow,
        device: FakeDevice,
        clock: FrozenClock,
        answer: ErrorCode,
        kind: type[LoginFailed],
    ) -> None:
        code = flow.begin()
        assert device.last is not None
        device.last.always = answer
        with pytest.raises(LoginFailed) as failure:
            flow.wait(code, cancelled=Passing(clock))
        assert type(failure.value) is kind
        assert failure.value.error == answer
        assert len(device.last.polls) == 1

    @pytest.mark.parametrize(("lifetime", "polls"), [(15, 2), (16, 3)])
    def test_it_ends_with_the_code_without_asking_once_more(
        self,
        flow: DeviceFlow,
        device: FakeDevice,
        clock: FrozenClock,
        lifetime: int,
        polls: int,
    ) -> None:
        device.lifetime = timedelta(seconds=lifetime)
        code = flow.begin()
        assert device.last is not None
        with pytest.raises(ApprovalExpired):
            flow.wait(code, cancelled=Passing(clock))
        assert len(device.last.polls) == polls

    def test_giving_up_ends_it(
        self, flow: DeviceFlow, device: FakeDevice, clock: FrozenClock
    ) -> None:
        code = flow.begin()
        assert device.last is not None
        with pytest.raises(ApprovalCancelled):
            flow.wait(code, cancelled=Passing(clock, give_up_after=2))
        assert len(device.last.polls) == 2
        given_up = threading.Event()
        given_up.set()
        with pytest.raises(ApprovalCancelled):
            flow.wait(code, cancelled=given_up)

    def test_without_openid_nobody_says_who_it_was(
        self, client: Client, device: FakeDevice, clock: FrozenClock
    ) -> None:
        flow = client.device(scope="orders.read", resource=API)
        code = flow.begin()
        assert device.last is not None
        device.last.always = None
        approved = flow.wait(code, cancelled=Passing(clock))
        assert approved.id_token is None
        assert approved.tokens.subject == ""

    @pytest.mark.parametrize("wrong", ["missing", "forged"])
    def test_an_id_token_that_was_asked_for_has_to_hold(
        self,
        flow: DeviceFlow,
        device: FakeDevice,
        authority: FakeAuthority,
        clock: FrozenClock,
        wrong: str,
    ) -> None:
        """OIDC Core §3.1.3.3."""
        code = flow.begin()
        assert device.last is not None
        device.last.always = None
        authority.changes["id_token"] = None if wrong == "missing" else "e30.e30.AAAA"
        with pytest.raises(LoginFailed, match="ID token"):
            flow.wait(code, cancelled=Passing(clock))

    def test_an_id_token_that_cannot_be_checked_ends_it(
        self, flow: DeviceFlow, device: FakeDevice, authority: FakeAuthority, clock: FrozenClock
    ) -> None:
        """Its code is spent; to go on asking would only hide why."""
        code = flow.begin()
        assert device.last is not None
        device.last.always = None
        authority.lies["/jwks"] = Fault(status=503, headers={"connection": "close"})
        with pytest.raises(LoginFailed, match="cannot be checked"):
            flow.wait(code, cancelled=Passing(clock))
        assert len(device.last.polls) == 1

    async def test_a_coroutine_waits_the_same_way(
        self, flow: DeviceFlow, device: FakeDevice, clock: FrozenClock
    ) -> None:
        code = flow.begin()
        assert device.last is not None
        device.last.answers = [SLOW_DOWN, None]
        passing = Passing(clock)
        approved = await flow.await_(code, sleep=passing.sleep)
        assert approved.tokens.subject == "alice"
        assert passing.pauses == [5.0, 10.0]

    async def test_a_cancelled_coroutine_asks_no_more(
        self, flow: DeviceFlow, device: FakeDevice
    ) -> None:
        task = asyncio.create_task(flow.await_(flow.begin()))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert device.last is not None
        assert device.last.polls == []


class TestPace:
    def test_a_clock_that_is_set_back_does_not_make_it_wait_for_ever(self) -> None:
        pace = Pace(interval=5 * SECOND, expires_in=60 * SECOND, now=1000.0)
        pauses = 0
        with pytest.raises(ApprovalExpired):
            for _ in range(100):
                pace.pause(0.0)
                pauses += 1
        assert pauses == 11

    def test_backing_off_has_an_end_and_no_interval_is_none(self) -> None:
        pace = Pace(interval=timedelta(), expires_in=timedelta(days=1), now=0.0)
        assert pace.pause(0.0) == 1.0
        for _ in range(50):
            pace.unanswered(None)
        assert pace.pause(0.0) == LONGEST_PAUSE
        slow = Pace(interval=timedelta(seconds=400), expires_in=timedelta(days=1), now=0.0)
        slow.unanswered(None)
        assert slow.pause(0.0) == 400.0
