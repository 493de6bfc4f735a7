"""A clock that stands still until it is moved."""

from datetime import UTC, datetime, timedelta
from typing import final

__all__ = ["FrozenClock"]

NOON = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)


@final
class FrozenClock:
    """Shows the moment it was set to. Safe to share between threads."""

    def __init__(self, at: datetime = NOON) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at

    def timestamp(self) -> float:
        return self.at.timestamp()

    def advance(self, by: timedelta) -> None:
        """Time passes, forwards or backwards."""
        self.at += by
