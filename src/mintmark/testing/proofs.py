"""DPoP proofs for tests, honest ones and any other (RFC 9449 §4.2)."""

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from mintmark.jose.algorithms import Algorithm
from mintmark.jose.base64url import encode
from mintmark.jose.keys import SigningKey
from mintmark.testing.attacks.forging import Part, Signer, compact

__all__ = ["ProofKey"]


@dataclass(frozen=True)
class ProofKey:
    """A client's key for its proofs."""

    key: SigningKey = field(repr=False)

    @classmethod
    def generate(cls, algorithm: Algorithm = Algorithm.ES256) -> Self:
        return cls(SigningKey.generate(algorithm))

    @property
    def thumbprint(self) -> str:
        """What `cnf.jkt` says (RFC 7638 §3)."""
        return self.key.public.thumbprint()

    @property
    def jwk(self) -> dict[str, str]:
        members = self.key.public.to_jwk()
        return {name: members[name] for name in members if name not in {"kid", "use", "alg"}}

    @property
    def header(self) -> dict[str, Any]:
        return {"typ": "dpop+jwt", "alg": self.key.algorithm.value, "jwk": self.jwk}

    def payload(self, method: str, url: str, *, now: float, token: str) -> dict[str, Any]:
        """Of an honest proof for this request and this token."""
        return {
            "jti": secrets.token_urlsafe(16),
            "htm": method,
            "htu": url,
            "iat": int(now),
            "ath": encode(hashlib.sha256(token.encode("ascii", "replace")).digest()),
        }

    def proof(
        self,
        method: str,
        url: str,
        *,
        now: float,
        token: str,
        header: Mapping[str, Any] | None = None,
        signer: Signer | None = None,
        **changes: Any,
    ) -> str:
        """An honest proof, or one with these claims and header members changed."""
        payload: Part = {**self.payload(method, url, now=now, token=token), **changes}
        return compact({**self.header, **(header or {})}, payload, signer or self.key)
