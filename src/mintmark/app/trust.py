"""Settings of who may have tokens exchanged, and whose word is good for one; contradictions refused."""

from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit

from mintmark.app.settings import (
    ClientSettings,
    ExchangeSettings,
    Settings,
    SettingsRefused,
    TrustedIssuerSettings,
    seconds,
)
from mintmark.fetch import FetchPolicy, FetchRefused, require_safe_url
from mintmark.protocol.jwt_bearer import JwtBearerRequest
from mintmark.protocol.token_exchange import TokenExchangeRequest
from mintmark.server.assertion_issuers import AssertionIssuer, FetchedKeys, FixedKeys
from mintmark.server.clients import ExchangeRule, ExchangeStyle, Resource

__all__ = ["make_issuers", "make_rules", "require_owners"]

EXCHANGING = frozenset({TokenExchangeRequest.grant_type, JwtBearerRequest.grant_type})


def require_owners(settings: Settings) -> None:
    """Refuse resources that are owned, or acted on, by nobody that is registered."""
    confidential = {one.client_id for one in settings.clients if one.method != "none"}
    for resource in settings.resources:
        named = [*resource.owners, *([resource.may_act] if resource.may_act else [])]
        for name in named:
            if name not in confidential:
                raise SettingsRefused(
                    f"resources {resource.identifier}: {name!r} is no client that proves itself"
                )


def make_rules(
    client: ClientSettings, settings: Settings, resources: Iterable[Resource]
) -> tuple[ExchangeRule, ...]:
    """What a client may have exchanged. Raises `SettingsRefused`."""
    key = f"clients {client.client_id}.exchanges"
    if client.exchanges and EXCHANGING.isdisjoint(client.grant_types):
        raise SettingsRefused(f"{key}: the grant type {TokenExchangeRequest.grant_type} is needed")
    if client.method == "none" and not EXCHANGING.isdisjoint(client.grant_types):
        raise SettingsRefused(f"{key}: a client that keeps no secret has no tokens exchanged")
    known = {resource.identifier: resource for resource in resources}
    made = tuple(_rule(key, rule, client, settings, known) for rule in client.exchanges)
    if len({(rule.origin, rule.target) for rule in made}) != len(made):
        raise SettingsRefused(f"{key}: two rules from one audience to one resource")
    return made


def _rule(
    key: str,
    rule: ExchangeSettings,
    client: ClientSettings,
    settings: Settings,
    known: dict[str, Resource],
) -> ExchangeRule:
    origin, target = known.get(rule.origin), known.get(rule.target)
    if rule.origin != client.client_id and (
        origin is None or client.client_id not in origin.owners
    ):
        raise SettingsRefused(f"{key}: {rule.origin!r} is no resource that this client owns")
    if target is None:
        raise SettingsRefused(f"{key}: there is no resource {rule.target!r}")
    may_have = target.scope & frozenset(client.scopes)
    for value, worth in rule.scopes.items():
        if origin is not None and value not in origin.scope:
            raise SettingsRefused(f"{key}: {value!r} is no scope of {rule.origin}")
        for one in worth:
            if one not in may_have:
                raise SettingsRefused(
                    f"{key}: {one!r} must be a scope of {rule.target} and of the client"
                )
    if rule.style == "impersonation" and rule.actors:
        raise SettingsRefused(f"{key}: impersonation names no actors")
    people = {user.subject for user in settings.users}
    for actor in rule.actors:
        if actor not in people:
            raise SettingsRefused(f"{key}: the actor {actor!r} is no user's subject")
    return ExchangeRule(
        origin=rule.origin,
        target=rule.target,
        scopes={value: frozenset(worth) for value, worth in rule.scopes.items()},
        style=ExchangeStyle(rule.style),
        actors=frozenset(rule.actors),
        max_age=None if rule.max_age is None else seconds(rule.max_age),
    )


def make_issuers(settings: Settings, folder: Path) -> dict[str, AssertionIssuer]:
    """Whose assertions are taken, by their name. Raises `SettingsRefused`."""
    made = {one.issuer: _issuer(one, settings, folder) for one in settings.trusted_issuers}
    if len(made) != len(settings.trusted_issuers):
        raise SettingsRefused("trusted_issuers: one issuer stands there twice")
    return made


def _issuer(trusted: TrustedIssuerSettings, settings: Settings, folder: Path) -> AssertionIssuer:
    key = f"trusted_issuers {trusted.issuer}"
    if not trusted.issuer or trusted.issuer == settings.issuer:
        raise SettingsRefused(f"{key}: must be another issuer than this one")
    _require_able(key, trusted, settings)
    people = {user.subject for user in settings.users}
    for subject in trusted.subjects.values():
        if subject not in people:
            raise SettingsRefused(f"{key}: {subject!r} is no user's subject")
    if (trusted.jwks is None) == (trusted.jwks_uri is None):
        raise SettingsRefused(f"{key}: exactly one of jwks and jwks_uri is needed")
    return AssertionIssuer(
        issuer=trusted.issuer,
        keys=FixedKeys(trusted.jwks.read(f"{key}.jwks", folder))
        if trusted.jwks is not None
        else _fetched(key, trusted, settings),
        clients=frozenset(trusted.clients),
        scope=frozenset(trusted.scopes),
        subjects=dict(trusted.subjects),
        claims=dict(trusted.claims),
    )


def _require_able(key: str, trusted: TrustedIssuerSettings, settings: Settings) -> None:
    clients = {one.client_id: one for one in settings.clients}
    for name in trusted.clients:
        client = clients.get(name)
        if client is None or JwtBearerRequest.grant_type not in client.grant_types:
            raise SettingsRefused(
                f"{key}: {name!r} is no client with the grant type {JwtBearerRequest.grant_type}"
            )
    for scope in trusted.scopes:
        if not any(scope in clients[name].scopes for name in trusted.clients):
            raise SettingsRefused(f"{key}: none of its clients has the scope {scope!r}")


def _fetched(key: str, trusted: TrustedIssuerSettings, settings: Settings) -> FetchedKeys:
    policy = FetchPolicy(
        insecure_allow_http_on_loopback=settings.insecure_allow_http_on_loopback,
        allow_private_addresses=trusted.allow_private_addresses,
    )
    uri = str(trusted.jwks_uri)
    try:
        require_safe_url(uri, policy)
    except FetchRefused as refusal:
        raise SettingsRefused(f"{key}.jwks_uri: {refusal.reason}") from None
    if not urlsplit(uri).path:
        raise SettingsRefused(f"{key}.jwks_uri: a path is missing")
    return FetchedKeys(uri, policy)
