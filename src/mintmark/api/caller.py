"""Who is calling, as far as their token says."""

import hashlib
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, Final

import msgspec

from mintmark.api.frozen import frozen
from mintmark.jose.errors import ClaimRefused
from mintmark.protocol.access_token import AccessToken
from mintmark.protocol.scope import Scope

__all__ = [
    "MAX_ACTORS",
    "Actor",
    "ActorChainTooLong",
    "Binding",
    "Caller",
    "CallerKind",
    "Identity",
    "binding_of",
    "caller_of",
    "make_caller",
    "names_of",
    "token_digest",
]

MAX_ACTORS: Final = 8
"""More parties than this between a person and an API, and nobody knows any more who acts."""


class ActorChainTooLong(ClaimRefused):
    """A readable token of somebody who is too many times removed; another answer than unreadable."""


class CallerKind(StrEnum):
    """For whom the client speaks."""

    APPLICATION = "application"  # for itself
    DELEGATED = "delegated"  # for a person who let it
    ON_BEHALF = "on_behalf"  # for a person, through another party that the token names (`act`)


class Binding(StrEnum):
    """What ties the token to its sender, all of it proved for this request."""

    NONE = "none"
    DPOP = "dpop"
    MTLS = "mtls"
    BOTH = "both"

    def includes(self, other: "Binding") -> bool:
        return self is other or (self is Binding.BOTH and other is not Binding.NONE)


