"""One token for another: the rules, whatever the dialect that asks (RFC 8693)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from mintmark.events import Events
from mintmark.protocol.access_token import AccessToken
from mintmark.protocol.errors import ErrorCode, OAuthError
from mintmark.protocol.scope import Scope, format_scope
from mintmark.secret import Secret
from mintmark.server.asker import Asker
from mintmark.server.clients import ClientRegistry, ExchangeRule, ExchangeStyle
from mintmark.server.events import TokenExchanged
from mintmark.server.mint import GRANT_CLAIM, Mint
from mintmark.server.presented import PresentedRefused, PresentedTokens

__all__ = ["MAX_ACTORS", "Exchange", "Exchanged", "Wanted"]

MAX_ACTORS: Final = 8
"""More parties than this between a person and an API, and nobody knows any more who acts."""

CARRIED: Final = (GRANT_CLAIM, "sid", "auth_time", "acr", "amr")
"""What stays as it was at the sign-in, however often the token is exchanged (RFC 9068 §2.2.1)."""

IDENTITY: Final = frozenset({"sub", "iss", "client_id"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a client brings, and what it wants for it."""

    subject_token: Secret
    actor_token: Secret | None = None
    targets: tuple[str, ...] = ()  # empty: what the scope, or the only rule, says
    scope: Scope | None = None  # None: all there is


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchanged:
    """What it gets."""

    access_token: Secret
    expires_in: timedelta
    scope: Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """Gives a client a token for the next API, about the person whose token it was called with."""

    presented: PresentedTokens
    clients: ClientRegistry
    mint: Mint
    events: Events

    async def exchanged(self, wanted: Wanted, asker: Asker) -> Exchanged:
        """The new token.

        Raises:
            PresentedRefused: a token that was brought is not acceptable, for any reason.
            OAuthError: UNAUTHORIZED_CLIENT, INVALID_TARGET, INVALID_SCOPE, INTERACTION_REQUIRED.
        """
        # An exchange without proof of who asks turns one stolen token into many.
        if not asker.client.proves_itself:
            raise OAuthError(ErrorCode.UNAUTHORIZED_CLIENT, "this client cannot keep a secret")
        token = await self._require_subject(wanted.subject_token, asker)
        actor = await self._require_actor(wanted.actor_token, asker)
        rule = self._require_rule(token, wanted, asker)
        about = {name: token.claims[name] for name in CARRIED if name in token.claims}
        chain = _require_chain(token, actor, rule, asker, self.mint.config.issuer)
        if chain is not None:
            about["act"] = chain
        _require_recent(token, rule, asker)
        scope = _require_scope(wanted.scope, rule.worth(token.scopes) & asker.client.scope)
        ends = token.expires_at
        access_token = self.mint.about_person(
            token.sub, about, asker, scope, (rule.target,), ends=ends
        )
        self._tell(token, rule, chain, scope, asker)
        return Exchanged(
            access_token=access_token, expires_in=self.mint.lifetime(asker, ends), scope=scope
        )

    def _tell(
        self,
        token: AccessToken,
        rule: ExchangeRule,
        chain: Mapping[str, Any] | None,
        scope: Scope,
        asker: Asker,
    ) -> None:
        self.events.emit(
            TokenExchanged(
                client_id=asker.client.client_id,
                subject=token.sub,
                actor=chain["sub"] if chain is not None else "",
                origin=rule.origin,
                target=rule.target,
                scope=format_scope(scope),
            )
        )

    async def _require_subject(self, subject_token: Secret, asker: Asker) -> AccessToken:
        token = await self.presented.require_alive(subject_token, now=asker.now)
        if GRANT_CLAIM not in token.claims:
            raise PresentedRefused("it is an application's own token")
        # Whoever was not meant by the token has it by accident, or stole it.
        if self.clients.audiences_of(asker.client).isdisjoint(token.aud):
            raise PresentedRefused("it is made out to somebody else")
        return _require_proved(token, asker)

    async def _require_actor(self, actor_token: Secret | None, asker: Asker) -> str:
        client_id = asker.client.client_id
        if actor_token is None:
            return client_id
        token = await self.presented.require_alive(actor_token, now=asker.now)
        meant = not self.clients.audiences_of(asker.client).isdisjoint(token.aud)
        if not meant and token.client_id != client_id:
            raise PresentedRefused("the actor's token is made out to somebody else")
        if "act" in token.claims:
            raise PresentedRefused("the actor's token is itself of somebody who acts for another")
        return _require_proved(token, asker).sub

    def _require_rule(self, token: AccessToken, wanted: Wanted, asker: Asker) -> ExchangeRule:
        rules = [rule for rule in asker.client.exchanges if rule.origin in token.aud]
        targets = frozenset(wanted.targets)
        if not targets and wanted.scope is not None:
            targets = frozenset(self.clients.audience_of(wanted.scope))
        if not targets:
            targets = frozenset(rule.target for rule in rules)
        found = [rule for rule in rules if rule.target in targets]
        # RFC 8693 §2.2.2, RFC 8707 §2. One token for two APIs is one that each could use at the
        # other.
        if len(targets) != 1 or len(found) != 1:
            raise OAuthError(ErrorCode.INVALID_TARGET, "this client may not have a token for that")
        return found[0]


