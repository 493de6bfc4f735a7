"""Who may say to this server on whose behalf a client asks (RFC 7523 §2.1)."""

import asyncio
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Protocol, final

from mintmark.fetch import Fetcher, FetchError, FetchPolicy
from mintmark.jose.errors import JoseError
from mintmark.jose.key_set import KeySet
from mintmark.protocol.scope import Scope

__all__ = ["AssertionIssuer", "FetchedKeys", "FixedKeys", "KeysUnavailable"]

FRESH: Final = timedelta(minutes=10)
AGAIN_AFTER: Final = timedelta(seconds=30)
FIRST_AGAIN_AFTER: Final = timedelta(seconds=1)
STALE: Final = timedelta(hours=24)


class KeysUnavailable(Exception):
    """The issuer's keys could not be had: nothing can be said about its assertions."""


class IssuerKeys(Protocol):
    """The keys of one issuer."""

    async def at(self, now: datetime) -> KeySet:
        """Raises `KeysUnavailable`."""
        ...

    async def renewed(self, now: datetime) -> KeySet:
        """The same, fetched again if that was not just done: the signature's key is unknown.

        Raises:
            KeysUnavailable
        """
        ...

    def close(self) -> None: ...


@final
@dataclass(frozen=True, slots=True)
class FixedKeys:
    """Keys that stand in the settings."""

    keys: KeySet

    async def at(self, now: datetime) -> KeySet:  # noqa: ARG002 -- they never change
        return self.keys

    async def renewed(self, now: datetime) -> KeySet:  # noqa: ARG002 -- they never change
        return self.keys

    def close(self) -> None:
        """Nothing to close."""


@final
class FetchedKeys:
    """Keys that the issuer publishes: fetched when they are needed, and at most so often."""

    def __init__(self, uri: str, policy: FetchPolicy) -> None:
        self._uri = uri
        self._fetcher = Fetcher(policy)
        self._lock = threading.Lock()
        self._keys: KeySet | None = None
        self._asked: datetime | None = None
        self._fetched: datetime | None = None

    async def at(self, now: datetime) -> KeySet:
        if self._keys is None or self._fetched is None or not _within(self._fetched, now, FRESH):
            await asyncio.to_thread(self._fetch, now)
        return self._require(now)

    async def renewed(self, now: datetime) -> KeySet:
        await asyncio.to_thread(self._fetch, now)
        return self._require(now)

    def close(self) -> None:
        self._fetcher.close()

    def _require(self, now: datetime) -> KeySet:
        # Keys that could not be fetched anew serve on for a while, and not for ever.
        if self._keys is None or self._fetched is None or not _within(self._fetched, now, STALE):
            raise KeysUnavailable
        return self._keys

    def _fetch(self, now: datetime) -> None:
        # One at a time. Whoever has keys does not wait for another's fetch; whoever has none does,
        # and finds that it was just done.
        if not self._lock.acquire(blocking=self._keys is None):
            return
        try:
            self._fetch_once(now)
        finally:
            self._lock.release()

    def _fetch_once(self, now: datetime) -> None:
        # With no key at all there is nothing to protect but the issuer's peace.
        pause = AGAIN_AFTER if self._keys is not None else FIRST_AGAIN_AFTER
        if self._asked is not None and _within(self._asked, now, pause):
            return
        self._asked = now
        try:
            fetched = self._fetcher.get(self._uri)
            keys = KeySet.parse(fetched.body) if fetched.status == 200 else None
        except (FetchError, JoseError):
            return
        if keys is not None:
            self._keys, self._fetched = keys, now


def _within(since: datetime, now: datetime, span: timedelta) -> bool:
    # A clock that was set back must not stop all fetching until it has caught up.
    return timedelta(0) <= now - since < span


@dataclass(frozen=True, slots=True, kw_only=True)
class AssertionIssuer:
    """An issuer whose assertions are taken, and for what."""

    issuer: str
    keys: IssuerKeys
    clients: frozenset[str]  # who may bring them
    scope: Scope  # at most
    subjects: Mapping[str, str]  # its name for somebody, and ours
    claims: Mapping[str, Any]  # what an assertion must say besides
