"""Whose turn it is to fetch: one process at a time for each name, while a store can say so."""

import secrets
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self, TypeVar, final

from mintmark.client.errors import AuthorityUnavailable
from mintmark.client.shared import LeaseLost, SharedTokens, StoreUnavailable
from mintmark.clock import monotonic

__all__ = ["LEASE_SECONDS", "RENEWED_EVERY", "Turn", "take_turn"]

LEASE_SECONDS = 10.0
"""A process that was killed holds the others up for so long."""

RENEWED_EVERY = 3.0
LONGEST_WAIT = 1.0

T = TypeVar("T")


@final
class Turn:
    """The right to fetch, kept alive by a thread for as long as the block lasts.

    `fence` is None where no store could be asked: then it is a turn among this process's own.
    """

    __slots__ = ("_done", "_lost", "_name", "_owner", "_store", "_until", "fence")

    def __init__(
        self, store: SharedTokens | None, name: str, owner: str, fence: int | None, until: float
    ) -> None:
        self._store, self._name, self._owner, self.fence = store, name, owner, fence
        self._until = until
        self._lost = False
        self._done = threading.Event()

    @property
    def shared(self) -> bool:
        """Whether other processes are kept away."""
        return self.fence is not None

    def require_held(self) -> None:
        """To be asked before something that must not happen twice.

        A process may stand still between any two lines, and the lease ends meanwhile.

        Raises:
            LeaseLost
        """
        if self.fence is not None and (self._lost or monotonic() >= self._until):
            raise LeaseLost(self._name)

    def __enter__(self) -> Self:
        if self.fence is not None:
            threading.Thread(target=self._keep, name="mintmark-lease", daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._done.set()
        if self._store is not None and self.fence is not None and not self._lost:
            with suppress(StoreUnavailable):  # it ends by itself
                self._store.release(self._name, owner=self._owner)

    def _keep(self) -> None:
        assert self._store is not None
        while not self._done.wait(RENEWED_EVERY):
            until = monotonic() + LEASE_SECONDS
            try:
                self._store.renew(self._name, owner=self._owner, seconds=LEASE_SECONDS)
            except StoreUnavailable:
                continue  # perhaps the next time; `require_held` counts on what is certain
            except LeaseLost:
                self._lost = True
                return
            self._until = until


def take_turn(
    store: SharedTokens | None,
    name: str,
    look: Callable[[], T | None],
    fetch: Callable[[Turn], T],
    *,
    patience: float,
) -> T:
    """What `look` finds, else what `fetch` brings, in one process at a time.

    `look` is asked before the lease, whenever it may have changed, and once more under the lease:
    whoever waited finds what the one before has written.

    Raises:
        AuthorityUnavailable: others had the lease for all our patience.
    """
    until = monotonic() + patience
    while True:
        if (found := look()) is not None:
            return found
        turn = _turn(store, name)
        if turn is not None:
            break
        _wait(store, name, until - monotonic())
    with turn:
        found = look() if turn.shared else None
        return fetch(turn) if found is None else found


def _turn(store: SharedTokens | None, name: str) -> Turn | None:
    owner, until = secrets.token_hex(16), monotonic() + LEASE_SECONDS
    if store is not None:
        try:
            fence = store.lease(name, owner=owner, seconds=LEASE_SECONDS)
        except StoreUnavailable:
            return Turn(None, name, owner, None, until)
        return None if fence is None else Turn(store, name, owner, fence, until)
    return Turn(None, name, owner, None, until)


def _wait(store: SharedTokens | None, name: str, left: float) -> None:
    if left <= 0:
        raise AuthorityUnavailable("another process was fetching it for too long")
    assert store is not None
    # If it is away the lease cannot be had either, and the turn is this process's own.
    with suppress(StoreUnavailable):
        store.wait(name, min(left, LONGEST_WAIT))