def _require_proved(token: AccessToken, asker: Asker) -> AccessToken:
    # RFC 9449 §6: a bound token is worth nothing without its key; exchanged without it, it would
    # be free of it. A certificate cannot be shown at this endpoint.
    if token.cnf and token.cnf != asker.cnf:
        raise PresentedRefused("it is bound to a key that this request does not prove")
    return token


def _require_chain(
    token: AccessToken, actor: str, rule: ExchangeRule, asker: Asker, issuer: str
) -> dict[str, Any] | None:
    """Who acts now, and inside it who acted before (RFC 8693 §4.1); None says nobody does."""
    client_id = asker.client.client_id
    if actor != client_id and actor not in rule.actors:
        raise PresentedRefused("the actor is not one that this client may bring")
    _require_may_act(token.claims, {"sub": actor, "iss": issuer, "client_id": client_id})
    before = token.claims.get("act")
    if rule.style is ExchangeStyle.IMPERSONATION:
        # Who acted would be hidden, which is more than was agreed to.
        if before is not None or actor != client_id:
            raise PresentedRefused("somebody acts already, and the rule would not tell")
        return None
    chain: dict[str, Any] = {"sub": actor} if before is None else {"sub": actor, "act": before}
    if _depth(chain) > MAX_ACTORS:
        raise PresentedRefused("too many have acted already")
    return chain


def _require_may_act(claims: Mapping[str, Any], actor: Mapping[str, str]) -> None:
    if "may_act" not in claims:
        return
    # RFC 8693 §4.4: all that it names must fit. What we do not understand may be what matters.
    allowed = claims["may_act"]
    if not isinstance(allowed, dict) or not allowed or not allowed.keys() <= IDENTITY:
        raise PresentedRefused("may_act cannot be read")
    if any(actor[name] != value for name, value in allowed.items()):
        raise PresentedRefused("may_act names another actor")


def _depth(chain: object) -> int:
    depth = 0
    while chain is not None:
        if not isinstance(chain, dict):
            raise PresentedRefused("act is no chain of actors")
        depth, chain = depth + 1, chain.get("act")
    return depth


def _require_recent(token: AccessToken, rule: ExchangeRule, asker: Asker) -> None:
    if rule.max_age is None:
        return
    signed_in = token.claims.get("auth_time")
    age = rule.max_age.total_seconds()
    # OIDC Core §3.1.2.6: the person has to be asked, which the caller of the client can do.
    if type(signed_in) is not int or asker.now.timestamp() - signed_in > age:
        raise OAuthError(ErrorCode.INTERACTION_REQUIRED, "the person has to sign in again")


def _require_scope(asked: Scope | None, allowed: Scope) -> Scope:
    # RFC 6749 §5.2
    if not allowed or not (asked is None or asked <= allowed):
        raise OAuthError(
            ErrorCode.INVALID_SCOPE, "the scope is more than the subject token is worth there"
        )
    return allowed if asked is None else asked
