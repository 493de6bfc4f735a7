"""Tokens that only their issuer can read: asked about once, and remembered for a short while."""

import asyncio
import hashlib
import re
import threading
from collections import OrderedDict
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, TypeVar, final

import msgspec

from mintmark.api.events import IntrospectionFailed
from mintmark.api.issuer_keys import IssuerKeys, KeysMissing
from mintmark.api.opaque_issuer import IssuerAnswers, OpaqueIssuer, UnusableAnswer
from mintmark.clock import Clock
from mintmark.events import Events
from mintmark.fetch import FetchError
from mintmark.forks import begin_again_after_fork
from mintmark.jose.errors import JoseError
from mintmark.jose.key_set import KeySet
from mintmark.protocol.access_token import AccessToken
from mintmark.protocol.introspection import require_active
from mintmark.protocol.metadata import UnusableMetadata
from mintmark.secret import Secret

__all__ = [
    "Introspected",
    "Introspection",
    "IntrospectionUnavailable",
    "OpaqueIssuer",
    "TokenInactive",
]

K = TypeVar("K")
V = TypeVar("V")

AGAIN_AFTER: Final = 1.0
"""Seconds in which a server that has just failed is left alone."""

MAX_REMEMBERED: Final = 10_000
MAX_WAITING: Final = 1_000
CALLS: Final = 16
PEER_WINDOW: Final = 60.0


class TokenInactive(Exception):
    """The token is not good here. `reason` is for the log."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class IntrospectionUnavailable(Exception):
    """Nothing can be said about the token, which is not its bearer's fault."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Introspected(msgspec.Struct, frozen=True, gc=False):
    """An active token, and the moment when what is known of it is too old to go by."""

    token: AccessToken
    until: float  # seconds since 1970; nobody may remember the token for longer


class _Refused(msgspec.Struct, frozen=True, gc=False):
    reason: str
    until: float


class _Failed(msgspec.Struct, frozen=True, gc=False):
    reason: str
    until: float
    for_everybody: bool = False


_Outcome = Introspected | _Refused | _Failed


