"""What a client learns of a person: by scope, or by name (OIDC Core §5.4, §5.5)."""

from collections.abc import Iterable
from typing import Any, Final

from mintmark.protocol.scope import Scope
from mintmark.server.stores import AccountRecord

__all__ = ["CLAIMS_SUPPORTED", "claims_about", "covering"]

PROFILE_CLAIMS: Final = (
    *("name", "given_name", "family_name", "picture", "locale", "zoneinfo", "website"),
    "preferred_username",
)
EMAIL_CLAIMS: Final = ("email",)
_COVERS: Final = {
    **dict.fromkeys(PROFILE_CLAIMS, "profile"),
    **dict.fromkeys(EMAIL_CLAIMS, "email"),
}
CLAIMS_SUPPORTED: Final = ("sub", *_COVERS)


def covering(names: Iterable[str]) -> Scope:
    """The scope values that stand for these claims: what a person agrees to, and reads of them."""
    return frozenset(_COVERS[name] for name in names if name in _COVERS)


def claims_about(account: AccountRecord, scope: Scope, names: Iterable[str] = ()) -> dict[str, Any]:
    """What this scope, and these names beside it, let a client know of a person."""
    wanted = {name for name, cover in _COVERS.items() if cover in scope} | set(names)
    known = {**account.claims, "preferred_username": account.username}
    return {name: known[name] for name in _COVERS if name in wanted and name in known}
