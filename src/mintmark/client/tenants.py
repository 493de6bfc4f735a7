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
            the same settings) keeps its tokens if it is given the same `TokenManager`. One manager
            for all mixes nothing up: a tenant that names another one's issuer and client does not
            get that one's tokens.
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
        while True:
            with self._lock:
                found = self._known(tenant, now)
                if found is not None:
                    return found
                making = self._making.setdefault(tenant, threading.Lock())
            # One tenant's slow directory must not keep the others waiting, and many at once must
            # not make many clients.
            with making:
                if self._is_under_way(tenant, making):
                    return self._resolved(tenant, now, making)

    def forget(self, tenant: str) -> None:
        """Its settings changed: the next call resolves it anew. Repeating it is harmless."""
        with self._lock:
            self._made.pop(tenant, None)
            # Whoever is asking the resolver at this moment may be told what was true before.
            self._making.pop(tenant, None)

    def _known(self, tenant: str, now: float) -> Client | None:
        client, made = self._made.get(tenant, (None, 0.0))
        # A clock that was set back must not keep settings alive.
        if client is None or not 0.0 <= now - made < self._keep:
            return None
        self._made.move_to_end(tenant)
        return client

    def _is_under_way(self, tenant: str, making: threading.Lock) -> bool:
        with self._lock:
            return self._making.get(tenant) is making

    def _resolved(self, tenant: str, now: float, making: threading.Lock) -> Client:
        try:
            client = self._resolve(tenant).for_tenant(tenant)
            with self._lock:
                if self._making.get(tenant) is making:
                    self._keep_made(tenant, client, now)
            return client
        finally:
            with self._lock:
                if self._making.get(tenant) is making:
                    del self._making[tenant]

    def _keep_made(self, tenant: str, client: Client, now: float) -> None:
        self._made[tenant] = (client, now)
        self._made.move_to_end(tenant)
        while len(self._made) > self._most:
            self._made.popitem(last=False)
