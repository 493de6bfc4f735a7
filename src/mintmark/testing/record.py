"""What a token server for tests was asked, without the values."""

import threading
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import final

from mintmark.testing.asked import Asked

__all__ = ["Record", "Recorded", "Recording"]

# Anything else in this place could be a value that somebody put there by mistake.
_GRANT_TYPES = frozenset(
    {
        "authorization_code", "client_credentials", "password", "refresh_token",
        "urn:ietf:params:oauth:grant-type:device_code",
        "urn:ietf:params:oauth:grant-type:jwt-bearer",
        "urn:ietf:params:oauth:grant-type:token-exchange",
        "urn:openid:params:grant-type:ciba",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """One request: which parameters and headers it had, and nothing of what was in them."""

    at: datetime
    method: str
    path: str
    grant_type: str | None
    parameters: tuple[str, ...]
    headers: tuple[str, ...]

    def __str__(self) -> str:
        grant = f" {self.grant_type}" if self.grant_type else ""
        return f"{self.at:%H:%M:%S} {self.method} {self.path}{grant} ({', '.join(self.parameters)})"


@final
class Record:
    """Requests in the order they came, and how many of each kind. Safe to share between threads."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._requests: list[Recorded] = []

    def keep(self, asked: Asked, at: datetime) -> None:
        (grant_type,) = asked.form.values.get("grant_type", (None,))
        one = Recorded(
            at=at,
            method=asked.method,
            path=asked.path,
            grant_type=grant_type if grant_type in _GRANT_TYPES else None,
            parameters=tuple(sorted(asked.form.values)),
            headers=tuple(sorted(asked.headers)),
        )
        with self._lock:
            self._requests.append(one)

    def count(self, name: str) -> None:
        # `counts[name] += 1` by two threads at once may add one; a second request that nobody
        # wanted would go unnoticed just then.
        with self._lock:
            self.counts[name] += 1

    @property
    def requests(self) -> tuple[Recorded, ...]:
        with self._lock:
            return tuple(self._requests)

    def require_count(self, name: str, expected: int) -> None:
        """Raises `AssertionError`, which says what came instead."""
        __tracebackhide__ = True
        found = self.counts[name]
        if found != expected:
            came = "".join(f"\n  {one}" for one in self.requests) or "\n  nothing"
            raise AssertionError(f"{name}: {expected} expected, {found} came; in all:{came}")


class Recording:
    """What a test asks such a server afterwards."""

    def __init__(self) -> None:
        self.record = Record()

    @property
    def counts(self) -> Counter[str]:
        """Requests by endpoint (`metadata`, `jwks`, `token`, `introspect`) and by grant type.

        A grant is counted when it was looked at: one that a fault kept from that is none.
        """
        return self.record.counts

    def count(self, name: str) -> int:
        """How many of this endpoint or grant type, such as `refresh_token`."""
        return self.counts[name]

    @property
    def requests(self) -> tuple[Recorded, ...]:
        """Everything that was asked, in its order, as names without values."""
        return self.record.requests

    def require_count(self, name: str, expected: int) -> None:
        """Raises `AssertionError` with everything that came, if this came more or less often."""
        __tracebackhide__ = True
        self.record.require_count(name, expected)

    def require_one_refresh(self) -> None:
        """Exactly one renewal, however many wanted it: raises `AssertionError` otherwise."""
        __tracebackhide__ = True
        self.record.require_count("refresh_token", 1)
