"""The authorization endpoint: what happens to a request, in its order (RFC 6749 §4.1, OIDC Core §3.1.2)."""

import secrets
from dataclasses import dataclass, replace
from datetime import datetime

from mintmark.clock import Clock
from mintmark.protocol.authorization import AuthorizationRequest, AuthorizationResponse, Prompt
from mintmark.protocol.authorization_details import format_details
from mintmark.protocol.errors import ErrorCode, OAuthError
from mintmark.protocol.form import Form
from mintmark.secret import Secret
from mintmark.server.accounts import Accounts
from mintmark.server.authorize.acceptable import Asked, Judge
from mintmark.server.authorize.arrival import Arrivals
from mintmark.server.authorize.checks import require_client, require_redirect_uri
from mintmark.server.authorize.interaction import Interaction, Interactions
from mintmark.server.authorize.outcome import AskConsent, AskLogin, Outcome, ShowError, origin_of
from mintmark.server.authorize.respond import Responder, Way
from mintmark.server.claims import covering
from mintmark.server.clients import Client, ClientRegistry
from mintmark.server.config import ServerConfig
from mintmark.server.stores import (
    AlreadyClaimed,
    AssertionStore,
    CodeRecord,
    CodeStore,
    ConsentStore,
    Grant,
    SessionRecord,
)

__all__ = ["Authorize"]

