"""Moments and durations as people write and read them."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from mintmark.cli.failure import ExitStatus, Failure

__all__ = ["parse_duration", "parse_moment", "relative", "shown"]

_DURATION: Final = re.compile(r"(?:(\d{1,4})h)?(?:(\d{1,5})m)?(?:(\d{1,6})s)?")
_STEPS: Final = (("day", 86400), ("hour", 3600), ("minute", 60), ("second", 1))


def parse_duration(option: str, text: str) -> timedelta:
    """`90s`, `15m`, `2h`, `1h30m`."""
    found = _DURATION.fullmatch(text)
    if found is None or not text:
        raise Failure(f"{option}: not a duration such as 90s, 15m or 1h30m", ExitStatus.TOKEN)
    hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return timedelta(hours=hours, minutes=minutes, seconds=seconds)


def parse_moment(option: str, text: str) -> datetime:
    """A date and time with its zone: without one, it is another moment on another machine."""
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise Failure(
        f"{option}: not a moment with its zone, such as 2026-01-31T12:00:00Z", ExitStatus.TOKEN
    )


def shown(seconds: float) -> str:
    """A moment in seconds since 1970, to the second, in UTC."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def relative(seconds: float) -> str:
    """How far a moment is from now: `in 59 minutes 5 seconds`, `2 days ago`, `now`."""
    words, rest = [], abs(round(seconds))
    for name, length in _STEPS:
        number, rest = divmod(rest, length)
        if number:
            words.append(f"{number} {name}{'s' if number > 1 else ''}")
    if not words:
        return "now"
    # The two largest say enough.
    distance = " ".join(words[:2])
    return f"in {distance}" if seconds > 0 else f"{distance} ago"
