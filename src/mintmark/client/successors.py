"""What became of refresh tokens that were used a moment ago.

A refresh token works once. Whoever still holds the used one (it was read before, or the store did
not take its successor) finds the successor here, and does not show a used token to the server,
which would take that for theft and end the whole sign-in.
"""

import threading
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, final

from mintmark.client.keys import DelegatedKey
from mintmark.client.sealed import Unreadable, name_of
from mintmark.client.shared import StoreUnavailable
from mintmark.client.stores import UserTokens
from mintmark.client.user_tokens import decode_user_tokens, encode_user_tokens
from mintmark.clock import monotonic
from mintmark.secret import Secret

if TYPE_CHECKING:
    from mintmark.client.sharing import Sharing

__all__ = ["RECORD_SECONDS", "Successors"]

RECORD_SECONDS = 30.0
MOST = 4096
NEVER = float("inf")


@dataclass(frozen=True, slots=True)
class _Record:
    tokens: UserTokens
    until: float


@final
class Successors:
    """Records of 30 seconds, in memory and, sealed, in the shared store.

    One that no store has taken stays in memory until one has: it is the only live token.
    """

    def __init__(self, sharing: "Sharing | None") -> None:
        self._sharing = sharing
        self._records: dict[str, _Record] = {}
        self.begin()

    def begin(self) -> None:
        self._lock = threading.Lock()

    def keep(self, key: DelegatedKey, used: Secret, tokens: UserTokens) -> None:
        """`tokens` came for `used`, and are in no store yet. Never fails."""
        name = _name(key, used)
        self._put(name, _Record(tokens, NEVER))
        if self._sharing is not None:
            sealed = self._sharing.ring.seal(encode_user_tokens(tokens), name)
            with suppress(StoreUnavailable):
                self._sharing.store.swap(name, None, sealed, seconds=RECORD_SECONDS)

    def saved(self, key: DelegatedKey, used: Secret) -> None:
        """The store has them now; the record stays for those who come late."""
        name = _name(key, used)
        with self._lock:
            record = self._records.get(name)
            if record is not None:
                until = min(record.until, monotonic() + RECORD_SECONDS)
                self._records[name] = replace(record, until=until)

    def of(self, key: DelegatedKey, used: Secret) -> UserTokens | None:
        """The tokens that came for `used`, if that is known here or was written down."""
        name = _name(key, used)
        with self._lock:
            record = self._records.get(name)
        if record is not None and monotonic() < record.until:
            return record.tokens
        return self._shared(name)

    def _shared(self, name: str) -> UserTokens | None:
        if self._sharing is None:
            return None
        try:
            sealed = self._sharing.store.load(name)
            if sealed is not None:
                return decode_user_tokens(self._sharing.ring.open(sealed, name))
        except (StoreUnavailable, Unreadable):
            pass
        return None

    def _put(self, name: str, record: _Record) -> None:
        with self._lock:
            now = monotonic()
            for over in [one for one, kept in self._records.items() if kept.until <= now]:
                del self._records[over]
            if len(self._records) >= MOST:
                del self._records[next(iter(self._records))]  # the oldest
            self._records[name] = record


def _name(key: DelegatedKey, used: Secret) -> str:
    return name_of(key, f"successor of {used.digest().hex()}")
