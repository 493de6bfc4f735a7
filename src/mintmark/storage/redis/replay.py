"""Used proofs, shared by every process of an API."""

import asyncio
from typing import Any, Final, final

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.commands.core import AsyncScript
from redis.exceptions import RedisError

from mintmark.api.replay import Claim, ReplayStoreUnavailable
from mintmark.secret import Secret

__all__ = ["RedisReplayStore"]

# One sorted set for each proof key: digests, by the moment at which they end. Redis runs a script
# alone, so nothing comes between the question and the answer. It is Redis's clock that counts:
# the clock of a process that runs ahead would forget what others still need.
_CLAIM: Final = """
local moment = redis.call('TIME')
local now = moment[1] * 1000 + math.floor(moment[2] / 1000)
local ttl = tonumber(ARGV[2])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if redis.call('ZSCORE', KEYS[1], ARGV[1]) then return 1 end
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[3]) then return 2 end
redis.call('ZADD', KEYS[1], now + ttl, ARGV[1])
if redis.call('PTTL', KEYS[1]) < ttl then redis.call('PEXPIRE', KEYS[1], ttl) end
return 0
"""
_OUTCOMES: Final = (Claim.FIRST, Claim.SEEN, Claim.QUOTA_EXCEEDED)


@final
class RedisReplayStore:
    """A `ReplayStore` in Redis 6 or newer, which should not evict (`noeviction`).

    Under `mintmark:dpop:` it holds thumbprints of keys, and for each the digests of its proofs;
    no proof, no `jti` and no token.
    """

    def __init__(
        self,
        url: str | Secret,
        *,
        timeout: float = 0.5,
        max_connections: int = 32,
        prefix: str = "mintmark:dpop:",
    ) -> None:
        """`timeout`: seconds for the whole of a claim. A request must not wait for a dead store."""
        self._url = url if isinstance(url, Secret) else Secret(url)  # it may hold a password
        parse_url(self._url.reveal())  # a wrong one is said at start, not at the first request
        self._timeout = timeout
        self._max_connections = max_connections
        self._prefix = prefix
        # A connection belongs to the event loop that opened it.
        self._clients: dict[asyncio.AbstractEventLoop, tuple[Redis, AsyncScript]] = {}

    async def claim(
        self,
        digest: bytes,
        *,
        jkt: str,
        now: float,  # noqa: ARG002 -- Redis's clock counts
        ttl: float,
        quota: int,
    ) -> Claim:
        """See `ReplayStore`."""
        key, milliseconds = self._prefix + jkt, max(1, round(ttl * 1000))
        try:
            async with asyncio.timeout(self._timeout):
                outcome: Any = await self._script()([key], [digest, milliseconds, quota])
        except (RedisError, OSError) as failure:  # a TimeoutError is an OSError
            # Its text may name hosts and users, which nobody needs here.
            raise ReplayStoreUnavailable(f"Redis: {type(failure).__name__}") from None
        return _OUTCOMES[outcome]

    async def aclose(self) -> None:
        """Close the connections of this event loop."""
        client, _ = self._clients.pop(asyncio.get_running_loop(), (None, None))
        if client is not None:
            await client.aclose(close_connection_pool=True)

    def _script(self) -> AsyncScript:
        loop = asyncio.get_running_loop()
        if loop not in self._clients:
            for ended in [one for one in self._clients if one.is_closed()]:
                del self._clients[ended]
            client = self._connect()
            self._clients[loop] = client, client.register_script(_CLAIM)
        return self._clients[loop][1]

    def _connect(self) -> Redis:
        pool = BlockingConnectionPool.from_url(
            self._url.reveal(),
            max_connections=self._max_connections,
            timeout=self._timeout,
            socket_timeout=self._timeout,
            socket_connect_timeout=self._timeout,
            # A claim is not repeated: the first may have arrived, and the second would call an
            # honest proof a replay.
            retry=Retry(NoBackoff(), 0),
        )
        return Redis.from_pool(pool)

    def __repr__(self) -> str:
        return "<RedisReplayStore>"
