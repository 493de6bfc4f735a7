"""What a manager holds: one place for each token, and what may be shown of it."""

import threading
from collections.abc import Hashable
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol, final

from mintmark.client.errors import TokenUnavailable
from mintmark.client.renewal import EARLIER, Lease
from mintmark.protocol.authorization_details import AuthorizationDetails
from mintmark.protocol.scope import Scope
from mintmark.secret import Secret

__all__ = ["Acquired", "Failed", "HeldToken", "Slot", "TokenKey", "is_over", "shown"]


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


@final
class Slot:
    """The place of one token. Equal keys share one."""

    __slots__ = (
        "__weakref__", "asked", "failed", "fetched", "flight", "held", "key", "lock", "name",
        "refused", "renewed", "waited",
    )  # fmt: skip

    def __init__(self, key: TokenKey, name: str | None = None) -> None:
        self.key = key
        self.name = name  # in the shared store; None: it is not kept there
        self.held: Acquired | None = None
        self.failed: Failed | None = None
        # The one an API refused last. It may still lie in a store that could not be reached then.
        self.refused: Secret | None = None
        self.asked = self.waited = self.fetched = self.renewed = 0
        self.begin()

    def begin(self) -> None:
        """Anew, in a process in which nobody holds the lock and nobody is fetching."""
        self.lock = threading.Lock()
        self.flight: Future[Acquired | TokenUnavailable] | None = None


def is_over(slot: Slot, now: float) -> bool:
    """Whether nothing of it will be missed."""
    held, failed = slot.held, slot.failed
    alive = held is not None and now < held.lease.expires_at
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
