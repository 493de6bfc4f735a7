"""The `claims` parameter: what a client wants to know, by name (OIDC Core §5.5)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from mintmark.jose.errors import JoseError
from mintmark.jose.strict_json import decode_object
from mintmark.protocol.errors import ErrorCode, OAuthError

__all__ = ["ClaimsRequest"]

MAX_NAMES: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimsRequest:
    """What is wanted in the ID token and at UserInfo, and what must hold or nobody signs in."""

    id_token: frozenset[str] = frozenset()
    userinfo: frozenset[str] = frozenset()
    subject: str | None = None  # this person, or none
    essential_acr: tuple[str, ...] = ()  # one of these, or none

    @classmethod
    def parse(cls, text: str | None) -> Self:
        """Raises `OAuthError(INVALID_REQUEST)`."""
        if text is None:
            return cls()
        try:
            members = decode_object(text.encode())
        except (JoseError, UnicodeEncodeError):
            raise _unreadable() from None
        id_token, userinfo = _section(members, "id_token"), _section(members, "userinfo")
        acr = id_token.get("acr") or {}
        acr_values = _values(acr)
        subjects = _values(id_token.get("sub") or {}) + _values(userinfo.get("sub") or {})
        if len(set(subjects)) > 1:
            raise OAuthError(ErrorCode.INVALID_REQUEST, "claims asks for two people")
        return cls(
            id_token=frozenset(id_token),
            userinfo=frozenset(userinfo),
            subject=subjects[0] if subjects else None,
            essential_acr=acr_values if acr.get("essential") is True else (),
        )


def _section(members: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = members.get(name)
    if found is None:
        return {}
    if not isinstance(found, dict) or len(found) > MAX_NAMES:
        raise _unreadable()
    # OIDC Core §5.5.1: `null`, or an object that says more.
    if not all(one is None or isinstance(one, dict) for one in found.values()):
        raise _unreadable()
    return found


def _values(asked: Mapping[str, Any]) -> tuple[str, ...]:
    values = asked.get("values", [asked["value"]] if "value" in asked else [])
    if not isinstance(values, list) or not all(isinstance(one, str) for one in values):
        raise _unreadable()
    return tuple(values)


def _unreadable() -> OAuthError:
    return OAuthError(ErrorCode.INVALID_REQUEST, "claims cannot be read")
