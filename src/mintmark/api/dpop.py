"""DPoP as the API sees it: nonce, replay, and the binding of the token (RFC 9449 §7)."""

import base64
import binascii
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Literal, final, get_args

from mintmark.api.measures import Measures
from mintmark.api.replay import (
    Claim,
    MemoryReplayStore,
    ReplayStore,
    ReplayStoreUnavailable,
    proof_digest,
)
from mintmark.jose.algorithms import ALL_ALGORITHMS, Algorithm
from mintmark.protocol.dpop import (
    DPoPProof,
    KeyMismatch,
    ProofRefused,
    read_proof,
    require_for_token,
    require_fresh,
    require_made_for,
    require_not_over,
)
from mintmark.protocol.dpop_nonce import KEY_LENGTH, NonceRefused, Nonces
from mintmark.secret import Secret

__all__ = [
    "DPoP",
    "DPoPCheck",
    "DPoPProof",
    "KeyMismatch",
    "NonceNeeded",
    "ProofRefused",
    "ReplayUnknown",
]

NonceUse = Literal["never", "when-clock-is-off", "always"]
OnFailure = Literal["refuse", "accept"]

SHORTEST_BACK: Final = timedelta(seconds=10)
LONGEST_BACK: Final = timedelta(minutes=10)
SHORTEST_AHEAD: Final = timedelta(seconds=2)
LONGEST_AHEAD: Final = timedelta(minutes=1)

_CLOCKS_APART: Final = 10.0
"""Seconds by which the clocks of our own processes may differ: a proof is remembered longer."""


class NonceNeeded(Exception):
    """The client is to repeat the request with this nonce: `use_dpop_nonce` (RFC 9449 §9)."""

    def __init__(self, nonce: str, reason: str) -> None:
        super().__init__(reason)
        self.nonce = nonce
        self.reason = reason


