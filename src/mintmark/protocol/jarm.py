"""An authorization response as a signed JWT: written by the server, checked by the client (JARM)."""

from collections.abc import Set as AbstractSet
from datetime import timedelta
from typing import Any, Final

import msgspec

from mintmark.jose.algorithms import ALL_ALGORITHMS, Algorithm
from mintmark.jose.errors import ClaimRefused, HeaderRefused
from mintmark.jose.jws import parse, sign
from mintmark.jose.key_set import KeySet
from mintmark.jose.keys import SigningKey
from mintmark.jose.strict_json import decode_object
from mintmark.jose.times import LAST_MOMENT, require_current
from mintmark.protocol.authorization import AuthorizationResponse
from mintmark.protocol.errors import OAuthError
from mintmark.protocol.form import Form
from mintmark.secret import Secret

__all__ = ["TYP", "check_response_jwt", "claimed_state", "mint_response_jwt"]

TYP: Final = "JWT"
_KINDS: Final = frozenset({None, "jwt", "oauth-authz-resp+jwt"})
_PARAMETERS: Final = ("code", "state", "error", "error_description")


def mint_response_jwt(
    parameters: list[tuple[str, str]],
    *,
    issuer: str,
    client_id: str,
    key: SigningKey,
    now: float,
    lifetime: timedelta = timedelta(minutes=10),
) -> Secret:
    """The response's parameters, signed for one client (JARM §2.1)."""
    exp = int(now + lifetime.total_seconds())
    claims = {**dict(parameters), "iss": issuer, "aud": client_id, "exp": exp}
    return Secret(sign(msgspec.json.encode(claims), key, typ=TYP))


def claimed_state(token: str | bytes) -> Secret | None:
    """Which attempt this says it answers. Nothing is proved by it: it finds what to check against.

    Raises:
        JoseError: nothing that could be a response.
    """
    state = decode_object(parse(token).payload).get("state")
    return Secret(state) if isinstance(state, str) and state else None


def check_response_jwt(
    token: str | bytes,
    *,
    issuer: str,
    client_id: str,
    keys: KeySet,
    now: float,
    algorithms: AbstractSet[Algorithm] = ALL_ALGORITHMS,
    skew: timedelta = timedelta(seconds=30),
) -> AuthorizationResponse:
    """Refuse every response but one that this server made for this client, a moment ago.

    Args:
        now: seconds since 1970.

    Raises:
        JoseError: it is somebody else's, too old, or neither one code nor one error.
    """
    jws = parse(token)
    # RFC 8725 §3.11: an ID token has the same issuer, audience and key.
    if jws.header.typ not in _KINDS:
        raise HeaderRefused("typ says that this is another kind of token")
    claims = decode_object(jws.payload)
    # JARM §2.4: the order is the specification's.
    if claims.get("iss") != issuer:
        raise ClaimRefused("iss", "is another issuer")
    if claims.get("aud") not in (client_id, [client_id]):
        raise ClaimRefused("aud", "is not this client alone")
    exp = claims.get("exp")
    if isinstance(exp, bool) or not isinstance(exp, int | float) or not 0 <= exp <= LAST_MOMENT:
        raise ClaimRefused("exp", "is missing or no date")
    require_current(exp, None, None, now=now, skew=skew.total_seconds())
    jws.require_signature(keys, algorithms)
    # An ID token would otherwise do, if it only had a claim named `code`.
    if "nonce" in claims:
        raise ClaimRefused("nonce", "stands in an ID token")
    return _response(claims, issuer)


def _response(claims: dict[str, Any], issuer: str) -> AuthorizationResponse:
    values = {name: claims[name] for name in _PARAMETERS if claims.get(name) not in (None, "")}
    for name, value in values.items():
        if not isinstance(value, str):
            raise ClaimRefused(name, "is no text")
    try:
        return AuthorizationResponse.of(
            Form({name: (value,) for name, value in (values | {"iss": issuer}).items()})
        )
    except OAuthError:
        raise ClaimRefused("code", "and error are both there, or neither") from None
