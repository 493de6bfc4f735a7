"""Who is calling, as far as their token says."""

import hashlib
from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any

import msgspec

from mintmark.protocol.access_token import AccessToken
from mintmark.protocol.scope import Scope

__all__ = ["Caller", "CallerKind", "caller_of", "token_digest"]


class CallerKind(StrEnum):
    """For whom the client speaks."""

    APPLICATION = "application"  # for itself
    DELEGATED = "delegated"  # for a person who let it


class Caller(msgspec.Struct, frozen=True, kw_only=True):
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

    @property
    def auth_time(self) -> float | None:
        """When the person signed in, in seconds since 1970."""
        value = self.claims.get("auth_time")
        return value if isinstance(value, int | float) else None


def caller_of(token: AccessToken, digest: bytes) -> Caller:
    # RFC 9068 §5: without a person `sub` is the client itself, and no client may choose an id
    # that is somebody's subject.
    own = token.sub == token.client_id
    return Caller(
        kind=CallerKind.APPLICATION if own else CallerKind.DELEGATED,
        issuer=token.iss,
        subject=token.sub,
        client_id=token.client_id,
        scopes=token.scopes,
        audience=token.aud,
        expires_at=token.expires_at,
        token_ref=digest[:8].hex(),
        claims=MappingProxyType(dict(token.claims)),
    )


def token_digest(token: bytes) -> bytes:
    """What a token is remembered by, so that no bearer token lies in memory for long."""
    return hashlib.sha256(token).digest()
