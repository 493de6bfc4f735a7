"""Everything the client logs."""

import logging
from dataclasses import dataclass
from typing import ClassVar

__all__ = ["TokenFetchFailed", "TokenFetched", "TokenForgotten", "TokenServedStale"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenFetched:
    """A token was fetched or renewed."""

    name: ClassVar[str] = "token.fetched"
    level: ClassVar[int] = logging.DEBUG

    kind: str
    client_id: str
    fingerprint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenFetchFailed:
    """No token could be fetched; nobody asks again for `pause` seconds."""

    name: ClassVar[str] = "token.fetch_failed"
    level: ClassVar[int] = logging.WARNING

    kind: str
    client_id: str
    reason: str
    pause: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenServedStale:
    """The server is down; a token past its slack, but not past its expiry, was handed out."""

    name: ClassVar[str] = "token.served_stale"
    level: ClassVar[int] = logging.WARNING

    kind: str
    client_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenForgotten:
    """An API refused a held token before its time: it was revoked, or the keys changed."""

    name: ClassVar[str] = "token.forgotten"
    level: ClassVar[int] = logging.INFO

    kind: str
    client_id: str
    fingerprint: str
