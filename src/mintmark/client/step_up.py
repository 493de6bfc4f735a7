"""What an API's challenge asks a person for (RFC 9470, RFC 6750 §3.1, claims challenges)."""

import binascii
from base64 import urlsafe_b64decode
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from mintmark.client.errors import InsufficientScope, StepUpRequired
from mintmark.jose.errors import Malformed
from mintmark.jose.strict_json import decode_object
from mintmark.protocol.challenge import Challenge
from mintmark.protocol.errors import OAuthError
from mintmark.protocol.scope import Scope, parse_scope

__all__ = ["require_enough"]

SCHEMES = ("Bearer", "DPoP")


def require_enough(status: int, challenges: Iterable[Challenge]) -> None:
    """Nothing happens unless the API asks for something that another sign-in could give.

    Raises:
        StepUpRequired: with what it asks for.
    """
    for challenge in challenges:
        if any(challenge.is_for(scheme) for scheme in SCHEMES):
            _require_enough(status, challenge.parameters)


def _require_enough(status: int, parameters: Mapping[str, str]) -> None:
    scope = _scope(parameters.get("scope", ""))
    match status, parameters.get("error"):
        case 403, "insufficient_scope":
            raise InsufficientScope(scope)
        # RFC 9470 §3
        case 401, "insufficient_user_authentication":
            raise StepUpRequired(
                scope=scope,
                acr_values=tuple(parameters.get("acr_values", "").split()),
                max_age=_seconds(parameters.get("max_age", "")),
            )
        # Microsoft's form: the parameter `claims` of the next request, in Base64.
        case 401 | 403, "insufficient_claims":
            claims = _claims(parameters.get("claims", ""))
            # Without readable claims another sign-in would bring the same token again.
            if claims:
                raise StepUpRequired(claims=claims)


def _scope(text: str) -> Scope:
    try:
        return parse_scope(text)
    except OAuthError:
        return frozenset()


def _seconds(text: str) -> timedelta | None:
    if text.isascii() and text.isdigit() and len(text) < 10:
        return timedelta(seconds=int(text))
    return None


def _claims(text: str) -> dict[str, Any] | None:
    padded = text.replace("+", "-").replace("/", "_").rstrip("=")
    padded += "=" * (-len(padded) % 4)
    try:
        claims = decode_object(urlsafe_b64decode(padded))
    except (binascii.Error, ValueError, Malformed):
        return None
    # OIDC Core §5.5: sections, each of which names claims.
    return claims if all(isinstance(section, dict) for section in claims.values()) else None
