"""Two clocks that disagree are noticed before a token is refused for it (RFC 9110 §6.6.1, RFC 9111 §5.1)."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from tests.api.conftest import API, bearer, request_with

from mintmark.api import Gate, OpaqueIssuer, Refused, TrustedIssuer
from mintmark.api.client_proof import ClientSecretBasic
from mintmark.api.clock_drift import AGAIN_AFTER, ClockComparison
from mintmark.api.events import ClockCompared, ClockDrift
from mintmark.events import Event
from mintmark.secret import Secret
from mintmark.testing import FakeAuthority, FrozenClock

ISSUER = "https://id.example"
NOW = 1_800_000_000.0
SKEW = timedelta(seconds=30)


class Kept:
    """An `Events` that keeps what it is given."""

    def __init__(self) -> None:
        self.all: list[Event] = []

    def emit(self, event: Event) -> None:
        self.all.append(event)

    def of(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.all if isinstance(event, kind)]


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.fixture
def clocks(kept: Kept) -> ClockComparison:
    return ClockComparison(ISSUER, SKEW, kept)


def dated(at: float) -> dict[str, str]:
    return {"date": format_datetime(datetime.fromtimestamp(at, UTC), usegmt=True)}


@pytest.mark.parametrize(("ahead", "warnings"), [(14.999, 0), (15.0, 1), (29.0, 1)])
def test_a_token_from_a_clock_ahead_is_warned_of_from_half_the_skew_on(
    clocks: ClockComparison, kept: Kept, ahead: float, warnings: int
) -> None:
    clocks.token_made(NOW + ahead, NOW)

    assert [event.offset for event in kept.of(ClockCompared)] == [ahead]
    assert len(kept.of(ClockDrift)) == warnings


@pytest.mark.parametrize("age", [0.0, 1.0, 86_400.0])
def test_the_age_of_a_token_says_nothing_of_a_clock(
    clocks: ClockComparison, kept: Kept, age: float
) -> None:
    clocks.token_made(NOW - age, NOW)

    assert kept.all == []


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(("seconds", "warnings"), [(14, 0), (17, 1)])
def test_the_date_of_an_answer_shows_a_clock_ahead_and_one_behind(
    clocks: ClockComparison, kept: Kept, sign: int, seconds: int, warnings: int
) -> None:
    clocks.answered(dated(NOW + sign * seconds), NOW, NOW)

    (seen,) = kept.of(ClockCompared)
    assert seen.offset == pytest.approx(sign * seconds + 0.5)
    assert len(kept.of(ClockDrift)) == warnings


def test_what_an_answer_took_is_not_taken_for_drift(clocks: ClockComparison, kept: Kept) -> None:
    clocks.answered(dated(NOW + 16), NOW, NOW + 4)

    assert len(kept.of(ClockCompared)) == 1
    assert kept.of(ClockDrift) == []


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"date": ""},
        {"date": "yesterday"},
        {"date": "Thu, 99 Jan 2026 99:99:99 GMT"},
        {"date": "Fri, 15 Jan 999999999999 08:00:00 GMT"},
        {"date": "Fri, 15 Jan 2027 08:00:00 +9999999999"},
        dated(NOW + 40) | {"age": "40"},
    ],
    ids=["none", "empty", "words", "no day", "no year", "no zone", "from a cache"],
)
def test_what_is_no_date_of_now_is_passed_over(
    clocks: ClockComparison, kept: Kept, headers: dict[str, str]
) -> None:
    clocks.answered(headers, NOW, NOW)

    assert kept.all == []


def test_a_date_without_a_zone_is_gmt_wherever_this_machine_stands(
    clocks: ClockComparison, kept: Kept
) -> None:
    """RFC 9110 §5.6.7: the oldest form has none."""
    clocks.answered({"date": "Fri Jan 15 08:00:00 2027"}, NOW, NOW)

    (seen,) = kept.of(ClockCompared)
    assert seen.offset == pytest.approx(0.5)


def test_a_clock_of_ours_that_was_set_back_in_between_proves_nothing(
    clocks: ClockComparison, kept: Kept
) -> None:
    clocks.answered(dated(NOW), NOW, NOW - 3600)

    assert kept.all == []


def test_one_wrong_clock_is_one_warning_in_ten_minutes(clocks: ClockComparison, kept: Kept) -> None:
    for later in (0.0, 1.0, AGAIN_AFTER - 1, AGAIN_AFTER):
        clocks.token_made(NOW + later + 20, NOW + later)

    assert len(kept.of(ClockCompared)) == 4
    assert len(kept.of(ClockDrift)) == 2


def test_a_warning_before_our_clock_was_set_back_does_not_silence_the_next(
    clocks: ClockComparison, kept: Kept
) -> None:
    clocks.token_made(NOW + 20, NOW)
    clocks.token_made(NOW - 86_400 + 20, NOW - 86_400)

    assert len(kept.of(ClockDrift)) == 2


def test_without_any_skew_two_seconds_are_forgiven_as_a_date_knows_no_better(kept: Kept) -> None:
    strict = ClockComparison(ISSUER, timedelta(0), kept)
    strict.answered(dated(NOW + 1), NOW, NOW)
    strict.answered(dated(NOW - 2), NOW, NOW)

    assert kept.of(ClockDrift) == []


# --- At the gate ---------------------------------------------------------------------------------


@pytest.fixture
def gate(authority: FakeAuthority, clock: FrozenClock, kept: Kept) -> Any:
    trusted = TrustedIssuer(issuer=authority.issuer, audience=API, policy=authority.policy)
    made = Gate(API, issuers=[trusted], clock=clock, events=kept)
    yield made
    made.close()


@pytest.mark.parametrize("offset", [timedelta(0), timedelta(seconds=20), timedelta(seconds=-20)])
async def test_fetching_keys_compares_the_clocks(
    gate: Gate, authority: FakeAuthority, clock: FrozenClock, kept: Kept, offset: timedelta
) -> None:
    authority.clock = FrozenClock(clock.now() + offset)
    await gate.require_caller(request_with(list(_header(authority.access_token()))))

    warned = kept.of(ClockDrift)
    assert bool(warned) is bool(offset)
    assert all(event.issuer == authority.issuer and event.skew == 30 for event in warned)
    assert all(abs(event.offset - offset.total_seconds()) <= 1 for event in warned)


async def test_a_remembered_token_is_not_looked_at_again(
    gate: Gate, authority: FakeAuthority, clock: FrozenClock, kept: Kept
) -> None:
    authority.clock = FrozenClock(clock.now() + timedelta(seconds=20))
    request = request_with(list(_header(authority.access_token())))
    await gate.require_caller(request)
    before = len(kept.of(ClockCompared))
    for _ in range(3):
        await gate.require_caller(request)

    assert before == 2  # the keys' answer, and the token
    assert len(kept.of(ClockCompared)) == before


async def test_asking_about_an_opaque_token_compares_the_clocks_too(
    authority: FakeAuthority, clock: FrozenClock, kept: Kept
) -> None:
    authority.clock = FrozenClock(clock.now() - timedelta(seconds=25))
    opaque = OpaqueIssuer(
        issuer=authority.issuer,
        audience=API,
        client_proof=ClientSecretBasic("api", Secret("of-this-test-alone")),
        introspection_endpoint=f"{authority.issuer}/introspect",
        policy=authority.policy,
    )
    gate = Gate(API, opaque=opaque, clock=clock, events=kept)
    try:
        with pytest.raises(Refused):
            await gate.require_caller(request_with(list(_header(Secret("opaque-and-unknown")))))
    finally:
        gate.close()

    assert [event.seen_in for event in kept.of(ClockDrift)] == ["answer"]


def _header(token: Secret) -> Any:
    for name, value in bearer(token).items():
        yield name.encode(), value.encode()
