"""Counters and gauges for OpenTelemetry, fed by the events that are logged anyway.

    telemetry = OpenTelemetryEvents()
    gate = Gate(..., events=telemetry)
    tokens = telemetry.watch(TokenManager(events=telemetry))

`pip install mintmark[telemetry]`; without an SDK in the process every instrument does nothing. No
attribute holds anything that a caller sent: issuers are trusted ones, clients are our own, and
everything else is one of a few fixed words.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from threading import RLock
from typing import Any, Final, final
from weakref import WeakKeyDictionary, WeakSet

from opentelemetry.metrics import Meter, MeterProvider, Observation, get_meter

from mintmark import __version__
from mintmark.api import events as api
from mintmark.client import events as client
from mintmark.client.manager import Slot, TokenManager
from mintmark.events import Event, Events, LogEvents
from mintmark.forks import begin_again_after_fork
from mintmark.protocol.errors import ErrorCode

__all__ = ["OpenTelemetryEvents"]

MAX_NAMES: Final = 200
"""Of issuers, and of clients: thousands of tenants would be thousands of time series."""

OTHER: Final = "other"
OFFSETS: Final = (0, 1, 2, 5, 10, 15, 30, 60, 120, 300, 3600)
SECONDS_LEFT: Final = (0, 5, 15, 30, 60, 120, 300, 600, 1800, 3600, 14400, 86400)

_CODES: Final = frozenset(str(code) for code in ErrorCode)

Attributes = dict[str, str | int | bool]
Counted = tuple[str, Attributes]


@final
class OpenTelemetryEvents:
    """An `Events` that counts, and hands every event on to another one.

    Args:
        inner: where events go besides; the log unless one is given.
        meter_provider: the process's own one unless it is given.
    """

    def __init__(
        self, inner: Events | None = None, meter_provider: MeterProvider | None = None
    ) -> None:
        self._inner = inner or LogEvents()
        meter = get_meter("mintmark", __version__, meter_provider)
        self._counters = {name: meter.create_counter(f"mintmark.{name}", unit, description=words)
                          for name, (unit, words) in _COUNTERS.items()}  # fmt: skip
        self._histograms = {
            name: meter.create_histogram(
                f"mintmark.{name}", "s", words, explicit_bucket_boundaries_advisory=steps
            )
            for name, (words, steps) in _HISTOGRAMS.items()
        }
        self._offset = meter.create_gauge(
            "mintmark.api.clock_offset", "s", "How far an issuer's clock is ahead of ours."
        )
        self._issuers, self._clients, self._kinds = _Names(), _Names(), _Names()
        self._watched = _Watched(meter, self._clients)

    def emit(self, event: Event) -> None:
        self._inner.emit(event)
        # Whatever an exporter does, the request that is counted goes on.
        with suppress(Exception):
            self._counters["events"].add(1, {"event": event.name})
            self._count(event)

    def watch(self, manager: TokenManager) -> TokenManager:
        """Measure this manager's tokens as well, for as long as it lives; gives it back.

        They are looked at when metrics are collected, so handing a token out costs nothing more.
        """
        self._watched.add(manager)
        return manager

    def request_admitted(self, issuer: str, kind: str) -> None:
        """See `mintmark.api.measures`, as for the two below."""
        with suppress(Exception):
            attributes: Attributes = {"issuer": self._issuers.of(issuer), "kind": str(kind)}
            self._counters["api.requests.admitted"].add(1, attributes)

    def token_proved(self, issuer: str, seconds_left: float) -> None:
        with suppress(Exception):
            attributes: Attributes = {"issuer": self._issuers.of(issuer)}
            self._histograms["api.token.seconds_left"].record(max(seconds_left, 0.0), attributes)

    def proof_taken(self, offset: float) -> None:
        with suppress(Exception):
            # A histogram takes nothing below zero.
            clock: Attributes = {"clock": "behind" if offset < 0 else "ahead"}
            self._histograms["api.proof.clock_offset"].record(abs(offset), clock)

    def _count(self, event: Event) -> None:
        more: Attributes = {}
        match event:
            case api.ClockCompared():
                attributes: Attributes = {
                    "issuer": self._issuers.of(event.issuer), "seen_in": event.seen_in
                }  # fmt: skip
                self._offset.set(event.offset, attributes)
                return
            case client.TokenFetched() | client.TokenServedStale() | client.TokenForgotten():
                name = _CLIENT[type(event)]
            case client.TokenFetchFailed():
                name, more = "client.tokens.fetch_failures", {"cause": _code(event.reason)}
            case _:
                name, more = self._of_the_api(event)
                if name:
                    self._counters[name].add(1, more)
                return
        self._counters[name].add(1, {**more, **self._whose(event.kind, event.client_id)})

    def _of_the_api(self, event: Event) -> Counted:
        match event:
            case api.RequestRefused():
                # Its `client_id` is a stranger's word, and stays in the log.
                return "api.requests.refused", {
                    "status": event.status, "error": event.error or "none", "cause": event.cause
                }  # fmt: skip
            case api.GuardFailed():
                return "api.guard.failures", {"kind": self._kinds.of(event.kind)}
            case api.KeysFetched():
                issuer = self._issuers.of(event.issuer)
                return "api.keys.fetches", {"issuer": issuer, "changed": event.changed}
            case api.KeysUnavailable():
                issuer = self._issuers.of(event.issuer)
                return "api.keys.failures", {"issuer": issuer, "stale": event.stale}
            case api.IntrospectionFailed():
                return "api.introspection.failures", {"issuer": self._issuers.of(event.issuer)}
            case api.ReplayUnchecked():
                return "api.replay.unchecked", {}
            case api.ClockDrift():
                return "api.clock_drift.warnings", {"issuer": self._issuers.of(event.issuer)}
            case _:
                return "", {}

    def _whose(self, kind: str, client_id: str) -> Attributes:
        return {"kind": kind, "client_id": self._clients.of(client_id)}


@final
class _Watched:
    """Managers, and how often each of their slots had been asked when it was last looked at."""

    def __init__(self, meter: Meter, clients: "_Names") -> None:
        self.managers: WeakSet[TokenManager] = WeakSet()
        self._clients = clients
        self.begin()
        begin_again_after_fork(self)
        self._before: WeakKeyDictionary[Slot, tuple[int, int]] = WeakKeyDictionary()
        self._totals: dict[tuple[str, str, bool], int] = {}
        meter.create_observable_counter(
            "mintmark.client.tokens.handed_out", [self._handed_out], "{token}", _HANDED_OUT
        )
        meter.create_observable_up_down_counter(
            "mintmark.client.tokens.held", [self._held], "{token}", "Tokens in memory."
        )
        meter.create_observable_gauge(
            "mintmark.client.tokens.seconds_left", [self._seconds_left], "s",
            "Of the held token that ends first.",
        )  # fmt: skip

    def begin(self) -> None:
        """What belongs to one process: a lock that nobody holds. Two readers may collect at once."""
        self._lock = RLock()

    def add(self, manager: TokenManager) -> None:
        with self._lock:
            self.managers.add(manager)

    def _slots(self) -> Iterator[tuple[TokenManager, Slot]]:
        with self._lock:
            managers = list(self.managers)
        for manager in managers:
            for slot in manager.slots():
                yield manager, slot

    def _handed_out(self, _: object) -> list[Observation]:
        with self._lock:
            for _manager, slot in self._slots():
                asked, waited = slot.asked, slot.waited
                asked_before, waited_before = self._before.get(slot, (0, 0))
                self._before[slot] = (asked, waited)
                whose = (slot.kind, self._clients.of(slot.client_id))
                fresh, all_of_them = waited - waited_before, asked - asked_before
                for waits, number in ((True, fresh), (False, all_of_them - fresh)):
                    total = self._totals.get((*whose, waits), 0)
                    # The two numbers are read one after the other; a counter never goes back.
                    self._totals[(*whose, waits)] = total + max(number, 0)
            return [
                Observation(total, {"kind": kind, "client_id": client_id, "waited": waits})
                for (kind, client_id, waits), total in self._totals.items()
            ]

    def _held(self, _: object) -> list[Observation]:
        return self._observed(lambda numbers: len(numbers))

    def _seconds_left(self, _: object) -> list[Observation]:
        return self._observed(lambda numbers: min(numbers))

    def _observed(self, summed: Callable[[list[float]], float]) -> list[Observation]:
        left: dict[tuple[str, str], list[float]] = {}
        for manager, slot in self._slots():
            held = slot.held
            if held is not None:
                whose = (slot.kind, self._clients.of(slot.client_id))
                seconds = held.lease.expires_at - manager.clock.timestamp()
                left.setdefault(whose, []).append(seconds)
        return [
            Observation(summed(numbers), {"kind": kind, "client_id": client_id})
            for (kind, client_id), numbers in left.items()
        ]


@final
class _Names:
    """The first so many names; whoever comes later is one of the others."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}

    def of(self, name: str) -> str:
        known = self._known.get(name)
        if known is None:
            known = name if len(self._known) < MAX_NAMES else OTHER
            if known is name:
                self._known[name] = name
        return known


