"""Callers made by hand, for tests of what comes after the token."""

from typing import Any

from mintmark.api.caller import Caller, CallerKind

NOW = 1_800_000_000.0


def caller_with(scope: str = "", **changes: Any) -> Caller:
    """A person's caller, with whatever is said otherwise."""
    known: dict[str, Any] = {
        "kind": CallerKind.DELEGATED,
        "issuer": "https://id.example",
        "subject": "alice",
        "client_id": "web",
        "scopes": frozenset(scope.split()),
        "audience": ("https://api.example",),
        "expires_at": NOW + 300,
        "token_ref": "0011223344556677",
        "claims": {},
    }
    return Caller(**(known | changes))
