"""An assertion signed with a shared secret: the one HMAC in Mintmark, and it is only ever made.

`mintmark.jose` has no HMAC on purpose: where a reader knows it, a public key can be taken for a
secret. Nothing here reads.
"""

import hmac
import secrets
from datetime import timedelta
from typing import Final

import msgspec

from mintmark.jose.base64url import encode
from mintmark.protocol.client_assertion import TYP
from mintmark.secret import Secret

__all__ = ["make_secret_assertion", "require_long_secret"]

SHORTEST: Final = 32
"""Octets. RFC 7518 §3.2: as many as the hash has; a shorter one can be guessed from a signature."""

_HEADER: Final = encode(msgspec.json.encode({"alg": "HS256", "typ": TYP}))


def require_long_secret(secret: Secret) -> Secret:
    """Raises `ValueError` for a secret that its signatures would give away."""
    if len(secret.reveal().encode()) < SHORTEST:
        raise ValueError("the client secret: client_secret_jwt needs one of 32 octets or more")
    return secret


def make_secret_assertion(
    secret: Secret, *, client_id: str, audience: str, now: float, lifetime: timedelta
) -> Secret:
    """One assertion for one request, with a `jti` of its own (RFC 7523 §3)."""
    iat = int(now)
    claims = {
        "iss": client_id,
        "sub": client_id,
        "aud": audience,
        "iat": iat,
        "exp": iat + int(lifetime.total_seconds()),
        "jti": secrets.token_urlsafe(16),
    }
    signed = f"{_HEADER}.{encode(msgspec.json.encode(claims))}"
    # OIDC Core §9: the key is the secret's octets.
    signature = hmac.digest(secret.reveal().encode(), signed.encode(), "sha256")
    return Secret(f"{signed}.{encode(signature)}")
