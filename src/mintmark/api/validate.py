"""The checks of one token, in their order, and the memory of those that passed."""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final, final

import msgspec

from mintmark.api.caller import Caller, caller_of, token_digest
from mintmark.api.config import TrustedIssuer
from mintmark.api.introspect import Introspection
from mintmark.api.issuer_keys import IssuerKeys, KeysMissing
from mintmark.api.tenants import TenantIssuers
from mintmark.api.unwrap import Unwrapper
from mintmark.clock import Clock
from mintmark.events import Events
from mintmark.jose.errors import ClaimRefused, KeyNotFound, Malformed
from mintmark.jose.key_set import KeySet
from mintmark.protocol.access_token import (
    AccessToken,
    UncheckedAccessToken,
    read_access_token,
    require_valid,
)

__all__ = ["Proven", "Validator"]

REMEMBER: Final = timedelta(seconds=60)
MAX_REMEMBERED: Final = 10_000
MAX_TENANTS: Final = 1_000


@final
class Entry:
    """One issuer, ready for use: its settings, and the keys that are fetched for it alone."""

    __slots__ = ("keys", "max_lifetime", "skew", "trusted")

    def __init__(self, trusted: TrustedIssuer, keys: IssuerKeys) -> None:
        self.trusted = trusted
        self.keys = keys
        self.skew = trusted.skew.total_seconds()
        limit = trusted.max_lifetime
        self.max_lifetime = limit.total_seconds() if limit is not None else None


class Proven(msgspec.Struct, frozen=True, gc=False):
    """A token that passed, and what every single request with it still has to show."""

    caller: Caller
    cnf: Mapping[str, Any]
    until: float  # it is proved anew from here; seconds since 1970
    ends: float  # no request is let in from here, and streams end
    entry: Entry | None  # None: its issuer was asked
    generation: int = 0
    kid: str | None = None


@final
class Validator:
    """Proves tokens of the issuers it was given, and remembers for a minute what it proved."""

    def __init__(
        self,
        issuers: list[TrustedIssuer],
        clock: Clock,
        events: Events,
        *,
        tenants: TenantIssuers | None = None,
        introspection: Introspection | None = None,
        unwrapper: Unwrapper | None = None,
    ) -> None:
        self._clock = clock
        self._events = events
        self._entries = {trusted.issuer: self._open(trusted) for trusted in issuers}
        if len(self._entries) != len(issuers):
            raise ValueError("an issuer is configured twice")
        self._tenants = tenants
        self._tenant_entries: OrderedDict[TrustedIssuer, Entry] = OrderedDict()
        self._introspection = introspection
        self._unwrapper = unwrapper or Unwrapper(None)
        self._seen: OrderedDict[bytes, Proven] = OrderedDict()
