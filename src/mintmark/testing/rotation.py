"""How the token server for tests renews: rotation, a second use of a spent token, a second chance."""

import threading
from dataclasses import dataclass, field
from datetime import timedelta
from typing import final

from mintmark.protocol.authorization import AuthorizationRequest
from mintmark.protocol.errors import ErrorCode, OAuthError
from mintmark.protocol.scope import Scope
from mintmark.secret import Secret

__all__ = ["Family", "RefreshTokens"]


@dataclass(slots=True, eq=False)
class Family:
    """Everything that came of one sign-in."""

    request: AuthorizationRequest
    scope: Scope
    ended: bool = False


@dataclass(slots=True)
class _Issued:
    family: Family
    spent_at: float | None = None
    successor: Secret | None = field(default=None, repr=False)


@final
class RefreshTokens:
    """Those that are out, and those that were: each works once, or for ever.

    Attributes:
        rotates: a renewal gives a new one, and the old one is spent.
        detects_reuse: a second use of a spent one ends the family (RFC 9700 §4.14.2).
        grace: for so long a spent one gives its own successor again, until that was used itself.
        reused: second uses that were refused.
    """

    def __init__(self) -> None:
        self.rotates = True
        self.detects_reuse = False
        self.grace = timedelta(0)
        self.reused = 0
        self._lock = threading.Lock()
        self._issued: dict[bytes, _Issued] = {}

    def begin(self, family: Family) -> Secret:
        """The first of a family."""
        token = Secret.generate()
        with self._lock:
            self._issued[token.digest()] = _Issued(family)
        return token

    def spend(self, token: Secret, now: float) -> tuple[Family, Secret | None]:
        """Whose it is, and what comes next; None where nothing new is given.

        Raises:
            OAuthError: INVALID_GRANT.
        """
        with self._lock:
            issued = self._issued.get(token.digest())
            if issued is None or issued.family.ended:
                raise OAuthError(ErrorCode.INVALID_GRANT, "the refresh token is not valid")
            if not self.rotates and issued.spent_at is None:
                return issued.family, None
            if issued.spent_at is None:
                issued.spent_at, issued.successor = now, Secret.generate()
                self._issued[issued.successor.digest()] = _Issued(issued.family)
                return issued.family, issued.successor
            return issued.family, self._again(issued, now)

    def _again(self, issued: _Issued, now: float) -> Secret:
        """A second use: too late an answer was lost, or somebody has a copy."""
        assert issued.spent_at is not None
        assert issued.successor is not None
        unused = self._issued[issued.successor.digest()].spent_at is None
        # Both ends, or a clock that was set back would make the grace as long as that.
        if unused and 0 <= now - issued.spent_at < self.grace.total_seconds():
            return issued.successor
        self.reused += 1
        issued.family.ended = issued.family.ended or self.detects_reuse
        raise OAuthError(ErrorCode.INVALID_GRANT, "the refresh token was used before")

    def end(self, token: Secret) -> None:
        """This one's family is over; one that nobody knows ends nothing (RFC 7009 §2.2)."""
        with self._lock:
            issued = self._issued.get(token.digest())
            if issued is not None:
                issued.family.ended = True

    def end_all(self) -> None:
        with self._lock:
            for issued in self._issued.values():
                issued.family.ended = True
