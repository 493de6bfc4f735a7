"""Settings to the server's own types, contradictions refused."""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from mintmark.app.grants import OFFERED
from mintmark.app.request_rules import request_rules, require_distinct_details
from mintmark.app.settings import (
    ClientSettings,
    Settings,
    SettingsRefused,
    UserSettings,
    require_strong,
    seconds,
)
from mintmark.app.trust import make_rules, require_owners
from mintmark.jose.algorithms import Algorithm
from mintmark.protocol.client_authentication import ClientAuthenticationMethod
from mintmark.protocol.errors import OAuthError
from mintmark.protocol.redirect_uri import parse_redirect_uri
from mintmark.protocol.scope import parse_scope
from mintmark.server.accounts import hash_password
from mintmark.server.clients import Client, ClientRegistry, Resource, SecretKey
from mintmark.server.config import LONGEST_ACCESS_TOKEN, RefreshTokenPolicy, ServerConfig
from mintmark.server.stores import AccountRecord

__all__ = ["make_account", "make_config", "make_registry"]

OIDC_SCOPES = {
    "openid": "Know who you are",
    "profile": "See your name and picture",
    "email": "See your e-mail address",
    "offline_access": "Stay connected while you are away",
}


def make_config(settings: Settings) -> ServerConfig:
    """Raises `SettingsRefused`."""
    lifetimes = settings.lifetimes
    try:
        return ServerConfig(
            issuer=settings.issuer,
            insecure_allow_http_on_loopback=settings.insecure_allow_http_on_loopback,
            access_token_lifetime=seconds(lifetimes.access_token),
            code_lifetime=seconds(lifetimes.code),
            id_token_lifetime=seconds(lifetimes.id_token),
            session_lifetime=seconds(lifetimes.session),
            refresh_tokens=RefreshTokenPolicy(
                idle_lifetime=seconds(lifetimes.refresh_token_idle),
                absolute_lifetime=seconds(lifetimes.refresh_token_absolute),
                grace=seconds(lifetimes.refresh_token_grace),
            ),
            signing_algorithm=Algorithm(settings.signing_algorithm),
            dpop_nonces=settings.dpop_nonces,
            require_pushed_requests=settings.require_pushed_authorization_requests,
        )
    except ValueError as failure:
        raise SettingsRefused(str(failure)) from None


def make_registry(
    settings: Settings,
    secret_key: SecretKey,
    environment: Mapping[str, str],
    folder: Path,
    own_grants: tuple[str, ...] = (),
) -> ClientRegistry:
    """Raises `SettingsRefused`."""
    descriptions = OIDC_SCOPES | settings.scopes
    _require_unique("clients", (client.client_id for client in settings.clients))
    _require_unique("users", (user.username.casefold() for user in settings.users))
    _require_unique("users", (user.subject for user in settings.users))
    _require_unique("resources", (resource.identifier for resource in settings.resources))
    for name in descriptions:
        _require_scope_value(name)
    resources = []
    for resource in settings.resources:
        key = f"resources {resource.identifier}"
        meant = resource.scopes or resource.authorization_details
        if not meant or "://" not in resource.identifier or "#" in resource.identifier:
            raise SettingsRefused(f"{key}: an absolute URI with at least one scope is needed")
        _require_known(key, resource.scopes, descriptions)
        resources.append(
            Resource(
                identifier=resource.identifier,
                scope=frozenset(resource.scopes),
                owners=frozenset(resource.owners),
                may_act=resource.may_act,
                details=dict(resource.authorization_details),
            )
        )
    require_owners(settings)
    require_distinct_details(settings)
    for one in settings.clients:
        _require_offered(one, (*OFFERED, *own_grants))
    made = (
        replace(
            _client(client, settings, descriptions, secret_key, environment, folder),
            exchanges=make_rules(client, settings, resources),
        )
        for client in settings.clients
    )
    return ClientRegistry(
        {client.client_id: client for client in made}, tuple(resources), descriptions
    )


