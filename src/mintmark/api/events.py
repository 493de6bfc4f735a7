"""Everything the API guard logs."""

import logging
from dataclasses import dataclass
from typing import ClassVar

__all__ = [
    "ClockCompared",
    "ClockDrift",
    "DevelopmentTokensTrusted",
    "GuardFailed",
    "IntrospectionFailed",
    "KeysFetched",
    "KeysUnavailable",
    "ReplayUnchecked",
    "RequestRefused",
    "RouteReported",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRefused:
    """A request was turned away. `reason` says why, which the caller was not told."""

    name: ClassVar[str] = "request.refused"
    level: ClassVar[int] = logging.INFO

    status: int
    error: str
    cause: str  # one of a few dozen words, to count by
    reason: str
    client_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardFailed:
    """A check or policy failed in a way nobody foresaw; the request was refused."""

    name: ClassVar[str] = "guard.failed"
    level: ClassVar[int] = logging.ERROR

    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DevelopmentTokensTrusted:
    """At start: whoever has a file of this machine's user may be anybody. Never in production."""

    name: ClassVar[str] = "development.tokens_trusted"
    level: ClassVar[int] = logging.WARNING

    issuer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockCompared:
    """An issuer's clock, seen by its own word, is `offset` seconds ahead of ours."""

    name: ClassVar[str] = "clock.compared"
    level: ClassVar[int] = logging.DEBUG

    issuer: str
    offset: float  # below zero: it is behind
    seen_in: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockDrift:
    """An issuer's clock and ours are so far apart that tokens will soon be refused for it.

    `offset` is how far theirs is ahead, `skew` what is forgiven. Look at this machine's clock first.
    """

    name: ClassVar[str] = "clock.drift"
    level: ClassVar[int] = logging.WARNING

    issuer: str
    offset: float
    skew: float
    seen_in: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KeysFetched:
    """An issuer's keys were fetched. `changed`: validated tokens were forgotten."""

    name: ClassVar[str] = "keys.fetched"
    level: ClassVar[int] = logging.INFO

    issuer: str
    keys: int
    dropped: int
    changed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class KeysUnavailable:
    """An issuer's keys cannot be fetched; `stale`: the old ones are still in use."""

    name: ClassVar[str] = "keys.unavailable"
    level: ClassVar[int] = logging.WARNING

    issuer: str
    reason: str
    stale: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteReported:
    """At start, each route and its policy; public ones are what to look at."""

    name: ClassVar[str] = "route.reported"
    level: ClassVar[int] = logging.INFO

    route: str
    policy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class IntrospectionFailed:
    """An issuer could not be asked about an opaque token, or its answer was of no use."""

    name: ClassVar[str] = "introspection.failed"
    level: ClassVar[int] = logging.WARNING

    issuer: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayUnchecked:
    """A proof was taken though the store of used ones did not answer: it may have been used."""

    name: ClassVar[str] = "replay.unchecked"
    level: ClassVar[int] = logging.ERROR

    reason: str
