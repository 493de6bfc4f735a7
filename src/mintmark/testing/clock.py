"""A clock that stands still until it is moved."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final, final

__all__ = ["FrozenClock", "duration"]

NOON = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)

_UNITS: Final = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_PART: Final = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)([dhms])")


def duration(text: str) -> timedelta:
    """`55m`, `1h30m`, `0.5s`, `-2d`. Raises `ValueError`."""
    negative, rest = text.startswith("-"), text.removeprefix("-")
    parts = _PART.findall(rest)
    if not parts or "".join(number + unit for number, unit in parts) != rest:
        raise ValueError(f"{text!r} is no duration; write 55m, 1h30m, 0.5s or -2d")
    seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
    return timedelta(seconds=-seconds if negative else seconds)


@final
class FrozenClock:
    """Shows the moment it was set to. Safe to share between threads."""

    def __init__(self, at: datetime = NOON) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at

    def timestamp(self) -> float:
        return self.at.timestamp()

    def advance(self, by: timedelta | str) -> None:
        """Time passes, forwards or backwards: `advance("55m")`, `advance("-2h")`."""
        self.at += duration(by) if isinstance(by, str) else by
