"""Who is asking? Every method is tried here and nowhere else (RFC 6749 §2.3)."""

import hashlib
import hmac
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec

from mintmark.events import Events
from mintmark.jose.errors import JoseError
from mintmark.protocol.client_assertion import ClientAssertion, check_client_assertion
from mintmark.protocol.client_authentication import ClientAuthenticationMethod, ClientCredential
from mintmark.protocol.errors import ErrorCode, OAuthError
from mintmark.protocol.form import Form
from mintmark.protocol.message import HttpRequest
from mintmark.secret import Secret
from mintmark.server.clients import Client, ClientRegistry, SecretKey
from mintmark.server.events import ClientRefused
from mintmark.server.stores import AlreadyClaimed, AssertionStore
from mintmark.server.throttle import Throttle, TooManyAttempts

__all__ = ["ClientAuthentication"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientAuthentication:
    """Proves that a request comes from the client it names."""

    clients: ClientRegistry
    secret_key: SecretKey
    assertions: AssertionStore
    audiences: frozenset[str]  # what this server is called: its issuer and its token endpoint
    throttle: Throttle
    events: Events

    async def require_client(self, request: HttpRequest, form: Form, *, now: datetime) -> Client:
        """The client that sent this request.

        Raises:
            OAuthError: INVALID_CLIENT with the same words whatever was wrong, INVALID_REQUEST
                when there are two credentials.
            StoreUnavailable: nobody can say whether an assertion was used before.
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
        try:
            return await self._require_proof(client, credential, now)
        except _NotProved as failure:
            self.throttle.failed(*names, now=now)
            raise self._refused(credential, request, str(failure)) from None

    async def _require_proof(
        self, client: Client | None, credential: ClientCredential, now: datetime
    ) -> Client:
        if client is None or client.method is not credential.method:
            raise _NotProved("unknown client, or another method than it is registered with")
        if credential.assertion is not None:
            await self._require_assertion(client, credential.assertion, now)
        else:
            self._require_secret(client, credential.client_secret)
        return client

    def _require_secret(self, client: Client, client_secret: Secret | None) -> None:
        if client_secret is None:
            raise _NotProved("no secret came")
        digest = self.secret_key.digest(client_secret)
        # All of them, always: which of two secrets matched is nobody's business.
        matches = [hmac.compare_digest(digest, kept) for kept in client.secret_digests]
        if not any(matches):
            raise _NotProved("the secret is wrong")

    async def _require_assertion(self, client: Client, assertion: Secret, now: datetime) -> None:
        if client.keys is None:
            raise _NotProved("the client has no keys")
        try:
            checked = check_client_assertion(
                assertion,
                client_id=client.client_id,
                audiences=self.audiences,
                keys=client.keys,
                now=now.timestamp(),
            )
        except JoseError as refusal:
            raise _NotProved(f"assertion: {refusal.reason}") from None
        ends = datetime.fromtimestamp(checked.ends, UTC)
        try:
            await self.assertions.claim(_digest(checked), ends=ends, now=now)
        except AlreadyClaimed:
            raise _NotProved("the assertion was used before") from None

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


class _NotProved(Exception):
    """Why, in fixed words: for the log, and never for the answer."""


def _digest(checked: ClientAssertion) -> bytes:
    # RFC 7523 §3 (7): a `jti` is unique among one client's. JSON keeps the two names apart.
    return hashlib.sha256(msgspec.json.encode([checked.client_id, checked.jti])).digest()
