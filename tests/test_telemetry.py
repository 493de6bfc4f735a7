"""What is counted, read back by the real SDK of OpenTelemetry."""

import logging
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx2
import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from mintmark.api import AUTHENTICATED, DPoP, Gate, TrustedIssuer, scope
from mintmark.api import events as api
from mintmark.api.answers import forbidden
from mintmark.api.causes import CAUSES, cause_of, cause_of_failure
from mintmark.api.measures import Measures
from mintmark.client import Authority, Client, TokenManager, TokenUnavailable
from mintmark.client import events as client_events
from mintmark.events import LogEvents
from mintmark.jose.errors import ClaimRefused, JoseError
from mintmark.secret import Secret
from mintmark.telemetry import MAX_NAMES, OpenTelemetryEvents
from mintmark.testing import FakeAuthority, FrozenClock
from mintmark.testing.faults import Fault
from mintmark.testing.proofs import ProofKey
from tests.api.conftest import API, bearer, who

Point = tuple[dict[str, Any], Any]


class Reading:
    """Everything that was measured so far, as an exporter would get it."""

    def __init__(self) -> None:
        self.reader = InMemoryMetricReader()
        self.provider = MeterProvider([self.reader], shutdown_on_exit=False)
        self.telemetry = OpenTelemetryEvents(meter_provider=self.provider)

    def points(self, name: str) -> list[Point]:
        data = self.reader.get_metrics_data()
        return [
            (dict(point.attributes or {}), getattr(point, "value", point))
            for resource in (data.resource_metrics if data is not None else ())
            for scoped in resource.scope_metrics
            for metric in scoped.metrics
            if metric.name == f"mintmark.{name}"
            for point in metric.data.data_points
        ]

    def text(self) -> str:
        data = self.reader.get_metrics_data()
        return data.to_json() if data is not None else ""


@pytest.fixture
def reading() -> Iterator[Reading]:
    made = Reading()
    yield made
    made.provider.shutdown()


@pytest.fixture
def gate(authority: FakeAuthority, clock: FrozenClock, reading: Reading) -> Iterator[Gate]:
    authority.clock = clock
    trusted = TrustedIssuer(issuer=authority.issuer, audience=API, policy=authority.policy)
    made = Gate(API, issuers=[trusted], clock=clock, events=reading.telemetry, dpop=DPoP())
    yield made
    made.close()


@pytest.fixture
def client(authority: FakeAuthority, clock: FrozenClock, reading: Reading) -> Iterator[Client]:
    authority.clock = clock
    made = Client(
        Authority(authority.issuer, policy=authority.policy, clock=clock),
        client_id="orders",
        client_secret=Secret("a-client-secret-of-this-test-alone"),
        tokens=reading.telemetry.watch(TokenManager(clock=clock, events=reading.telemetry)),
    )
    yield made
    made.close()


async def send(gate: Gate, headers: dict[str, str], policy: Any = AUTHENTICATED) -> int:
    transport = httpx2.ASGITransport(gate.wrap(who, {"/orders": policy}))
    async with httpx2.AsyncClient(transport=transport, base_url=API) as http:
        return (await http.get("/orders", headers=headers)).status_code


async def test_every_admitted_request_is_counted_the_remembered_ones_too(
    gate: Gate, authority: FakeAuthority, reading: Reading
) -> None:
    token = authority.access_token()
    for _ in range(3):
        assert await send(gate, bearer(token)) == 200

    whose = {"issuer": authority.issuer, "kind": "application"}
    assert reading.points("api.requests.admitted") == [(whose, 3)]
    ((_, lives),) = reading.points("api.token.seconds_left")
    assert lives.count == 1  # proved once, remembered twice
    assert lives.sum == authority.lifetime.total_seconds()


async def test_every_refusal_is_counted_by_answer_and_cause(
    gate: Gate, authority: FakeAuthority, reading: Reading
) -> None:
    token = authority.access_token(scope="orders.read")
    half = bearer(token.reveal()[:-9] + "AAAAAAAAA")
    assert await send(gate, {}) == 401
    assert await send(gate, half) == 401
    assert await send(gate, half) == 401
    assert await send(gate, bearer(token), scope("orders.write")) == 403
    assert await send(gate, {"authorization": "Bearer a b"}) == 400

    assert {(p["status"], p["error"], p["cause"]): n
            for p, n in reading.points("api.requests.refused")} == {
        (401, "none", "no_credentials"): 1,
        (401, "invalid_token", "signature"): 2,
        (403, "insufficient_scope", "insufficient_scope"): 1,
        (400, "invalid_request", "invalid_request"): 1,
    }  # fmt: skip
    assert reading.points("api.requests.admitted") == []


