"""Back to the client: in an address or a form, plain or as a signed JWT."""

from dataclasses import dataclass
from datetime import datetime
from typing import Self

from mintmark.protocol.authorization import (
    AuthorizationRequest,
    ResponseMode,
    redirect_with,
    refusal_parameters,
)
from mintmark.protocol.errors import OAuthError
from mintmark.protocol.form import Form
from mintmark.protocol.jarm import mint_response_jwt
from mintmark.secret import Secret
from mintmark.server.authorize.outcome import PostBack, Redirect
from mintmark.server.config import ServerConfig
from mintmark.server.signing_keys import SigningKeys

__all__ = ["Responder", "Way"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """Where an answer goes, and how."""

    client_id: str
    redirect_uri: str
    mode: ResponseMode
    state: Secret | None

    @classmethod
    def of(cls, request: AuthorizationRequest) -> Self:
        return cls(
            client_id=request.client_id,
            redirect_uri=request.redirect_uri,
            mode=request.response_mode or ResponseMode.QUERY,
            state=request.state,
        )

    @classmethod
    def for_refusal(cls, form: Form, client_id: str, redirect_uri: str) -> Self:
        """The way that a request names which may be wrong in every other respect."""
        try:
            mode = ResponseMode(form.optional("response_mode", str) or ResponseMode.QUERY)
        except ValueError:
            mode = ResponseMode.QUERY
        if mode.is_posted and not is_postable(redirect_uri):
            mode = ResponseMode.QUERY
        state = form.optional("state", Secret)
        return cls(client_id=client_id, redirect_uri=redirect_uri, mode=mode, state=state)


def is_postable(redirect_uri: str) -> bool:
    """A form goes to a web address; what listens on a scheme of its own gets no body."""
    return redirect_uri.startswith(("https://", "http://"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Responder:
    """Writes answers."""

    config: ServerConfig
    keys: SigningKeys

    def refuse(self, way: Way, refusal: OAuthError, now: datetime) -> Redirect | PostBack:
        return self.send(way, refusal_parameters(refusal, way.state, self.config.issuer), now)

    def send(
        self, way: Way, parameters: list[tuple[str, str]], now: datetime
    ) -> Redirect | PostBack:
        if way.mode.is_signed:
            signed = mint_response_jwt(
                parameters,
                issuer=self.config.issuer,
                client_id=way.client_id,
                key=self.keys.current(),
                now=now.timestamp(),
            )
            parameters = [("response", signed.reveal())]
        if way.mode.is_posted:
            return PostBack(way.redirect_uri, tuple(parameters))
        return Redirect(redirect_with(way.redirect_uri, parameters))
