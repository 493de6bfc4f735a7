"""A client that proves itself by a signature: no secret leaves it (RFC 7521, RFC 7523)."""

import secrets
from datetime import timedelta
from typing import Final

import msgspec

from mintmark.jose.jws import sign
from mintmark.jose.keys import SigningKey
from mintmark.secret import Secret

__all__ = ["CLIENT_ASSERTION_TYPE", "TYP", "make_client_assertion"]

CLIENT_ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
"""The value of `client_assertion_type` (RFC 7523 §2.2)."""

TYP: Final = "client-authentication+jwt"
"""So that an assertion cannot pass for another kind of token (RFC 8725 §3.11)."""

LIFETIME: Final = timedelta(seconds=60)


def make_client_assertion(
    key: SigningKey,
    *,
    client_id: str,
    audience: str,
    now: float,
    lifetime: timedelta = LIFETIME,
) -> Secret:
    """One assertion for one request: whoever sees it can use it until it ends.

    Args:
        audience: the authorization server's issuer identifier. The address of one endpoint
            would let a server in the middle pass the assertion on to another one.
        now: seconds since 1970.

    Source: RFC 7523 §3.
    """
    iat = int(now)
    claims = {
        "iss": client_id,
        "sub": client_id,
        "aud": audience,
        "iat": iat,
        "exp": iat + int(lifetime.total_seconds()),
        # RFC 7523 §3: with it the server can see that an assertion comes a second time.
        "jti": secrets.token_urlsafe(16),
    }
    return Secret(sign(msgspec.json.encode(claims), key, typ=TYP))
