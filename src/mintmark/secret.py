"""A value shown to nobody and compared in constant time."""

import hashlib
import hmac
import secrets
from typing import NoReturn, Self, final

__all__ = ["Secret"]

# Fingerprints correlate log lines of one process. They are keyed afresh at every start, because
# an unkeyed digest of a password or a short code would let a reader of the log test guesses.
_FINGERPRINT_KEY = secrets.token_bytes(32)


@final
class Secret:
    """A token, password, code, verifier or key in text form.

    `repr`, `str` and formatting show a fingerprint; pickling is refused; the value leaves
    through `reveal` alone, so that a leak needs intent. Equality takes constant time.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    @classmethod
    def generate(cls) -> Self:
        """256 random bits as 43 characters of base64url: nobody guesses it (RFC 6749 §10.10)."""
        return cls(secrets.token_urlsafe(32))

    def reveal(self) -> str:
        """The value itself. Every call of this is a place where a leak could begin."""
        return self._value

    def digest(self) -> bytes:
        """SHA-256 of the UTF-8 value, 32 bytes: what a store may keep of a random handle."""
        return hashlib.sha256(self._value.encode()).digest()

    def fingerprint(self) -> str:
        """Eight hexadecimal digits, the same within this process only."""
        keyed = hashlib.blake2b(self._value.encode(), key=_FINGERPRINT_KEY, digest_size=4)
        return keyed.hexdigest()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        return hash(self.digest())

    def __repr__(self) -> str:
        return f"<Secret {self.fingerprint()}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"{self!r} is not pickled: a secret leaves through reveal() alone")
