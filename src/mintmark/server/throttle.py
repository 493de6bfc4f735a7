"""How often somebody may guess."""

from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import final

__all__ = ["Throttle", "TooManyAttempts"]

MAX_ENTRIES = 50_000


class TooManyAttempts(Exception):
    """Wait for `retry_after` before the next attempt is even looked at."""

    def __init__(self, retry_after: timedelta) -> None:
        super().__init__(f"wait {retry_after.total_seconds():.0f} s")
        self.retry_after = retry_after


@dataclass(slots=True)
class _Failures:
    count: int
    since: datetime


@final
class Throttle:
    """Counts failures by name (an account, a client, an address) over a window.

    In the memory of one process, and bounded: the oldest entries give way. A success forgives
    its name, so that one person behind a shared address is not locked out by others' mistakes
    on other accounts.
    """

    def __init__(self, *, limit: int, window: timedelta) -> None:
        self._limit = limit
        self._window = window
        self._failures: OrderedDict[str, _Failures] = OrderedDict()

    def require_allowed(self, *names: str, now: datetime) -> None:
        """Raises `TooManyAttempts` while one of the names has failed too often."""
        for name in names:
            failures = self._failures.get(name)
            if failures is None:
                continue
            ends = failures.since + self._window
            if now >= ends:
                del self._failures[name]
            elif failures.count >= self._limit:
                raise TooManyAttempts(ends - now)

    def failed(self, *names: str, now: datetime) -> None:
        for name in names:
            failures = self._failures.get(name)
            if failures is None:
                while len(self._failures) >= MAX_ENTRIES:
                    self._failures.popitem(last=False)
                self._failures[name] = _Failures(1, now)
            else:
                failures.count += 1

    def succeeded(self, *names: str) -> None:
        for name in names:
            self._failures.pop(name, None)
