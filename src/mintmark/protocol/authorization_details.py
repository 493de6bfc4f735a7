"""What exactly may be done: `authorization_details` (RFC 9396)."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from mintmark.jose.errors import Malformed
from mintmark.jose.strict_json import decode_object

__all__ = [
    "AuthorizationDetails",
    "format_claims",
    "format_details",
    "parse_details",
    "read_details",
]

AuthorizationDetails = tuple[Mapping[str, Any], ...]
"""Each with a `type`, which says what its other members mean (RFC 9396 §2)."""


def format_details(details: Iterable[Mapping[str, Any]]) -> str:
    """One JSON text for one set of details, whatever order they and their members came in.

    Empty for no details.

    Raises:
        ValueError: one has no `type`, or is no JSON.
    """
    encoded: list[bytes] = []
    for one in details:
        if not _has_type(one):
            raise ValueError("every authorization detail needs a type")
        try:
            encoded.append(msgspec.json.encode(dict(one), order="deterministic"))
        except (TypeError, ValueError, RecursionError):
            raise ValueError("an authorization detail cannot be written as JSON") from None
    return f"[{b','.join(sorted(encoded)).decode()}]" if encoded else ""


def read_details(value: Any) -> AuthorizationDetails:
    """The member of an answer.

    Raises:
        ValueError: it is no list of details.
    """
    if value is None:
        return ()
    if isinstance(value, list) and all(_has_type(one) for one in value):
        return tuple(value)
    raise ValueError("authorization_details is no list of details")


def _has_type(one: Any) -> bool:
    # RFC 9396 §2: required, and a text.
    return isinstance(one, Mapping) and isinstance(one.get("type"), str) and one["type"] != ""


def format_claims(claims: Mapping[str, Any] | str | None) -> str:
    """One JSON text for one `claims` parameter (OIDC Core §5.5); empty for none.

    Raises:
        ValueError: it is no JSON object.
    """
    if not claims:
        return ""
    try:
        read = decode_object(claims.encode()) if isinstance(claims, str) else dict(claims)
        return msgspec.json.encode(read, order="deterministic").decode()
    except (Malformed, TypeError, ValueError, RecursionError):
        raise ValueError("claims is no JSON object") from None


def parse_details(text: str) -> AuthorizationDetails:
    """The parameter of a request.

    Raises:
        ValueError: it is no JSON array of details.
    """
    try:
        # Through the strict reader: a member that stands there twice means two things.
        wrapped = decode_object(b'{"details":' + text.encode() + b"}")
    except (Malformed, UnicodeEncodeError):
        raise ValueError("authorization_details cannot be read") from None
    if wrapped.keys() != {"details"}:
        raise ValueError("authorization_details cannot be read")
    return read_details(wrapped["details"])
