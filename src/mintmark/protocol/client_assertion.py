"""A client that proves itself by a signature: no secret leaves it (RFC 7521, RFC 7523)."""

import secrets
from datetime import timedelta
from typing import Final

import msgspec

from mintmark.jose.jws import sign
from mintmark.jose.keys import SigningKey
from mintmark.secret import Secret

__all__ = [
    "CLIENT_ASSERTION_TYPE",
    "LIFETIME",
    "LONGEST_LIFETIME",
    "TYP",
    "assertion_parameters",
    "make_client_assertion",
]

CLIENT_ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
"""The value of `client_assertion_type` (RFC 7523 §2.2)."""

TYP: Final = "client-authentication+jwt"
"""So that an assertion cannot pass for another kind of token (RFC 8725 §3.11)."""

LIFETIME: Final = timedelta(seconds=60)

LONGEST_LIFETIME: Final = timedelta(minutes=5)
"""What a server may have to remember an assertion for, and a thief may use it."""


def assertion_parameters(client_id: str, assertion: Secret) -> list[tuple[str, str]]:
    """What goes into the form of a request that an assertion proves.

    `client_id` is allowed beside it (RFC 7521 §4.2), and some servers look the client up by it.
    """
    return [
        ("client_id", client_id),
        ("client_assertion_type", CLIENT_ASSERTION_TYPE),
        ("client_assertion", assertion.reveal()),
    ]


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
