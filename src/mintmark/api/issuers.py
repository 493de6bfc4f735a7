"""Every issuer an API trusts, ready for use, each with keys that are fetched for it alone."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Final, final

from mintmark.api.caller import Caller, caller_of
from mintmark.api.clock_drift import ClockComparison
from mintmark.api.config import TrustedIssuer
from mintmark.api.dialects import RFC9068
from mintmark.api.issuer_keys import IssuerKeys
from mintmark.api.key_source import KeysMissing, KeySource
from mintmark.clock import Clock
from mintmark.events import Events
from mintmark.jose.errors import ClaimRefused
from mintmark.jose.key_set import KeySet
from mintmark.protocol.access_token import (
    AccessToken,
    UncheckedAccessToken,
    confirmation_claim,
    require_issued,
    require_valid,
)

__all__ = ["Entry", "IssuerResolver", "Issuers"]

IssuerResolver = Callable[[str, Mapping[str, Any]], Awaitable[TrustedIssuer | None]]
"""Takes the unverified `iss` and the ASGI scope; gives the issuer's settings, or None.

It is asked on every request, also for tokens that were proved a moment ago, because a token of one
tenant must not pass on another's host. Answer from memory.
"""

MAX_ISS_LENGTH: Final = 512
MAX_RESOLVED: Final = 1_000


@final
class Entry:
    """One issuer: its settings and its keys."""

    __slots__ = ("_clocks", "keys", "max_lifetime", "resolved", "skew", "trusted")

    def __init__(
        self,
        trusted: TrustedIssuer,
        keys: KeySource,
        *,
        resolved: bool = False,
        clocks: ClockComparison | None = None,
    ) -> None:
        self.trusted = trusted
        self._clocks = clocks
        self.keys = keys
        self.resolved = resolved  # trusted for some requests only
        self.skew = trusted.skew.total_seconds()
        limit = trusted.max_lifetime
        self.max_lifetime = limit.total_seconds() if limit is not None else None

    def prove(
        self, token: UncheckedAccessToken, keys: KeySet, digest: bytes, now: float
    ) -> tuple[AccessToken, Caller]:
        """What the token says, and who is calling, in the words of this issuer's dialect.

        Raises:
            JoseError: it is not this issuer's, or not for this API, or not for now.
        """
        trusted = self.trusted
        if trusted.dialect is RFC9068 and trusted.claims is None:
            checked = require_valid(
                token,
                issuer=trusted.issuer,
                audience=trusted.audience,
                keys=keys,
                algorithms=trusted.algorithms,
                now=now,
                skew=self.skew,
                max_lifetime=self.max_lifetime,
            )
            return checked, caller_of(checked, digest)
        return self._prove_in_dialect(token, keys, digest, now)

    def compare_clocks(self, proved: UncheckedAccessToken, now: float) -> None:
        """Look at when a token that has just been proved says it was made."""
        if self._clocks is not None:
            iat = proved.claims["iat"]
            self._clocks.token_made(max(iat, proved.claims.get("nbf", iat)), now)

    def _prove_in_dialect(
        self, token: UncheckedAccessToken, keys: KeySet, digest: bytes, now: float
    ) -> tuple[AccessToken, Caller]:
        trusted, claims = self.trusted, token.claims
        aud, exp = require_issued(
            token,
            typ=trusted.dialect.checks.typ,
            audience_required=trusted.dialect.checks.audience,
            issuer=trusted.issuer,
            audience=trusted.audience,
            keys=keys,
            algorithms=trusted.algorithms,
            now=now,
            skew=self.skew,
            max_lifetime=self.max_lifetime,
        )
        identity = trusted.dialect.read(claims)
        if trusted.claims is not None:
            identity = trusted.claims.identity(claims, identity)
            claims = dict(trusted.claims.claims(claims))
        cnf = confirmation_claim(claims["cnf"]) if "cnf" in claims else {}
        checked = AccessToken(
            trusted.issuer,
            identity.subject,
            aud,
            identity.client_id,
            str(claims.get("jti", "")),
            exp,
            identity.scopes,
            token.jws.header.kid,
            cnf,
            claims,
        )
        return checked, caller_of(checked, digest, identity)

    async def keys_at(self, now: float) -> KeySet:
        """Raises `KeysMissing`."""
        keys = self.keys.usable(now)
        if keys is None:
            await self._flight(now)
            keys = self.keys.usable(now)
        if keys is None:
            raise KeysMissing(f"no keys of {self.trusted.issuer}")
        return keys

    async def fresher_keys(self, keys: KeySet, now: float) -> KeySet:
        """The keys after another look, for a `kid` that these do not have."""
        await self._flight(now)
        fresher = self.keys.require()
        # An unknown `kid` may be a key that is too new for us: while the issuer cannot be asked,
        # that is its fault and not the caller's.
        if fresher is keys and self.keys.failing():
            raise KeysMissing(f"the keys of {self.trusted.issuer} cannot be fetched")
        return fresher

    async def _flight(self, now: float) -> None:
        flight = self.keys.may_fetch(now)
        if flight is not None:
            await asyncio.shield(asyncio.wrap_future(flight))


@final
class Issuers:
    """Finds the entry of a token; the unverified `iss` chooses, and proves nothing."""

    def __init__(
        self,
        issuers: list[TrustedIssuer],
        clock: Clock,
        events: Events,
        resolve: IssuerResolver | None = None,
        local: Iterable[tuple[TrustedIssuer, KeySource]] = (),
    ) -> None:
        """`local`: issuers of this machine, with the keys that they have at hand."""
        self._clock = clock
        self._events = events
        self._resolve = resolve
        entries = [*map(self._open, issuers), *(Entry(trusted, keys) for trusted, keys in local)]
        self._listed = {entry.trusted.issuer: entry for entry in entries}
        if len(self._listed) != len(entries):
            raise ValueError("an issuer is configured twice")
        self._resolved: OrderedDict[tuple[str, str], Entry] = OrderedDict()

    def listed(self, iss: str | None) -> Entry | None:
        """The issuer of this name, if it is trusted for every request."""
        return self._listed.get(iss or "")

    async def require_entry(self, iss: str | None, scope: Mapping[str, Any]) -> Entry:
        """Raises `ClaimRefused` unless this very issuer is trusted, for this request."""
        entry = self.listed(iss)
        if entry is not None:
            return entry
        if self._resolve is None:
            raise ClaimRefused("iss", "is not an issuer that is trusted here")
        if iss is None or len(iss) > MAX_ISS_LENGTH or not iss.isprintable():
            raise ClaimRefused("iss", "names no issuer")
        trusted = await self._resolve(iss, scope)
        if trusted is None:
            raise ClaimRefused("iss", "is not an issuer that is trusted for this request")
        # A resolver that answers with a neighbour would lend one tenant's keys to another.
        if trusted.issuer != iss:
            raise ClaimRefused("iss", "was resolved to another issuer")
        return self._entry_of(trusted)

    def _entry_of(self, trusted: TrustedIssuer) -> Entry:
        name = (trusted.issuer, trusted.audience)
        entry = self._resolved.get(name)
        if entry is not None and entry.trusted == trusted:
            return entry
        # Its settings have changed: what was proved by the old ones is proved no more.
        if entry is not None:
            entry.keys.close()
        entry = self._resolved[name] = self._open(trusted, resolved=True)
        while len(self._resolved) > MAX_RESOLVED:
            self._resolved.popitem(last=False)[1].keys.close()
        return entry

    def _open(self, trusted: TrustedIssuer, *, resolved: bool = False) -> Entry:
        clocks = ClockComparison(trusted.issuer, trusted.skew, self._events)
        keys = IssuerKeys(trusted, self._clock, self._events, clocks)
        return Entry(trusted, keys, resolved=resolved, clocks=clocks)

    def entries(self) -> tuple[Entry, ...]:
        """All that are listed."""
        return tuple(self._listed.values())

    def warm(self) -> None:
        """Start fetching the keys of all that are listed."""
        now = self._clock.timestamp()
        for entry in self._listed.values():
            entry.keys.fetch(now)

    def close(self) -> None:
        for entry in (*self._listed.values(), *self._resolved.values()):
            entry.keys.close()
