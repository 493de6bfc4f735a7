"""Whose turn it is to fetch: one process at a time for each name, while a store can say so."""

import os
import secrets
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self, TypeVar, final

from mintmark.client.errors import AuthorityUnavailable
from mintmark.client.renewal import RenewalPolicy
from mintmark.client.shared import LeaseLost, SharedTokens, StoreUnavailable
from mintmark.clock import monotonic

__all__ = ["Turn", "take_turn"]

LONGEST_WAIT = 1.0

T = TypeVar("T")


@final
class Turn:
    """The right to fetch, kept alive by a thread for as long as the block lasts.

    `fence` is None where no store could be asked: then it is a turn among this process's own.
    """

    __slots__ = ("_done", "_lost", "_name", "_owner", "_policy", "_store", "_until", "fence")

    def __init__(
        self,
        name: str,
        policy: RenewalPolicy,
        *,
        store: SharedTokens | None = None,
        owner: str = "",
        fence: int | None = None,
        until: float = 0.0,
    ) -> None:
        self._name, self._policy, self._store, self._owner = name, policy, store, owner
        self.fence, self._until = fence, until
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
            # At the end of a program no thread starts any more: the lease then lasts as it is.
            with suppress(RuntimeError):
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
        seconds = self._policy.turn.total_seconds()
        while not self._done.wait(self._policy.turn_renewed_every.total_seconds()):
            until = monotonic() + seconds
            try:
                self._store.renew(self._name, owner=self._owner, seconds=seconds)
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
    policy: RenewalPolicy,
) -> T:
    """What `look` finds, else what `fetch` brings, in one process at a time.

    `look` is asked before the lease, whenever it may have changed, and once more under the lease:
    whoever waited finds what the one before has written.

    Raises:
        AuthorityUnavailable: others had the lease for all our patience.
    """
    until = monotonic() + policy.patience.total_seconds()
    while True:
        if (found := look()) is not None:
            return found
        turn = _turn(store, name, policy)
        if turn is not None:
            break
        _wait(store, name, until - monotonic())
    with turn:
        found = look() if turn.shared else None
        return fetch(turn) if found is None else found


def _turn(store: SharedTokens | None, name: str, policy: RenewalPolicy) -> Turn | None:
    if store is None:
        return Turn(name, policy)
    # The process first: whoever looks into the store sees which one has it.
    owner, seconds = f"{os.getpid()}-{secrets.token_hex(16)}", policy.turn.total_seconds()
    until = monotonic() + seconds
    try:
        fence = store.lease(name, owner=owner, seconds=seconds)
    except StoreUnavailable:
        return Turn(name, policy)
    if fence is None:
        return None
    return Turn(name, policy, store=store, owner=owner, fence=fence, until=until)


def _wait(store: SharedTokens | None, name: str, left: float) -> None:
    if left <= 0:
        raise AuthorityUnavailable("another process was fetching it for too long")
    assert store is not None
    # If it is away the lease cannot be had either, and the turn is this process's own.
    with suppress(StoreUnavailable):
        store.wait(name, min(left, LONGEST_WAIT))