UNFOLDED = frozenset(
    {
        ErrorCode.INVALID_REQUEST_OBJECT,
        ErrorCode.INVALID_REQUEST_URI,
        ErrorCode.REQUEST_URI_NOT_SUPPORTED,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorize:
    """Answers a browser that a client sent, and goes on after each page."""

    config: ServerConfig
    clients: ClientRegistry
    accounts: Accounts
    codes: CodeStore
    consents: ConsentStore
    used: AssertionStore
    arrivals: Arrivals
    judge: Judge
    responder: Responder
    interactions: Interactions
    clock: Clock

    async def begin(self, encoded: str | bytes, session: SessionRecord | None) -> Outcome:
        """A browser arrives with an authorization request, in a query or a form."""
        now = self.clock.now()
        try:
            form = Form.parse(encoded)
            client = require_client(form, self.clients)
        except OAuthError as refusal:
            return ShowError(refusal.description)
        try:
            arrival = await self.arrivals.unfold(form, client, now=now)
            redirect_uri = require_redirect_uri(arrival.form, client)
        except OAuthError as refusal:
            return self._not_unfolded(form, client, refusal, now)
        try:
            self.judge.require_way(arrival, client)
            asked = self.judge.require_acceptable(arrival.form, client)
            # Whole seconds, as `auth_time` is: a sign-in within this very second counts.
            going = Interaction(
                asked.request,
                now.replace(microsecond=0),
                sid="",
                subject=self.judge.hinted(asked),
                once=arrival.once,
            )
            return await self._next(going, asked, client, session, now)
        except OAuthError as refusal:
            way = Way.for_refusal(arrival.form, client.client_id, redirect_uri)
            return self.responder.refuse(way, refusal, now)

    async def after_login(self, interaction: str, session: SessionRecord) -> Outcome:
        """Somebody has just signed in. Raises `InteractionLost`."""
        now = self.clock.now()
        return await self._go_on(self.interactions.open(interaction, now=now), session, now)

    async def after_consent(
        self, interaction: str, session: SessionRecord | None, *, agreed: bool
    ) -> Outcome:
        """The person has decided. Raises `InteractionLost`."""
        now = self.clock.now()
        going = self.interactions.open(interaction, now=now)
        request = going.request
        if not agreed:
            denied = OAuthError(ErrorCode.ACCESS_DENIED, "the person refused")
            return self.responder.refuse(Way.of(request), denied, now)
        # Only who saw the consent page can have agreed. An interaction of a sign-in page would
        # skip the sign-in, and somebody else may have signed in on this browser meanwhile.
        if session is None or session.sid != going.sid:
            return await self._go_on(going, session, now)
        client = self.clients.find(request.client_id)
        if client is None:
            return ShowError(UNKNOWN)
        try:
            asked = self._judged_again(going, client)
            await self.consents.remember(
                session.subject, request.client_id, asked.to_agree(client), now=now
            )
            return await self._grant(going, asked, client, session, now)
        except OAuthError as refusal:
            return self.responder.refuse(Way.of(request), refusal, now)

    def _not_unfolded(
        self, form: Form, client: Client, refusal: OAuthError, now: datetime
    ) -> Outcome:
        """Back to an address that stands beside the object, if it is the client's; or shown."""
        try:
            redirect_uri = require_redirect_uri(form, client)
        except OAuthError:
            return ShowError(refusal.description)
        if refusal.code not in UNFOLDED:
            return ShowError(refusal.description)
        way = Way.for_refusal(form, client.client_id, redirect_uri)
        return self.responder.refuse(way, refusal, now)

    async def _go_on(
        self, going: Interaction, session: SessionRecord | None, now: datetime
    ) -> Outcome:
        client = self.clients.find(going.request.client_id)
        if client is None:
            return ShowError(UNKNOWN)
        try:
            return await self._next(going, self._judged_again(going, client), client, session, now)
        except OAuthError as refusal:
            return self.responder.refuse(Way.of(going.request), refusal, now)

    def _judged_again(self, going: Interaction, client: Client) -> Asked:
        # What was allowed when the page was drawn may be so no longer.
        return self.judge.require_acceptable(_form_of(going.request), client)

    async def _next(
        self,
        going: Interaction,
        asked: Asked,
        client: Client,
        session: SessionRecord | None,
        now: datetime,
    ) -> Outcome:
        """What this request needs next: a sign-in, a consent, or nothing more."""
        request = going.request
        account = await self.accounts.find(session.subject) if session else None
        if session is None or account is None or _must_sign_in_again(going, session, now):
            # OIDC Core §3.1.2.6: with prompt=none nobody is asked anything.
            if Prompt.NONE in request.prompt:
                raise OAuthError(ErrorCode.LOGIN_REQUIRED, "nobody is signed in")
            return AskLogin(
                interaction=self.interactions.seal(going),
                client=client,
                login_hint=(request.login_hint or "")[:200],
                redirect_origin=origin_of(request.redirect_uri),
            )
        # OIDC Core §3.1.2.1: another person than the hint names is no answer to this request.
        if going.subject and session.subject != going.subject:
            raise OAuthError(ErrorCode.LOGIN_REQUIRED, "another person is signed in")
        if await self._must_ask_consent(asked, client, session):
            if Prompt.NONE in request.prompt:
                raise OAuthError(ErrorCode.CONSENT_REQUIRED, "consent was not given")
            return AskConsent(
                interaction=self.interactions.seal(replace(going, sid=session.sid)),
                client=client,
                scope=asked.to_agree(client),
                details=asked.details,
                username=account.claims.get("name", account.username),
                redirect_origin=origin_of(request.redirect_uri),
            )
        return await self._grant(going, asked, client, session, now)

    async def _must_ask_consent(self, asked: Asked, client: Client, session: SessionRecord) -> bool:
        # OIDC Core §3.1.2.1
        if Prompt.CONSENT in asked.request.prompt:
            return True
        if not client.requires_consent:
            return False
        # RFC 9396 §2: details are of this one time, and what is remembered are kinds of things.
        if asked.details:
            return True
        agreed = await self.consents.find(session.subject, client.client_id)
        return not asked.to_agree(client) <= agreed

    async def _grant(
        self,
        going: Interaction,
        asked: Asked,
        client: Client,
        session: SessionRecord,
        now: datetime,
    ) -> Outcome:
        # The same request brought twice, or answered in two tabs: one code comes of it.
        if going.once is not None:
            try:
                await self.used.claim(going.once.digest, ends=going.once.ends, now=now)
            except AlreadyClaimed:
                raise OAuthError(
                    ErrorCode.INVALID_REQUEST, "this request was answered already"
                ) from None
            await self.arrivals.pushed.remove(going.once.digest)
        code = Secret.generate()
        request = going.request
        await self.codes.add(
            CodeRecord(
                digest=code.digest(),
                grant=_grant_of(asked, client, session),
                redirect_uri=request.redirect_uri,
                code_challenge=request.code_challenge,
                expires=now + self.config.code_lifetime,
            )
        )
        # RFC 9207 §2: `iss` tells the client which server this answer is from.
        response = AuthorizationResponse(state=request.state, iss=self.config.issuer, code=code)
        return self.responder.send(Way.of(request), response.parameters(), now)


UNKNOWN = "this application is not registered here"


def _form_of(request: AuthorizationRequest) -> Form:
    values: dict[str, tuple[str, ...]] = {}
    for name, value in request.parameters():
        values[name] = (*values.get(name, ()), value)
    return Form(values)


def _grant_of(asked: Asked, client: Client, session: SessionRecord) -> Grant:
    request = asked.request
    return Grant(
        family=secrets.token_hex(16),
        client_id=request.client_id,
        subject=session.subject,
        scope=request.scope,
        resource=request.resource,
        session=session.sid,
        auth_time=session.auth_time,
        nonce=request.nonce.reveal() if request.nonce else None,
        amr=session.amr,
        jkt=request.dpop_jkt,
        authorization_details=format_details(asked.details),
        id_token_claims=_allowed(asked.claims.id_token, client),
        userinfo_claims=_allowed(asked.claims.userinfo, client),
    )


def _allowed(names: frozenset[str], client: Client) -> tuple[str, ...]:
    """Those that the client could have by scope as well; the others are left out in silence."""
    # OIDC Core §5.5.1: even an essential claim that is not there is no error.
    return tuple(sorted(name for name in names if covering((name,)) & client.scope))


def _must_sign_in_again(going: Interaction, session: SessionRecord, now: datetime) -> bool:
    request, fresh = going.request, session.auth_time >= going.began
    # OIDC Core §3.1.2.1: `login` and `select_account` want a sign-in that is younger than the
    # request itself, which a sign-in on the page that we showed for it is.
    if request.prompt & {Prompt.LOGIN, Prompt.SELECT_ACCOUNT}:
        return not fresh
    # Somebody else is signed in: whom the hint names may be at hand, and is asked once.
    if going.subject and session.subject != going.subject:
        return not fresh
    if request.max_age is not None:
        return now - session.auth_time > request.max_age and not fresh
    return False
