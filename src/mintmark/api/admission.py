"""One request, from its header to its caller: what is asked, in which order, and each refusal."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, final

import msgspec

from mintmark.api.answers import (
    Answer,
    Challenges,
    Scheme,
    forbidden,
    invalid_dpop_proof,
    invalid_request,
    invalid_token,
    no_credentials,
    unavailable,
    use_dpop_nonce,
)
from mintmark.api.binding import Bindings, Unbound
from mintmark.api.caller import ActorChainTooLong, Caller, token_digest
from mintmark.api.causes import cause_of_failure
from mintmark.api.credentials import (
    MAX_HEADER,
    Credentials,
    HeaderTooLong,
    MalformedCredentials,
    NoCredentials,
    read_credentials,
)
from mintmark.api.deny_list import Denied, DenyList
from mintmark.api.dpop import DPoPProof, KeyMismatch, NonceNeeded, ProofRefused, ReplayUnknown
from mintmark.api.events import GuardFailed
from mintmark.api.introspect import IntrospectionUnavailable, TokenInactive
from mintmark.api.issuer_keys import KeysMissing
from mintmark.api.policy import Policy, scopes_of
from mintmark.api.proxy import OriginRefused
from mintmark.api.recent import Recent
from mintmark.api.refusal import Refused
from mintmark.api.validate import Proven, Validator
from mintmark.events import Events
from mintmark.jose.errors import JoseError
from mintmark.protocol.mtls import CertificateRefused
from mintmark.protocol.scope import Scope

__all__ = ["Admission", "Admitted"]

NO_SCOPES: Final[Scope] = frozenset()


class Admitted(msgspec.Struct, frozen=True, gc=False):
    """A request whose token holds, with everything that it is bound to."""

    proven: Proven
    scheme: Scheme
    proof: DPoPProof | None

    @property
    def caller(self) -> Caller:
        return self.proven.caller


@final
class Admission:
    """Lets requests in, one question after the other: cheap ones first, bookkeeping last."""

    def __init__(
        self,
        validator: Validator,
        bindings: Bindings,
        challenges: Challenges,
        events: Events,
        deny_list: DenyList | None = None,
    ) -> None:
        self.validator = validator
        self._recent_headers = Recent[Admitted]()
        self._recent = self._recent_headers.get
        self.bindings = bindings
        self._challenges = challenges
        self._events = events
        self._deny_list = deny_list
        dpop = bindings.dpop
        self._always_asks = deny_list is not None or (dpop is not None and dpop.settings.required)

    def admitted_at_once(
        self, scope: Mapping[str, Any], now: float, *, prove: bool = True
    ) -> Admitted | None:
        """The request, if nobody has to be waited for.

        That is the lot of nearly all requests: one bearer token, bound to nothing, proved within
        the last minute or by keys that are at hand, and nobody else to be asked. None says
        nothing about the request.

        Args:
            prove: whether a token that is not remembered is proved, or nothing said about it.

        Raises:
            Refused: the token was proved to be no good; with the answer of `require_admitted`.
        """
        if self._always_asks:
            return None
        value: bytes | None = None
        for name, content in scope["headers"]:
            if name == b"authorization":
                if value is not None:
                    return None
                value = content
        if value is None:
            return None
        admitted = self._recent(value)
        if admitted is None:
            # Only what passed the long way, or is read as strictly, is remembered: so its form
            # need not be looked at again.
            if value[:7] != b"Bearer " or len(value) > MAX_HEADER:
                return None
            token = value[7:]
            digest = token_digest(token)
            proven = self.validator.recall(digest)
            if proven is None:
                return self._proved_at_once(token, digest, now) if prove else None
            if not proven.plain:
                return None
            admitted = Admitted(proven, Scheme.BEARER, None)
            self._recent_headers.keep(value, admitted, now)
        proven = admitted.proven
        entry = proven.entry
        if now >= proven.until or entry is None or entry.keys.generation != proven.generation:
            return None
        return admitted

    def _proved_at_once(self, token: bytes, digest: bytes, now: float) -> Admitted | None:
        try:
            proven = self.validator.prove_at_once(token, digest, now)
        except Exception as failure:  # noqa: BLE001 -- a check that fails denies, and says so
            raise self._refused(failure, Scheme.BEARER) from None
        return Admitted(proven, Scheme.BEARER, None) if proven is not None else None

    async def require_admitted(
        self, scope: Mapping[str, Any], now: float, policy: Policy | None = None
    ) -> Admitted:
        """Whoever sent this request.

        Args:
            scope: the ASGI scope of an HTTP request or a WebSocket's handshake.
            now: the moment of this request, in seconds since 1970.
            policy: what the route will ask for; said to those who come without a token.

        Raises:
            Refused: with the one right answer.
        """
        credentials = self._require_credentials(scope, policy)
        try:
            proven = await self.validator.require(credentials.token, scope, now)
            proof = await self.bindings.require_shown(credentials, proven.cnf, scope, now)
            await self.require_not_denied(proven, now)
            return Admitted(proven, credentials.scheme, proof)
        except Exception as failure:  # noqa: BLE001 -- a check that fails denies, and says so
            raise self._refused(failure, credentials.scheme) from None

    async def require_not_denied(self, proven: Proven, now: float) -> Proven:
        """Raises `Denied`, or whatever else the list raises, if there is one."""
        if self._deny_list is None:
            return proven
        # Whoever takes a token back may know it by what is written in it, or by what the
        # application made of that: a transformation must hide neither.
        for caller in (proven.caller, proven.told):
            if caller is not None:
                await self._deny_list.require_not_denied(caller, now=now)
        return proven

    async def seconds_left(self, admitted: Admitted, now: float) -> float:
        """How long a connection that this request opened may go on; zero or less: it is over."""
        try:
            await self.require_not_denied(admitted.proven, now)
        except Exception:  # noqa: BLE001 -- whoever cannot be asked has not said that it may
            return 0.0
        return await self.validator.seconds_left(admitted.proven, now)

    def _require_credentials(self, scope: Mapping[str, Any], policy: Policy | None) -> Credentials:
        offered = self._challenges
        try:
            return read_credentials(scope["headers"], dpop=self.bindings.dpop is not None)
        except NoCredentials as nothing:
            wanted = scopes_of(policy) if policy is not None else NO_SCOPES
            raise Refused(no_credentials(offered, str(nothing), wanted)) from None
        except MalformedCredentials as malformed:
            raise Refused(invalid_request(offered, str(malformed))) from None
        except HeaderTooLong as too_long:
            raise Refused(invalid_token(offered, str(too_long))) from None

    def _refused(self, failure: Exception, scheme: Scheme) -> Refused:
        answer = self._answer_to(failure, scheme)
        return Refused(replace(answer, cause=cause_of_failure(failure)))

    def _answer_to(self, failure: Exception, scheme: Scheme) -> Answer:
        offered = self._challenges
        match failure:
            case ActorChainTooLong():
                # A good token of somebody too many times removed: another would not help.
                return forbidden(failure.reason)
            case (
                JoseError() | TokenInactive() | Unbound() | CertificateRefused() | Denied()
                | KeyMismatch()
            ):  # fmt: skip
                return invalid_token(offered, failure.reason, scheme)
            case ProofRefused() | OriginRefused():
                return invalid_dpop_proof(offered, failure.reason)
            case NonceNeeded():
                return use_dpop_nonce(offered, failure.nonce, failure.reason)
            case IntrospectionUnavailable() | ReplayUnknown():
                return unavailable(failure.reason)
            case KeysMissing():
                return unavailable(str(failure))
            case _:
                self._events.emit(GuardFailed(kind=type(failure).__name__))
                return unavailable("the guard failed")
