"""The one place that asks what time it is."""

import time
from datetime import UTC, datetime
from typing import Protocol

__all__ = ["Clock", "SystemClock", "monotonic"]


class Clock(Protocol):
    """Tells the time. A request asks once and passes the moment down."""

    def now(self) -> datetime:
        """This moment, aware, in UTC."""
        ...

    def timestamp(self) -> float:
        """The same moment in seconds since 1970, for paths counted in nanoseconds."""
        ...


class SystemClock:
    """The clock of this machine."""

    __slots__ = ()

    def now(self) -> datetime:
        return datetime.now(UTC)

    def timestamp(self) -> float:
        return time.time()


def monotonic() -> float:
    """Seconds on a clock that never jumps: for time limits, and for nothing that is a date."""
    return time.monotonic()