@final
class Introspection:
    """Asks one issuer about tokens, once for all who ask at the same time.

    A question is asked in a thread of its own, and belongs to nobody who waits for it: whoever
    goes away takes it from no other. What is remembered is bounded, and good and bad tokens are
    remembered apart, so that a flood of invented ones drives out no real one.
    """

    def __init__(
        self,
        settings: OpaqueIssuer,
        clock: Clock,
        events: Events,
        *,
        keys: IssuerKeys | KeySet | None = None,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._events = events
        self._answers = IssuerAnswers(settings, clock, events, keys)
        self._shape = re.compile(settings.shape)
        self.begin()
        begin_again_after_fork(self)
        self._active: OrderedDict[bytes, _Outcome] = OrderedDict()
        self._others: OrderedDict[bytes, _Outcome] = OrderedDict()
        self._peers: OrderedDict[str, tuple[float, int]] = OrderedDict()
        self._again_at = float("-inf")
        self._closed = False

    def begin(self) -> None:
        """What belongs to one process: threads, and the questions that they ask."""
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(CALLS, thread_name_prefix="mintmark-introspection")
        self._flights: dict[bytes, Future[_Outcome]] = {}
        self._running = 0

    async def require_active(self, token: bytes, now: float, *, peer: str = "") -> Introspected:
        """What the issuer says of an active token, at most `cache` old.

        Args:
            peer: who sent it, where that is known for certain; each has a limit of questions.

        Raises:
            TokenInactive: 401. IntrospectionUnavailable: 503.
        """
        self._require_shape(token)
        # SHA-256, so that no bearer token lies in memory for long.
        outcome = self._outcome(token, hashlib.sha256(token).digest(), now, peer)
        if isinstance(outcome, Future):
            outcome = await asyncio.shield(asyncio.wrap_future(outcome))
        if isinstance(outcome, Introspected):
            return outcome
        if isinstance(outcome, _Refused):
            raise TokenInactive(outcome.reason)
        raise IntrospectionUnavailable(outcome.reason)

    def close(self) -> None:
        """Ends every question; whoever waits for one is told that nothing can be said."""
        with self._lock:
            self._closed = True
            flights, idle = list(self._flights), self._running == 0
        for digest in flights:
            self._land(digest, _Failed("closed", 0.0), "")
        self._pool.shutdown(wait=False, cancel_futures=True)
        # A connection that is closed under somebody's hands is never given back: otherwise the
        # last question that is still on its way closes them.
        if idle:
            self._answers.close()

    def _require_shape(self, token: bytes) -> None:
        # Nothing but a look at the text: invented tokens must cost less than they cost to send.
        if len(token) > self._settings.longest:
            raise TokenInactive("longer than any token of this issuer")
        if not token.isascii() or not self._shape.fullmatch(token.decode("ascii")):
            raise TokenInactive("not the shape of a token of this issuer")
        if self._settings.refuse_jwt and token.startswith(b"ey") and token.count(b".") in (2, 4):
            raise TokenInactive("a JWT, where opaque tokens are taken")

    def _outcome(
        self, token: bytes, digest: bytes, now: float, peer: str
    ) -> _Outcome | Future[_Outcome]:
        # One lock for memory and flights: between two looks an answer could land unseen, and the
        # question would be asked again.
        with self._lock:
            for memory in (self._active, self._others):
                known = memory.get(digest)
                if known is not None and now < known.until:
                    memory.move_to_end(digest)
                    return known
            return self._flights.get(digest) or self._depart(token, digest, now, peer)

    def _depart(
        self, token: bytes, digest: bytes, now: float, peer: str
    ) -> _Outcome | Future[_Outcome]:
        hindrance = self._hindrance(now, peer)
        if hindrance:
            return _Failed(hindrance, now)
        flight: Future[_Outcome] = Future()
        flight.set_running_or_notify_cancel()
        # Kept only once it is really under way: whoever joined one that never starts would wait
        # for ever.
        self._pool.submit(self._run, token, digest, peer)
        self._flights[digest] = flight
        return flight

    def _hindrance(self, now: float, peer: str) -> str:
        """Why the issuer is not asked now, or nothing."""
        if self._closed:
            return "closed"
        if now < self._again_at:
            return "the issuer has just failed to answer"
        if len(self._flights) >= MAX_WAITING:
            return "too many questions at once"
        if not peer:
            return ""
        since, asked = self._peers.get(peer, (now, 0))
        if now >= since + PEER_WINDOW:
            since, asked = now, 0
        if asked >= self._settings.unknown_per_peer:
            return "too many unknown tokens from one address"
        # Counted before the answer, or a thousand at once would all pass; taken back by `_land`.
        _put(self._peers, peer, (since, asked + 1))
        return ""

    def _run(self, token: bytes, digest: bytes, peer: str) -> None:
        with self._lock:
            if self._closed:
                return
            self._running += 1
        self._land(digest, self._ask_safely(token), peer)
        self._arrive()

    def _arrive(self) -> None:
        with self._lock:
            self._running -= 1
            last = self._closed and self._running == 0
        if last:
            self._answers.close()

    def _ask_safely(self, token: bytes) -> _Outcome:
        now = self._clock.timestamp()
        # It may have waited for its turn while the issuer went down.
        if now < self._again_at:
            return _Failed("the issuer has just failed to answer", now)
        try:
            return self._ask(token, now)
        except Exception as failure:  # noqa: BLE001 -- a waiter must not wait for ever
            return self._failed(type(failure).__name__, for_everybody=False)

    def _ask(self, token: bytes, now: float) -> _Outcome:
        settings = self._settings
        try:
            response = self._answers.ask(Secret(token.decode("ascii")))
        except UnusableAnswer as failure:
            return self._failed(str(failure), for_everybody=failure.for_everybody)
        except FetchError as failure:
            # An answer that is too large is one token's; a server out of reach is everybody's.
            return self._failed(failure.reason, for_everybody=failure.retryable)
        except (UnusableMetadata, KeysMissing) as failure:
            return self._failed(str(failure), for_everybody=True)
        except JoseError as failure:
            return self._failed(f"the answer: {failure.reason}", for_everybody=False)
        try:
            checked = require_active(
                response,
                issuer=settings.issuer,
                audience=settings.audience,
                now=now,
                skew=settings.skew.total_seconds(),
            )
        except JoseError as refusal:
            return _Refused(str(refusal), now + settings.cache_refused.total_seconds())
        # From the moment before the question: the answer cannot be older than that.
        return Introspected(checked, min(now + settings.cache.total_seconds(), checked.expires_at))

    def _failed(self, reason: str, *, for_everybody: bool) -> _Failed:
        self._events.emit(IntrospectionFailed(issuer=self._settings.issuer, reason=reason))
        return _Failed(reason, self._clock.timestamp() + AGAIN_AFTER, for_everybody)

    def _land(self, digest: bytes, outcome: _Outcome, peer: str) -> None:
        with self._lock:
            flight = self._flights.pop(digest, None)
            if flight is None:  # closed in the meantime
                return
            if isinstance(outcome, Introspected):
                _put(self._active, digest, outcome)
                self._others.pop(digest, None)
                since, asked = self._peers.get(peer, (0.0, 0))
                if asked:
                    self._peers[peer] = (since, asked - 1)
            else:
                # A token that was good and is revoked is found among the others from now on.
                self._active.pop(digest, None)
                _put(self._others, digest, outcome)
            # One token that the server stumbles over must not shut out all others.
            if isinstance(outcome, _Failed) and outcome.for_everybody:
                self._again_at = outcome.until
        flight.set_result(outcome)


def _put(memory: OrderedDict[K, V], key: K, value: V) -> None:
    memory[key] = value
    memory.move_to_end(key)
    while len(memory) > MAX_REMEMBERED:
        memory.popitem(last=False)
