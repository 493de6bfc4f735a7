"""What a manager holds: one place for each token, and what may be shown of it."""

import threading
from collections.abc import Hashable
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final, Protocol, final

from mintmark.client.errors import TokenUnavailable
from mintmark.client.packed import Kept, PackedKey, terms_of
from mintmark.client.renewal import EARLIER, Lease
from mintmark.protocol.authorization_details import AuthorizationDetails
from mintmark.protocol.scope import Scope
from mintmark.secret import Secret

__all__ = ["Acquired", "Failed", "HeldToken", "SessionLock", "Slot", "TokenKey", "is_over", "shown"]


class TokenKey(Hashable, Protocol):
    """The whole request behind a token."""

    @property
    def kind(self) -> str: ...
    @property
    def client_id(self) -> str: ...
    @property
    def scope(self) -> Scope: ...
    @property
    def resource(self) -> frozenset[str]: ...
    @property
    def jkt(self) -> str: ...
    @property
    def told_apart_by(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Acquired:
    """A token, and when to do what with it."""

    token: Secret
    received: float
    lease: Lease
    fetched: bool = True  # False: it was in a store already
    details: AuthorizationDetails = ()  # what was granted, where the server says so


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldToken:
    """What may be shown of a token: everything but itself."""

    kind: str
    fingerprint: str
    client_id: str
    scope: Scope
    resource: frozenset[str]
    received: datetime
    expires_at: datetime
    asked: int
    from_cache: int
    fetched: int
    renewed: int


@dataclass(slots=True)
class Failed:
    """The last try, which brought nothing."""

    error: TokenUnavailable
    since: float
    until: float
    count: int

    def rests(self, now: float) -> bool:
        # A clock that was set back must not turn a second's pause into a day's. A caller that read
        # the time a moment before the failure still counts as resting.
        return self.since - EARLIER <= now < self.until


@lru_cache(1024)
def _numbers(waited: int, fetched: int) -> tuple[int, int]:
    # Most tokens were fetched once, for one who waited: they have this pair in common.
    return waited, fetched


_NOTHING: Final = _numbers(0, 0)


@dataclass(slots=True)
class _Passing:
    """What a slot has for a while, or seldom."""

    name: str | None = None
    flight: Future[Acquired | TokenUnavailable] | None = None
    failed: Failed | None = None
    refused: Secret | None = None

    def is_empty(self) -> bool:
        return all(one is None for one in (self.name, self.flight, self.failed, self.refused))


@final
class Slot:
    """The place of one token. Equal keys share one.

    Whoever changes what it holds has the lock of `Flights`: a lock for each would take more room
    than all the rest of a slot, and none is held for longer than it takes to set a few fields.
    """

    __slots__ = ("__weakref__", "_passing", "_worked", "asked", "kept", "packed")

    def __init__(self, packed: PackedKey) -> None:
        self.packed = packed
        self.kept: Kept | None = None
        self._passing: _Passing | None = None
        self.asked = 0
        self._worked = _NOTHING

    @property
    def key(self) -> TokenKey:
        """The whole request; made anew each time."""
        key: TokenKey = self.packed.whole()
        return key

    @property
    def kind(self) -> str:
        return str(self.packed.common.kind)

    @property
    def client_id(self) -> str:
        return str(self.packed.common.client_id)

    @property
    def jkt(self) -> str:
        return str(self.packed.common.jkt)

    @property
    def waited(self) -> int:
        """How many of those who asked had to wait."""
        return self._worked[0]

    @property
    def fetched(self) -> int:
        return self._worked[1]

    def count(self, *, waited: int = 0, fetched: int = 0) -> None:
        """So many more."""
        self._worked = _numbers(self.waited + waited, self.fetched + fetched)

    @property
    def renewed(self) -> int:
        return max(self.fetched - 1, 0)

    @property
    def held(self) -> Acquired | None:
        kept = self.kept
        if kept is None:
            return None
        terms = kept.terms
        return Acquired(kept.token, kept.received, kept.lease(), terms.fetched, terms.details)

    @held.setter
    def held(self, held: Acquired | None) -> None:
        if held is None:
            self.kept = None
            return
        terms = terms_of(held.received, held.lease, fetched=held.fetched, details=held.details)
        self.kept = Kept(held.token, held.received, terms)

    @property
    def name(self) -> str | None:
        """In the shared store; None: it is not kept there."""
        passing = self._passing
        return passing.name if passing is not None else None

    @name.setter
    def name(self, name: str | None) -> None:
        self._set("name", name)

    @property
    def flight(self) -> Future[Acquired | TokenUnavailable] | None:
        passing = self._passing
        return passing.flight if passing is not None else None

    @flight.setter
    def flight(self, flight: Future[Acquired | TokenUnavailable] | None) -> None:
        self._set("flight", flight)

    @property
    def failed(self) -> Failed | None:
        passing = self._passing
        return passing.failed if passing is not None else None

    @failed.setter
    def failed(self, failed: Failed | None) -> None:
        self._set("failed", failed)

    @property
    def refused(self) -> Secret | None:
        """The one an API refused last. It may still lie in a store that could not be reached then."""
        passing = self._passing
        return passing.refused if passing is not None else None

    @refused.setter
    def refused(self, refused: Secret | None) -> None:
        self._set("refused", refused)

    def _set(self, what: str, value: object) -> None:
        passing = self._passing
        if passing is None:
            if value is None:
                return
            passing = self._passing = _Passing()
        setattr(passing, what, value)
        if value is None and passing.is_empty():
            self._passing = None


@final
class SessionLock:
    """Had by whoever renews a session, over everything that takes: all its tokens come of one."""

    __slots__ = ("__weakref__", "lock")

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Anew, in a process in which nobody holds it."""
        self.lock = threading.Lock()


def is_over(slot: Slot, now: float) -> bool:
    """Whether nothing of it will be missed."""
    kept, failed = slot.kept, slot.failed
    alive = kept is not None and now < kept.received + kept.terms.lasts_for
    return not alive and slot.flight is None and (failed is None or not failed.rests(now))


def shown(slot: Slot, held: Acquired) -> HeldToken:
    """For a page or a log."""
    key = slot.key
    return HeldToken(
        kind=key.kind,
        fingerprint=held.token.fingerprint(),
        client_id=key.client_id,
        scope=key.scope,
        resource=key.resource,
        received=datetime.fromtimestamp(held.received, UTC),
        expires_at=datetime.fromtimestamp(held.lease.expires_at, UTC),
        asked=slot.asked,
        from_cache=slot.asked - slot.waited,
        fetched=slot.fetched,
        renewed=slot.renewed,
    )
