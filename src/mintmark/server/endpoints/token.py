"""The token endpoint (RFC 6749 §3.2)."""

from dataclasses import dataclass
from datetime import datetime

from mintmark.clock import Clock
from mintmark.events import Events
from mintmark.protocol.errors import ErrorCode, OAuthError
from mintmark.protocol.form import Form
from mintmark.protocol.message import HttpRequest, HttpResponse, error_answer, json_answer
from mintmark.protocol.scope import format_scope
from mintmark.protocol.token import (
    AuthorizationCodeRequest,
    ClientCredentialsRequest,
    RefreshTokenRequest,
    TokenResponse,
)
from mintmark.server.client_authentication import ClientAuthentication
from mintmark.server.clients import Client
from mintmark.server.events import GrantRefused, TokenIssued
from mintmark.server.grants.authorization_code import AuthorizationCodeGrant
from mintmark.server.grants.client_credentials import ClientCredentialsGrant
from mintmark.server.grants.refresh_token import RefreshTokenGrant

__all__ = ["TokenEndpoint", "client_refusal", "require_form"]

FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenEndpoint:
    """Form, client, grant, answer."""

    authentication: ClientAuthentication
    authorization_code: AuthorizationCodeGrant
    refresh_token: RefreshTokenGrant
    client_credentials: ClientCredentialsGrant
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
            response = await self._tokens(grant_type, form, client, now)
        except OAuthError as refusal:
            self.events.emit(
                GrantRefused(
                    client_id=client_id,
                    grant_type=grant_type[:80],
                    error=refusal.code,
                    reason=refusal.reason,
                )
            )
            return client_refusal(refusal, request)
        self.events.emit(
            TokenIssued(
                client_id=client_id,
                grant_type=grant_type,
                subject="",
                scope=format_scope(response.scope or frozenset()),
            )
        )
        return json_answer(response.to_json())

    async def _tokens(
        self, grant_type: str, form: Form, client: Client, now: datetime
    ) -> TokenResponse:
        known = grant_type in OFFERED
        # RFC 6749 §5.2. The password grant is not offered: RFC 9700 §2.4.
        if not known:
            raise OAuthError(ErrorCode.UNSUPPORTED_GRANT_TYPE, "this grant type is not offered")
        if grant_type not in client.grant_types:
            raise OAuthError(ErrorCode.UNAUTHORIZED_CLIENT, "this client may not use this grant")
        match grant_type:
            case "authorization_code":
                code_request = AuthorizationCodeRequest.parse(form)
                return await self.authorization_code.tokens_for(code_request, client, now)
            case "refresh_token":
                refresh_request = RefreshTokenRequest.parse(form)
                return await self.refresh_token.tokens_for(refresh_request, client, now)
            case _:
                own_request = ClientCredentialsRequest.parse(form)
                return await self.client_credentials.tokens_for(own_request, client, now)


OFFERED = ("authorization_code", "refresh_token", "client_credentials")


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
