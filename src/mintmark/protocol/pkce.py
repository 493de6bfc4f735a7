"""Proof key for code exchange: verifier and challenge (RFC 7636), S256 only."""

import hashlib
import hmac
import re

from mintmark.jose.base64url import encode
from mintmark.protocol.errors import ErrorCode, OAuthError
from mintmark.secret import Secret

__all__ = ["METHOD", "challenge_of", "make_verifier", "parse_challenge", "require_verifier"]

METHOD = "S256"
"""`plain` is not offered: it protects nobody whose request was read (RFC 9700 §2.1.1)."""

_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")  # RFC 7636 §4.1
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")  # what S256 makes of anything


def make_verifier() -> Secret:
    """A fresh `code_verifier` of 256 random bits (RFC 7636 §4.1)."""
    return Secret.generate()


def challenge_of(verifier: Secret) -> str:
    """The `code_challenge` of a verifier (RFC 7636 §4.2)."""
    return encode(hashlib.sha256(verifier.reveal().encode("ascii")).digest())


def parse_challenge(text: str) -> str:
    """Raises `OAuthError(INVALID_REQUEST)` when this cannot be an S256 challenge."""
    if _CHALLENGE.fullmatch(text) is None:
        raise OAuthError(ErrorCode.INVALID_REQUEST, "code_challenge is no S256 challenge")
    return text


def require_verifier(verifier: Secret | None, code_challenge: str) -> Secret:
    """Refuse whoever redeems a code without having asked for it.

    Raises:
        OAuthError: INVALID_GRANT, the same for a missing, malformed and wrong verifier.
    """
    # RFC 7636 §4.6
    if (
        verifier is None
        or _VERIFIER.fullmatch(verifier.reveal()) is None
        or not hmac.compare_digest(challenge_of(verifier), code_challenge)
    ):
        raise OAuthError(
            ErrorCode.INVALID_GRANT, "the authorization code is not valid", reason="code_verifier"
        )
    return verifier
