"""Where an issuer puts what this API wants to know, when it is not where the dialect says.

Nothing is renamed unless somebody asks for it: a claim is called here what it is called on the wire.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, final

import msgspec

from mintmark.api.caller import Caller, Identity
from mintmark.api.policy.claims import MISSING, Path, find, read_path
from mintmark.jose.errors import ClaimRefused
from mintmark.protocol.errors import OAuthError
from mintmark.protocol.scope import Scope, parse_scope

__all__ = [
    "ClaimMap",
    "NotIdempotent",
    "Transform",
    "TransformRefused",
    "Transformation",
    "map_claims",
    "read_names",
    "read_scopes",
    "read_text",
]

Transform = Callable[[Caller], Awaitable[Caller]]

MAX_TEXT: Final = 512
_PROTECTED: Final = frozenset(
    {"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "cnf", "act", "client_id", "auth_time"}
    # OIDC Back-Channel Logout §2.4: by `sid` the tokens of a session are taken back.
    | {"acr", "amr", "authorization_details", "scope", "sid"}
)
_NO_RENAMES: Final[Mapping[str, Path]] = MappingProxyType({})


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimMap:
    """Paths to claims; None leaves a thing where the dialect finds it."""

    subject: Path | None = None
    client_id: Path | None = None
    scopes: Path | None = None
    roles: Path | None = None
    groups: Path | None = None
    rename: Mapping[str, Path] = field(default_factory=lambda: _NO_RENAMES)

    def identity(self, claims: Mapping[str, Any], identity: Identity) -> Identity:
        """The identity with what this map knows better.

        Raises:
            ClaimRefused: a claim is there and not what it has to be, or must be there and is not.
        """
        changed: dict[str, Any] = {}
        for name in ("subject", "client_id"):
            if (path := getattr(self, name)) is not None:
                changed[name] = read_text(find(claims, path), ".".join(path))
        if self.scopes is not None:
            changed["scopes"] = read_scopes(find(claims, self.scopes), ".".join(self.scopes))
        for name in ("roles", "groups"):
            if (path := getattr(self, name)) is not None:
                changed[name] = read_names(find(claims, path), ".".join(path))
        return msgspec.structs.replace(identity, **changed) if changed else identity

    def claims(self, claims: Mapping[str, Any]) -> Mapping[str, Any]:
        """The claims under their new names, if there are any."""
        if not self.rename:
            return claims
        # A claim that the token has under the new name already is dropped even where the mapped
        # one is missing: else the token could choose what passes for it.
        taken = set(self.rename) | {path[0] for path in self.rename.values() if len(path) == 1}
        kept = {name: value for name, value in claims.items() if name not in taken}
        found = ((name, find(claims, path)) for name, path in self.rename.items())
        return kept | {name: value for name, value in found if value is not MISSING}


def map_claims(
    *,
    subject: str | Path | None = None,
    client_id: str | Path | None = None,
    scopes: str | Path | None = None,
    roles: str | Path | None = None,
    groups: str | Path | None = None,
    rename: Mapping[str, str | Path] | None = None,
) -> ClaimMap:
    """Where things are: `map_claims(roles="realm_access.roles")`.

    Args:
        rename: new names, and the path to what is to be called so.
    """
    renamed = {new: read_path(old) for new, old in (rename or {}).items()}
    for name in renamed:
        if not name or name in _PROTECTED:
            raise ValueError(f"rename: {name or 'an empty name'} has a meaning that is not yours")
    if any(path[0] in _PROTECTED for path in renamed.values()):
        raise ValueError("rename: what a specification gives a name keeps it")
    return ClaimMap(
        subject=_path(subject),
        client_id=_path(client_id),
        scopes=_path(scopes),
        roles=_path(roles),
        groups=_path(groups),
        rename=MappingProxyType(renamed),
    )


def _path(path: str | Path | None) -> Path | None:
    return None if path is None else read_path(path)


def read_text(value: Any, claim: str) -> str:
    """A name that must be there.

    Raises:
        ClaimRefused: it is missing, no text, too long, or holds what cannot be shown.
    """
    if type(value) is not str or not 0 < len(value) <= MAX_TEXT or not value.isprintable():
        raise ClaimRefused(claim, "is missing, no text, too long, or cannot be shown")
    return value


def read_names(value: Any, claim: str) -> frozenset[str]:
    """Roles or groups, in a list; a text is one of them, whole, blanks and commas included."""
    if value is MISSING:
        return frozenset()
    names = [value] if type(value) is str else value
    if type(names) not in (list, tuple) or not all(type(one) is str and one for one in names):
        raise ClaimRefused(claim, "is no list of texts")
    return frozenset(names)


def read_scopes(value: Any, claim: str) -> Scope:
    """Scope values: a list, or a text with blanks between them (RFC 8693 §4.2)."""
    if value is MISSING or value in ("", []):
        return frozenset()
    if type(value) is list and all(type(one) is str and " " not in one for one in value):
        value = " ".join(value)
    if type(value) is not str:
        raise ClaimRefused(claim, "is no text and no list of texts")
    try:
        return parse_scope(value)
    except OAuthError:
        raise ClaimRefused(claim, "cannot be read") from None


class TransformRefused(Exception):
    """The application's transformation made a caller out of what was not proved."""


class NotIdempotent(TransformRefused):
    """The transformation says something else the second time."""


@final
class Transformation:
    """The application's own last word on a caller: roles out of a database, say.

    It runs once for a token and may run again for the same one, so it must give the same both
    times.

    Args:
        transform: takes a caller and gives one; `msgspec.structs.replace` makes changed copies.
        check: run it twice, and raise when the second result differs: for development.
    """

    __slots__ = ("_check", "_transform")

    def __init__(self, transform: Transform, *, check: bool = False) -> None:
        self._transform = transform
        self._check = check

    async def apply(self, caller: Caller) -> Caller:
        """The caller as the application sees them.

        Raises:
            TransformRefused: it changed what only the token can say, or is not idempotent.
            Exception: whatever the application raises.
        """
        changed = require_same_token(caller, await self._transform(caller))
        if self._check and await self._transform(changed) != changed:
            raise NotIdempotent("the transformation gives something else the second time")
        return changed


def require_same_token(before: Caller, after: object) -> Caller:
    """The second caller, if it still is the bearer of the first one's token."""
    if not isinstance(after, Caller):
        raise TransformRefused("the transformation gave no caller")
    for name in ("kind", "issuer", "audience", "binding", "token_ref", "actor_chain"):
        if getattr(after, name) != getattr(before, name):
            raise TransformRefused(f"the transformation changed {name}")
    if after.expires_at > before.expires_at:
        raise TransformRefused("the transformation lets the token live longer")
    return after
