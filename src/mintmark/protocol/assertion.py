"""A signed statement about somebody, as a grant: what makes one acceptable (RFC 7523 §3)."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from mintmark.jose.algorithms import ALL_ALGORITHMS, Algorithm
from mintmark.jose.errors import ClaimRefused, HeaderRefused
from mintmark.jose.jws import parse
from mintmark.jose.key_set import KeySet
from mintmark.jose.strict_json import decode_object
from mintmark.protocol.access_token import MAX_ID_LENGTH, MAX_SUB_LENGTH, date_claim, text_claim
from mintmark.protocol.client_assertion import require_audience_alone, require_brief
from mintmark.secret import Secret

__all__ = ["Assertion", "check_assertion", "claimed_issuer"]

TYPS: Final[frozenset[str | None]] = frozenset({None, "jwt"})
"""RFC 8725 §3.11: no access token, ID token, logout token or client assertion with a name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assertion:
    """A checked assertion. It is good once: claim `jti` until `ends` before relying on it."""

    issuer: str
    subject: str
    jti: str
    ends: float  # seconds since 1970
    claims: Mapping[str, Any]


def claimed_issuer(assertion: Secret) -> str:
    """Whose assertion this says it is. Nothing is proved by it: it chooses the keys to check with.

    Raises:
        JoseError: nothing that could be an assertion.
    """
    claims = decode_object(parse(assertion.reveal()).payload)
    return text_claim(claims, "iss", MAX_ID_LENGTH)


def check_assertion(
    assertion: Secret,
    *,
    issuer: str,
    audiences: AbstractSet[str],
    keys: KeySet,
    now: float,
    algorithms: AbstractSet[Algorithm] = ALL_ALGORITHMS,
    skew: timedelta = timedelta(seconds=30),
) -> Assertion:
    """Refuse every assertion but one that this issuer made for this server, a moment ago.

    Args:
        audiences: this server's own names.
        keys: the issuer's, as it is configured; never what the assertion itself points to.
        now: seconds since 1970.

    Raises:
        JoseError: it says nothing here.

    Source: RFC 7523 §3.
    """
    jws = parse(assertion.reveal())
    if jws.header.typ not in TYPS:
        raise HeaderRefused("typ says that this is another kind of token")
    jws.require_signature(keys, algorithms)
    claims = decode_object(jws.payload)
    # RFC 7523 §3 (1)
    if claims.get("iss") != issuer:
        raise ClaimRefused("iss", "is another issuer")
    require_audience_alone(claims.get("aud"), audiences)
    date_claim(claims, "iat")
    exp = require_brief(claims, now, skew.total_seconds())
    return Assertion(
        issuer=issuer,
        # RFC 7523 §3 (2)
        subject=text_claim(claims, "sub", MAX_SUB_LENGTH),
        # RFC 7523 §3 (7) leaves it out; without it nobody could tell a second use from the first.
        jti=text_claim(claims, "jti", MAX_ID_LENGTH),
        ends=exp + skew.total_seconds(),
        claims=claims,
    )
