"""Who is asking? Every method is tried here and nowhere else (RFC 6749 §2.3)."""

import hmac
from dataclasses import dataclass
from datetime import datetime

from mintmark.events import Events
from mintmark.protocol.client_authentication import ClientAuthenticationMethod, ClientCredential
from mintmark.protocol.errors import ErrorCode, OAuthError
from mintmark.protocol.form import Form
from mintmark.protocol.message import HttpRequest
from mintmark.server.clients import Client, ClientRegistry, SecretKey
from mintmark.server.events import ClientRefused
from mintmark.server.throttle import Throttle, TooManyAttempts

__all__ = ["ClientAuthentication"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientAuthentication:
    """Proves that a request comes from the client it names."""

    clients: ClientRegistry
    secret_key: SecretKey
    throttle: Throttle
    events: Events

    def require_client(self, request: HttpRequest, form: Form, *, now: datetime) -> Client:
        """The client that sent this request.

        Raises:
            OAuthError: INVALID_CLIENT with the same words whatever was wrong, INVALID_REQUEST
                when there are two credentials.
        """
        credential = ClientCredential.parse(request.header(b"authorization"), form)
        client = self.clients.find(credential.client_id)
        if client is not None and credential.method is ClientAuthenticationMethod.NONE:
            if client.method is ClientAuthenticationMethod.NONE:
                return client
            raise self._refused(credential, request, "no secret came")
        # Cut: what somebody made up may be as long as a body, and is remembered for a while.
        names = (f"client {credential.client_id[:200]}@{request.client_address}",)
        try:
            self.throttle.require_allowed(*names, now=now)
        except TooManyAttempts:
            raise self._refused(credential, request, "throttled") from None
        if client is None or not self._matches(client, credential):
            self.throttle.failed(*names, now=now)
            raise self._refused(credential, request, "unknown client, wrong method or wrong secret")
        return client

    def _matches(self, client: Client, credential: ClientCredential) -> bool:
        if credential.client_secret is None or client.method is not credential.method:
            return False
        digest = self.secret_key.digest(credential.client_secret)
        # All of them, always: which of two secrets matched is nobody's business.
        matches = [hmac.compare_digest(digest, kept) for kept in client.secret_digests]
        return any(matches)

    def _refused(
        self, credential: ClientCredential, request: HttpRequest, reason: str
    ) -> OAuthError:
        self.events.emit(
            ClientRefused(
                client_id=credential.client_id[:100],
                reason=reason,
                client_address=request.client_address,
            )
        )
        return OAuthError(ErrorCode.INVALID_CLIENT, "client authentication failed", reason=reason)
