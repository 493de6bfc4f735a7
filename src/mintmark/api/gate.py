"""The gate in front of an API: issuers, rules and answers put together."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, final

from mintmark.api.answers import (
    Answer,
    Challenges,
    answer_to,
    invalid_request,
    invalid_token,
    no_credentials,
    unavailable,
)
from mintmark.api.asgi import App, Guard
from mintmark.api.bearer import HeaderTooLong, MalformedCredentials, NoCredentials, read_bearer
from mintmark.api.caller import Caller
from mintmark.api.config import TrustedIssuer
from mintmark.api.events import GuardFailed, RequestRefused
from mintmark.api.issuer_keys import KeysMissing
from mintmark.api.policy import Policy
from mintmark.api.rules import Rules
from mintmark.api.validate import Validator
from mintmark.clock import Clock, SystemClock
from mintmark.events import Events, LogEvents
from mintmark.fetch import FetchPolicy
from mintmark.jose.errors import JoseError

if TYPE_CHECKING:
    from fastapi import FastAPI

__all__ = ["Gate", "Refused"]


class Refused(Exception):
    """A request that gets this answer instead of a handler."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.reason)
        self.answer = answer


@final
class Gate:
    """Guards one API.

    Args:
        resource: the API's own identifier: the audience that tokens must name, and the realm
            of its challenges.
        issuer: whose tokens it takes; for several, or for settings of their own, `issuers`.
        insecure_allow_http_on_loopback: for development and tests: issuers on this machine
            without TLS.
    """

    def __init__(
        self,
        resource: str,
        *,
        issuer: str | None = None,
        issuers: Iterable[TrustedIssuer] = (),
        insecure_allow_http_on_loopback: bool = False,
        clock: Clock | None = None,
        events: Events | None = None,
    ) -> None:
        fetch = FetchPolicy(insecure_allow_http_on_loopback=insecure_allow_http_on_loopback)
        trusted = list(issuers)
        if issuer is not None:
            trusted.append(TrustedIssuer(issuer=issuer, audience=resource, policy=fetch))
        if not trusted:
            raise ValueError("a gate that trusts no issuer lets nobody through: name one")
        self.resource = resource
        self.challenges = Challenges(realm=resource)
        self.events = events or LogEvents()
        self._clock = clock or SystemClock()
        self._validator = Validator(trusted, self._clock, self.events)
        self._report: list[tuple[str, str]] = []

    def wrap(self, app: App, rules: Mapping[str, Policy]) -> App:
        """Any ASGI application behind this gate.

        Args:
            rules: policies by path: `/orders` is that path, `/orders/**` everything below it and
                itself. The longest one counts. A path without a rule is refused.
        """
        compiled = Rules(rules)
        self._report.extend((path, repr(policy)) for path, policy in rules.items())
        return Guard(self, app, compiled)

    def install(self, app: "FastAPI", rules: Mapping[str, Policy] | None = None) -> "FastAPI":
        """A FastAPI application behind this gate; gives the same application back.

        Routes say what they want by `gate.requires(...)`. A route that does not is refused, the
        documentation pages among them, unless `rules` has its path.
        """
        from mintmark.api.fastapi import install

        return install(self, app, rules or {})

    def requires(self, policy: Policy) -> Any:
        """A FastAPI dependency that gives the `Caller`: `Annotated[Caller, gate.requires(...)]`."""
        from mintmark.api.fastapi import requires

        return requires(self, policy)

    def report(self) -> str:
        """Every route and its policy, one a line; public ones say so."""
        return "\n".join(f"{route:32} {policy}" for route, policy in sorted(self._report))

    def add_to_report(self, route: str, policy: str) -> None:
        self._report.append((route, policy))

    async def require_caller(self, headers: list[tuple[bytes, bytes]]) -> Caller:
        """Whoever sent these headers.

        Raises:
            Refused: with the one right answer.
        """
        offered = self.challenges
        try:
            return await self._validator.require_caller(read_bearer(headers))
        except NoCredentials as nothing:
            raise Refused(no_credentials(offered, str(nothing))) from None
        except MalformedCredentials as malformed:
            raise Refused(invalid_request(offered, str(malformed))) from None
        except HeaderTooLong as too_long:
            raise Refused(invalid_token(offered, str(too_long))) from None
        except JoseError as refusal:
            raise Refused(invalid_token(offered, refusal.reason)) from None
        except KeysMissing as missing:
            raise Refused(unavailable(str(missing))) from None
        except Exception as failure:  # noqa: BLE001 -- a check that fails denies, and says so
            self.events.emit(GuardFailed(kind=type(failure).__name__))
            raise Refused(unavailable("the guard failed")) from None

    async def require_allowed(self, policy: Policy, caller: Caller) -> Caller:
        """The caller, if the policy lets them.

        Raises:
            Refused: with the one right answer.
        """
        verdict = await policy.judge(caller, now=self._clock.timestamp())
        for failure in verdict.failures:
            self.events.emit(GuardFailed(kind=failure))
        refusal = answer_to(verdict, self.challenges)
        if refusal is not None:
            raise Refused(refusal)
        return caller

    def refused(self, answer: Answer, caller: Caller | None) -> None:
        """Says why in the log, where it may be said."""
        self.events.emit(
            RequestRefused(
                status=answer.status,
                error=answer.error,
                reason=answer.reason,
                client_id=caller.client_id if caller else "",
            )
        )

    def warm(self) -> None:
        """Start fetching the issuers' keys, so that the first request need not wait."""
        self._validator.warm()

    def close(self) -> None:
        self._validator.close()
