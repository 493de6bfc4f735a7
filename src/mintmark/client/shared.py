"""What processes share: sealed tokens by name, and who may fetch the next one.

A store sees names and sealed octets. It cannot read what it keeps, and whoever writes to it by hand
cannot put one entry in another's place, for the name is sealed in (`sealed.py`).
"""

from typing import Protocol

__all__ = ["LeaseLost", "SharedTokens", "StaleFence", "StoreUnavailable"]


class StoreUnavailable(Exception):
    """The store did not answer in time. A call that can be made without it is made."""


class LeaseLost(Exception):
    """Somebody else has the lease: it ended before it was renewed."""


class StaleFence(Exception):
    """A later holder of the lease was here; what an earlier one brings comes too late."""


class SharedTokens(Protocol):
    """Sealed entries and leases by name, the same for every process.

    Methods may be called from any thread, and may wait, though never longer than the store's own
    limit. Each of them may raise `StoreUnavailable`, and nothing else but what it names.
    """

    def load(self, name: str) -> bytes | None:
        """The entry, unless there is none or its time is over."""
        ...

    def lease(self, name: str, *, owner: str, seconds: float) -> int | None:
        """The right to fetch for this name; None while somebody else has it.

        Gives a fence: a number that grows with every lease of this name, for as long as an entry
        or a lease of it could still be about. A lease that ended, or was given back, is nobody's:
        the next one who asks gets it at once.
        """
        ...

    def renew(self, name: str, *, owner: str, seconds: float) -> None:
        """So many seconds more from now. Raises `LeaseLost`."""
        ...

    def release(self, name: str, *, owner: str) -> None:
        """Give the lease back; harmless if it is lost already."""
        ...

    def write(self, name: str, entry: bytes, *, fence: int, seconds: float) -> None:
        """Keep an entry for so long. Raises `StaleFence` if a later lease was given.

        That this lease has ended meanwhile does not matter while nobody has had another one.
        """
        ...

    def swap(self, name: str, old: bytes | None, new: bytes, *, seconds: float) -> bytes | None:
        """Put `new` in the place of exactly `old` (None: of nothing), in one step.

        Gives back what is there afterwards: `new`, or what somebody else put there, or None if
        `old` was wanted and nothing is there.
        """
        ...

    def forget(self, name: str, entry: bytes | None = None) -> None:
        """Delete exactly this entry, or (None) whatever is there."""
        ...

    def wait(self, name: str, seconds: float) -> None:
        """Until the name's entry or lease may have changed, or so long at most."""
        ...

    def close(self) -> None: ...
