"""The headers of the last second, so that a busy caller's token is not hashed for every request."""

import asyncio
from typing import Final, Generic, TypeVar, final

__all__ = ["Recent"]

Known = TypeVar("Known")

KEEP: Final = 1.0
"""Seconds. What is remembered for longer is remembered by its hash, in `validate.py`: a bearer
token must not lie in memory for longer than its request would keep it there."""

MOST: Final = 4096


@final
class Recent(Generic[Known]):
    """What is known by a header's own octets: for a second, and on an event loop alone, which
    sees to it that the second ends when no further request comes.
    """

    __slots__ = ("_known", "_since", "get")

    def __init__(self) -> None:
        self._known: dict[bytes, Known] = {}
        self._since = 0.0
        self.get = self._known.get

    def keep(self, header: bytes, known: Known, now: float) -> None:
        """Keep this for the rest of the second that began with the first one kept."""
        if len(self._known) >= MOST or not 0.0 <= now - self._since < KEEP:
            self._known.clear()
        if not self._known:
            try:
                asyncio.get_running_loop().call_later(KEEP, self._known.clear)
            except RuntimeError:
                return
            self._since = now
        self._known[header] = known