def _client(
    client: ClientSettings,
    settings: Settings,
    descriptions: Mapping[str, str],
    secret_key: SecretKey,
    environment: Mapping[str, str],
    folder: Path,
) -> Client:
    key = f"clients {client.client_id}"
    _require_known(key, client.scopes, descriptions)
    if client.client_id in {user.subject for user in settings.users}:
        # RFC 9068 §5: a client whose id is somebody's subject could pass for that person.
        raise SettingsRefused(f"{key}: client_id is also a user's subject")
    _require_fitting_proof(key, client)
    if client.method == "none" and "client_credentials" in client.grant_types:
        raise SettingsRefused(f"{key}: client_credentials needs a client that keeps a secret")
    if ("authorization_code" in client.grant_types) != bool(client.redirect_uris):
        raise SettingsRefused(f"{key}: redirect_uris and authorization_code go together")
    if client.access_token_lifetime is not None and client.access_token_lifetime < 10:
        raise SettingsRefused(f"{key}: access_token_lifetime must be at least 10 seconds")
    if seconds(client.access_token_lifetime or 10) > LONGEST_ACCESS_TOKEN:
        raise SettingsRefused(f"{key}: access_token_lifetime must be at most a day")
    for uri in (*client.redirect_uris, *client.post_logout_redirect_uris):
        try:
            parse_redirect_uri(uri)
        except ValueError as failure:
            raise SettingsRefused(f"{key}: {uri}: {failure}") from None
    digests = []
    for position, source in enumerate(client.secrets):
        where = f"{key}.secrets[{position}]"
        secret = source.read(where, environment, folder)
        if not settings.insecure_allow_weak_secrets:
            require_strong(secret, where)
        digests.append(secret_key.digest(secret))
    return Client(
        client_id=client.client_id,
        name=client.name,
        method=ClientAuthenticationMethod(client.method),
        secret_digests=tuple(digests),
        keys=None if client.jwks is None else client.jwks.read(f"{key}.jwks", folder),
        grant_types=frozenset(client.grant_types),
        scope=frozenset(client.scopes),
        redirect_uris=frozenset(client.redirect_uris),
        post_logout_redirect_uris=frozenset(client.post_logout_redirect_uris),
        requires_consent=client.requires_consent,
        access_token_lifetime=seconds(client.access_token_lifetime)
        if client.access_token_lifetime
        else None,
        requires_dpop=client.requires_dpop,
        **request_rules(key, client, settings),
    )


def _require_offered(client: ClientSettings, offered: tuple[str, ...]) -> None:
    for name in client.grant_types:
        if name not in offered:
            near = difflib.get_close_matches(name, offered, 1)
            hint = f" (did you mean {near[0]}?)" if near else ""
            raise SettingsRefused(
                f"clients {client.client_id}.grant_types: {name!r} is not offered{hint}"
            )


def _require_fitting_proof(key: str, client: ClientSettings) -> None:
    if client.method == "private_key_jwt" and client.jwks is None:
        raise SettingsRefused(f"{key}: private_key_jwt needs jwks")
    if client.method == "private_key_jwt":
        if client.secrets:
            raise SettingsRefused(f"{key}: private_key_jwt has no secrets")
    elif (client.method == "none") != (not client.secrets):
        raise SettingsRefused(f"{key}: a public client (method = none) has no secrets, others do")


def make_account(user: UserSettings, environment: Mapping[str, str], folder: Path) -> AccountRecord:
    """Raises `SettingsRefused`. Hashing a password takes a tenth of a second."""
    key = f"users {user.username}"
    if (user.password is None) == (user.password_hash is None):
        raise SettingsRefused(f"{key}: exactly one of password_hash and password is needed")
    if user.password_hash is not None:
        hashed = user.password_hash.read(f"{key}.password_hash", environment, folder).reveal()
        if not hashed.startswith("$argon2id$"):
            raise SettingsRefused(
                f"{key}.password_hash: not Argon2id; make it with: mintmark users hash-password"
            )
    else:
        assert user.password is not None
        hashed = hash_password(user.password.read(f"{key}.password", environment, folder))
    claims = ("name", "given_name", "family_name", "email", "picture")
    found = {name: getattr(user, name) for name in claims}
    return AccountRecord(
        subject=user.subject,
        username=user.username,
        password_hash=hashed,
        claims={name: value for name, value in found.items() if value is not None},
    )


def _require_scope_value(name: str) -> None:
    try:
        if parse_scope(name) != {name}:
            raise SettingsRefused(f"scopes {name!r}: one value, without blanks")
    except OAuthError:
        raise SettingsRefused(f"scopes {name!r}: not a scope value") from None


def _require_known(key: str, names: Iterable[str], known: Mapping[str, str]) -> None:
    for name in names:
        if name not in known:
            raise SettingsRefused(f"{key}: scope {name!r} is not described under [scopes]")


def _require_unique(key: str, names: Iterable[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise SettingsRefused(f"{key}: {name!r} stands there twice")
        seen.add(name)
