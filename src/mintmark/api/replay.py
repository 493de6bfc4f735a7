"""Which proofs were used already: a proof is good once (RFC 9449 §11.1)."""

import hashlib
import heapq
import threading
from enum import Enum
from typing import Final, Protocol, final

from mintmark.forks import begin_again_after_fork

__all__ = ["Claim", "MemoryReplayStore", "ReplayStore", "ReplayStoreUnavailable", "proof_digest"]

MAX_PROOFS: Final = 200_000


class Claim(Enum):
    """What became of an attempt to use a proof."""

    FIRST = "first"
    """Nobody used it before, and nobody will again."""
    SEEN = "seen"
    """It was used before."""
    QUOTA_EXCEEDED = "quota exceeded"
    """Its key made too many proofs; this one was not looked at, and is not remembered."""


class ReplayStoreUnavailable(Exception):
    """It cannot be said whether the proof was used. `reason` is for the log."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class ReplayStore(Protocol):
    """Remembers used proofs by digests; no proof and no token is kept.

    Every implementation passes `tests/stores/test_replay.py`.
    """

    async def claim(self, digest: bytes, *, jkt: str, now: float, ttl: float, quota: int) -> Claim:
        """Use a proof, in one step that cannot be divided.

        Of any number of concurrent calls with the same digest, exactly one returns `FIRST`. The
        whole defence against replay rests on that: asking first and storing then lets two pass.

        Args:
            digest: `proof_digest` of the proof.
            jkt: the thumbprint of its key, to which the quota belongs.
            now: the moment of the request, in seconds since 1970; a store that many machines
                share goes by its own clock.
            ttl: seconds for which the proof could be used.
            quota: proofs that one key may have within that time.

        Raises:
            ReplayStoreUnavailable
        """
        ...


def proof_digest(jkt: str, jti: str) -> bytes:
    """What a proof is remembered by: its key and its `jti` together, 32 bytes.

    By the `jti` alone, anybody could use up somebody else's (RFC 9449 §11.1).
    """
    # A thumbprint has always 43 characters, so no two pairs have the same text.
    return hashlib.sha256(f"{jkt}.{jti}".encode()).digest()


@final
class MemoryReplayStore:
    """Used proofs in the memory of one process. Several processes need one that they share."""

    def __init__(self, *, max_proofs: int = MAX_PROOFS) -> None:
        """A proof costs about 300 bytes. A full store says so, and forgets none that counts."""
        if max_proofs < 1:
            raise ValueError(f"max_proofs ({max_proofs}) must be 1 or more")
        self._max_proofs = max_proofs
        self._used: set[bytes] = set()
        self._ends: list[tuple[float, bytes, str]] = []  # a heap: the first to end comes first
        self._of_key: dict[str, int] = {}
        self.begin()
        begin_again_after_fork(self)

    def begin(self) -> None:
        """A lock, for a guard may serve several threads; after a fork one that nobody holds."""
        self._lock = threading.Lock()

    async def claim(self, digest: bytes, *, jkt: str, now: float, ttl: float, quota: int) -> Claim:
        """See `ReplayStore`."""
        with self._lock:
            self._forget_ended(now)
            if digest in self._used:
                return Claim.SEEN
            if self._of_key.get(jkt, 0) >= quota:
                return Claim.QUOTA_EXCEEDED
            # To forget a proof that still counts would let it be used again.
            if len(self._used) >= self._max_proofs:
                raise ReplayStoreUnavailable("the memory for used proofs is full")
            self._used.add(digest)
            self._of_key[jkt] = self._of_key.get(jkt, 0) + 1
            heapq.heappush(self._ends, (now + ttl, digest, jkt))
            return Claim.FIRST

    def _forget_ended(self, now: float) -> None:
        while self._ends and self._ends[0][0] <= now:
            _, digest, jkt = heapq.heappop(self._ends)
            self._used.discard(digest)
            left = self._of_key[jkt] - 1
            if left:
                self._of_key[jkt] = left
            else:
                del self._of_key[jkt]

    def __len__(self) -> int:
        return len(self._used)
