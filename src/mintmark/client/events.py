"""Everything the client logs."""

import logging
from dataclasses import dataclass
from typing import ClassVar

__all__ = [
    "RefreshTokenRefused",
    "RenewedTokensUnsaved",
    "SharedEntryUnreadable",
    "SharedLeaseLost",
    "SharedStoreBack",
    "SharedStoreLost",
    "SuccessorAdopted",
    "TokenFetchFailed",
    "TokenFetched",
    "TokenForgotten",
    "TokenServedStale",
]


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


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedEntryUnreadable:
    """An entry of the shared store could not be opened, and counts as missing.

    A key was changed without keeping the old one for a while, or somebody writes to the store.
    """

    name: ClassVar[str] = "shared.entry_unreadable"
    level: ClassVar[int] = logging.ERROR

    entry: str  # its name in the store: a digest
    kind: str
    client_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedStoreLost:
    """The shared store does not answer; each process fetches for itself until it is back."""

    name: ClassVar[str] = "shared.store_lost"
    level: ClassVar[int] = logging.ERROR

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedStoreBack:
    """The shared store answers again."""

    name: ClassVar[str] = "shared.store_back"
    level: ClassVar[int] = logging.WARNING


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedLeaseLost:
    """The right to fetch ended during a fetch: this process stood still, or the store lost it."""

    name: ClassVar[str] = "shared.lease_lost"
    level: ClassVar[int] = logging.WARNING

    kind: str
    client_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshTokenRefused:
    """The server refused the refresh token that is stored; this person has to sign in again."""

    name: ClassVar[str] = "refresh_token.refused"
    level: ClassVar[int] = logging.WARNING

    client_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SuccessorAdopted:
    """A refresh token was used up already; its successor was at hand and nobody was signed out."""

    name: ClassVar[str] = "refresh_token.successor_adopted"
    level: ClassVar[int] = logging.INFO

    client_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RenewedTokensUnsaved:
    """The server gave a new refresh token and the store did not take it; it is kept in memory."""

    name: ClassVar[str] = "refresh_token.unsaved"
    level: ClassVar[int] = logging.ERROR

    client_id: str
    reason: str
