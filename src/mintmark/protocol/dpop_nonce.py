"""A nonce that the server chose, and knows again without having kept it (RFC 9449 §8)."""

import hmac
import struct
from datetime import timedelta
from typing import Final, NoReturn, final

from mintmark.jose.base64url import encode

__all__ = ["KEY_LENGTH", "NonceRefused", "Nonces"]

KEY_LENGTH: Final = 32
_LABEL: Final = b"mintmark dpop nonce\0"
_LENGTH: Final = 24


class NonceRefused(Exception):
    """No nonce of ours, or none any more. `reason` is for the log."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@final
class Nonces:
    """Nonces that turn with time: a keyed hash of the number of the current period.

    Nobody without the key can say a later one, so a proof that carries one was made after it was
    given out, whatever its own clock says. Processes with the same key agree, and there is no
    table that a flood of requests could fill.
    """

    __slots__ = ("_key", "_known", "lifetime")

    def __init__(self, key: bytes, *, lifetime: timedelta = timedelta(seconds=60)) -> None:
        """A nonce is accepted for at least `lifetime`, and for less than twice that."""
        if len(key) != KEY_LENGTH:
            raise ValueError(f"the key for nonces must be {KEY_LENGTH} bytes")
        if lifetime < timedelta(seconds=1):
            raise ValueError(f"lifetime ({lifetime}) must be a second or more")
        self._key = key
        self.lifetime = lifetime.total_seconds()
        self._known: tuple[int, str, str] = (-1, "", "")

    def current(self, now: float) -> str:
        """The nonce to give out at this moment; `now` in seconds since 1970."""
        return self._generations(now)[0]

    def require_current(self, nonce: str | None, now: float) -> str:
        """Refuse every nonce but that of this period and of the one before.

        Raises:
            NonceRefused
        """
        # RFC 9449 §4.3 (10)
        if nonce is None:
            raise NonceRefused("nonce is missing")
        offered = nonce.encode("utf-8", "replace")
        # RFC 9449 §8.2: what was just given out must not fail because a period has ended since.
        fits = [hmac.compare_digest(offered, one.encode()) for one in self._generations(now)]
        if not any(fits):
            raise NonceRefused("nonce is not of this server, or too old")
        return nonce

    def _generations(self, now: float) -> tuple[str, str]:
        """This period's and the last one's."""
        period = int(now // self.lifetime)
        known, current, previous = self._known
        if known != period:
            current, previous = self._of(period), self._of(period - 1)
            self._known = (period, current, previous)
        return current, previous

    def _of(self, period: int) -> str:
        digest = hmac.digest(self._key, _LABEL + struct.pack(">q", period), "sha256")
        return encode(digest[:_LENGTH])

    def __repr__(self) -> str:
        return f"<Nonces lifetime={self.lifetime:g}s>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("the key for nonces is not pickled")
