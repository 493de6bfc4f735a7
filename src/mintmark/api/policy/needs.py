"""What a policy asks for, known without judging anybody: for OpenAPI, metadata and challenges."""

from collections.abc import Iterator
from typing import Final

from mintmark.api.policy.assurance import LoginLeaf
from mintmark.api.policy.combined import All, AnyOf, Hide
from mintmark.api.policy.details import DetailLeaf
from mintmark.api.policy.leaves import ScopeLeaf
from mintmark.api.policy.part import Policy
from mintmark.protocol.scope import Scope

__all__ = ["acr_of", "details_of", "scope_sets_of", "scopes_of"]

MAX_SETS: Final = 64


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


def scope_sets_of(policy: Policy) -> tuple[Scope, ...]:
    """The sets of scope values of which each may be enough, the smallest first.

    OpenAPI writes alternatives so. Past 64 of them there is one set, of all values: it asks for
    more than is needed, and is never too little.
    """
    try:
        sets = _sets(policy)
    except _TooMany:
        return (scopes_of(policy),)
    minimal = [one for one in sets if not any(other < one for other in sets)]
    return tuple(sorted(minimal, key=lambda one: (len(one), sorted(one))))


def _sets(policy: Policy) -> set[Scope]:
    match policy:
        case ScopeLeaf(wanted=wanted):
            return {wanted}
        case Hide(part=part):
            return _sets(part)
        case AnyOf(parts=parts):
            return _few({one for part in parts for one in _sets(part)})
        case All(parts=parts):
            return _products(parts)
        case _:
            return {frozenset()}


def _products(parts: tuple[Policy, ...]) -> set[Scope]:
    found: set[Scope] = {frozenset()}
    for part in parts:
        # Bounded at every step, or ten alternatives of ten would be ten thousand million.
        found = _few({one | other for one in found for other in _sets(part)})
    return found


def _few(sets: set[Scope]) -> set[Scope]:
    if len(sets) > MAX_SETS:
        raise _TooMany
    return sets


def _leaves(policy: Policy) -> Iterator[Policy]:
    match policy:
        case All(parts=parts) | AnyOf(parts=parts):
            for part in parts:
                yield from _leaves(part)
        case Hide(part=part):
            yield from _leaves(part)
        case _:
            yield policy
