"""The token endpoint (RFC 6749 §3.2)."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mintmark.clock import Clock
from mintmark.events import Events
from mintmark.protocol.errors import ErrorCode, OAuthError
from mintmark.protocol.form import Form
from mintmark.protocol.message import HttpRequest, HttpResponse, error_answer, json_answer
from mintmark.protocol.scope import format_scope
from mintmark.server.asker import Asker
from mintmark.server.client_authentication import ClientAuthentication
from mintmark.server.clients import Client
from mintmark.server.events import GrantRefused, TokenIssued
from mintmark.server.grants.offered import OfferedGrant, OfferedGrants
from mintmark.server.proofs import Proofs

__all__ = ["TokenEndpoint", "client_refusal", "require_form"]

FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenEndpoint:
    """Form, client, proof, grant, answer."""

    authentication: ClientAuthentication
    proofs: Proofs
    grants: OfferedGrants
    clock: Clock
    events: Events

    async def __call__(self, request: HttpRequest) -> HttpResponse:
        now = self.clock.now()
        client_id = grant_type = ""
        try:
            form = require_form(request)
            grant_type = form.required("grant_type", str)
            client = await self.authentication.require_client(request, form, now=now)
            client_id = client.client_id
            jkt = await self._require_proof(request, client, now)
            asker = Asker(client=client, now=now, jkt=jkt)
            response = await self._require_grant(grant_type, client).answer(form, asker)
        except OAuthError as refusal:
            self.events.emit(
                GrantRefused(
                    client_id=client_id,
                    grant_type=grant_type[:80],
                    error=refusal.code,
                    reason=refusal.reason,
                )
            )
            return self._with_nonce(client_refusal(refusal, request), now)
        self.events.emit(
            TokenIssued(
                client_id=client_id,
                grant_type=grant_type,
                subject="",
                scope=format_scope(response.scope or frozenset()),
            )
        )
        return self._with_nonce(json_answer(response.to_json()), now)

    async def _require_proof(
        self, request: HttpRequest, client: Client, now: datetime
    ) -> str | None:
        jkt = await self.proofs.require_proof(request, now=now)
        # RFC 9449 §5.2
        if jkt is None and client.requires_dpop:
            raise OAuthError(ErrorCode.INVALID_DPOP_PROOF, "this client has to send a DPoP proof")
        return jkt

    def _require_grant(self, grant_type: str, client: Client) -> OfferedGrant[Any]:
        grant = self.grants.find(grant_type)
        # RFC 6749 §5.2. The password grant is not offered: RFC 9700 §2.4.
        if grant is None:
            raise OAuthError(ErrorCode.UNSUPPORTED_GRANT_TYPE, "this grant type is not offered")
        if grant_type not in client.grant_types:
            raise OAuthError(ErrorCode.UNAUTHORIZED_CLIENT, "this client may not use this grant")
        return grant

    def _with_nonce(self, answer: HttpResponse, now: datetime) -> HttpResponse:
        nonce = self.proofs.next_nonce(now)
        return HttpResponse(answer.status, (*answer.headers, *nonce), answer.body)


def require_form(request: HttpRequest) -> Form:
    """The parameters of a form post.

    Raises:
        OAuthError: INVALID_REQUEST for another content type, or what `Form.parse` refuses.
    """
    content_type = request.header(b"content-type") or ""
    # RFC 6749 §3.2, Appendix B
    if content_type.partition(";")[0].strip().lower() != FORM:
        raise OAuthError(ErrorCode.INVALID_REQUEST, "the body must be form-urlencoded")
    # RFC 6750 §2.3, RFC 9700 §4.3.2: secrets do not travel in addresses.
    if request.query:
        raise OAuthError(ErrorCode.INVALID_REQUEST, "parameters belong into the body")
    return Form.parse(request.body)


def client_refusal(refusal: OAuthError, request: HttpRequest) -> HttpResponse:
    """The answer to a client; a failed `Authorization` header is answered by a challenge."""
    used_header = any(name == b"authorization" for name, _ in request.headers)
    # RFC 6749 §5.2
    if refusal.code is ErrorCode.INVALID_CLIENT and used_header:
        return error_answer(refusal, ((b"www-authenticate", b'Basic realm="token"'),))
    return error_answer(refusal)
