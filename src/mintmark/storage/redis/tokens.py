"""Sealed tokens and leases, shared by every process of a client."""

import secrets
import time
from collections.abc import Callable
from typing import Any, Final, final

from redis import BlockingConnectionPool, Redis
from redis.backoff import NoBackoff
from redis.commands.core import Script
from redis.exceptions import RedisError
from redis.retry import Retry

from mintmark.client.shared import LeaseLost, StaleFence, StoreUnavailable
from mintmark.clock import monotonic
from mintmark.secret import Secret

__all__ = ["RedisTokens"]

FENCES_KEPT: Final = 24 * 3600 * 1000
FIRST_LOOK, LAST_LOOK = 0.01, 0.05

# Redis runs a script alone, so nothing comes between a question and what follows from it. A fence
# is Redis's own time in microseconds, or one more than the last: it grows although the counter was
# evicted or Redis began empty.
_LEASE: Final = """
local owner = redis.call('GET', KEYS[1])
if owner and owner ~= ARGV[1] then return false end
local moment = redis.call('TIME')
local fence = moment[1] * 1000000 + moment[2]
local last = tonumber(redis.call('GET', KEYS[2]) or '0')
if fence <= last then fence = last + 1 end
local text = string.format('%.0f', fence)
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
redis.call('SET', KEYS[2], text, 'PX', ARGV[3])
return text
"""
_RENEW: Final = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
"""
_RELEASE: Final = """
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1
"""
_WRITE: Final = """
local last = redis.call('GET', KEYS[2])
if last and last ~= ARGV[2] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[3])
if last then redis.call('PEXPIRE', KEYS[2], ARGV[4]) end
return 1
"""
_SWAP: Final = """
local there = redis.call('GET', KEYS[1])
if ARGV[1] == '0' then
  if there then return there end
elseif there ~= ARGV[2] then
  return there
end
redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[4])
return ARGV[3]
"""
_FORGET: Final = """
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1
"""


@final
class RedisTokens:
    """A `SharedTokens` in Redis 6 or newer, which should not evict (`noeviction`).

    Under `mintmark:tokens:` it holds sealed entries, who may fetch, and a number for each; no
    token that can be read. Threads share it, and a forked process makes its own connections.
    """

    def __init__(
        self,
        url: str | Secret,
        *,
        timeout: float = 0.5,
        max_connections: int = 32,
        prefix: str = "mintmark:tokens:",
    ) -> None:
        """`timeout`: seconds for each word with Redis. A call must not wait for a dead store."""
        secret = url if isinstance(url, Secret) else Secret(url)  # it may hold a password
        self._prefix = prefix
        pool = BlockingConnectionPool.from_url(
            secret.reveal(),
            max_connections=max_connections,
            timeout=timeout,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            # Not repeated: the first may have arrived, and whoever asks decides what to do then.
            retry=Retry(NoBackoff(), 0),
        )
        self._redis: Redis = Redis.from_pool(pool)
        lease, renew, release, write, swap, forget = (
            self._redis.register_script(text)
            for text in (_LEASE, _RENEW, _RELEASE, _WRITE, _SWAP, _FORGET)
        )
        self._lease, self._renew, self._release = lease, renew, release
        self._write, self._swap, self._forget = write, swap, forget

    def load(self, name: str) -> bytes | None:
        """See `SharedTokens`."""
        found: bytes | None = _ask(lambda: self._redis.get(self._key(name, "entry")))
        return found

    def lease(self, name: str, *, owner: str, seconds: float) -> int | None:
        keys = [self._key(name, "lease"), self._key(name, "fence")]
        fence = self._run(self._lease, keys, [owner, _milliseconds(seconds), FENCES_KEPT])
        return None if fence is None else int(fence)

    def renew(self, name: str, *, owner: str, seconds: float) -> None:
        arguments = [owner, _milliseconds(seconds)]
        if self._run(self._renew, [self._key(name, "lease")], arguments) != 1:
            raise LeaseLost(name)

    def release(self, name: str, *, owner: str) -> None:
        self._run(self._release, [self._key(name, "lease")], [owner])

    def write(self, name: str, entry: bytes, *, fence: int, seconds: float) -> None:
        keys = [self._key(name, "entry"), self._key(name, "fence")]
        milliseconds = _milliseconds(seconds)
        kept = max(milliseconds, FENCES_KEPT)
        if self._run(self._write, keys, [entry, str(fence), milliseconds, kept]) != 1:
            raise StaleFence(name)

    def swap(self, name: str, old: bytes | None, new: bytes, *, seconds: float) -> bytes | None:
        arguments = ["0" if old is None else "1", old or b"", new, _milliseconds(seconds)]
        there: bytes | None = self._run(self._swap, [self._key(name, "entry")], arguments)
        return there

    def forget(self, name: str, entry: bytes | None = None) -> None:
        key = self._key(name, "entry")
        if entry is None:
            _ask(lambda: self._redis.delete(key))
        else:
            self._run(self._forget, [key], [entry])

    def wait(self, name: str, seconds: float) -> None:
        """Looks every few hundredths of a second: a message could be missed, a look cannot."""
        until, pause, key = monotonic() + seconds, FIRST_LOOK, self._key(name, "lease")
        while _ask(lambda: self._redis.exists(key)) and (left := until - monotonic()) > 0:
            # Everybody at a moment of their own, or all who wait would come at once.
            time.sleep(min(left, pause * (0.5 + secrets.randbelow(1000) / 1000)))
            pause = min(2 * pause, LAST_LOOK)

    def close(self) -> None:
        self._redis.close()
        self._redis.connection_pool.disconnect()

    def _key(self, name: str, part: str) -> str:
        return f"{self._prefix}{{{name}}}:{part}"  # braces: one node of a cluster has all three

    def _run(self, script: Script, keys: list[str], arguments: list[Any]) -> Any:
        return _ask(lambda: script(keys, arguments))

    def __repr__(self) -> str:
        return "<RedisTokens>"


def _ask(ask: Callable[[], Any]) -> Any:
    try:
        return ask()
    except (RedisError, OSError) as failure:  # a TimeoutError is an OSError
        # Its text may name hosts and users, which nobody needs here.
        raise StoreUnavailable(f"Redis: {type(failure).__name__}") from None


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))
