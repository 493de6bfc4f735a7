"""The authorization endpoint: every check in its order, one a line (RFC 6749 §4.1, OIDC Core §3.1.2)."""

import secrets
from dataclasses import dataclass
from datetime import datetime

from mintmark.clock import Clock
from mintmark.protocol.authorization import (
    AuthorizationRequest,
    AuthorizationResponse,
    Prompt,
    redirect_with,
    refusal_parameters,
)
from mintmark.protocol.errors import ErrorCode, OAuthError
from mintmark.protocol.form import Form
from mintmark.protocol.scope import Scope
from mintmark.secret import Secret
from mintmark.server.accounts import Accounts
from mintmark.server.authorize.checks import (
    require_allowed_scope,
    require_client,
    require_code_grant,
    require_known_resource,
    require_redirect_uri,
    require_thumbprint,
)
from mintmark.server.authorize.interaction import Interactions
from mintmark.server.authorize.outcome import (
    AskConsent,
    AskLogin,
    Outcome,
    Redirect,
    ShowError,
    origin_of,
)
from mintmark.server.clients import Client, ClientRegistry
from mintmark.server.config import ServerConfig
from mintmark.server.stores import (
    CodeRecord,
    CodeStore,
    ConsentStore,
    Grant,
    SessionRecord,
)

__all__ = ["Authorize"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorize:
    """Answers a browser that a client sent, and goes on after each page."""

    config: ServerConfig
    clients: ClientRegistry
    accounts: Accounts
    codes: CodeStore
    consents: ConsentStore
    interactions: Interactions
    clock: Clock

    async def begin(self, encoded: str | bytes, session: SessionRecord | None) -> Outcome:
        """A browser arrives with an authorization request, in a query or a form."""
        now = self.clock.now()
        try:
            form = Form.parse(encoded)
            client = require_client(form, self.clients)
            redirect_uri = require_redirect_uri(form, client)
        except OAuthError as refusal:
            return ShowError(refusal.description)
        state = None
        try:
            state = form.optional("state", Secret)
            request = AuthorizationRequest.parse(form)
            require_code_grant(client)
            require_allowed_scope(request, client)
            require_known_resource(request, self.clients)
            require_thumbprint(request)
            # Whole seconds, as `auth_time` is: a sign-in within this very second counts.
            began = now.replace(microsecond=0)
            return await self._next(request, client, session, began=began, now=now)
        except OAuthError as refusal:
            return self._refuse(redirect_uri, refusal, state)

    async def after_login(self, interaction: str, session: SessionRecord) -> Outcome:
        """Somebody has just signed in. Raises `InteractionLost`."""
        now = self.clock.now()
        opened = self.interactions.open(interaction, now=now)
        return await self._go_on(opened.request, session, opened.began, now)

    async def after_consent(
        self, interaction: str, session: SessionRecord | None, *, agreed: bool
    ) -> Outcome:
        """The person has decided. Raises `InteractionLost`."""
        now = self.clock.now()
        opened = self.interactions.open(interaction, now=now)
        request = opened.request
        if not agreed:
            denied = OAuthError(ErrorCode.ACCESS_DENIED, "the person refused")
            return self._refuse(request.redirect_uri, denied, request.state)
        # Only who saw the consent page can have agreed. An interaction of a sign-in page would
        # skip the sign-in, and somebody else may have signed in on this browser meanwhile.
        if session is None or session.sid != opened.sid:
            return await self._go_on(request, session, opened.began, now)
        await self.consents.remember(session.subject, request.client_id, request.scope, now=now)
        return await self._grant(request, session, request.scope, now)

    async def _go_on(
        self,
        request: AuthorizationRequest,
        session: SessionRecord | None,
        began: datetime,
        now: datetime,
    ) -> Outcome:
        client = self.clients.find(request.client_id)
        if client is None:
            return ShowError("this application is not registered here")
        try:
            return await self._next(request, client, session, began=began, now=now)
        except OAuthError as refusal:
            return self._refuse(request.redirect_uri, refusal, request.state)

    async def _next(
        self,
        request: AuthorizationRequest,
        client: Client,
        session: SessionRecord | None,
        *,
        began: datetime,
        now: datetime,
    ) -> Outcome:
        """What this request needs next: a sign-in, a consent, or nothing more."""
        account = await self.accounts.find(session.subject) if session else None
        if session is None or account is None or _must_sign_in_again(request, session, began, now):
            # OIDC Core §3.1.2.6: with prompt=none nobody is asked anything.
            if Prompt.NONE in request.prompt:
                raise OAuthError(ErrorCode.LOGIN_REQUIRED, "nobody is signed in")
            return AskLogin(
                interaction=self.interactions.seal(request, began),
                client=client,
                login_hint=(request.login_hint or "")[:200],
                redirect_origin=origin_of(request.redirect_uri),
            )
        if await self._must_ask_consent(request, client, session):
            if Prompt.NONE in request.prompt:
                raise OAuthError(ErrorCode.CONSENT_REQUIRED, "consent was not given")
            return AskConsent(
                interaction=self.interactions.seal(request, began, session.sid),
                client=client,
                scope=request.scope,
                username=account.claims.get("name", account.username),
                redirect_origin=origin_of(request.redirect_uri),
            )
        return await self._grant(request, session, request.scope, now)

    async def _must_ask_consent(
        self, request: AuthorizationRequest, client: Client, session: SessionRecord
    ) -> bool:
        # OIDC Core §3.1.2.1
        if Prompt.CONSENT in request.prompt:
            return True
        if not client.requires_consent:
            return False
        return not request.scope <= await self.consents.find(session.subject, client.client_id)

    async def _grant(
        self,
        request: AuthorizationRequest,
        session: SessionRecord,
        scope: Scope,
        now: datetime,
    ) -> Redirect:
        code = Secret.generate()
        grant = Grant(
            family=secrets.token_hex(16),
            client_id=request.client_id,
            subject=session.subject,
            scope=scope,
            resource=request.resource,
            session=session.sid,
            auth_time=session.auth_time,
            nonce=request.nonce.reveal() if request.nonce else None,
            amr=session.amr,
            jkt=request.dpop_jkt,
        )
        await self.codes.add(
            CodeRecord(
                digest=code.digest(),
                grant=grant,
                redirect_uri=request.redirect_uri,
                code_challenge=request.code_challenge,
                expires=now + self.config.code_lifetime,
            )
        )
        # RFC 9207 §2: `iss` tells the client which server this answer is from.
        response = AuthorizationResponse(state=request.state, iss=self.config.issuer, code=code)
        return Redirect(redirect_with(request.redirect_uri, response.parameters()))

    def _refuse(self, redirect_uri: str, refusal: OAuthError, state: Secret | None) -> Redirect:
        parameters = refusal_parameters(refusal, state, self.config.issuer)
        return Redirect(redirect_with(redirect_uri, parameters))


def _must_sign_in_again(
    request: AuthorizationRequest, session: SessionRecord, began: datetime, now: datetime
) -> bool:
    # OIDC Core §3.1.2.1: `login` and `select_account` want a sign-in that is younger than the
    # request itself, which a sign-in on the page that we showed for it is.
    if request.prompt & {Prompt.LOGIN, Prompt.SELECT_ACCOUNT}:
        return session.auth_time < began
    if request.max_age is not None:
        return now - session.auth_time > request.max_age and session.auth_time < began
    return False
