"""Clients that share a Redis, each as it would be in a process of its own."""

import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import final

from redis import Redis
from tests.server.events import Recorded

from mintmark.client import Authority, Client, KeyRing, RenewalPolicy, SharedUserTokens
from mintmark.client.manager import TokenManager
from mintmark.secret import Secret
from mintmark.storage.redis.tokens import RedisTokens
from mintmark.testing import FakeAuthority, FrozenClock

__all__ = ["API", "Processes", "until"]

API = "https://api.example"
PATIENT = 20.0  # seconds: the machine of the tests may be busy


@final
class Processes:
    """Makes them, and closes them.

    Attributes:
        events: what all of them said.
        ring: the keys that they have in common.
    """

    def __init__(self, authority: FakeAuthority, clock: FrozenClock, redis_url: str) -> None:
        self.authority, self.clock, self.redis_url = authority, clock, redis_url
        authority.clock = clock
        self.events = Recorded()
        self.ring = KeyRing(KeyRing.generate_key())
        self.authority_seen = Authority(authority.issuer, policy=authority.policy, clock=clock)
        self._opened: list[Client | RedisTokens] = []

    def redis(self, url: str | None = None, timeout: float = PATIENT) -> RedisTokens:
        opened = RedisTokens(url or self.redis_url, timeout=timeout)
        self._opened.append(opened)
        return opened

    def client(
        self,
        store: RedisTokens | None = None,
        ring: KeyRing | None = None,
        policy: RenewalPolicy | None = None,
    ) -> Client:
        manager = TokenManager(
            clock=self.clock,
            events=self.events,
            policy=policy or RenewalPolicy(turn=timedelta(seconds=1)),
            shared=store or self.redis(),
            key_ring=ring or self.ring,
        )
        made = Client(
            self.authority_seen,
            client_id="client",
            client_secret=Secret("a-client-secret-of-this-test-alone"),
            tokens=manager,
        )
        self._opened.append(made)
        return made

    def people(self, store: RedisTokens | None = None) -> SharedUserTokens:
        return SharedUserTokens(store or self.redis(), self.ring, events=self.events)

    def entries(self) -> dict[bytes, bytes]:
        """Everything that lies in Redis, leases and fences apart."""
        with Redis.from_url(self.redis_url) as client:
            names = client.keys("mintmark:tokens:*:entry")
            found = {name: client.get(name) for name in names if client.type(name) == b"string"}
        return {name: value for name, value in found.items() if value is not None}

    def put(self, name: bytes, value: bytes) -> None:
        """By hand, as somebody would who can write to Redis."""
        with Redis.from_url(self.redis_url) as client:
            client.set(name, value, keepttl=True)

    def close(self) -> None:
        for one in self._opened:
            with suppress(Exception):
                one.close()


def until(holds: Callable[[], object], seconds: float = 10.0) -> None:
    """For what a thread is about to do."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)