async def test_an_outage_of_the_issuer_is_counted_as_its_own_and_not_as_the_callers(
    gate: Gate, authority: FakeAuthority, reading: Reading
) -> None:
    token = authority.access_token()
    authority.down = True
    assert await send(gate, bearer(token)) == 503

    (refused,) = reading.points("api.requests.refused")
    assert refused == ({"status": 503, "error": "none", "cause": "keys_unavailable"}, 1)
    assert reading.points("api.keys.failures") == [
        ({"issuer": authority.issuer, "stale": False}, 1)
    ]


@pytest.mark.parametrize("offset", [20, -20])
async def test_a_drifting_clock_is_a_gauge_by_issuer_and_a_warning(
    gate: Gate,
    authority: FakeAuthority,
    clock: FrozenClock,
    reading: Reading,
    caplog: pytest.LogCaptureFixture,
    offset: int,
) -> None:
    """In both directions; that a token is old shows no clock that is behind."""
    authority.clock = FrozenClock(clock.now() + timedelta(seconds=offset))
    with caplog.at_level(logging.WARNING, "mintmark"):
        assert await send(gate, bearer(authority.access_token())) == 200

    offsets = {p["seen_in"]: point for p, point in reading.points("api.clock_offset")}
    assert {name: round(seen - 0.1) for name, seen in offsets.items()} == (
        {"token": 20, "answer": 20} if offset > 0 else {"answer": -20}
    )
    assert reading.points("api.clock_drift.warnings") == [({"issuer": authority.issuer}, 1)]
    assert "clock.drift" in caplog.text


@pytest.mark.parametrize("offset", [-50, 0, 8])
async def test_the_clocks_of_those_who_make_proofs_are_a_histogram(
    gate: Gate, authority: FakeAuthority, clock: FrozenClock, reading: Reading, offset: int
) -> None:
    key = ProofKey.generate()
    token = authority.access_token(extra={"cnf": {"jkt": key.thumbprint}}).reveal()
    now = clock.timestamp() + offset
    proof = key.proof("GET", f"{API}/orders", now=now, token=token)
    assert await send(gate, {"authorization": f"DPoP {token}", "dpop": proof}) == 200

    ((attributes, seen),) = reading.points("api.proof.clock_offset")
    which = {"clock": "behind" if offset < 0 else "ahead"}
    assert (attributes, seen.sum, seen.count) == (which, abs(offset), 1)


async def test_a_proof_that_was_refused_is_nobodys_clock(
    gate: Gate, authority: FakeAuthority, clock: FrozenClock, reading: Reading
) -> None:
    """A stranger may write any moment into a proof that fails for something else."""
    key = ProofKey.generate()
    token = authority.access_token(extra={"cnf": {"jkt": key.thumbprint}}).reveal()
    proof = key.proof("POST", f"{API}/orders", now=clock.timestamp(), token=token)
    assert await send(gate, {"authorization": f"DPoP {token}", "dpop": proof}) == 401

    assert reading.points("api.proof.clock_offset") == []
    ((refused, _),) = reading.points("api.requests.refused")
    assert refused["cause"] == "proof"


async def test_nothing_that_a_stranger_wrote_becomes_an_attribute(
    gate: Gate, authority: FakeAuthority, reading: Reading
) -> None:
    """N7: their issuers, clients, claims and keys stay in the log, if anywhere."""
    other = FakeAuthority()
    other.issuer = "https://planted.example"
    planted = other.access_token(client_id="planted-client", sub="planted-subject")
    known = authority.access_token(client_id="planted-client", sub="planted-subject")
    await send(gate, bearer(planted))
    await send(gate, bearer(known), scope("orders.write"))
    await send(gate, {"authorization": "Planted planted"})

    assert reading.points("api.requests.refused")
    assert "planted" not in reading.text().lower()
    assert known.reveal() not in reading.text()


@pytest.mark.parametrize("claim", ["exp", "aud", "iss", "planted", "", "x" * 9_000])
def test_a_cause_is_one_of_those_there_are(claim: str) -> None:
    assert cause_of_failure(ClaimRefused(claim, "is planted")) in CAUSES


@pytest.mark.parametrize("failure", [JoseError("?"), KeyError("planted"), type("Odd", (JoseError,), {})("?")],
                         ids=["ours", "foreign", "derived"])  # fmt: skip
def test_a_failure_that_nobody_foresaw_has_a_cause_as_well(failure: Exception) -> None:
    assert cause_of_failure(failure) in CAUSES


def test_an_answer_without_a_cause_is_counted_by_its_status() -> None:
    assert cause_of(forbidden("no policy for this route")) == "forbidden"


