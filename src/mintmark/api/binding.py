"""What a token is bound to, shown with every single request (RFC 9449 §7.1, RFC 8705 §3).

It is part of the guard and no add-on: a token whose `cnf` nobody looks at is a bearer token, good in
the hands of whoever stole it.
"""

from collections.abc import Mapping
from typing import Any, final

from mintmark.api.answers import Scheme
from mintmark.api.certificate import ClientCertificate
from mintmark.api.credentials import Credentials
from mintmark.api.dpop import DPoPCheck, DPoPProof
from mintmark.api.proxy import PublicOrigin, request_uri
from mintmark.jose.errors import ClaimRefused
from mintmark.protocol.mtls import require_bound_to

__all__ = ["Bindings", "Unbound"]

Scope = Mapping[str, Any]


class Unbound(Exception):
    """The token and the way it came do not belong together. `reason` is for the log."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@final
class Bindings:
    """Asks for whatever a token's `cnf` names, and for nothing else."""

    def __init__(
        self,
        dpop: DPoPCheck | None,
        certificate: ClientCertificate | None,
        origin: PublicOrigin | None,
    ) -> None:
        if (dpop is not None or certificate is not None) and origin is None:
            raise ValueError(
                "dpop, client_certificate: a proof names this API's address. Say it with `origin`,"
                " or give the API an https address as its identifier"
            )
        if certificate is not None and origin is not None:
            certificate.require_possible_with(origin)
        self.dpop = dpop
        self._certificate = certificate
        self._origin = origin

    async def require_shown(
        self, credentials: Credentials, cnf: Mapping[str, Any], scope: Scope, now: float
    ) -> DPoPProof | None:
        """The proof that came along, if the token asks for one.

        Raises:
            Unbound: the scheme is not the one of this token: `invalid_token`.
            ProofRefused, KeyMismatch, NonceNeeded, ReplayUnknown: of the proof.
            CertificateRefused, OriginRefused, TlsExtensionMissing.
            ClaimRefused: it is bound in a way that is not looked at here.
        """
        if not cnf:
            self._require_unbound(credentials)
            return None
        jkt, thumbprint = cnf.get("jkt"), cnf.get("x5t#S256")
        # Both, if there are both; the certificate first, for a proof that is looked at is used up.
        if thumbprint is not None:
            self._require_certificate(thumbprint, scope, now)
        if jkt is None:
            if credentials.scheme is Scheme.DPOP:
                raise Unbound("a DPoP token that is bound to no key")
            return None
        return await self._require_proof(credentials, jkt, scope, now)

    def _require_unbound(self, credentials: Credentials) -> None:
        # RFC 9449 §7.1: the scheme says what the token is.
        if credentials.scheme is Scheme.DPOP:
            raise Unbound("a DPoP token that is bound to no key")
        if self.dpop is not None and self.dpop.settings.required:
            raise Unbound("a token that is bound to no key, where all must be")

    def _require_certificate(self, thumbprint: str, scope: Scope, now: float) -> None:
        if self._certificate is None or self._origin is None:
            raise ClaimRefused("cnf", "binds the token to a certificate, and none is looked at")
        require_bound_to(self._certificate.der_of(scope, self._origin, now), thumbprint)

    async def _require_proof(
        self, credentials: Credentials, jkt: str, scope: Scope, now: float
    ) -> DPoPProof:
        if self.dpop is None or self._origin is None:
            raise ClaimRefused("cnf", "binds the token to a key, and no proof is looked at")
        # RFC 9449 §7.2: as a bearer token it would be good for whoever read it on its way.
        if credentials.scheme is not Scheme.DPOP:
            raise Unbound("a token that is bound to a key, sent as a bearer token")
        fields = [value for name, value in scope["headers"] if name == b"dpop"]
        return await self.dpop.require_proof(
            fields,
            method=scope.get("method", "GET"),  # a WebSocket's handshake is a GET
            uri=request_uri(scope, self._origin.origin_of(scope)),
            token=credentials.token,
            jkt=jkt,
            now=now,
        )
