"""The key of whoever asks for tokens, proved (RFC 9449 §5)."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from mintmark.jose.algorithms import ALL_ALGORITHMS
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
from mintmark.protocol.dpop_nonce import NonceRefused, Nonces
from mintmark.protocol.errors import ErrorCode, OAuthError
from mintmark.protocol.message import HeaderList, HttpRequest
from mintmark.server.stores import AlreadyClaimed, AssertionStore

__all__ = ["Proofs"]

BACK: Final = timedelta(seconds=60)
AHEAD: Final = timedelta(seconds=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Proofs:
    """Checks the DPoP proofs of one endpoint, and remembers those that were used."""

    uri: str  # of the endpoint, as it is configured: what a request says of its host proves nothing
    nonces: Nonces | None  # None: none are asked for
    used: AssertionStore

    async def require_proof(self, request: HttpRequest, *, now: datetime) -> str | None:
        """The thumbprint of the key that this request proves; None when it brings no proof.

        Raises:
            OAuthError: INVALID_DPOP_PROOF, USE_DPOP_NONCE.
            StoreUnavailable: nobody can say whether it was used before.
        """
        if all(name != b"dpop" for name, _ in request.headers):
            return None
        try:
            proof = self._checked(request, now)
            await self._use_up(proof, now)
        except ProofRefused as refusal:
            raise refused(refusal.reason) from None
        return proof.jkt

    async def require_holder(
        self, request: HttpRequest, token: str, jkt: str, *, now: datetime
    ) -> str:
        """The same at a resource: a proof for this very token, of the key that it is bound to.

        Raises:
            OAuthError: INVALID_DPOP_PROOF, USE_DPOP_NONCE, INVALID_TOKEN.
            StoreUnavailable: nobody can say whether it was used before.
        """
        try:
            proof = self._checked(request, now)
            require_for_token(proof, token=token.encode(), jkt=jkt)
            await self._use_up(proof, now)
        except KeyMismatch as refusal:
            # RFC 9449 §7.1
            raise OAuthError(
                ErrorCode.INVALID_TOKEN, "the token is not valid", reason=refusal.reason
            ) from None
        except ProofRefused as refusal:
            raise refused(refusal.reason) from None
        return jkt

    def _checked(self, request: HttpRequest, now: datetime) -> DPoPProof:
        fields = [value for name, value in request.headers if name == b"dpop"]
        proof = read_proof(fields, algorithms=ALL_ALGORITHMS)
        require_made_for(proof, method=request.method, uri=self.uri)
        at, ahead = now.timestamp(), AHEAD.total_seconds()
        require_fresh(proof, now=at, back=BACK.total_seconds(), ahead=ahead)
        require_not_over(proof, now=at, ahead=ahead)
        self._require_nonce(proof, now)
        return proof

    def next_nonce(self, now: datetime) -> HeaderList:
        """What every answer says while nonces are asked for (RFC 9449 §8.2)."""
        if self.nonces is None:
            return ()
        return ((b"dpop-nonce", self.nonces.current(now.timestamp()).encode("ascii")),)

    def _require_nonce(self, proof: DPoPProof, now: datetime) -> None:
        if self.nonces is None:
            return
        try:
            self.nonces.require_current(proof.nonce, now.timestamp())
        except NonceRefused as refusal:
            # RFC 9449 §8
            raise OAuthError(
                ErrorCode.USE_DPOP_NONCE, "use the nonce of this answer", reason=refusal.reason
            ) from None

    async def _use_up(self, proof: DPoPProof, now: datetime) -> None:
        # RFC 9449 §11.1. One key's `jti` says nothing about another's.
        name = msgspec.json.encode(["dpop", proof.jkt, proof.jti])
        ends = datetime.fromtimestamp(proof.iat, UTC) + BACK + AHEAD
        try:
            await self.used.claim(hashlib.sha256(name).digest(), ends=ends, now=now)
        except AlreadyClaimed:
            raise ProofRefused("it was used before") from None


def refused(reason: str) -> OAuthError:
    """One answer for every proof that is not good; our log learns why (RFC 9449 §5)."""
    return OAuthError(ErrorCode.INVALID_DPOP_PROOF, "the DPoP proof is not valid", reason=reason)
