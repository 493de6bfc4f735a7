"""One key's token and the store that all processes share."""

from collections.abc import Callable
from typing import final

from mintmark.client.events import SharedEntryUnreadable, SharedLeaseLost
from mintmark.client.held import Acquired, Slot
from mintmark.client.renewal import RenewalPolicy
from mintmark.client.sealed import KeyRing, Unreadable, open_acquired, seal_acquired
from mintmark.client.shared import SharedTokens, StaleFence, StoreUnavailable
from mintmark.client.turns import Turn, take_turn
from mintmark.clock import Clock
from mintmark.events import Events
from mintmark.secret import Secret

__all__ = ["Sharing"]


@final
class Sharing:
    """Looks in the store, fetches in turn, writes back. Nothing here fails because the store does.

    What it raises comes from `acquire`, or says that others fetched for too long.
    """

    def __init__(
        self,
        store: SharedTokens,
        ring: KeyRing,
        *,
        clock: Clock,
        events: Events,
        policy: RenewalPolicy,
    ) -> None:
        self.store = store
        self.ring = ring
        self._clock = clock
        self._events = events
        self._policy = policy

    def fetch(self, slot: Slot, name: str, acquire: Callable[[], Acquired]) -> Acquired:
        """The token of another process, or one that is fetched now and theirs as well."""

        def fetch(turn: Turn) -> Acquired:
            acquired = acquire()
            self._write(slot, name, acquired, turn)
            return acquired

        return take_turn(self.store, name, lambda: self._usable(slot, name), fetch, self._policy)

    def spare(self, slot: Slot, name: str) -> Acquired | None:
        """A token past its slack, but alive: for while the server is down."""
        found = self._load(slot, name)
        now = self._clock.timestamp()
        alive = found is not None and found.lease.usable_from <= now < found.lease.expires_at
        return found if alive else None

    def forget(self, slot: Slot, name: str, token: Secret) -> None:
        """Delete exactly this token; what somebody wrote meanwhile stays."""
        try:
            sealed = self.store.load(name)
            if sealed is not None and self._open(slot, name, sealed, token) is not None:
                self.store.forget(name, sealed)
        except StoreUnavailable:
            pass  # `slot.refused` keeps this process from taking it up again

    def _open(self, slot: Slot, name: str, sealed: bytes, token: Secret) -> Acquired | None:
        try:
            found = open_acquired(self.ring, name, sealed)
        except Unreadable:
            self._alarm(slot, name)
            return None
        return found if found.token == token else None

    def _usable(self, slot: Slot, name: str) -> Acquired | None:
        found = self._load(slot, name)
        if found is None:
            return None
        now, lease, held = self._clock.timestamp(), found.lease, slot.held
        if held is not None and lease.usable_from <= now < held.lease.usable_until:
            # Ours serves still, and is to be renewed: only one that is younger is worth having.
            until = lease.renew_from if found.token != held.token else 0.0
        else:
            until = lease.usable_until
        return found if lease.usable_from <= now < until else None

    def _load(self, slot: Slot, name: str) -> Acquired | None:
        try:
            sealed = self.store.load(name)
        except StoreUnavailable:
            return None
        if sealed is None:
            return None
        try:
            found = open_acquired(self.ring, name, sealed)
        except Unreadable:
            self._alarm(slot, name)
            return None
        return found if found.token != slot.refused else None

    def _write(self, slot: Slot, name: str, acquired: Acquired, turn: Turn) -> None:
        now, lease = self._clock.timestamp(), acquired.lease
        # One that is used up as it comes is of no use to anybody else.
        if turn.fence is None or now >= lease.usable_until:
            return
        sealed = seal_acquired(self.ring, name, acquired)
        try:
            self.store.write(name, sealed, fence=turn.fence, seconds=lease.expires_at - now)
        except StaleFence:
            self._events.emit(SharedLeaseLost(kind=slot.kind, client_id=slot.client_id))
        except StoreUnavailable:
            pass  # the guard has said so; our own callers have the token

    def _alarm(self, slot: Slot, name: str) -> None:
        self._events.emit(
            SharedEntryUnreadable(entry=name, kind=slot.kind, client_id=slot.client_id)
        )
