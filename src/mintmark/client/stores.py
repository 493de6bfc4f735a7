"""Where a person's tokens are kept between requests."""

import threading
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, final

from mintmark.protocol.scope import Scope
from mintmark.secret import Secret

__all__ = ["MemoryUserTokens", "StoredToken", "UserTokenStore", "UserTokens"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredToken:
    """An access token of a person, for one API."""

    access_token: Secret
    received: datetime
    expires_at: datetime | None  # None: the server did not say
    scope: Scope
    resource: frozenset[str]
    renew_at: datetime | None = None  # when the server would like to be asked again
    jkt: str = ""  # names the key or certificate that it is bound to


@dataclass(frozen=True, slots=True, kw_only=True)
class UserTokens:
    """All tokens of one sign-in. `version` grows with every change: two writers never both win."""

    version: int = 1
    subject: str
    refresh_token: Secret | None
    id_token: Secret | None
    access_tokens: tuple[StoredToken, ...] = field(default=())
    proof_key: Secret | None = None  # all of them are bound to it (RFC 9449)


class UserTokenStore(Protocol):
    """Tokens by session. Methods may be called from any thread, and may wait."""

    def load(self, session: Secret) -> UserTokens | None:
        """None when there are none, or what is there cannot be read."""
        ...

    def replace(self, session: Secret, tokens: UserTokens) -> UserTokens:
        """Store a next version, if `tokens.version` is one more than the stored one.

        Gives back what is stored afterwards: `tokens`, or what somebody else stored first.

        Raises:
            KeyError: the session is gone.
        """
        ...

    def forget(self, session: Secret) -> None:
        """Repeating it is harmless."""
        ...


@final
class MemoryUserTokens:
    """In memory: for tests, and for programs that are one process and forget at their end."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tokens: dict[bytes, UserTokens] = {}

    def begin(self, session: Secret, tokens: UserTokens) -> None:
        """A new sign-in; older tokens of this session are gone."""
        with self._lock:
            self._tokens[session.digest()] = tokens

    def load(self, session: Secret) -> UserTokens | None:
        return self._tokens.get(session.digest())

    def replace(self, session: Secret, tokens: UserTokens) -> UserTokens:
        with self._lock:
            stored = self._tokens[session.digest()]
            if stored.version + 1 == tokens.version:
                self._tokens[session.digest()] = stored = tokens
            return stored

    def forget(self, session: Secret) -> None:
        with self._lock:
            self._tokens.pop(session.digest(), None)