class Actor(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Somebody who acts for the subject (RFC 8693 §4.1)."""

    subject: str
    issuer: str = ""  # empty: the token's own issuer
    client_id: str = ""


class Identity(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Who a dialect found in the claims of a token."""

    kind: CallerKind
    subject: str
    client_id: str
    scopes: Scope = frozenset()
    roles: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()


# gc=False: ten thousand of them are remembered, and without a cycle among them each would only make
# the pauses of the garbage collector longer.
class Caller(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A checked token's meaning. The token itself is not in it."""

    kind: CallerKind
    issuer: str
    subject: str
    client_id: str
    scopes: Scope
    audience: tuple[str, ...]
    expires_at: float  # seconds since 1970
    token_ref: str  # the first half of the token's SHA-256, for logs
    claims: Mapping[str, Any]
    roles: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()
    acr: str | None = None
    amr: tuple[str, ...] = ()
    auth_time: float | None = None  # when the person signed in, in seconds since 1970
    details: tuple[Mapping[str, Any], ...] = ()  # `authorization_details`, RFC 9396 §2
    actor_chain: tuple[Actor, ...] = ()  # who acts now comes first; the others are history
    binding: Binding = Binding.NONE

    @property
    def actor(self) -> Actor | None:
        """Who acts now, if it is not the client by itself.

        RFC 8693 §4.1: whoever acted before is no ground for any decision.
        """
        return self.actor_chain[0] if self.actor_chain else None


def caller_of(token: AccessToken, digest: bytes, identity: Identity | None = None) -> Caller:
    """The caller of a checked token, told by RFC 9068's own rules unless a dialect found them."""
    return make_caller(
        token.claims,
        identity or _identity(token),
        issuer=token.iss,
        audience=token.aud,
        expires_at=token.expires_at,
        digest=digest,
        binding=binding_of(token.cnf),
    )


def make_caller(
    claims: Mapping[str, Any],
    identity: Identity,
    *,
    issuer: str,
    audience: tuple[str, ...],
    expires_at: float,
    digest: bytes,
    binding: Binding = Binding.NONE,
) -> Caller:
    """A caller out of claims that were proved, by a signature or by their issuer's answer.

    Args:
        binding: what the token is bound to; whoever asks lets no request pass that did not prove
            all of it.

    Raises:
        ClaimRefused: a claim is not what its specification says it is.
    """
    caller = Caller(
        kind=identity.kind,
        issuer=issuer,
        subject=identity.subject,
        client_id=identity.client_id,
        scopes=identity.scopes,
        audience=audience,
        expires_at=expires_at,
        token_ref=digest[:8].hex(),
        claims=frozen(claims),
        roles=identity.roles,
        groups=identity.groups,
        binding=binding,
    )
    # Most callers are made from tokens without any of these, on every token that is new.
    if _FURTHER.isdisjoint(claims):
        return caller
    read = {name: reads(claims[claim]) for claim, name, reads in _FURTHER_READ if claim in claims}
    return msgspec.structs.replace(caller, **read)


def token_digest(token: bytes) -> bytes:
    """What a token is remembered by, so that no bearer token lies in memory for long."""
    return hashlib.sha256(token).digest()


def binding_of(cnf: Mapping[str, Any]) -> Binding:
    """What a token's `cnf` asks to see (RFC 9449 §6.1, RFC 8705 §3.1)."""
    if "jkt" in cnf:
        return Binding.BOTH if "x5t#S256" in cnf else Binding.DPOP
    return Binding.MTLS if "x5t#S256" in cnf else Binding.NONE


def _identity(token: AccessToken) -> Identity:
    # RFC 9068 §5: without a person `sub` is the client itself, and no client may choose an id
    # that is somebody's subject.
    claims, own = token.claims, token.sub == token.client_id
    kind = CallerKind.APPLICATION if own else CallerKind.DELEGATED
    return Identity(
        kind=CallerKind.ON_BEHALF if "act" in claims else kind,
        subject=token.sub,
        client_id=token.client_id,
        scopes=token.scopes,
        # RFC 9068 §2.2.3.1
        roles=names_of(claims["roles"], "roles") if "roles" in claims else _NOBODY,
        groups=names_of(claims["groups"], "groups") if "groups" in claims else _NOBODY,
    )


_NOBODY: Final[frozenset[str]] = frozenset()


def names_of(value: Any, claim: str) -> frozenset[str]:
    """Roles or groups: texts in a list; a list of anything else is refused, not guessed at."""
    return frozenset(_texts(value, claim)) if value else _nothing(value, claim)


def _nothing(value: Any, claim: str) -> frozenset[str]:
    if value != () and value != []:
        raise ClaimRefused(claim, "is no list of texts")
    return _NOBODY


def _texts(value: Any, claim: str) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(type(one) is str for one in value):
        raise ClaimRefused(claim, "is no list of texts")
    return tuple(value)


def _acr(value: Any) -> str:
    if type(value) is not str:
        raise ClaimRefused("acr", "is no text")
    return value


def _auth_time(value: Any) -> float:
    # `True` is a number to Python and no moment to anybody.
    if type(value) not in (int, float) or not -1e12 < value < 1e12:
        raise ClaimRefused("auth_time", "is no date")
    return float(value)


def _amr(value: Any) -> tuple[str, ...]:
    return _texts(value, "amr")


def _details(value: Any) -> tuple[Mapping[str, Any], ...]:
    # RFC 9396 §2: a list of objects, each with a `type` that says how to read the rest.
    if type(value) is not list or not all(
        type(one) is dict and type(one.get("type")) is str for one in value
    ):
        raise ClaimRefused("authorization_details", "is no list of details")
    return tuple(frozen(one) for one in value)


def _actors(value: Any) -> tuple[Actor, ...]:
    found = [_actor(value)]
    while "act" in value:
        if len(found) == MAX_ACTORS:
            raise ActorChainTooLong("act", "names too many actors")
        value = value["act"]
        found.append(_actor(value))
    return tuple(found)


def _actor(value: Any) -> Actor:
    if type(value) is not dict:
        raise ClaimRefused("act", "is no object")
    parts = [value.get(name, "") for name in ("sub", "iss", "client_id")]
    if not all(type(part) is str and (not part or part.isprintable()) for part in parts):
        raise ClaimRefused("act", "names an actor by something that is no text")
    # RFC 8693 §4.1: the members identify the actor, so one at least must be there.
    if not parts[0] and not parts[2]:
        raise ClaimRefused("act", "names nobody")
    return Actor(subject=parts[0], issuer=parts[1], client_id=parts[2])


_FURTHER_READ: Final[tuple[tuple[str, str, Callable[[Any], Any]], ...]] = (
    ("acr", "acr", _acr),
    ("amr", "amr", _amr),
    ("auth_time", "auth_time", _auth_time),
    ("authorization_details", "details", _details),
    ("act", "actor_chain", _actors),
)
"""Claims that not every token has, what a caller calls them, and who reads them, in this order."""

_FURTHER: Final = frozenset(claim for claim, _, _ in _FURTHER_READ)
