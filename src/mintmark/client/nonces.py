"""Nonces that servers chose for our proofs: learnt from every answer, by origin and key (RFC 9449 §8).

An origin's nonce is of no use at another one, and a second API must not push out the first one's:
both would then be asked twice for every call.
"""

import hashlib
import re
import threading
from collections import OrderedDict
from typing import Final, Protocol, final

from mintmark.client.shared import SharedTokens, StoreUnavailable

__all__ = ["MemoryNonces", "NonceStore", "SharedNonces", "read_nonce"]

ORIGINS: Final = 100
KEYS: Final = 10_000
MAX_LENGTH: Final = 2048

# RFC 9449 §8.1: NQCHAR. Two fields of this name come joined by a comma and a blank, which is none.
_NONCE: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")


class NonceStore(Protocol):
    """The last nonce of each origin for each key. Methods may be called from any thread."""

    @property
    def at_once(self) -> bool:
        """Whether neither method ever waits: then an event loop may call them itself."""
        ...

    def load(self, origin: str, jkt: str) -> str | None:
        """It never raises: a proof without a nonce costs one more request, and no more."""
        ...

    def save(self, origin: str, jkt: str, nonce: str) -> None:
        """It never raises."""
        ...


@final
class MemoryNonces:
    """In this process: a hundred origins for each key, ten thousand keys; the oldest go first."""

    at_once = True

    def __init__(self, *, origins: int = ORIGINS, keys: int = KEYS) -> None:
        if origins < 1 or keys < 1:
            raise ValueError("origins and keys must be 1 or more")
        self._lock = threading.Lock()
        self._origins, self._keys = origins, keys
        self._known: OrderedDict[str, OrderedDict[str, str]] = OrderedDict()

    def load(self, origin: str, jkt: str) -> str | None:
        with self._lock:
            of_key = self._known.get(jkt)
            if of_key is None or origin not in of_key:
                return None
            self._known.move_to_end(jkt)
            of_key.move_to_end(origin)
            return of_key[origin]

    def save(self, origin: str, jkt: str, nonce: str) -> None:
        with self._lock:
            of_key = self._known.setdefault(jkt, OrderedDict())
            of_key[origin] = nonce
            of_key.move_to_end(origin)
            self._known.move_to_end(jkt)
            if len(of_key) > self._origins:
                of_key.popitem(last=False)
            if len(self._known) > self._keys:
                self._known.popitem(last=False)


@final
class SharedNonces:
    """Nonces that processes with the same key share, in the store that their tokens are in.

    Of use where keys are shared: those of people's sessions, or one key for every instance. While
    the store is away, each process goes by what it learnt itself. A nonce is public; it is kept
    as it is.
    """

    at_once = False

    def __init__(self, store: SharedTokens, *, seconds: float = 3600.0) -> None:
        self._store = store
        self._seconds = seconds
        self._own = MemoryNonces()

    def load(self, origin: str, jkt: str) -> str | None:
        try:
            entry = self._store.load(_name(origin, jkt))
        except StoreUnavailable:
            return self._own.load(origin, jkt)
        return read_nonce(entry.decode("latin-1")) if entry else None

    def save(self, origin: str, jkt: str, nonce: str) -> None:
        self._own.save(origin, jkt, nonce)
        name = _name(origin, jkt)
        try:
            old = self._store.load(name)
            if old != nonce.encode():
                # Somebody else's that came in between is as new as ours.
                self._store.swap(name, old, nonce.encode(), seconds=self._seconds)
        except StoreUnavailable:
            return


def read_nonce(value: str | None) -> str | None:
    """The nonce of a `DPoP-Nonce` field; None for what is none."""
    if value is None or len(value) > MAX_LENGTH or _NONCE.fullmatch(value) is None:
        return None
    return value


def _name(origin: str, jkt: str) -> str:
    return "dpop-nonce:" + hashlib.sha256(f"{jkt} {origin}".encode()).hexdigest()
