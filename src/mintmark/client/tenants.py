"""Clients that are known by name at run time: one for each tenant, made when it is first asked for."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, final

from mintmark.client.client import Client
from mintmark.clock import Clock, SystemClock

__all__ = ["Tenants", "UnknownTenant"]

KEEP: Final = 600.0
MOST: Final = 1000


class UnknownTenant(LookupError):
    """Raised by a resolver for a tenant that there is not."""


@final
class Tenants:
    """`tenants.client("acme")`: the same object for the same tenant, for as long as its settings hold.

    Args:
        resolve: a tenant's client, with the settings that are true now; or raises `UnknownTenant`.
            It is asked again after `keep`, and a client that it gives again (the same `Authority`,
            the same settings) keeps its tokens if it is given the same `TokenManager`: tokens are
            keyed by issuer and client, so one manager for all mixes nothing up.
        keep: seconds.
        most: of tenants that are kept; whoever was not asked for longest leaves first.
    """

    def __init__(
        self,
        resolve: Callable[[str], Client],
        *,
        keep: float = KEEP,
        most: int = MOST,
        clock: Clock | None = None,
    ) -> None:
        self._resolve = resolve
        self._keep = keep
        self._most = most
        self._clock = clock or SystemClock()
        self._lock = threading.Lock()
        self._making: dict[str, threading.Lock] = {}
        self._made: OrderedDict[str, tuple[Client, float]] = OrderedDict()

    def client(self, tenant: str) -> Client:
        """The client of this tenant.

        Raises:
            UnknownTenant, or whatever else the resolver raises; it is not remembered.
        """
        now = self._clock.timestamp()
        with self._lock:
            found = self._known(tenant, now)
            if found is not None:
                return found
            making = self._making.setdefault(tenant, threading.Lock())
        # One tenant's slow directory must not keep the others waiting, and many at once must not
        # make many clients.
        with making:
            try:
                return self._known_by_now(tenant, now) or self._resolved(tenant, now)
            finally:
                with self._lock:
                    self._making.pop(tenant, None)

    def forget(self, tenant: str) -> None:
        """Its settings changed: the next call resolves it anew. Repeating it is harmless."""
        with self._lock:
            self._made.pop(tenant, None)

    def _known(self, tenant: str, now: float) -> Client | None:
        client, made = self._made.get(tenant, (None, 0.0))
        # A clock that was set back must not keep settings alive.
        if client is None or not 0.0 <= now - made < self._keep:
            return None
        self._made.move_to_end(tenant)
        return client

    def _known_by_now(self, tenant: str, now: float) -> Client | None:
        with self._lock:
            return self._known(tenant, now)

    def _resolved(self, tenant: str, now: float) -> Client:
        client = self._resolve(tenant)
        with self._lock:
            self._made[tenant] = (client, now)
            self._made.move_to_end(tenant)
            while len(self._made) > self._most:
                self._made.popitem(last=False)
        return client
