"""The further ways of a client to get a token: for somebody, or approved on another device."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from mintmark.client.authority import Authority
from mintmark.client.bound import Binding, for_application
from mintmark.client.ciba import BackchannelFlow
from mintmark.client.device import DeviceFlow
from mintmark.client.exchange import ExchangedToken
from mintmark.client.jwt_bearer import AssertedToken
from mintmark.client.keys import SubjectKey
from mintmark.client.long_running import LongRunning, WorkStore, work_digest
from mintmark.client.manager import TokenManager
from mintmark.client.on_behalf_of import Dialect, OnBehalfOfToken
from mintmark.client.requested import requested_extra, requested_resources, requested_scope
from mintmark.client.subject import Subject, SubjectToken
from mintmark.client.token_endpoint import ClientIdentity
from mintmark.protocol.jwt_bearer import JwtBearerRequest
from mintmark.protocol.scope import Scope
from mintmark.protocol.token_exchange import ACCESS_TOKEN, TokenExchangeRequest
from mintmark.secret import Secret

__all__ = ["FurtherGrants"]

Details = Iterable[Mapping[str, Any]]


class FurtherGrants:
    """What `Client` can ask for beside application tokens and sign-ins by redirect."""

    authority: Authority
    tokens: TokenManager
    _identity: ClientIdentity
    _binding: Binding | None
    _whose: frozenset[tuple[str, str]] = frozenset()  # the tenant, where there are several

    def exchange(
        self,
        *,
        subject: Subject,
        scope: str | Scope = "",
        resource: str | Iterable[str] = (),
        audience: str | Iterable[str] = (),
        actor: Subject | None = None,
        expires_at: datetime | None = None,
        subject_token_type: str = ACCESS_TOKEN,
        actor_token_type: str = ACCESS_TOKEN,
        requested_token_type: str = ACCESS_TOKEN,
        authorization_details: Details = (),
        session: Secret | None = None,
        store: WorkStore | None = None,
    ) -> ExchangedToken:
        """The token of whoever is being served, for another API (RFC 8693). Equal calls share one.

        Args:
            subject: their token, or a callable that gives the one of this moment, `CallerToken()`.
            actor: the token of whoever acts for them, or a callable that gives it, such as
                `client.app_token(...).token`; this client is known to the server anyway.
            expires_at: when a `subject` that was given itself ends; nothing outlives it.
            session: a random secret that stands for this person, for work that goes on after their
                token has ended, with the refresh token of the answer. It needs `store`.
        """
        extra = requested_extra(
            authorization_details,
            None,
            subject_token_type=subject_token_type,
            actor_token_type=None if actor is None else actor_token_type,
            requested_token_type=requested_token_type,
        )
        key = self._subject_key(TokenExchangeRequest.grant_type, scope, resource, audience, extra)
        return ExchangedToken(
            self.authority,
            self._bound,
            self.tokens,
            key,
            _until(subject, expires_at),
            actor=actor,
            long_running=self._work(key, session, store),
        )

    def on_behalf_of(
        self,
        assertion: Subject,
        *,
        scope: str | Scope = "",
        resource: str | Iterable[str] = (),
        dialect: Dialect | str = Dialect.STANDARD,
        expires_at: datetime | None = None,
        claims: Mapping[str, Any] | str | None = None,
        session: Secret | None = None,
        store: WorkStore | None = None,
    ) -> ExchangedToken | OnBehalfOfToken:
        """The same in the dialect of the server: token exchange, or Microsoft's on-behalf-of.

        Its tokens raise `InteractionRequired` when the person has to do something first.

        Args:
            claims: what the person has satisfied meanwhile, from `InteractionRequired.claims`;
                the standard dialect has no such parameter.
        """
        if Dialect(dialect) is Dialect.STANDARD:
            if claims is not None:
                raise ValueError("claims: token exchange has no such parameter")
            return self.exchange(
                subject=assertion,
                scope=scope,
                resource=resource,
                expires_at=expires_at,
                session=session,
                store=store,
            )
        extra = requested_extra((), claims, requested_token_use="on_behalf_of")  # noqa: S106 -- a use, no token
        key = self._subject_key(JwtBearerRequest.grant_type, scope, resource, (), extra)
        return OnBehalfOfToken(
            self.authority,
            self._bound,
            self.tokens,
            key,
            _until(assertion, expires_at),
            long_running=self._work(key, session, store),
        )

    def jwt_bearer(
        self,
        assertion: Secret | Callable[[], Secret],
        *,
        subject: str | None = None,
        scope: str | Scope = "",
        resource: str | Iterable[str] = (),
        authorization_details: Details = (),
        claims: Mapping[str, Any] | str | None = None,
    ) -> AssertedToken:
        """A token for whomever an assertion is about (RFC 7523 §2.1).

        Args:
            assertion: a callable is asked for each request, in a thread of its own, and makes one
                that was never used.
            subject: whom a callable's assertions are about; needed with one.
        """
        extra = requested_extra(authorization_details, claims)
        key = self._subject_key(JwtBearerRequest.grant_type, scope, resource, (), extra)
        return AssertedToken(self.authority, self._bound, self.tokens, key, assertion, subject)

    def device(self, *, scope: str | Scope = "", resource: str | Iterable[str] = ()) -> DeviceFlow:
        """Sign-ins on a device without a browser, approved on another one (RFC 8628)."""
        return DeviceFlow(
            self.authority,
            self._identity,
            self.tokens.clock,
            scope=requested_scope(scope),
            resource=requested_resources(resource),
            binding=self._binding,
        )

    def backchannel(
        self, *, scope: str | Scope = "openid", resource: str | Iterable[str] = ()
    ) -> BackchannelFlow:
        """Sign-ins that the server asks the person for on their own device (OIDC CIBA Core)."""
        return BackchannelFlow(
            self.authority,
            self._identity,
            self.tokens.clock,
            scope=requested_scope(scope),
            resource=requested_resources(resource),
            binding=self._binding,
        )

    @property
    def _bound(self) -> ClientIdentity:
        return for_application(self._identity, self.authority, self._binding)

    def _subject_key(
        self,
        grant: str,
        scope: str | Scope,
        resource: str | Iterable[str],
        audience: str | Iterable[str],
        extra: frozenset[tuple[str, str]],
    ) -> SubjectKey:
        return SubjectKey(
            issuer=self.authority.issuer,
            client_id=self._identity.client_id,
            grant=grant,
            subject=b"",
            actor=b"",
            scope=requested_scope(scope),
            resource=requested_resources(resource),
            audience=requested_resources(audience),
            extra=extra | self._whose,
        )

    def _work(
        self, key: SubjectKey, session: Secret | None, store: WorkStore | None
    ) -> LongRunning | None:
        if session is None and store is None:
            return None
        if session is None or store is None:
            raise ValueError("session and store go together: work that goes on is kept somewhere")
        return LongRunning(self.authority, self._bound, self.tokens, key, session, store)

    def _end_exchanged(self, session: Secret) -> None:
        digest = work_digest(session)
        self.tokens.drop(
            lambda key: isinstance(key, SubjectKey) and key.subject == digest, own=digest
        )


def _until(subject: Subject, expires_at: datetime | None) -> Subject:
    if expires_at is None:
        return subject
    if isinstance(subject, Secret):
        return SubjectToken(subject, expires_at)
    raise ValueError("expires_at: a callable gives a SubjectToken that says it")