def _code(reason: str) -> str:
    """A registered error code; what a server invents, or a network says, has no end."""
    code = reason.partition(":")[0]
    return code if code in _CODES else OTHER


_CLIENT: Final[dict[type[Any], str]] = {
    client.TokenFetched: "client.tokens.fetched",
    client.TokenServedStale: "client.tokens.served_stale",
    client.TokenForgotten: "client.tokens.forgotten",
}

_HANDED_OUT: Final = "Tokens asked for. `waited`: not from memory, but with a fetch to wait for."

_COUNTERS: Final = {
    "events": ("{event}", "Every event by its name."),
    "api.requests.admitted": ("{request}", "Requests whose token held, handed on to the application."),
    "api.requests.refused": ("{request}", "Requests refused, by answer and cause."),
    "api.guard.failures": ("{failure}", "Checks that failed in a way nobody foresaw."),
    "api.keys.fetches": ("{fetch}", "Key sets fetched."),
    "api.keys.failures": ("{fetch}", "Key sets that could not be fetched."),
    "api.introspection.failures": ("{question}", "Questions about opaque tokens without an answer."),
    "api.replay.unchecked": ("{proof}", "Proofs taken while nobody could say whether they were used."),
    "api.clock_drift.warnings": ("{warning}", "An issuer's clock is far from ours."),
    "client.tokens.fetched": ("{token}", "Tokens fetched or renewed."),
    "client.tokens.fetch_failures": ("{fetch}", "Fetches that brought no token."),
    "client.tokens.served_stale": ("{token}", "Tokens handed out late, while the server was down."),
    "client.tokens.forgotten": ("{token}", "Tokens that an API refused before their time."),
}  # fmt: skip

_HISTOGRAMS: Final = {
    "api.token.seconds_left": ("The life left in a token when it was proved.", SECONDS_LEFT),
    "api.proof.clock_offset": ("How far the clock of a proof's maker is from ours.", OFFSETS),
}
