"""A token server that rotates, replays within its grace, and takes a late use for theft."""

import secrets
import threading
import time
from dataclasses import dataclass, field
from typing import final

from mintmark.client import UserTokens
from mintmark.protocol.errors import ErrorCode, OAuthError
from mintmark.protocol.token import TokenResponse
from mintmark.secret import Secret
from mintmark.testing import FakeAuthority
from mintmark.testing.asked import Asked

__all__ = ["Rotating"]


@dataclass
class _Used:
    successor: str
    at: float


@final
@dataclass
class Rotating:
    """Put in the place of the fake's own `refresh_token` grant.

    Attributes:
        rotated: refreshes that made a new pair.
        replayed: uses of a token that was used already, within the grace.
        stolen: uses that ended a family. Each is a person who has to sign in again.
    """

    authority: FakeAuthority
    grace: float = 30.0
    rotated: int = 0
    replayed: int = 0
    stolen: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _live: dict[str, str] = field(default_factory=dict, repr=False)  # token -> subject
    _used: dict[str, _Used] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        self.authority.grants["refresh_token"] = self.refresh

    def sign_in(self, subject: str) -> UserTokens:
        """What a sign-in left: a refresh token alone."""
        token = secrets.token_urlsafe(32)
        self._live[token] = subject
        return UserTokens(subject=subject, refresh_token=Secret(token), id_token=None)

    def refresh(self, asked: Asked) -> TokenResponse:
        token = asked.form.required("refresh_token", str)
        with self._lock:
            subject, successor = self._rotate(token)
        return TokenResponse(
            access_token=self.authority.access_token(sub=subject),
            token_type="Bearer",
            expires_in=self.authority.lifetime,
            refresh_token=Secret(successor),
        )

    def _rotate(self, token: str) -> tuple[str, str]:
        used = self._used.get(token)
        if used is not None:
            successor = used.successor
            # Once the successor has been used, whoever comes with its parent is no late reader.
            if time.monotonic() - used.at < self.grace and successor in self._live:
                self.replayed += 1
                return self._live[successor], successor
            self.stolen += 1
            self._live.pop(self._youngest(token), None)
        subject = self._live.pop(token, None)
        if subject is None:
            raise OAuthError(ErrorCode.INVALID_GRANT, "the refresh token is not valid")
        successor = secrets.token_urlsafe(32)
        self._live[successor] = subject
        self._used[token] = _Used(successor, time.monotonic())
        self.rotated += 1
        return subject, successor

    def _youngest(self, token: str) -> str:
        while token in self._used:
            token = self._used[token].successor
        return token
