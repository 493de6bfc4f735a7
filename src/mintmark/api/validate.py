"""The checks of one token, in their order, and the memory of those that passed."""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Final, final

import msgspec

from mintmark.api.caller import Caller, caller_of, token_digest
from mintmark.api.claim_map import Transformation
from mintmark.api.introspect import Introspection, IntrospectionUnavailable, TokenInactive
from mintmark.api.issuers import Entry, Issuers
from mintmark.api.key_source import KeysMissing
from mintmark.api.measures import Measures
from mintmark.api.unwrap import Unwrapper
from mintmark.jose.errors import HeaderRefused, JoseError, KeyNotFound, Malformed
from mintmark.protocol.access_token import (
    AccessToken,
    UncheckedAccessToken,
    read_access_token,
)
from mintmark.secret import Secret

__all__ = ["Proven", "Trace", "Validator"]

REMEMBER: Final = timedelta(seconds=60)
REMEMBER_SECONDS: Final = REMEMBER.total_seconds()
MAX_REMEMBERED: Final = 10_000
UNKNOWN: Final = "unknown"
"""The address of somebody whose address a `PublicOrigin` does not know."""

Trace = list[str]
"""What was looked at, in order, for somebody who asks why: no value of any claim."""


class Proven(msgspec.Struct, frozen=True, gc=False):
    """A token that passed, and what every single request with it still has to show."""

    caller: Caller
    cnf: Mapping[str, Any]
    until: float  # it is proved anew from here; seconds since 1970
    ends: float  # no request is let in from here, and streams end
    entry: Entry | None  # None: its issuer was asked
    generation: int = 0
    kid: str | None = None
    asked: Secret | None = None  # the token itself, where its issuer has to be asked again
    told: Caller | None = None  # as the token itself says, where a transformation says otherwise
    plain: bool = False  # nothing else is to be shown or asked for: whoever has it, is let in


