"""Sealed tokens and leases, shared by every process of a client."""

from collections.abc import Callable, Sequence
from typing import Any, Final, final

from redis import BlockingConnectionPool, Redis
from redis.backoff import NoBackoff
from redis.commands.core import Script
from redis.exceptions import RedisError
from redis.retry import Retry

from mintmark.client.lease_rules import microseconds
from mintmark.client.shared import LeaseLost, StaleFence, StoreUnavailable
from mintmark.forks import begin_again_after_fork, leave_behind
from mintmark.secret import Secret
from mintmark.storage.redis.waiting import Waiters

__all__ = ["RedisTokens"]

FENCES_KEPT: Final = 24 * 3600 * 1000

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
# Of an entry its digest, the one that Redis knows: it is read many times by whoever waits.
_LOOK: Final = """
if redis.call('EXISTS', KEYS[2]) == 0 then return false end
return redis.sha1hex(redis.call('GET', KEYS[1]) or '')
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
        self._url = url if isinstance(url, Secret) else Secret(url)  # it may hold a password
        self._timeout, self._max_connections, self._prefix = timeout, max_connections, prefix
        self._closed = False
        self._connect()
        begin_again_after_fork(self)

    def begin(self) -> None:
        """With no connections: on one of them two processes would read each other's answers."""
        leave_behind(self._redis)
        self._connect()

    def _connect(self) -> None:
        self._redis: Redis = self._client()
        lease, renew, release, write, swap, forget, look = (
            self._redis.register_script(text)
            for text in (_LEASE, _RENEW, _RELEASE, _WRITE, _SWAP, _FORGET, _LOOK)
        )
        self._lease, self._renew, self._release = lease, renew, release
        self._write, self._swap, self._forget, self._look = write, swap, forget, look
        self._waiters = Waiters(self._there)

    def _client(self) -> Redis:
        pool = BlockingConnectionPool.from_url(
            self._url.reveal(),
            max_connections=self._max_connections,
            timeout=self._timeout,
            socket_timeout=self._timeout,
            socket_connect_timeout=self._timeout,
            # Not repeated: the first may have arrived, and whoever asks decides what to do then.
            retry=Retry(NoBackoff(), 0),
        )
        return Redis.from_pool(pool)

    def load(self, name: str) -> bytes | None:
        """See `SharedTokens`."""
        found: bytes | None = self._ask(lambda: self._redis.get(self._key(name, "entry")))
        return found

    def lease(self, name: str, *, owner: str, seconds: float) -> int | None:
        keys = [self._key(name, "lease"), self._key(name, "fence")]
        fence = self._run(self._lease, keys, [_octets(owner), _milliseconds(seconds), FENCES_KEPT])
        return None if fence is None else int(fence)

    def renew(self, name: str, *, owner: str, seconds: float) -> None:
        arguments = [_octets(owner), _milliseconds(seconds)]
        if self._run(self._renew, [self._key(name, "lease")], arguments) != 1:
            raise LeaseLost(name)

    def release(self, name: str, *, owner: str) -> None:
        self._run(self._release, [self._key(name, "lease")], [_octets(owner)])

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
            self._ask(lambda: self._redis.delete(key))
        else:
            self._run(self._forget, [key], [entry])

    def wait(self, name: str, seconds: float) -> None:
        """Looks every few hundredths of a second. Where nobody has the lease, nobody waits."""
        self._waiters.wait(name, seconds)

    def _there(self, names: Sequence[str]) -> Sequence[object]:
        def ask() -> list[object]:
            with self._redis.pipeline(transaction=False) as pipeline:
                for name in names:
                    keys = [self._key(name, "entry"), self._key(name, "lease")]
                    self._look(keys, client=pipeline)
                answers: list[object] = pipeline.execute(raise_on_error=False)
            # What cannot be read of one name is no reason for all the others to stop waiting.
            return [None if isinstance(one, RedisError) else one for one in answers]

        answers: list[object] = self._ask(ask)
        return answers

    def close(self) -> None:
        self._closed = True
        self._disconnect()

    def _key(self, name: str, part: str) -> bytes:
        # Braces: one node of a cluster has all three.
        return _octets(f"{self._prefix}{{{name}}}:{part}")

    def _run(self, script: Script, keys: list[bytes], arguments: list[Any]) -> Any:
        return self._ask(lambda: script(keys, arguments))

    def _ask(self, ask: Callable[[], Any]) -> Any:
        self._require_open()
        try:
            return ask()
        except Exception as failure:
            # Where another thread closes it just now, the driver stumbles over what is gone.
            if isinstance(failure, RedisError | OSError) or self._closed:
                # Its text may name hosts and users, which nobody needs here.
                raise StoreUnavailable(f"Redis: {type(failure).__name__}") from None
            raise
        finally:
            if self._closed:  # meanwhile, and this may have connected again
                self._disconnect()

    def _require_open(self) -> None:
        if self._closed:
            raise StoreUnavailable("the store is closed")

    def _disconnect(self) -> None:
        self._redis.close()
        self._redis.connection_pool.disconnect()

    def __repr__(self) -> str:
        return "<RedisTokens>"


def _octets(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")  # names may be of any content


def _milliseconds(seconds: float) -> int:
    return max(1, microseconds(seconds) // 1000)
