"""A registered client and what it may do."""

import hashlib
import hmac
from dataclasses import dataclass
from datetime import timedelta

from mintmark.jose.key_set import KeySet
from mintmark.protocol.client_authentication import ClientAuthenticationMethod
from mintmark.protocol.scope import Scope
from mintmark.secret import Secret

__all__ = ["Client", "ClientRegistry", "Resource", "SecretKey"]


@dataclass(frozen=True, slots=True)
class SecretKey:
    """The key under which client secrets are kept: a stolen table alone cannot be tested against.

    Client secrets are random and long, so one keyed SHA-256 is enough; a slow hash here would be
    230 ms of every token request and a gift to whoever wants to exhaust the server.
    """

    key: bytes

    def digest(self, client_secret: Secret) -> bytes:
        return hmac.digest(self.key, client_secret.reveal().encode(), hashlib.sha256)


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """What the operator registered under one `client_id`."""

    client_id: str
    name: str
    method: ClientAuthenticationMethod
    secret_digests: tuple[bytes, ...] = ()  # two while a secret is being changed
    keys: KeySet | None = None  # what its assertions are checked with; public halves alone
    grant_types: frozenset[str] = frozenset()
    scope: Scope = frozenset()  # all it may ask for
    redirect_uris: frozenset[str] = frozenset()
    post_logout_redirect_uris: frozenset[str] = frozenset()
    requires_consent: bool = True
    access_token_lifetime: timedelta | None = None  # None: the server's


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """An API tokens are made for: its identifier becomes `aud`."""

    identifier: str  # RFC 8707 §2: an absolute URI
    scope: Scope  # the scope values that mean something there


@dataclass(frozen=True, slots=True)
class ClientRegistry:
    """The clients and resources of `mintmark.toml`, by name; it never changes while it runs."""

    clients: dict[str, Client]
    resources: tuple[Resource, ...]
    scope_descriptions: dict[str, str]  # what a person reads on the consent page

    def find(self, client_id: str) -> Client | None:
        return self.clients.get(client_id)

    def scope_at(self, identifier: str, scope: Scope) -> Scope:
        """The part of a scope that means something to one resource."""
        for resource in self.resources:
            if resource.identifier == identifier:
                return scope & resource.scope
        return frozenset()

    def audience_of(self, scope: Scope) -> tuple[str, ...]:
        """The resources these scope values belong to, sorted; OIDC's own belong to none."""
        return tuple(sorted(r.identifier for r in self.resources if r.scope & scope))
