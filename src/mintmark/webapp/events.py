"""Everything a web application's sign-in logs."""

import logging
from dataclasses import dataclass
from typing import ClassVar

__all__ = ["CrossSiteRefused", "RevocationFailed", "SignInFailed", "SignedIn", "SignedOut"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedIn:
    """Somebody signed in; a new session began."""

    name: ClassVar[str] = "sign_in.completed"
    level: ClassVar[int] = logging.INFO

    subject: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SignInFailed:
    """A sign-in came back wrong. Now and then that is a person who pressed Back; many at once
    are an attack or a broken setting."""

    name: ClassVar[str] = "sign_in.failed"
    level: ClassVar[int] = logging.WARNING

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedOut:
    """Somebody signed out; their session and tokens are gone."""

    name: ClassVar[str] = "sign_out.completed"
    level: ClassVar[int] = logging.INFO

    subject: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RevocationFailed:
    """A refresh token could not be revoked at sign-out. It was deleted here all the same."""

    name: ClassVar[str] = "sign_out.revocation_failed"
    level: ClassVar[int] = logging.WARNING

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossSiteRefused:
    """A request was refused because another site caused it."""

    name: ClassVar[str] = "cross_site.refused"
    level: ClassVar[int] = logging.WARNING

    reason: str
    path: str
