"""A token endpoint that binds tokens to keys: on a `FakeAuthority` (RFC 9449 §5, §8)."""

import secrets
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, final

import msgspec

from mintmark.jose.algorithms import ALL_ALGORITHMS
from mintmark.protocol.dpop import (
    DPoPProof,
    ProofRefused,
    read_proof,
    require_fresh,
    require_made_for,
)
from mintmark.testing.asked import Asked
from mintmark.testing.faults import Fault

if TYPE_CHECKING:
    from mintmark.testing.authority import FakeAuthority

__all__ = ["FakeDPoP"]


# It hangs up after such an answer; unsaid, the next request could go to a connection that is gone.
CLOSE = {"connection": "close"}


@final
class FakeDPoP:
    """Every token request needs a proof, and every token is bound to its key.

    Attributes:
        nonce: what a proof has to carry; None asks for none.
        churn: another nonce with every answer.
        insatiable: never content with any nonce.
        silent: tells its nonce in refusals alone.
        proofs: all that were accepted.
        jtis: of every proof that came, also of those that were refused.
        refused: why, for each proof that was.
    """

    def __init__(self, authority: "FakeAuthority") -> None:
        self.authority = authority
        self.nonce: str | None = None
        self.churn = self.insatiable = self.silent = False
        self.proofs: list[DPoPProof] = []
        self.jtis: list[str] = []
        self.refused: list[str] = []
        self.assertions: list[str] = []
        self._keys: dict[str, str] = {}  # of codes and refresh tokens: the key they are bound to
        self._lock = threading.Lock()

    @classmethod
    def install(cls, authority: "FakeAuthority") -> "FakeDPoP":
        """On this one, from now on."""
        made = cls(authority)
        authority.endpoints["/token"] = made._token
        authority.endpoints["/authorize"] = made._authorize
        return made

    def _authorize(self, asked: Asked) -> Fault | None:
        location = self.authority.authorize(asked.query)
        jkt = asked.form.optional("dpop_jkt", str)
        code = location.partition("code=")[2].partition("&")[0]
        if jkt is not None:
            self._keys[code] = jkt
        return Fault(status=303, body=b"", headers=CLOSE | {"location": location})

    def _token(self, asked: Asked) -> Fault | None:
        if self.authority.faults:
            return self.authority.faults.pop(0)
        self.assertions.append(asked.form.optional("client_assertion", str) or "")
        with self._lock:
            try:
                proof = self._require_proof(asked)
            except ProofRefused as refusal:
                self.refused.append(refusal.reason)
                return self._answer(400, {"error": "invalid_dpop_proof"})
            if self.insatiable or proof.nonce != self.nonce:
                if self.insatiable:
                    self.nonce = secrets.token_urlsafe(8)
                self.refused.append("nonce")
                return self._answer(400, {"error": "use_dpop_nonce"}, refusing=True)
            self.proofs.append(proof)
        return self._bound(asked, proof)

    def _require_proof(self, asked: Asked) -> DPoPProof:
        field = asked.headers.get("dpop")
        proof = read_proof([field] if field else [], algorithms=ALL_ALGORITHMS)
        replayed = proof.jti in self.jtis
        self.jtis.append(proof.jti)
        if replayed:
            raise ProofRefused("the proof was used before")
        require_made_for(proof, method="POST", uri=f"{self.authority.issuer}/token")
        require_fresh(proof, now=self.authority.clock.timestamp())
        if proof.ath is not None:
            raise ProofRefused("there is no token yet")
        bound = asked.form.optional("code", str) or asked.form.optional("refresh_token", str) or ""
        if self._keys.get(bound, proof.jkt) != proof.jkt:
            raise ProofRefused("bound to another key")
        return proof

    def _bound(self, asked: Asked, proof: DPoPProof) -> Fault:
        fake = self.authority
        fake.bound_to = {"cnf": {"jkt": proof.jkt}}
        status, body = fake.token(asked)
        members = msgspec.json.decode(body)
        if status == 200:
            if "token_type" not in fake.changes:
                members |= {"token_type": "DPoP"}
            # RFC 9449 §5: a client that proves who it is may change its key.
            assertion = asked.form.optional("client_assertion", str)
            proven = "authorization" in asked.headers or assertion is not None
            if "refresh_token" in members and not proven:
                self._keys[members["refresh_token"]] = proof.jkt
        return self._answer(status, members)

    def _answer(self, status: int, members: Mapping[str, Any], *, refusing: bool = False) -> Fault:
        if self.churn and not refusing:
            self.nonce = secrets.token_urlsafe(8)
        told = self.nonce is not None and (refusing or not self.silent)
        nonce = {"dpop-nonce": self.nonce} if told and self.nonce else {}
        return Fault(status=status, body=msgspec.json.encode(members), headers=CLOSE | nonce)
