"""A registered client and what it may do."""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from mintmark.jose.key_set import KeySet
from mintmark.protocol.authorization_details import AuthorizationDetails
from mintmark.protocol.client_authentication import ClientAuthenticationMethod
from mintmark.protocol.scope import Scope
from mintmark.secret import Secret

__all__ = ["Client", "ClientRegistry", "ExchangeRule", "ExchangeStyle", "Resource", "SecretKey"]


@dataclass(frozen=True, slots=True)
class SecretKey:
    """The key under which client secrets are kept: a stolen table alone cannot be tested against.

    Client secrets are random and long, so one keyed SHA-256 is enough; a slow hash here would be
    230 ms of every token request and a gift to whoever wants to exhaust the server.
    """

    key: bytes

    def digest(self, client_secret: Secret) -> bytes:
        return hmac.digest(self.key, client_secret.reveal().encode(), hashlib.sha256)


class ExchangeStyle(StrEnum):
    """What a token says of who obtained it (RFC 8693 §1.1)."""

    DELEGATION = "delegation"  # `act` names who acts for the person
    IMPERSONATION = "impersonation"  # nothing tells it from a token the person's client got


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeRule:
    """Which tokens a client may have exchanged, and for what."""

    origin: str  # the audience of the token it brings: the client itself, or a resource it owns
    target: str  # the resource the new token is for
    scopes: Mapping[str, Scope]  # what each scope value of the token it brings is worth there
    style: ExchangeStyle = ExchangeStyle.DELEGATION
    actors: frozenset[str] = frozenset()  # subjects it may name as actor, beside itself
    max_age: timedelta | None = None  # the person must have signed in no longer ago

    def worth(self, scope: Scope) -> Scope:
        """What somebody with this scope may be asked for at the target."""
        return frozenset[str]().union(*(self.scopes.get(one, frozenset()) for one in scope))


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """What the operator registered under one `client_id`."""

    client_id: str
    name: str
    method: ClientAuthenticationMethod
    secret_digests: tuple[bytes, ...] = ()  # two while a secret is being changed
    keys: KeySet | None = None  # of its assertions and request objects; public halves alone
    grant_types: frozenset[str] = frozenset()
    scope: Scope = frozenset()  # all it may ask for
    redirect_uris: frozenset[str] = frozenset()
    post_logout_redirect_uris: frozenset[str] = frozenset()
    requires_consent: bool = True
    access_token_lifetime: timedelta | None = None  # None: the server's
    exchanges: tuple[ExchangeRule, ...] = ()
    requires_dpop: bool = False  # RFC 9449 §5.2
    requires_pushed_requests: bool = False  # RFC 9126 §6
    requires_signed_requests: bool = False  # RFC 9101 §10.5
    request_uris: frozenset[str] = frozenset()  # where its request objects may be fetched
    detail_types: frozenset[str] = frozenset()  # RFC 9396 §10: all it may ask for

    @property
    def proves_itself(self) -> bool:
        """Whether it has a credential. That it was shown, `ClientAuthentication` has checked."""
        return self.method is not ClientAuthenticationMethod.NONE


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """An API tokens are made for: its identifier becomes `aud`."""

    identifier: str  # RFC 8707 §2: an absolute URI
    scope: Scope  # the scope values that mean something there
    owners: frozenset[str] = frozenset()  # clients that are this API when they ask us something
    may_act: str | None = None  # RFC 8693 §4.4: who alone may act on tokens made out to it
    details: Mapping[str, str] = field(default_factory=dict)
    """RFC 9396 §2: the types that mean something there, and how people read each."""


@dataclass(frozen=True, slots=True)
class ClientRegistry:
    """The clients and resources of `mintmark.toml`, by name; it never changes while it runs."""

    clients: dict[str, Client]
    resources: tuple[Resource, ...]
    scope_descriptions: dict[str, str]  # what a person reads on the consent page

    def find(self, client_id: str) -> Client | None:
        return self.clients.get(client_id)

    def audiences_of(self, client: Client) -> frozenset[str]:
        """What a token may be made out to so that this client is who was meant."""
        owned = (r.identifier for r in self.resources if client.client_id in r.owners)
        return frozenset((client.client_id, *owned))

    def may_act_at(self, aud: tuple[str, ...]) -> str | None:
        """Who alone may act on a token with this audience; None leaves it to the rules."""
        return next((r.may_act for r in self.resources if (r.identifier,) == aud), None)

    def scope_at(self, identifier: str, scope: Scope) -> Scope:
        """The part of a scope that means something to one resource."""
        for resource in self.resources:
            if resource.identifier == identifier:
                return scope & resource.scope
        return frozenset()

    def audience_of(self, scope: Scope, details: AuthorizationDetails = ()) -> tuple[str, ...]:
        """The resources these scope values and details belong to, sorted; OIDC's own have none."""
        types = {one["type"] for one in details}
        return tuple(
            sorted(
                r.identifier
                for r in self.resources
                if r.scope & scope or not types.isdisjoint(r.details)
            )
        )

    @property
    def detail_descriptions(self) -> dict[str, str]:
        """Every type of details that some resource declares, as people read it."""
        return {name: text for r in self.resources for name, text in r.details.items()}

    def details_at(self, identifier: str, details: AuthorizationDetails) -> AuthorizationDetails:
        """Those that mean something to one resource."""
        known = {name for r in self.resources if r.identifier == identifier for name in r.details}
        return tuple(one for one in details if one["type"] in known)