def test_issuers_beyond_two_hundred_share_one_name(reading: Reading) -> None:
    for number in range(MAX_NAMES + 5):
        reading.telemetry.request_admitted(f"https://tenant-{number}.example", "application")

    counted = {p["issuer"]: n for p, n in reading.points("api.requests.admitted")}
    assert len(counted) == MAX_NAMES + 1
    assert counted["other"] == 5


def test_a_log_alone_is_asked_for_no_measures() -> None:
    """So that a request costs nothing more where nobody counts."""
    assert not isinstance(LogEvents(), Measures)
    quiet = Gate(API, issuer="https://id.example")
    try:
        assert quiet.nobody_asks
    finally:
        quiet.close()


def test_whoever_counts_is_told(reading: Reading) -> None:
    assert isinstance(reading.telemetry, Measures)


def test_an_instrument_that_fails_costs_nobody_a_request(reading: Reading) -> None:
    reading.telemetry._counters.clear()
    reading.telemetry._histograms.clear()

    reading.telemetry.emit(api.GuardFailed(kind="KeyError"))
    reading.telemetry.request_admitted("https://id.example", "application")
    reading.telemetry.token_proved("https://id.example", 1.0)
    reading.telemetry.proof_taken(0.0)


def test_without_an_sdk_it_does_nothing_and_says_so_to_nobody() -> None:
    quiet = OpenTelemetryEvents()
    quiet.emit(api.GuardFailed(kind="KeyError"))
    quiet.request_admitted("https://id.example", "application")


# --- The client ----------------------------------------------------------------------------------


def test_tokens_are_counted_as_fetched_and_as_handed_out(client: Client, reading: Reading) -> None:
    recipe = client.app_token(resource=API)
    for _ in range(5):
        recipe.token()

    whose = {"kind": "application", "client_id": "orders"}
    assert reading.points("client.tokens.fetched") == [(whose, 1)]
    assert {p["waited"]: n for p, n in reading.points("client.tokens.handed_out")} == {
        True: 1,
        False: 4,
    }
    assert reading.points("client.tokens.held") == [(whose, 1)]
    ((_, left),) = reading.points("client.tokens.seconds_left")
    assert left == 600


def test_a_counter_never_goes_back_when_a_session_ends(client: Client, reading: Reading) -> None:
    recipe = client.app_token(resource=API)
    recipe.token()
    before = sum(n for _, n in reading.points("client.tokens.handed_out"))
    client.tokens.drop(lambda key: key.kind == "application")
    client.app_token(resource=API).token()
    after = sum(n for _, n in reading.points("client.tokens.handed_out"))

    assert (before, after) == (1, 2)
    assert reading.points("client.tokens.held")[0][1] == 1


def test_failures_are_counted_by_a_registered_code_or_as_others(
    authority: FakeAuthority, client: Client, reading: Reading
) -> None:
    authority.faults += [
        Fault(status=400, body=b'{"error":"invalid_scope","error_description":"planted"}'),
        Fault(status=400, body=b'{"error":"planted_code"}'),
        Fault(status=503, body=b"planted"),
    ]
    for resource in ("https://a.example", "https://b.example", "https://c.example"):
        with pytest.raises(TokenUnavailable):
            client.app_token(resource=resource).token()

    counted = {p["cause"]: n for p, n in reading.points("client.tokens.fetch_failures")}
    assert counted == {"invalid_scope": 1, "other": 2}
    assert "planted" not in reading.text()


def test_a_forgotten_token_and_one_served_late_are_counted(
    authority: FakeAuthority, clock: FrozenClock, client: Client, reading: Reading
) -> None:
    recipe = client.app_token(resource=API)
    recipe.token()
    clock.advance(timedelta(minutes=9, seconds=30))
    authority.down = True
    late = recipe.token()
    recipe.forget(late)

    assert reading.points("client.tokens.served_stale")[0][1] == 1
    assert reading.points("client.tokens.forgotten")[0][1] == 1
    assert late.reveal() not in reading.text()


def test_a_manager_that_is_gone_is_not_kept_for_its_numbers(reading: Reading) -> None:
    reading.telemetry.watch(TokenManager()).close()

    assert list(reading.telemetry._watched.managers) == []
    assert reading.points("client.tokens.held") == []


@pytest.mark.parametrize("module", [api, client_events], ids=["api", "client"])
def test_every_event_is_counted_by_its_name(module: Any, reading: Reading) -> None:
    for name in module.__all__:
        event = getattr(module, name)
        values = {
            field: {"int": 1, "float": 1.0, "bool": True}.get(str(kind.__name__), "word")
            for field, kind in event.__annotations__.items()
            if field not in {"name", "level"}
        }
        reading.telemetry.emit(event(**values))

    assert {p["event"] for p, _ in reading.points("events")} == {
        getattr(module, name).name for name in module.__all__
    }
