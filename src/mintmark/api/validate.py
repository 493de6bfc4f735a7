"""The checks of one request, in their order."""

import asyncio
from collections import OrderedDict
from datetime import timedelta
from typing import Final, final

from mintmark.api.caller import Caller, caller_of, token_digest
from mintmark.api.config import TrustedIssuer
from mintmark.api.issuer_keys import IssuerKeys, KeysMissing
from mintmark.clock import Clock
from mintmark.events import Events
from mintmark.jose.errors import ClaimRefused, KeyNotFound
from mintmark.jose.key_set import KeySet
from mintmark.protocol.access_token import (
    AccessToken,
    UncheckedAccessToken,
    read_access_token,
    require_valid,
)

__all__ = ["Validator"]

REMEMBER: Final = timedelta(seconds=60)
MAX_REMEMBERED: Final = 10_000


class _Entry:
    __slots__ = ("keys", "max_lifetime", "skew", "trusted")

    def __init__(self, trusted: TrustedIssuer, keys: IssuerKeys) -> None:
        self.trusted = trusted
        self.keys = keys
        self.skew = trusted.skew.total_seconds()
        limit = trusted.max_lifetime
        self.max_lifetime = limit.total_seconds() if limit is not None else None


@final
class Validator:
    """Proves tokens of the issuers it was given, and remembers for a minute what it proved."""

    def __init__(self, issuers: list[TrustedIssuer], clock: Clock, events: Events) -> None:
        self._clock = clock
        self._entries = {
            trusted.issuer: _Entry(trusted, IssuerKeys(trusted, clock, events))
            for trusted in issuers
        }
        if len(self._entries) != len(issuers):
            raise ValueError("an issuer is configured twice")
        self._seen: OrderedDict[bytes, tuple[Caller, float, IssuerKeys, int]] = OrderedDict()

    def seen(self, digest: bytes, now: float) -> Caller | None:
        """Whoever sent this very token within the last minute, if it still holds."""
        remembered = self._seen.get(digest)
        if remembered is None:
            return None
        caller, until, keys, generation = remembered
        if now >= until or keys.generation != generation:
            del self._seen[digest]
            return None
        return caller

    async def require_caller(self, token: bytes) -> Caller:
        """Whose token this is.

        Raises:
            JoseError: the token is not good here; why is for the log.
            KeysMissing: nothing can be said, for the issuer's keys are not to be had.
        """
        now = self._clock.timestamp()
        digest = token_digest(token)
        caller = self.seen(digest, now)
        if caller is not None:
            return caller
        unchecked = read_access_token(token)
        entry = self._entry_of(unchecked)
        keys = await self._keys(entry, now)
        try:
            checked = _check(unchecked, entry, keys, now)
        except KeyNotFound:
            checked = _check(unchecked, entry, await self._fresher_keys(entry, keys, now), now)
        return self._remember(caller_of(checked, digest), digest, entry.keys, now)

    def _entry_of(self, token: UncheckedAccessToken) -> _Entry:
        # The unverified `iss` chooses among what was configured, and nothing else.
        entry = self._entries.get(token.iss or "")
        if entry is None:
            raise ClaimRefused("iss", "is not an issuer that is trusted here")
        return entry

    async def _keys(self, entry: _Entry, now: float) -> KeySet:
        keys = entry.keys.usable(now)
        if keys is None:
            flight = entry.keys.may_fetch(now)
            if flight is not None:
                await asyncio.shield(asyncio.wrap_future(flight))
            keys = entry.keys.usable(now)
        if keys is None:
            raise KeysMissing(f"no keys of {entry.trusted.issuer}")
        return keys

    async def _fresher_keys(self, entry: _Entry, keys: KeySet, now: float) -> KeySet:
        flight = entry.keys.may_fetch(now)
        if flight is not None:
            await asyncio.shield(asyncio.wrap_future(flight))
        fresher = entry.keys.require()
        # An unknown `kid` may be a key that is too new for us: while the issuer cannot be asked,
        # that is its fault and not the caller's.
        if fresher is keys and entry.keys.failing():
            raise KeysMissing(f"the keys of {entry.trusted.issuer} cannot be fetched")
        return fresher

    def _remember(self, caller: Caller, digest: bytes, keys: IssuerKeys, now: float) -> Caller:
        until = min(now + REMEMBER.total_seconds(), caller.expires_at)
        while len(self._seen) >= MAX_REMEMBERED:
            self._seen.popitem(last=False)
        self._seen[digest] = (caller, until, keys, keys.generation)
        return caller

    def warm(self) -> None:
        """Start fetching every issuer's keys."""
        now = self._clock.timestamp()
        for entry in self._entries.values():
            entry.keys.fetch(now)

    def close(self) -> None:
        for entry in self._entries.values():
            entry.keys.close()


def _check(token: UncheckedAccessToken, entry: _Entry, keys: KeySet, now: float) -> AccessToken:
    trusted = entry.trusted
    checked = require_valid(
        token,
        issuer=trusted.issuer,
        audience=trusted.audience,
        keys=keys,
        algorithms=trusted.algorithms,
        now=now,
        skew=entry.skew,
        max_lifetime=entry.max_lifetime,
    )
    # RFC 9449 §7.1, RFC 8705 §3: taken as a bearer token, a bound one would be good in the hands
    # of whoever stole it.
    if checked.cnf:
        raise ClaimRefused("cnf", "binds the token to a key, and no proof of it came along")
    return checked
