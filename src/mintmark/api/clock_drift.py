"""How far an issuer's clock is from ours, seen before any token is refused for it.

Two honest signs. A token that says it was made in the future comes from a clock that is ahead, by
that much at least. The `Date` of an answer is what their clock said when it was sent, give or take
the second it is rounded to and the time the answer took. Both cost nothing on a token that is
remembered: the one is looked at when a token is proved, the other when keys are fetched.
"""

from collections.abc import Mapping
from datetime import UTC, timedelta
from email.utils import parsedate_to_datetime
from typing import Final, final

from mintmark.api.events import ClockCompared, ClockDrift
from mintmark.events import Events

__all__ = ["ClockComparison"]

SHARE: Final = 0.5
"""Of the skew. When half of what is forgiven is used up, somebody should look."""

AT_LEAST: Final = 2.0
"""Seconds: a `Date` knows no better."""

AGAIN_AFTER: Final = 600.0
"""Seconds between two warnings about one issuer. A clock that is wrong stays wrong."""


@final
class ClockComparison:
    """One issuer's clock beside ours."""

    def __init__(self, issuer: str, skew: timedelta, events: Events) -> None:
        self._issuer = issuer
        self._skew = skew.total_seconds()
        self._limit = max(self._skew * SHARE, AT_LEAST)
        self._events = events
        self._warned_at = float("-inf")

    def token_made(self, at: float, now: float) -> None:
        """A token that was proved says that it was made then. How old it is says nothing."""
        if at > now:
            self._seen(at - now, 0.0, "token", now)

    def answered(self, headers: Mapping[str, str], asked: float, now: float) -> None:
        """An answer to a question that was asked then came now."""
        # RFC 9110 §6.6.1, RFC 9111 §5.1: an answer with an age was made earlier, for somebody else.
        if "age" in headers:
            return
        date = _moment(headers.get("date", ""))
        took = now - asked
        # Less than nothing: our own clock was set back meanwhile.
        if date is None or took < 0:
            return
        self._seen(date + 0.5 - (asked + now) / 2, 0.5 + took / 2, "answer", now)

    def _seen(self, offset: float, uncertain: float, seen_in: str, now: float) -> None:
        offset = round(offset, 3)
        self._events.emit(ClockCompared(issuer=self._issuer, offset=offset, seen_in=seen_in))
        # A clock of ours that was set back must not silence the warning until it has caught up.
        waits = self._warned_at <= now < self._warned_at + AGAIN_AFTER
        if abs(offset) - uncertain < self._limit or waits:
            return
        self._warned_at = now
        self._events.emit(
            ClockDrift(issuer=self._issuer, offset=offset, skew=self._skew, seen_in=seen_in)
        )


def _moment(text: str) -> float | None:
    """Seconds since 1970, if it is a date."""
    try:
        date = parsedate_to_datetime(text)
        # Without a zone it is GMT (RFC 9110 §5.6.7), and not the time of this machine's place.
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError, TypeError, IndexError):
        return None