class ReplayUnknown(Exception):
    """The proof may be good; whether it was used before, nobody can say. `reason` is for the log."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class DPoP:
    """What is asked of proofs.

    A token that is bound to a key is never taken without a proof; `required` refuses the others.
    """

    required: bool = False
    algorithms: frozenset[Algorithm] = ALL_ALGORITHMS
    window: tuple[timedelta, timedelta] = (timedelta(seconds=60), timedelta(seconds=10))
    """How old a proof may be, and how far its clock may run ahead of ours."""
    nonce: NonceUse = "when-clock-is-off"
    """`when-clock-is-off`: a client whose clock is wrong is helped by a nonce, and others never
    see one. `always`: a proof cannot be made in advance, at one more request per client."""
    nonce_key: Secret | None = None
    """32 random bytes in base64url, the same in every process. Without it each makes its own, and
    refuses the nonces of the others."""
    replay: ReplayStore | None = None
    """None: the memory of this process. Several processes need one that they share."""
    on_replay_store_failure: OnFailure = "refuse"
    """`accept`: while the store is down, a proof that was read on its way can be used again."""
    max_proofs_per_key: int = 1000
    """Within the window."""

    def __post_init__(self) -> None:
        if not self.algorithms:
            raise ValueError("algorithms: at least one is needed")
        if not self.algorithms <= ALL_ALGORITHMS:
            raise ValueError("algorithms: only those of mintmark.jose.algorithms")
        back, ahead = self.window
        # Too narrow, it refuses honest clients; too wide, a proof read on its way is good for long.
        if not SHORTEST_BACK <= back <= LONGEST_BACK:
            raise ValueError(f"window: back ({back}) must be 10 seconds to 10 minutes")
        if not SHORTEST_AHEAD <= ahead <= LONGEST_AHEAD:
            raise ValueError(f"window: ahead ({ahead}) must be 2 seconds to 1 minute")
        if self.nonce not in get_args(NonceUse):
            raise ValueError(f"nonce: one of {', '.join(get_args(NonceUse))}")
        if self.on_replay_store_failure not in get_args(OnFailure):
            raise ValueError("on_replay_store_failure: refuse or accept")
        if self.nonce_key is not None:
            if self.nonce == "never":
                raise ValueError("nonce_key: there are no nonces with nonce='never'")
            _key_of(self.nonce_key)
        if self.max_proofs_per_key < 1:
            raise ValueError("max_proofs_per_key must be 1 or more")

    @property
    def algs(self) -> str:
        """The `algs` of a challenge (RFC 9449 §7.1)."""
        return " ".join(sorted(self.algorithms))


def _key_of(text: Secret) -> bytes:
    try:
        key = base64.b64decode(text.reveal().rstrip("=") + "=", altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_LENGTH:
        raise ValueError(f"nonce_key must be {KEY_LENGTH} random bytes in base64url")
    return key


@final
class DPoPCheck:
    """Proves that whoever sent a bound token holds its key."""

    def __init__(
        self,
        settings: DPoP,
        *,
        alarm: Callable[[str], None] | None = None,
        measures: Measures | None = None,
    ) -> None:
        """`alarm` is told why, whenever a proof is accepted that nobody could look up."""
        if settings.on_replay_store_failure == "accept" and alarm is None:
            raise ValueError("on_replay_store_failure='accept' needs an alarm: never in silence")
        self.settings = settings
        self._alarm = alarm
        self._measures = measures
        self._back, self._ahead = (part.total_seconds() for part in settings.window)
        self._replay = settings.replay if settings.replay is not None else MemoryReplayStore()
        self._nonces = _nonces_of(settings)

    async def require_proof(
        self, fields: list[bytes], *, method: str, uri: str, token: bytes, jkt: str, now: float
    ) -> DPoPProof:
        """The proof of this request: made by the token's key, for this request, and not used yet.

        Args:
            fields: the values of all `DPoP` header fields.
            uri: the request's; its origin is configured or a trusted proxy's word.
            token: the access token as it came.
            jkt: from the `cnf` of the token, which was proved before.
            now: the moment of the request, in seconds since 1970.

        Raises:
            ProofRefused: `invalid_dpop_proof`.
            KeyMismatch: a `ProofRefused` too, but the token is stolen: `invalid_token`.
            NonceNeeded: `use_dpop_nonce`.
            ReplayUnknown: 503.
        """
        # RFC 9449 §4.3, in its order
        proof = read_proof(fields, algorithms=self.settings.algorithms)  # 1 to 7
        require_made_for(proof, method=method, uri=uri)  # 8, 9
        self._require_current(proof, now)  # 10, 11
        require_for_token(proof, token=token, jkt=jkt)  # 12
        # RFC 9449 §11.1. Last of all: a proof that failed must not use up the `jti` of a good one.
        await self._require_first_use(proof, now)
        if self._measures is not None:
            self._measures.proof_taken(proof.iat - now)
        return proof

    def fresh_nonce(self, now: float, proof: DPoPProof | None = None) -> str | None:
        """The nonce to announce with a successful answer, so that nobody has to repeat a request.

        Args:
            proof: the proof of the request, if there was one. Its nonce is renewed when it is of
                the period before, and soon too old.

        Source: RFC 9449 §8.2.
        """
        if self._nonces is None:
            return None
        used = proof.nonce if proof is not None else None
        # A client that never needed a nonce is not given one.
        if used is None and self.settings.nonce != "always":
            return None
        current = self._nonces.current(now)
        return None if used == current else current

    def _require_current(self, proof: DPoPProof, now: float) -> None:
        require_not_over(proof, now=now, ahead=self._ahead)
        nonces = self._nonces
        if nonces is None:
            require_fresh(proof, now=now, back=self._back, ahead=self._ahead)
            return
        try:
            if proof.nonce is None and self.settings.nonce == "when-clock-is-off":
                require_fresh(proof, now=now, back=self._back, ahead=self._ahead)
            else:
                # RFC 9449 §4.3 (10), (11): when it was made is known from the nonce, and the
                # client's clock does not matter.
                nonces.require_current(proof.nonce, now)
        except (ProofRefused, NonceRefused) as refusal:
            raise NonceNeeded(nonces.current(now), refusal.reason) from None

    def _acceptable_for(self, proof: DPoPProof, now: float) -> float:
        """Seconds for which the proof would pass all checks but this one."""
        if self._nonces is not None and proof.nonce is not None:
            return 2 * self._nonces.lifetime
        return proof.iat + self._back - now

    async def _require_first_use(self, proof: DPoPProof, now: float) -> None:
        try:
            claim = await self._replay.claim(
                proof_digest(proof.jkt, proof.jti),
                jkt=proof.jkt,
                now=now,
                ttl=self._acceptable_for(proof, now) + _CLOCKS_APART,
                quota=self.settings.max_proofs_per_key,
            )
        except ReplayStoreUnavailable as failure:
            if self._alarm is None or self.settings.on_replay_store_failure == "refuse":
                raise ReplayUnknown(failure.reason) from None
            self._alarm(failure.reason)
            return
        match claim:
            case Claim.FIRST:
                return
            case Claim.SEEN:
                raise ProofRefused("the proof was used before")
            case Claim.QUOTA_EXCEEDED:
                raise ProofRefused("the key made too many proofs")


def _nonces_of(settings: DPoP) -> Nonces | None:
    if settings.nonce == "never":
        return None
    key = settings.nonce_key
    return Nonces(_key_of(key) if key is not None else secrets.token_bytes(KEY_LENGTH))
