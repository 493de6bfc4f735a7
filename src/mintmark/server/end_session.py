"""A client asks that a session end (OIDC RP-Initiated Logout §2)."""

from dataclasses import dataclass, field

from mintmark.clock import Clock
from mintmark.events import Events
from mintmark.jose.algorithms import ALL_ALGORITHMS
from mintmark.jose.errors import JoseError
from mintmark.protocol.authorization import redirect_with
from mintmark.protocol.errors import OAuthError
from mintmark.protocol.form import Form
from mintmark.protocol.id_token import IdToken, read_id_token_hint
from mintmark.protocol.logout import EndSessionRequest
from mintmark.secret import Secret
from mintmark.server.authorize.outcome import Redirect, ShowError
from mintmark.server.clients import Client, ClientRegistry
from mintmark.server.config import ServerConfig
from mintmark.server.events import LogoutCompleted
from mintmark.server.sessions import Sessions
from mintmark.server.signing_keys import SigningKeys

__all__ = ["AskLogout", "EndSession", "SignedOut"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AskLogout:
    """Nobody proved that this browser's person wants it: ask. `query` comes back with the form."""

    query: str = field(repr=False)
    client: Client | None


@dataclass(frozen=True, slots=True)
class SignedOut:
    """The session is over, and there is nowhere to go back to."""


LogoutOutcome = AskLogout | SignedOut | Redirect | ShowError


@dataclass(frozen=True, slots=True, kw_only=True)
class EndSession:
    """Ends a session, asking first unless the client shows an ID token of that very session."""

    config: ServerConfig
    clients: ClientRegistry
    keys: SigningKeys
    sessions: Sessions
    clock: Clock
    events: Events

    async def begin(
        self, encoded: str | bytes, cookie: Secret | None, *, confirmed: bool = False
    ) -> LogoutOutcome:
        """A browser arrives; `confirmed` once the person pressed the button on our page."""
        now = self.clock.now()
        try:
            request = EndSessionRequest.parse(Form.parse(encoded))
            hint = self._hint(request)
            client = self._client(request, hint)
            back = self._address_back(request, client)
        except _Refused as refusal:
            return ShowError(str(refusal))
        except OAuthError as refusal:
            return ShowError(refusal.description)
        session = await self.sessions.find(cookie, now=now)
        if session is not None and cookie is not None:
            if not confirmed and (hint is None or hint.sid != session.sid):
                query = encoded if isinstance(encoded, str) else encoded.decode("ascii")
                return AskLogout(query=query, client=client)
            await self.sessions.end(cookie, now=now)
            self.events.emit(LogoutCompleted(subject=session.subject))
        return SignedOut() if back is None else Redirect(back)

    def _hint(self, request: EndSessionRequest) -> IdToken | None:
        if request.id_token_hint is None:
            return None
        try:
            return read_id_token_hint(
                request.id_token_hint,
                issuer=self.config.issuer,
                keys=self.keys.key_set,
                algorithms=ALL_ALGORITHMS,
            )
        except JoseError:
            raise _Refused("id_token_hint is not an ID token of this server") from None

    def _client(self, request: EndSessionRequest, hint: IdToken | None) -> Client | None:
        named = hint.aud[0] if hint is not None else None
        # OIDC RP-Initiated Logout §2: both, if both are there, mean the same client.
        if None not in {named, request.client_id} and named != request.client_id:
            raise _Refused("client_id and id_token_hint disagree")
        client_id = named or request.client_id
        return self.clients.find(client_id) if client_id else None

    def _address_back(self, request: EndSessionRequest, client: Client | None) -> str | None:
        address = request.post_logout_redirect_uri
        if address is None:
            return None
        # OIDC RP-Initiated Logout §3: exactly one that the client registered.
        if client is None or address not in client.post_logout_redirect_uris:
            raise _Refused("post_logout_redirect_uri is not registered for this application")
        state = request.state
        return redirect_with(address, [("state", state.reveal())] if state else [])


class _Refused(Exception):
    """Shown to the person; nothing was ended."""
