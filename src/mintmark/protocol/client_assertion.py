"""A client that proves itself by a signature: no secret leaves it (RFC 7521, RFC 7523)."""

import secrets
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import msgspec

from mintmark.jose.algorithms import ALL_ALGORITHMS, Algorithm
from mintmark.jose.errors import ClaimRefused, HeaderRefused
from mintmark.jose.jws import Header, parse, sign
from mintmark.jose.key_set import KeySet
from mintmark.jose.keys import SigningKey
from mintmark.jose.strict_json import decode_object
from mintmark.jose.times import LAST_MOMENT, require_current
from mintmark.secret import Secret

__all__ = [
    "CLIENT_ASSERTION_TYPE",
    "LIFETIME",
    "LONGEST_LIFETIME",
    "TYP",
    "ClientAssertion",
    "assertion_parameters",
    "check_client_assertion",
    "claimed_client_id",
    "make_client_assertion",
    "require_audience_alone",
    "require_brief",
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


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientAssertion:
    """A checked assertion. It proves a client once: claim `jti` until `ends` before relying on it."""

    client_id: str
    jti: str
    ends: float  # seconds since 1970; from then on it is refused, whatever is remembered of it


def check_client_assertion(
    assertion: Secret,
    *,
    client_id: str,
    audiences: AbstractSet[str],
    keys: KeySet,
    now: float,
    algorithms: AbstractSet[Algorithm] = ALL_ALGORITHMS,
    skew: timedelta = timedelta(seconds=30),
) -> ClientAssertion:
    """Refuse every assertion but one that this client made for this server, a moment ago.

    Args:
        audiences: this server's own names: its issuer identifier and its token endpoint.
        keys: the client's, as it registered them; never what the assertion itself points to.
        now: seconds since 1970.

    Raises:
        JoseError: it proves nothing.

    Source: RFC 7523 §3.
    """
    jws = parse(assertion.reveal())
    _require_typ(jws.header)
    jws.require_signature(keys, algorithms)
    claims = decode_object(jws.payload)
    # RFC 7523 §3 (1), (2): a client speaks for itself.
    for name in ("iss", "sub"):
        if claims.get(name) != client_id:
            raise ClaimRefused(name, "is not the client")
    require_audience_alone(claims.get("aud"), audiences)
    exp = require_brief(claims, now, skew.total_seconds())
    jti = claims.get("jti")
    # RFC 7523 §3 (7) leaves it out; without it nobody could tell a second use from the first.
    if not isinstance(jti, str) or not jti:
        raise ClaimRefused("jti", "is missing or no text")
    return ClientAssertion(client_id=client_id, jti=jti, ends=exp + skew.total_seconds())


def claimed_client_id(assertion: Secret) -> str:
    """Whose assertion this says it is. Nothing is proved by it: it chooses the keys to check with.

    Raises:
        JoseError: nothing that could be an assertion.
    """
    sub = decode_object(parse(assertion.reveal()).payload).get("sub")
    if not isinstance(sub, str) or not sub:
        raise ClaimRefused("sub", "is missing or no text")
    return sub


def _require_typ(header: Header) -> None:
    # RFC 8725 §3.11. Without one it is accepted: RFC 7523 asks for none, and clients omit it.
    if header.typ not in (None, "jwt", TYP):
        raise HeaderRefused("typ is not that of a client assertion")


def require_audience_alone(aud: Any, audiences: AbstractSet[str]) -> None:
    """Refuse an assertion that is made out to anybody but this server."""
    # RFC 7523 §3 (3). Alone: beside another server's name, that server could use it here.
    alone = aud[0] if isinstance(aud, list) and len(aud) == 1 else aud
    if not isinstance(alone, str) or alone not in audiences:
        raise ClaimRefused("aud", "is not this server alone")


def require_brief(claims: dict[str, Any], now: float, skew: float) -> float:
    """When an assertion ends, if it is good now and will not be for long."""
    # RFC 7523 §3 (4), (5), (6)
    exp = _seconds(claims, "exp")
    if exp is None:
        raise ClaimRefused("exp", "is missing")
    require_current(exp, _seconds(claims, "nbf"), _seconds(claims, "iat"), now=now, skew=skew)
    # An end far ahead would make a password of it, and us remember it for as long.
    if exp > now + LONGEST_LIFETIME.total_seconds() + skew:
        raise ClaimRefused("exp", "is too far ahead")
    return exp


def _seconds(claims: dict[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if value is None and name not in claims:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ClaimRefused(name, "is no number")
    if not 0 <= value <= LAST_MOMENT:
        raise ClaimRefused(name, "is no date")
    return float(value)