@final
class Validator:
    """Proves tokens of the issuers it was given, and remembers for a minute what it proved."""

    def __init__(
        self,
        issuers: Issuers,
        *,
        introspection: Introspection | None = None,
        unwrapper: Unwrapper | None = None,
        transformation: Transformation | None = None,
        client_address: Callable[[Mapping[str, Any]], str] | None = None,
        measures: Measures | None = None,
    ) -> None:
        self.issuers = issuers
        self._introspection = introspection
        self._unwrapper = unwrapper
        self._transformation = transformation
        self._client_address = client_address or peer_of
        self._measures = measures
        self._seen: OrderedDict[bytes, Proven] = OrderedDict()
        self.recall = self._seen.get
        """What was once proved of the token with this digest; `seen` says whether it still holds."""

    def seen(self, digest: bytes, now: float) -> Proven | None:
        """What was proved of this very token within the last minute, if it still holds."""
        proven = self._seen.get(digest)
        if proven is None:
            return None
        entry = proven.entry
        if now >= proven.until or (entry and entry.keys.generation != proven.generation):
            self._seen.pop(digest, None)
            return None
        return proven

    async def require(
        self, token: bytes, scope: Mapping[str, Any], now: float, trace: Trace | None = None
    ) -> Proven:
        """What this token proves.

        Args:
            scope: the ASGI scope, for those whose issuers depend on the request.
            trace: filled with what was looked at; given one, nothing is taken from memory.

        Raises:
            JoseError, TokenInactive: the token is not good here; why is for the log.
            KeysMissing, IntrospectionUnavailable: nothing can be said about it now.
        """
        digest = token_digest(token)
        proven = self.seen(digest, now) if trace is None else None
        if proven is not None:
            if proven.entry is None or not proven.entry.resolved:
                return proven
            # Trusted for the request of a minute ago; whether for this one is asked again.
            if await self.issuers.require_entry(proven.caller.issuer, scope) is proven.entry:
                return proven
        if self._introspection is not None and token.count(b".") not in (2, 4):
            peer = self._client_address(scope)
            # Those of whom nothing is known have no limit in common: one could use it up for all.
            peer = "" if peer == UNKNOWN else peer
            return await self._ask(self._introspection, token, digest, now, peer)
        return await self._check(token, digest, scope, now, trace)

    def prove_at_once(self, token: bytes, digest: bytes, now: float) -> Proven | None:
        """What this token proves, where that is a signature by keys at hand and nothing more.

        None says nothing about it: whoever gets it goes the long way, where all of it is asked and
        refused that was left out here. No signature was checked then.

        Raises:
            JoseError: the token is not good here; why is for the log.
        """
        if self._transformation is not None:
            return None
        try:
            unchecked = read_access_token(token)
        except JoseError:
            return None  # it is encrypted, or opaque, or no token at all
        entry = self.issuers.listed(unchecked.iss)
        if entry is None or entry.trusted.encryption == "require" or "cnf" in unchecked.claims:
            return None
        # The number before the keys: were it newer than they are, what they prove would outlive
        # them.
        generation, keys = entry.keys.generation, entry.keys.usable(now)
        if keys is None:
            return None
        try:
            checked, caller = entry.prove(unchecked, keys, digest, now)
        except KeyNotFound:
            return None  # fresher keys may have it
        self._took(entry, unchecked, checked, now)
        return self._remember(_proven(entry, generation, checked, caller, now), digest)

    async def _check(
        self,
        token: bytes,
        digest: bytes,
        scope: Mapping[str, Any],
        now: float,
        trace: Trace | None,
    ) -> Proven:
        unchecked, encrypted = self._read(token, now)
        if trace is not None:
            trace.append(f"form: a JWT{', encrypted to this API' if encrypted else ''}")
        entry = await self.issuers.require_entry(unchecked.iss, scope)
        if trace is not None:
            trace.append(f"iss: {entry.trusted.issuer} is trusted here")
        require_encryption(entry.trusted.encryption, encrypted=encrypted)
        await entry.keys_at(now)
        # The number before the keys: were it newer than they are, what they prove would outlive
        # them.
        generation, keys = entry.keys.generation, entry.keys.require()
        if trace is not None:
            trace.append(f"keys: {len(keys.keys)} of that issuer are at hand")
        try:
            checked, caller = entry.prove(unchecked, keys, digest, now)
        except KeyNotFound:
            if trace is not None:
                trace.append(f"kid: {unchecked.jws.header.kid!r} is not among them; fetched again")
            await entry.fresher_keys(keys, now)
            generation, keys = entry.keys.generation, entry.keys.require()
            checked, caller = entry.prove(unchecked, keys, digest, now)
        if trace is not None:
            trace.append(
                f"typ, alg, signature, aud, times, claims: as {entry.trusted.dialect.name} wants them"
            )
        self._took(entry, unchecked, checked, now)
        told = None
        if self._transformation is not None:
            told, caller = caller, await self._transformation.apply(caller)
        return self._remember(_proven(entry, generation, checked, caller, now, told), digest)

    def _took(
        self, entry: Entry, unchecked: UncheckedAccessToken, checked: AccessToken, now: float
    ) -> None:
        """A JWT was proved that was not remembered: for those who count."""
        entry.compare_clocks(unchecked, now)
        if self._measures is not None:
            self._measures.token_proved(entry.trusted.issuer, checked.expires_at - now)

    def _read(self, token: bytes, now: float) -> tuple[UncheckedAccessToken, bool]:
        # RFC 7516 §9: five segments are encrypted, three are signed.
        if token.count(b".") != 4:
            return read_access_token(token), False
        if self._unwrapper is None:
            raise Malformed("encrypted tokens are not taken here")
        return self._unwrapper.read(token, now), True

    async def _ask(
        self, introspection: Introspection, token: bytes, digest: bytes, now: float, peer: str
    ) -> Proven:
        # What it remembers, it remembers for as long as it was told; twice would be too long.
        introspected = await introspection.require_active(token, now, peer=peer)
        checked = introspected.token
        told = caller = caller_of(checked, digest)
        if self._transformation is not None:
            caller = await self._transformation.apply(caller)
        return Proven(
            caller,
            checked.cnf,
            introspected.until,
            checked.expires_at,
            None,
            asked=Secret(token.decode("ascii")),
            told=told if told is not caller else None,
        )

    def _remember(self, proven: Proven, digest: bytes) -> Proven:
        while len(self._seen) >= MAX_REMEMBERED:
            self._seen.popitem(last=False)
        self._seen[digest] = proven
        return proven

    async def seconds_left(self, proven: Proven, now: float) -> float:
        """How long a connection that this token opened may go on; zero or less: it is over."""
        if self._introspection is not None and proven.asked is not None:
            try:
                await self._introspection.require_active(proven.asked.reveal().encode("ascii"), now)
            except (TokenInactive, IntrospectionUnavailable):
                return 0.0  # it was revoked, or whether it was cannot be said
        if proven.entry is not None and proven.kid is not None:
            try:
                keys = proven.entry.keys.require()
            except KeysMissing:
                return 0.0  # whether it was withdrawn cannot be said
            if all(key.kid != proven.kid for key in keys.keys):
                return 0.0  # the key was withdrawn
        return proven.ends - now

    def close(self) -> None:
        self.issuers.close()
        if self._introspection is not None:
            self._introspection.close()


def _proven(
    entry: Entry,
    generation: int,
    checked: AccessToken,
    caller: Caller,
    now: float,
    told: Caller | None = None,
) -> Proven:
    expires_at = checked.expires_at
    return Proven(
        caller,
        checked.cnf,
        min(now + REMEMBER_SECONDS, expires_at),
        expires_at + entry.skew,
        entry,
        generation,
        checked.kid,
        None,
        told if told is not caller else None,
        not checked.cnf and not entry.resolved,
    )


def peer_of(scope: Mapping[str, Any]) -> str:
    """The other end of the connection; empty where the server does not say."""
    client = scope.get("client")
    return str(client[0]) if client else ""


def require_encryption(wanted: str, *, encrypted: bool) -> None:
    """Refuse what was agreed otherwise with this issuer (RFC 9068 §4)."""
    if wanted == "require" and not encrypted:
        raise HeaderRefused("the token is not encrypted, as this issuer's must be")
    if wanted == "forbid" and encrypted:
        raise HeaderRefused("the token is encrypted, as this issuer's never are")
