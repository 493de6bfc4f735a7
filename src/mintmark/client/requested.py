"""What a caller asked for, in the one form that keys and requests are made of."""

from collections.abc import Iterable, Mapping
from typing import Any

from mintmark.protocol.authorization_details import format_claims, format_details
from mintmark.protocol.scope import Scope, parse_scope

__all__ = ["requested_extra", "requested_resources", "requested_scope"]


def requested_scope(scope: str | Scope) -> Scope:
    """Scope values, as text or as a set."""
    return (parse_scope(scope) if scope else frozenset()) if isinstance(scope, str) else scope


def requested_resources(resource: str | Iterable[str]) -> frozenset[str]:
    """One or several; their order means nothing (RFC 8707 §2)."""
    return frozenset({resource} if isinstance(resource, str) else resource)


def requested_extra(
    authorization_details: Iterable[Mapping[str, Any]],
    claims: Mapping[str, Any] | str | None,
    **others: str | None,
) -> frozenset[tuple[str, str]]:
    """Everything else that makes one request another, by the name it travels under.

    Raises:
        ValueError: it is no JSON, or a detail without a `type`.
    """
    members = {
        "authorization_details": format_details(authorization_details),
        "claims": format_claims(claims),
        **others,
    }
    return frozenset((name, value) for name, value in members.items() if value)
