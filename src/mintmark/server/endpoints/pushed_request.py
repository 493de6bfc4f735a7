"""The pushed authorization request endpoint (RFC 9126)."""

from dataclasses import dataclass, replace
from datetime import datetime

from mintmark.clock import Clock
from mintmark.events import Events
from mintmark.protocol.authorization import AuthorizationRequest
from mintmark.protocol.errors import ErrorCode, OAuthError
from mintmark.protocol.form import Form
from mintmark.protocol.message import HttpRequest, HttpResponse, json_answer
from mintmark.protocol.par import STATUS, PushedAuthorizationResponse
from mintmark.secret import Secret
from mintmark.server.authorize.acceptable import Judge, require_signature
from mintmark.server.authorize.arrival import Arrival, Arrivals
from mintmark.server.authorize.checks import require_redirect_uri
from mintmark.server.client_authentication import ClientAuthentication
from mintmark.server.clients import Client
from mintmark.server.config import ServerConfig
from mintmark.server.endpoints.token import client_refusal, require_form
from mintmark.server.events import PushedRequestRefused
from mintmark.server.proofs import Proofs
from mintmark.server.stores import AlreadyClaimed, AssertionStore

__all__ = ["PushedRequestEndpoint"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PushedRequestEndpoint:
    """Client, request, every check that a browser's request meets, and a name for it."""

    config: ServerConfig
    authentication: ClientAuthentication
    proofs: Proofs
    arrivals: Arrivals
    judge: Judge
    used: AssertionStore
    clock: Clock
    events: Events

    async def __call__(self, request: HttpRequest) -> HttpResponse:
        now = self.clock.now()
        client_id = ""
        try:
            form = require_form(request)
            client = await self.authentication.require_client(request, form, now=now)
            client_id = client.client_id
            jkt = await self.proofs.require_proof(request, now=now)
            request_uri = await self._kept(form, client, jkt, now)
        except OAuthError as refusal:
            self.events.emit(
                PushedRequestRefused(client_id=client_id, error=refusal.code, reason=refusal.reason)
            )
            return self._with_nonce(client_refusal(refusal, request), now)
        pushed = PushedAuthorizationResponse(
            request_uri=request_uri, expires_in=self.config.pushed_request_lifetime
        )
        return self._with_nonce(json_answer(pushed.to_json(), status=STATUS), now)

    async def _kept(self, form: Form, client: Client, jkt: str | None, now: datetime) -> str:
        arrival = require_signature(await self._unfolded(form, client, now), client)
        require_redirect_uri(arrival.form, client)
        asked = self.judge.require_acceptable(arrival.form, client)
        # RFC 9126 §2.1: whoever authenticated is who asks.
        if asked.request.client_id != client.client_id:
            raise OAuthError(ErrorCode.INVALID_REQUEST, "client_id is another client")
        self.judge.hinted(asked)
        parameters = bound_to(asked.request, jkt).parameters()
        return await self.arrivals.keep(parameters, client, signed=arrival.signed, now=now)

    async def _unfolded(self, form: Form, client: Client, now: datetime) -> Arrival:
        # RFC 9126 §2.1
        if form.optional("request_uri", str) is not None:
            raise OAuthError(ErrorCode.INVALID_REQUEST, "request_uri has no place here")
        token = form.optional("request", Secret)
        if token is None:
            return Arrival(form=form)
        arrival = self.arrivals.signed(token, client, now=now)
        assert arrival.once is not None
        try:
            await self.used.claim(arrival.once.digest, ends=arrival.once.ends, now=now)
        except AlreadyClaimed:
            raise OAuthError(
                ErrorCode.INVALID_REQUEST_OBJECT,
                "the request object is not valid",
                reason="used before",
            ) from None
        return arrival

    def _with_nonce(self, answer: HttpResponse, now: datetime) -> HttpResponse:
        nonce = self.proofs.next_nonce(now)
        return HttpResponse(answer.status, (*answer.headers, *nonce), answer.body)


def bound_to(request: AuthorizationRequest, jkt: str | None) -> AuthorizationRequest:
    """The request, its code bound to the key that was proved here (RFC 9449 §10.1)."""
    if jkt is None:
        return request
    if request.dpop_jkt not in {None, jkt}:
        raise OAuthError(ErrorCode.INVALID_DPOP_PROOF, "dpop_jkt names another key")
    return replace(request, dpop_jkt=jkt)
