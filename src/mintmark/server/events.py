"""Everything the token server logs."""

import logging
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

__all__ = [
    "ClientRefused",
    "CodeReused",
    "DeviceDecided",
    "GrantRefused",
    "LogoutCompleted",
    "PersonRefused",
    "PersonSignedIn",
    "PushedRequestRefused",
    "RefreshTokenReplayed",
    "RefreshTokenReused",
    "RequestFailed",
    "TokenExchanged",
    "TokenIssued",
    "UserCodeRefused",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenIssued:
    """A token request was answered with tokens."""

    name: ClassVar[str] = "token.issued"
    level: ClassVar[int] = logging.DEBUG

    client_id: str
    grant_type: str
    subject: str
    scope: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenExchanged:
    """A client got a token about somebody whose token it was called with."""

    name: ClassVar[str] = "token.exchanged"
    level: ClassVar[int] = logging.INFO

    client_id: str
    subject: str
    actor: str  # empty: impersonation, which the new token does not tell
    origin: str  # the audience of the token that was brought
    target: str  # that of the new one
    scope: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantRefused:
    """A token request was refused; `reason` is what the client was not told."""

    name: ClassVar[str] = "grant.refused"
    level: ClassVar[int] = logging.INFO

    client_id: str
    grant_type: str
    error: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientRefused:
    """Somebody failed to prove that they are this client. Many of these: somebody guesses."""

    name: ClassVar[str] = "client.refused"
    level: ClassVar[int] = logging.WARNING

    client_id: str
    reason: str
    client_address: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeReused:
    """An authorization code came twice: it leaked. Everything made from it is revoked."""

    name: ClassVar[str] = "code.reused"
    level: ClassVar[int] = logging.WARNING

    client_id: str
    family: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshTokenReplayed:
    """A spent refresh token came back within the grace: an answer was lost on its way."""

    name: ClassVar[str] = "refresh_token.replayed"
    level: ClassVar[int] = logging.INFO

    client_id: str
    family: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshTokenReused:
    """A spent refresh token came back: it leaked, or a client retries badly.

    Someone should look: the family is already revoked, and the person has to sign in again.
    """

    name: ClassVar[str] = "refresh_token.reused"
    level: ClassVar[int] = logging.WARNING

    client_id: str
    family: str
    spent_for: timedelta  # between the token being spent and coming back


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonSignedIn:
    """A password was right and a session began."""

    name: ClassVar[str] = "person.signed_in"
    level: ClassVar[int] = logging.INFO

    subject: str
    client_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonRefused:
    """A sign-in failed. The name typed is not logged: people type passwords there by mistake."""

    name: ClassVar[str] = "person.refused"
    level: ClassVar[int] = logging.INFO

    reason: str
    client_address: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PushedRequestRefused:
    """A request that a client sent ahead of the browser was refused; `reason` is for us."""

    name: ClassVar[str] = "pushed_request.refused"
    level: ClassVar[int] = logging.INFO

    client_id: str
    error: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceDecided:
    """Somebody let a device in, or refused it."""

    name: ClassVar[str] = "device.decided"
    level: ClassVar[int] = logging.INFO

    client_id: str
    subject: str
    decision: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UserCodeRefused:
    """Somebody typed a code that no device waits under. Many of these: somebody guesses."""

    name: ClassVar[str] = "user_code.refused"
    level: ClassVar[int] = logging.WARNING

    reason: str
    client_address: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LogoutCompleted:
    """A session ended, and with it every refresh token that came from it."""

    name: ClassVar[str] = "logout.completed"
    level: ClassVar[int] = logging.INFO

    subject: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestFailed:
    """A request could not be answered through a fault of ours or of the database."""

    name: ClassVar[str] = "request.failed"
    level: ClassVar[int] = logging.ERROR

    path: str
    kind: str
