"""The request object: an authorization request that its client signed (RFC 9101)."""

import secrets
from collections import Counter
from collections.abc import Set as AbstractSet
from datetime import timedelta
from typing import Any, Final

import msgspec

from mintmark.jose.algorithms import ALL_ALGORITHMS, Algorithm
from mintmark.jose.errors import ClaimRefused
from mintmark.jose.jws import parse, require_typ, sign
from mintmark.jose.key_set import KeySet
from mintmark.jose.keys import SigningKey
from mintmark.jose.strict_json import decode_object
from mintmark.jose.times import LAST_MOMENT, require_current
from mintmark.secret import Secret

__all__ = [
    "LIFETIME",
    "LONGEST_LIFETIME",
    "TYP",
    "check_request_object",
    "make_request_object",
]

TYP: Final = "oauth-authz-req+jwt"
"""So that it cannot pass for a client assertion, or an assertion for it (RFC 9101 §10.8)."""

LIFETIME: Final = timedelta(minutes=5)
"""A browser brings it at once, but a person may look at the page before that for a while."""

LONGEST_LIFETIME: Final = timedelta(hours=1)

# RFC 9101 §4: neither stands in the other's place, and no request object holds another.
_OUTSIDE: Final = frozenset({"request", "request_uri"})
_JSON: Final = frozenset({"claims", "authorization_details"})
_OWN: Final = frozenset({"iss", "aud", "iat", "nbf", "exp", "jti"})


def make_request_object(
    key: SigningKey,
    *,
    client_id: str,
    audience: str,
    parameters: list[tuple[str, str]],
    now: float,
    lifetime: timedelta = LIFETIME,
) -> Secret:
    """These parameters, signed for one server and a few minutes.

    Args:
        audience: the authorization server's issuer identifier.
        now: seconds since 1970.

    Source: RFC 9101 §4. There is no `sub`: with the client in it, this would look like an
    assertion of it (RFC 9101 §10.8).
    """
    iat = int(now)
    claims = {
        **_claims(parameters),
        "iss": client_id,
        "aud": audience,
        "iat": iat,
        "nbf": iat,
        "exp": iat + int(lifetime.total_seconds()),
        "jti": secrets.token_urlsafe(16),
    }
    return Secret(sign(msgspec.json.encode(claims), key, typ=TYP))


def _claims(parameters: list[tuple[str, str]]) -> dict[str, Any]:
    claims: dict[str, Any] = {}
    times = Counter(name for name, _ in parameters)
    for name, text in parameters:
        if times[name] > 1:
            # RFC 8707 §2: several resources are an array.
            claims.setdefault(name, []).append(text)
        elif name == "max_age":
            claims[name] = int(text)
        elif name in _JSON:
            claims[name] = msgspec.json.decode(text)
        else:
            claims[name] = text
    return claims


def check_request_object(
    token: Secret,
    *,
    client_id: str,
    issuer: str,
    keys: KeySet,
    now: float,
    algorithms: AbstractSet[Algorithm] = ALL_ALGORITHMS,
    skew: timedelta = timedelta(seconds=30),
) -> list[tuple[str, str]]:
    """The parameters that this client signed for this server.

    Args:
        issuer: this server's own identifier.
        keys: the client's, as it registered them.
        now: seconds since 1970.

    Raises:
        JoseError: it is not this client's, or not meant for here and now.
    """
    jws = parse(token.reveal())
    # RFC 9101 §10.8: required here, though the specification lets it be left out.
    require_typ(jws.header, TYP)
    # RFC 9101 §6.2
    jws.require_signature(keys, algorithms)
    claims = decode_object(jws.payload)
    for name in ("iss", "client_id"):
        if claims.get(name) != client_id:
            raise ClaimRefused(name, "is not the client")
    aud = claims.get("aud")
    if aud != issuer and aud != [issuer]:
        raise ClaimRefused("aud", "is not this server alone")
    if not _OUTSIDE.isdisjoint(claims):
        raise ClaimRefused("request", "stands in a request object")
    _require_dates(claims, now, skew.total_seconds())
    return [pair for name in claims.keys() - _OWN for pair in _pairs(name, claims[name])]


def _pairs(name: str, value: Any) -> list[tuple[str, str]]:
    if name in _JSON:
        return [(name, msgspec.json.encode(value).decode())]
    if isinstance(value, int) and not isinstance(value, bool):
        return [(name, str(value))]
    values = value if isinstance(value, list) else [value]
    if not all(isinstance(one, str) for one in values):
        raise ClaimRefused(name[:40], "is no parameter")
    return [(name, one) for one in values]


def _require_dates(claims: dict[str, Any], now: float, skew: float) -> None:
    dates = {name: claims.get(name) for name in ("exp", "nbf", "iat")}
    for name, value in dates.items():
        if value is None and name != "exp":
            continue
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ClaimRefused(name, "is missing or no number")
        if not 0 <= value <= LAST_MOMENT:
            raise ClaimRefused(name, "is no date")
    exp = dates["exp"]
    assert exp is not None
    require_current(exp, dates["nbf"], dates["iat"], now=now, skew=skew)
    if exp > now + LONGEST_LIFETIME.total_seconds() + skew:
        raise ClaimRefused("exp", "is too far ahead")
