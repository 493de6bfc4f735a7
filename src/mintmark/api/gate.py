"""The gate in front of an API: issuers, bindings, rules and answers put together."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from mintmark.api.admission import Admission, Admitted
from mintmark.api.answers import Answer, Scheme, answer_to
from mintmark.api.asgi import App, Guard
from mintmark.api.assembly import (
    names_of,
    offered_challenges,
    origin_of,
    require_keys_for,
    trusted_issuers,
)
from mintmark.api.binding import Bindings
from mintmark.api.caller import Caller
from mintmark.api.causes import cause_of
from mintmark.api.certificate import ClientCertificate, require_capable_server
from mintmark.api.claim_map import Transform, Transformation
from mintmark.api.config import TrustedIssuer
from mintmark.api.deny_list import DenyList
from mintmark.api.development import trust_development_tokens
from mintmark.api.dpop import DPoP, DPoPCheck
from mintmark.api.events import GuardFailed, ReplayUnchecked, RequestRefused
from mintmark.api.explain import Explanation, explain
from mintmark.api.introspect import Introspection, OpaqueIssuer
from mintmark.api.issuers import IssuerResolver, Issuers
from mintmark.api.measures import Measures
from mintmark.api.policy import Policy, Verdict
from mintmark.api.proxy import PublicOrigin
from mintmark.api.refusal import Refused
from mintmark.api.resource_metadata import Publication, ResourceMetadataSettings
from mintmark.api.rules import Routes
from mintmark.api.unwrap import Unwrapper
from mintmark.api.validate import Validator
from mintmark.clock import Clock, SystemClock
from mintmark.events import Events, LogEvents
from mintmark.fetch import FetchPolicy
from mintmark.jose.decryption_keys import DecryptionKeys
from mintmark.protocol.message import HttpResponse
from mintmark.secret import Secret

if TYPE_CHECKING:
    from fastapi import FastAPI

    from mintmark.api.docs_ui import DevelopmentDocs
    from mintmark.api.wsgi import WsgiApp

__all__ = ["Gate"]


@final
class Gate:
    """Guards one API.

    Args:
        resource: the API's own identifier: the audience that tokens must name, and the realm
            of its challenges.
        issuer: whose tokens it takes; for several, or for settings of their own, `issuers`.
        resolve_issuer: for issuers that depend on the request; asked for those not listed.
        opaque: the issuer that is asked about tokens that are no JWT.
        decrypt_with: this API's own keys, for encrypted tokens.
        dpop: takes proofs (RFC 9449). Without it a token that is bound to a key is refused.
        client_certificate: where certificates come from (RFC 8705). Without it a token that is
            bound to one is refused.
        origin: under which address callers reach this API, for proofs; the resource's own origin
            unless it is said.
        deny_list: asked on every request, after everything else.
        transform: the application's own last word on a caller; it must give the same every time,
            which `check_transform` looks after in development.
        metadata: publish what this API wants (RFC 9728), and say in every challenge where.
        insecure_allow_http_on_loopback: for development and tests: issuers on this machine
            without TLS.
        insecure_trust_development_tokens_of: a project's name, or its folder: tokens that
            `mintmark token` made are taken, and whoever may run it may be anybody. Nothing starts
            with it outside development.
        environment: where this runs. With development tokens it has to be `development`, and so
            does `MINTMARK_ENVIRONMENT`; one of the two may be silent.
    """

    def __init__(
        self,
        resource: str,
        *,
        issuer: str | None = None,
        issuers: Iterable[TrustedIssuer] = (),
        resolve_issuer: IssuerResolver | None = None,
        opaque: OpaqueIssuer | None = None,
        decrypt_with: DecryptionKeys | None = None,
        dpop: DPoP | None = None,
        client_certificate: ClientCertificate | None = None,
        origin: PublicOrigin | None = None,
        deny_list: DenyList | None = None,
        transform: Transform | None = None,
        check_transform: bool = False,
        metadata: ResourceMetadataSettings | None = None,
        insecure_allow_http_on_loopback: bool = False,
        insecure_trust_development_tokens_of: str | Path | None = None,
        environment: str | None = None,
        clock: Clock | None = None,
        events: Events | None = None,
    ) -> None:
        fetch = FetchPolicy(insecure_allow_http_on_loopback=insecure_allow_http_on_loopback)
        trusted = trusted_issuers(resource, issuer, issuers, fetch)
        project = insecure_trust_development_tokens_of
        if not trusted and not (opaque or resolve_issuer or project):
            raise ValueError("a gate that trusts no issuer lets nobody through: name one")
        require_keys_for(trusted, decrypt_with)
        self.resource = resource
        self.events = events or LogEvents()
        self._measures = self.events if isinstance(self.events, Measures) else None
        self.clock = clock or SystemClock()
        self.client_certificate = client_certificate
        self.issuers = names_of(trusted, opaque)
        self.routes = Routes()
        self.publication = (
            None
            if metadata is None
            else Publication(
                resource,
                metadata,
                policies=self.routes.policies,
                issuers=self.issuers,
                dpop=dpop,
                takes_certificates=client_certificate is not None,
                decrypt_with=decrypt_with,
                clock=self.clock,
                fetch=fetch,
            )
        )
        self.challenges = offered_challenges(resource, dpop, self.publication)
        local = [
            trust_development_tokens(
                one, resource, environment=environment, clock=self.clock, events=self.events
            )
            for one in (project,)
            if one is not None
        ]
        if (dpop or client_certificate) and origin is None:
            origin = origin_of(resource, insecure_http=insecure_allow_http_on_loopback)
        self._dpop = DPoPCheck(dpop, alarm=self._alarm, measures=self._measures) if dpop else None
        self.nobody_asks = self._dpop is None and self._measures is None  # of `hand_on`
        self.admission = Admission(
            Validator(
                Issuers(trusted, self.clock, self.events, resolve_issuer, local),
                introspection=Introspection(opaque, self.clock, self.events) if opaque else None,
                unwrapper=Unwrapper(decrypt_with) if decrypt_with else None,
                transformation=(
                    Transformation(transform, check=check_transform) if transform else None
                ),
                client_address=origin.client_address if origin is not None else None,
                measures=self._measures,
            ),
            Bindings(self._dpop, client_certificate, origin),
            self.challenges,
            self.events,
            deny_list,
        )

    def wrap(self, app: App, rules: Mapping[str, Policy]) -> App:
        """Any ASGI application behind this gate.

        Args:
            rules: policies by path: `/orders` is that path, `/orders/**` everything below it and
                itself. The longest one counts. A path without a rule is refused.
        """
        return Guard(self, app, self.routes.ruled(rules))

    def wrap_wsgi(self, app: "WsgiApp", rules: Mapping[str, Policy]) -> "WsgiApp":
        """Any WSGI application behind this gate; the caller is in `environ["mintmark.caller"]`.

        Args:
            rules: as for `wrap`.
        """
        from mintmark.api.wsgi import WsgiGuard

        return WsgiGuard(self, app, self.routes.ruled(rules))

    def install(
        self,
        app: "FastAPI",
        rules: Mapping[str, Policy] | None = None,
        *,
        development_docs: "DevelopmentDocs | None" = None,
    ) -> "FastAPI":
        """A FastAPI application behind this gate; gives the same application back.

        Routes say what they want by `gate.requires(...)`. A route that does not is refused, the
        documentation pages among them, unless `rules` has its path. `app.openapi()` says what is
        enforced.

        Args:
            development_docs: opens the documentation pages to everybody, on a developer's machine.
        """
        from mintmark.api.fastapi import install

        return install(self, app, rules or {}, development_docs)

    def requires(self, policy: Policy) -> Any:
        """A FastAPI dependency that gives the `Caller`: `Annotated[Caller, gate.requires(...)]`."""
        from mintmark.api.fastapi import requires

        return requires(self, policy)

    def report(self) -> str:
        """Every route and its policy, one a line; public ones say so."""
        return self.routes.report()

    async def require_admitted(
        self, scope: Mapping[str, Any], now: float, policy: Policy | None = None
    ) -> Admitted:
        """Whoever sent this request; see `Admission.require_admitted`."""
        return await self.admission.require_admitted(scope, now, policy)

    async def require_caller(self, scope: Mapping[str, Any]) -> Caller:
        """Whoever sent this request, for applications that guard themselves.

        Args:
            scope: the ASGI scope.

        Raises:
            Refused: with the one right answer, in `answer.response()`.
        """
        return (await self.require_admitted(scope, self.clock.timestamp())).caller

    async def require_allowed(
        self,
        policy: Policy,
        caller: Caller,
        subject: object = None,
        *,
        now: float | None = None,
        scheme: Scheme = Scheme.BEARER,
    ) -> Caller:
        """The caller, if the policy lets them.

        Args:
            subject: the object that is asked for, where the policy judges one.
            now: the moment of the request, where it is known.

        Raises:
            Refused: with the one right answer.
        """
        moment = self.clock.timestamp() if now is None else now
        # What needs nobody's answer is said at once: a coroutine costs more than the judgement.
        verdict = (
            await policy.judge(caller, subject, now=moment)
            if policy.asks
            else policy.decide(caller, moment)
        )
        return self.require_verdict(verdict, caller, scheme)

    def require_allowed_now(
        self,
        policy: Policy,
        caller: Caller,
        subject: object = None,
        *,
        scheme: Scheme = Scheme.BEARER,
    ) -> Caller:
        """`require_allowed` for code that cannot await; a policy that has to ask is waited for.

        Raises:
            Refused: with the one right answer.
        """
        from mintmark.api.entrance import Entrance

        return Entrance(self).require_allowed_now(policy, caller, scheme, subject)

    def require_verdict(self, verdict: Verdict, caller: Caller, scheme: Scheme) -> Caller:
        """The caller, if that is what a policy said of them. Raises `Refused`."""
        for failure in verdict.failures:
            self.events.emit(GuardFailed(kind=failure))
        refusal = answer_to(verdict, self.challenges, scheme)
        if refusal is not None:
            raise Refused(refusal)
        return caller

    def published(self, scope: Mapping[str, Any]) -> HttpResponse | None:
        """The answer, if this request asks for what the API publishes of itself."""
        return self.publication.response_to(scope) if self.publication is not None else None

    def hand_on(self, admitted: Admitted) -> str | None:
        """Called once for each request, before the application gets it: the nonce to announce."""
        if self._measures is not None:
            caller = admitted.proven.caller
            self._measures.request_admitted(caller.issuer, caller.kind)
        if self._dpop is None:
            return None
        return self._dpop.fresh_nonce(self.clock.timestamp(), admitted.proof)

    async def seconds_left(self, admitted: Admitted) -> float:
        """How long a connection that this request opened may go on; zero or less: it is over."""
        return await self.admission.seconds_left(admitted, self.clock.timestamp())

    async def explain(self, token: Secret, policy: Policy | None = None) -> Explanation:
        """What was looked at in a token, in order, and what this API would answer: for people who
        ask why. Nothing of it is for the sender of the token.
        """
        return await explain(self, token, policy)

    def refused(self, answer: Answer, caller: Caller | None) -> None:
        """Says why in the log, where it may be said."""
        self.events.emit(
            RequestRefused(
                status=answer.status,
                error=answer.error,
                cause=cause_of(answer),
                reason=answer.reason,
                client_id=caller.client_id if caller else "",
            )
        )

    def _alarm(self, reason: str) -> None:
        self.events.emit(ReplayUnchecked(reason=reason))

    def require_capable_server(self, receive: object) -> None:
        """Raises `TlsExtensionMissing` when certificates are to come from a server without them.

        Args:
            receive: the server's own callable of the lifespan.
        """
        if self.client_certificate is not None and self.client_certificate.header is None:
            require_capable_server(receive)

    def warm(self) -> None:
        """Start fetching the issuers' keys, so that the first request need not wait."""
        self.admission.validator.issuers.warm()

    def close(self) -> None:
        self.admission.validator.close()
