"""Tokens refused before they expire: by `jti`, by session, or everything of a person up to a moment."""

import threading
from collections import OrderedDict
from typing import Final, Protocol, final

from mintmark.api.caller import Caller
from mintmark.forks import begin_again_after_fork

__all__ = ["Denied", "DenyList", "MemoryDenyList"]

MAX_ENTRIES: Final = 100_000


class Denied(Exception):
    """This token was taken back. `reason` is for the log."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class DenyList(Protocol):
    """Asked on every request, also for tokens that were proved a moment ago: answer from memory."""

    async def require_not_denied(self, caller: Caller, *, now: float) -> Caller:
        """Raises `Denied`; any other exception refuses as well, and is logged."""
        ...


@final
class MemoryDenyList:
    """In memory, bounded, the oldest entries leaving first. Safe to share between threads.

    Feed it from a revocation event, a back-channel logout, or an administrator's button. Every
    entry has a moment, in seconds since 1970, after which no token it is about can be alive.
    """

    def __init__(self, max_entries: int = MAX_ENTRIES) -> None:
        self._max = max_entries
        self.begin()
        begin_again_after_fork(self)
        self._until: OrderedDict[tuple[str, str, str], float] = OrderedDict()
        self._not_before: OrderedDict[tuple[str, str], tuple[float, float]] = OrderedDict()

    def begin(self) -> None:
        """A lock that nobody holds: some thread may have had the other at the moment of a fork."""
        self._lock = threading.Lock()

    def deny_token(self, issuer: str, jti: str, *, until: float) -> None:
        """This one token."""
        self._put("jti", issuer, jti, until)

    def deny_session(self, issuer: str, sid: str, *, until: float) -> None:
        """Every token of one sign-in (OIDC Back-Channel Logout §2.4 names it by `sid`)."""
        self._put("sid", issuer, sid, until)

    def deny_subject(self, issuer: str, sub: str, *, issued_before: float, until: float) -> None:
        """Every token of a person or client that was issued before a moment, and not at it."""
        with self._lock:
            earlier, last = self._not_before.pop((issuer, sub), (issued_before, until))
            self._not_before[issuer, sub] = (max(earlier, issued_before), max(last, until))
            while len(self._not_before) > self._max:
                self._not_before.popitem(last=False)

    def _put(self, kind: str, issuer: str, name: str, until: float) -> None:
        with self._lock:
            # What was said to hold for longer holds for longer, and what was said anew is young.
            earlier = self._until.pop((kind, issuer, name), until)
            self._until[kind, issuer, name] = max(earlier, until)
            while len(self._until) > self._max:
                self._until.popitem(last=False)

    async def require_not_denied(self, caller: Caller, *, now: float) -> Caller:
        for kind in ("jti", "sid"):
            name = caller.claims.get(kind)
            if isinstance(name, str) and now < self._until.get((kind, caller.issuer, name), 0.0):
                raise Denied(f"the token was taken back by its {kind}")
        # An issuer that takes somebody's tokens back names them by `sub`, whatever a map of claims
        # makes of it; the application by what it is told.
        for subject in (caller.subject, caller.claims.get("sub")):
            if isinstance(subject, str):
                self._require_newer(caller, subject, now)
        return caller

    def _require_newer(self, caller: Caller, subject: str, now: float) -> Caller:
        issued_before, until = self._not_before.get((caller.issuer, subject), (0.0, 0.0))
        iat = caller.claims.get("iat")
        # A token that does not say when it was made may be one of those.
        if now < until and not (isinstance(iat, int | float) and iat >= issued_before):
            raise Denied("tokens of this subject were taken back up to a moment")
        return caller
