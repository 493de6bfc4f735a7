"""What is kept of a person's session, and of a sign-in that is under way."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from mintmark.client.stores import UserTokens
from mintmark.secret import Secret

__all__ = ["AttemptRecord", "SessionRecord", "SessionStore", "User"]


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Who is signed in."""

    subject: str
    name: str
    claims: Mapping[str, Any]
    sid: str | None  # the session at the token server


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRecord:
    """One signed-in browser. Found by the SHA-256 of its cookie's value."""

    digest: bytes
    user: User
    began: datetime
    last_seen: datetime
    expires: datetime  # however busy it is


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptRecord:
    """A sign-in that is under way, by the SHA-256 of its `state`. Each tab has one of its own."""

    digest: bytes
    browser: bytes  # the SHA-256 of the cookie of the browser that began it
    sealed: bytes  # nonce, code_verifier and where to return to
    expires: datetime


class SessionStore(Protocol):
    """Sessions, their tokens, and sign-ins under way. Methods may be called from any thread.

    It is a `UserTokenStore` as well: `load`, `replace` and `forget` take the cookie's value.
    """

    def add_attempt(self, record: AttemptRecord, *, now: datetime) -> None:
        """Keep an attempt until it is taken or over."""
        ...

    def take_attempt(self, digest: bytes, *, now: datetime) -> AttemptRecord | None:
        """Find an attempt and delete it, at once: of two callbacks one gets it."""
        ...

    def begin(self, record: SessionRecord, tokens: UserTokens) -> None: ...

    def find(self, digest: bytes, *, now: datetime, idle_since: datetime) -> SessionRecord | None:
        """A live session, not idle since before `idle_since`; it has been seen now."""
        ...

    def end(self, digest: bytes) -> UserTokens | None:
        """End a session; gives its tokens, so that they can be revoked."""
        ...

    def load(self, session: Secret) -> UserTokens | None: ...

    def replace(self, session: Secret, tokens: UserTokens) -> UserTokens: ...

    def forget(self, session: Secret) -> None: ...
