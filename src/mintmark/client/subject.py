"""Whom a token is asked for: the token that says so, and when it ends."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from typing import final

from mintmark.client.errors import LoginRequired, TokenUnavailable
from mintmark.secret import Secret

__all__ = ["CallerToken", "Subject", "SubjectToken", "current_subject"]


@dataclass(frozen=True, slots=True)
class SubjectToken:
    """Somebody's token. With its end known, nothing got with it is handed out after that."""

    token: Secret
    expires_at: datetime | None = None

    def __post_init__(self) -> None:
        if self.expires_at is not None and self.expires_at.tzinfo is None:
            raise ValueError("expires_at needs a time zone: it is compared with a moment")


_TOKEN = re.compile(r"[\x20-\x7E]+")
"""RFC 6749 §A.12. Whatever else a header held was no token, and cannot be given to a server."""

Subject = Secret | SubjectToken | Callable[[], Secret | SubjectToken]
"""A token, or a callable that gives the one of whoever is being served right now.

A callable is asked in the caller's own thread or task, for every call.
"""


@final
class CallerToken:
    """The token of the request that is being served, each task and thread seeing its own.

    Make one for the application. Whatever accepts requests says `with caller.of(token): ...` or
    calls `set`; recipes made with `subject=caller` read it when a token is wanted.
    """

    def __init__(self) -> None:
        self._current: ContextVar[SubjectToken | None] = ContextVar("caller_token", default=None)

    def __call__(self) -> SubjectToken:
        """Raises `LoginRequired`: nobody is being served here, so nothing is sent for anybody."""
        subject = self._current.get()
        if subject is None:
            raise LoginRequired("no caller's token is known here")
        return subject

    def set(self, token: Secret, *, expires_at: datetime | None = None) -> None:
        """For the rest of this task's or thread's context."""
        self._current.set(SubjectToken(token, expires_at))

    @contextmanager
    def of(self, token: Secret, *, expires_at: datetime | None = None) -> Iterator[None]:
        """For as long as the block lasts."""
        before = self._current.set(SubjectToken(token, expires_at))
        try:
            yield
        finally:
            self._current.reset(before)


def current_subject(subject: Subject, now: float) -> SubjectToken:
    """The subject of a call made now.

    Raises:
        LoginRequired: there is none, or their token has ended.
        TokenUnavailable: the callable fetches a token, and could not.
    """
    given: object = _given(subject)  # a framework's callable gives what it gives
    found = SubjectToken(given) if isinstance(given, Secret) else given
    if not isinstance(found, SubjectToken) or not _TOKEN.fullmatch(found.token.reveal()):
        raise LoginRequired("there is no caller's token")
    if found.expires_at is not None and found.expires_at.timestamp() <= now:
        raise LoginRequired("the caller's token has ended")
    return found


def _given(subject: Subject) -> Secret | SubjectToken:
    if isinstance(subject, Secret | SubjectToken):
        return subject
    try:
        return subject()
    except TokenUnavailable:
        raise  # an actor's own token that cannot be fetched now is no reason to sign anybody out
    except Exception as failure:  # noqa: BLE001 -- a framework's own exceptions are of any type
        # The type alone, and no cause: the message may quote the request.
        raise LoginRequired(f"the caller's token: {type(failure).__name__}") from None
