"""What the browser brought back: whose answer it is, and what it says (RFC 6749 §4.1.2, JARM §2.4)."""

from typing import final

from mintmark.client.attempt import LoginAttempt
from mintmark.client.authority import Authority
from mintmark.client.errors import LoginFailed
from mintmark.client.responses import acceptable, opened
from mintmark.client.token_endpoint import ClientIdentity
from mintmark.clock import Clock
from mintmark.jose.errors import JoseError
from mintmark.jose.jws import parse
from mintmark.protocol.authorization import AuthorizationResponse, ResponseMode
from mintmark.protocol.errors import OAuthError
from mintmark.protocol.form import Form
from mintmark.protocol.jarm import check_response_jwt, claimed_state
from mintmark.secret import Secret

__all__ = ["AnswerReader"]


@final
class AnswerReader:
    """Reads the answers that come in one response mode; every other is refused."""

    def __init__(
        self,
        authority: Authority,
        identity: ClientIdentity,
        clock: Clock,
        mode: ResponseMode | None,
    ) -> None:
        self._authority = authority
        self._identity = identity
        self._clock = clock
        self._is_signed = mode is not None and mode.is_signed

    def state_of(self, answer: str) -> Secret | None:
        """Which attempt this says it answers; nothing is proved by it. Raises `LoginFailed`."""
        form = _form(answer)
        if not self._is_signed:
            return form.optional("state", Secret)
        try:
            return claimed_state(self._signed(form))
        except JoseError as refusal:
            raise LoginFailed(f"the answer cannot be read: {refusal.reason}") from None

    def code(self, answer: str, attempt: LoginAttempt) -> Secret:
        """The code, if this is the server's answer to this attempt. Raises `LoginFailed`."""
        response = self._response(_form(answer))
        # RFC 6749 §10.12: an answer to a question that this browser did not ask.
        if response.state != attempt.state:
            raise LoginFailed("state is not the one that was sent")
        # RFC 9207 §2.4: an answer of another server, made to look like ours.
        announced = self._authority.metadata().authorization_response_iss_parameter_supported
        if response.iss != self._authority.issuer and (announced or response.iss is not None):
            raise LoginFailed("iss is missing or another")
        if response.code is None:
            error = (response.error or "")[:100]
            raise LoginFailed(f"the server refused: {error}", error)
        return response.code

    def _response(self, form: Form) -> AuthorizationResponse:
        if not self._is_signed:
            try:
                return AuthorizationResponse.of(form)
            except OAuthError as refusal:
                raise LoginFailed(refusal.description) from None
        try:
            return self._checked(self._signed(form))
        except JoseError as refusal:
            raise LoginFailed(f"the answer does not hold: {refusal.reason}") from None

    def _signed(self, form: Form) -> str:
        # A plain answer where a signed one was asked for could be anybody's.
        text = form.optional("response", str)
        if text is None:
            raise LoginFailed("the answer is not signed")
        responses = self._identity.responses
        return opened(
            text,
            responses.decryption_keys,
            responses.authorization_encrypted_response_alg,
            now=self._clock.timestamp(),
        )

    def _checked(self, signed: str) -> AuthorizationResponse:
        return check_response_jwt(
            signed,
            issuer=self._authority.issuer,
            client_id=self._identity.client_id,
            keys=self._authority.keys_for(parse(signed).header.kid),
            now=self._clock.timestamp(),
            algorithms=acceptable(
                self._identity.responses.authorization_signed_response_alg,
                self._authority.metadata().authorization_signing_alg_values_supported,
            ),
        )


def _form(answer: str) -> Form:
    try:
        return Form.parse(answer)
    except OAuthError as refusal:
        raise LoginFailed(refusal.description) from None
