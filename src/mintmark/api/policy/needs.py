"""What a policy asks for, known without judging anybody: for OpenAPI, metadata and challenges."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntFlag
from typing import Final

from mintmark.api.caller import Binding
from mintmark.api.policy.assurance import BoundLeaf, LoginLeaf
from mintmark.api.policy.combined import All, AnyOf, Hide, Not
from mintmark.api.policy.details import DetailLeaf
from mintmark.api.policy.leaves import AUTHENTICATED, PUBLIC, ScopeLeaf
from mintmark.api.policy.part import Policy
from mintmark.api.policy.rule import RuleLeaf
from mintmark.api.policy.verdict import (
    Forbidden,
    Hidden,
    MissingDetails,
    MissingScopes,
    StepUp,
    Undecided,
)
from mintmark.protocol.scope import Scope

__all__ = [
    "Bound",
    "Need",
    "acr_of",
    "details_of",
    "needs_of",
    "refusals_of",
    "scope_sets_of",
    "scopes_of",
]

MAX_SETS: Final = 64


class Bound(IntFlag):
    """What a token has to be bound to. Whoever asks for a key and a certificate asks for both."""

    NOTHING = 0
    ANYTHING = 1
    KEY = 3
    CERTIFICATE = 5


_BOUND: Final = {
    None: Bound.ANYTHING,
    Binding.DPOP: Bound.KEY,
    Binding.MTLS: Bound.CERTIFICATE,
    Binding.BOTH: Bound.KEY | Bound.CERTIFICATE,
}


@dataclass(frozen=True, slots=True)
class Need:
    """A set of scope values, and what the token is to be bound to."""

    scopes: Scope
    bound: Bound = Bound.NOTHING

    def and_also(self, other: "Need") -> "Need":
        return Need(self.scopes | other.scopes, self.bound | other.bound)

    def is_more_than(self, other: "Need") -> bool:
        """Whether whoever has this has the other, too."""
        return self != other and other.scopes <= self.scopes and other.bound in self.bound


class _TooMany(Exception):
    """More alternatives than anybody would read."""


def scopes_of(policy: Policy) -> Scope:
    """Every scope value that may help; not those that must be absent."""
    named = [one.wanted for one in _leaves(policy) if isinstance(one, ScopeLeaf)]
    return frozenset().union(*named)


def details_of(policy: Policy) -> frozenset[str]:
    """The types of authorization details that may help (RFC 9728 §2)."""
    return frozenset(one.type for one in _leaves(policy) if isinstance(one, DetailLeaf))


def acr_of(policy: Policy) -> tuple[str, ...]:
    """The `acr` values that may help, in the order they are written."""
    every = [one.acr_values for one in _leaves(policy) if isinstance(one, LoginLeaf)]
    return tuple(dict.fromkeys(value for values in every for value in values))


def needs_of(policy: Policy) -> tuple[Need, ...]:
    """What of a token may be enough, the smallest first: alternatives, as OpenAPI writes them.

    Past 64 of them there is one, with all scope values: it asks for more than is needed, and is
    never too little.
    """
    try:
        needs = _needs(policy)
    except _TooMany:
        return (Need(scopes_of(policy)),)
    minimal = [one for one in needs if not any(one.is_more_than(other) for other in needs)]
    return tuple(sorted(minimal, key=lambda one: (len(one.scopes), sorted(one.scopes), one.bound)))


def scope_sets_of(policy: Policy) -> tuple[Scope, ...]:
    """The sets of scope values of which each may be enough, the smallest first; see `needs_of`."""
    sets = [need.scopes for need in needs_of(policy)]
    return tuple(dict.fromkeys(one for one in sets if not any(other < one for other in sets)))


def refusals_of(policy: Policy) -> frozenset[type]:
    """The kinds of verdict that this policy may refuse with; none, and it takes every caller."""
    match policy:
        case All(parts=parts) | AnyOf(parts=parts):
            said = [refusals_of(part) for part in parts]
            if isinstance(policy, AnyOf) and not all(said):
                return frozenset()
            return frozenset().union(*said)
        case Hide(part=part):
            said_inside = refusals_of(part)
            return (said_inside & {Undecided}) | ({Hidden} if said_inside - {Undecided} else set())
        case Not(part=part):
            return (refusals_of(part) & {Undecided}) | {Forbidden}
        case _:
            return frozenset() if policy in _OPEN else _REFUSALS.get(type(policy), _FORBIDDEN)


_OPEN: Final = (AUTHENTICATED, PUBLIC)
_FORBIDDEN: Final[frozenset[type]] = frozenset({Forbidden})
_REFUSALS: Final[dict[type, frozenset[type]]] = {
    ScopeLeaf: frozenset({MissingScopes}),
    DetailLeaf: frozenset({MissingDetails}),
    LoginLeaf: frozenset({StepUp, Forbidden}),
    RuleLeaf: frozenset({Forbidden, Undecided}),
}


def _needs(policy: Policy) -> set[Need]:
    match policy:
        case ScopeLeaf(wanted=wanted):
            return {Need(wanted)}
        case BoundLeaf(wanted=wanted):
            return {Need(frozenset(), _BOUND[wanted])}
        case Hide(part=part):
            return _needs(part)
        case AnyOf(parts=parts):
            return _few({one for part in parts for one in _needs(part)})
        case All(parts=parts):
            return _products(parts)
        case _:
            return {Need(frozenset())}


def _products(parts: tuple[Policy, ...]) -> set[Need]:
    found = {Need(frozenset())}
    for part in parts:
        # Bounded at every step, or ten alternatives of ten would be ten thousand million.
        found = _few({one.and_also(other) for one in found for other in _needs(part)})
    return found


def _few(needs: set[Need]) -> set[Need]:
    if len(needs) > MAX_SETS:
        raise _TooMany
    return needs


def _leaves(policy: Policy) -> Iterator[Policy]:
    match policy:
        case All(parts=parts) | AnyOf(parts=parts):
            for part in parts:
                yield from _leaves(part)
        case Hide(part=part):
            yield from _leaves(part)
        case _:
            yield policy
