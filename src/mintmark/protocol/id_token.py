"""The ID token: written by the server, checked by the client (OIDC Core §2, §3.1.3.7)."""

import hashlib
import hmac
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from mintmark.jose.algorithms import CURVES, Algorithm
from mintmark.jose.base64url import encode
from mintmark.jose.errors import ClaimRefused
from mintmark.jose.jws import parse, require_typ, sign
from mintmark.jose.key_set import KeySet
from mintmark.jose.keys import SigningKey
from mintmark.jose.strict_json import decode_object
from mintmark.jose.times import LAST_MOMENT, require_current
from mintmark.secret import Secret

__all__ = ["TYP", "IdToken", "at_hash_of", "check_id_token", "mint_id_token", "read_id_token_hint"]

TYP: Final = "JWT"


@dataclass(frozen=True, slots=True, kw_only=True)
class IdToken:
    """What a checked ID token says about a sign-in."""

    iss: str
    sub: str
    aud: tuple[str, ...]
    exp: datetime
    iat: datetime
    auth_time: datetime | None
    acr: str | None
    amr: tuple[str, ...]
    sid: str | None
    claims: Mapping[str, Any]


def check_id_token(
    token: Secret,
    *,
    issuer: str,
    client_id: str,
    keys: KeySet,
    algorithms: AbstractSet[Algorithm],
    nonce: Secret | None,
    now: datetime,
    skew: timedelta = timedelta(seconds=30),
    max_age: timedelta | None = None,
    access_token: Secret | None = None,
    code: Secret | None = None,
) -> IdToken:
    """Refuse every ID token but the answer to this client's own request.

    Args:
        nonce: what the authorization request said; None only for a refreshed ID token, which
            must then carry none (OIDC Core §12.2).
        access_token: compared with `at_hash` when the token has one.
        code: the same with `c_hash`.

    Raises:
        JoseError: the sign-in did not happen.
    """
    moment = now.timestamp()
    jws = parse(token.reveal())
    # RFC 8725 §3.11: whatever names itself something else is something else.
    if jws.header.typ is not None:
        require_typ(jws.header, TYP.lower())
    claims = decode_object(jws.payload)
    # OIDC Core §3.1.3.7 (2)
    if claims.get("iss") != issuer:
        raise ClaimRefused("iss", "is another issuer")
    # OIDC Core §3.1.3.7 (6)-(8)
    jws.require_signature(keys, algorithms)
    id_token = _read(claims)
    _require_for(id_token, client_id)
    # OIDC Core §3.1.3.7 (9), (10)
    require_current(
        id_token.exp.timestamp(),
        None,
        id_token.iat.timestamp(),
        now=moment,
        skew=skew.total_seconds(),
    )
    _require_nonce(claims.get("nonce"), nonce)
    _require_recent(id_token, max_age, now, skew)
    # OIDC Core §3.1.3.8, OIDC Core §3.3.2.11
    for name, value in (("at_hash", access_token), ("c_hash", code)):
        if value is not None and name in claims:
            _require_hash(name, claims[name], value, jws.header.algorithm)
    return id_token


def _require_for(id_token: IdToken, client_id: str) -> None:
    # OIDC Core §3.1.3.7 (3): an audience we did not ask for is one we do not trust.
    if id_token.aud != (client_id,):
        if client_id not in id_token.aud:
            raise ClaimRefused("aud", "does not name this client")
        # OIDC Core §3.1.3.7 (4)
        if "azp" not in id_token.claims:
            raise ClaimRefused("azp", "is missing beside several audiences")
    # OIDC Core §3.1.3.7 (5)
    if id_token.claims.get("azp", client_id) != client_id:
        raise ClaimRefused("azp", "is another client")


def _require_nonce(found: Any, sent: Secret | None) -> None:
    # OIDC Core §3.1.3.7 (11)
    if sent is None:
        if found is not None:
            raise ClaimRefused("nonce", "was never sent")
    elif not isinstance(found, str) or Secret(found) != sent:
        raise ClaimRefused("nonce", "is not the one that was sent")


def _require_recent(
    id_token: IdToken, max_age: timedelta | None, now: datetime, skew: timedelta
) -> None:
    # OIDC Core §3.1.3.7 (13)
    if max_age is not None and (
        id_token.auth_time is None or now - id_token.auth_time > max_age + skew
    ):
        raise ClaimRefused("auth_time", "is missing or too long ago")


def _require_hash(name: str, found: Any, value: Secret, algorithm: Algorithm) -> None:
    expected = at_hash_of(value, algorithm)
    if not isinstance(found, str) or not hmac.compare_digest(found.encode(), expected.encode()):
        raise ClaimRefused(name, "belongs to something else")


def at_hash_of(access_token: Secret, algorithm: Algorithm) -> str:
    """The left half of the hash that goes with the algorithm (OIDC Core §3.1.3.6).

    A code is hashed in the same way for `c_hash`.
    """
    if algorithm is Algorithm.EDDSA:
        name = "sha512"
    elif algorithm in CURVES:
        name = CURVES[algorithm].hash.name
    else:
        name = f"sha{algorithm.value[2:]}"
    digest = hashlib.new(name, access_token.reveal().encode()).digest()
    return encode(digest[: len(digest) // 2])


def _read(claims: dict[str, Any]) -> IdToken:
    aud = claims.get("aud")
    audiences = [aud] if isinstance(aud, str) else aud
    if not isinstance(audiences, list) or not all(isinstance(one, str) for one in audiences):
        raise ClaimRefused("aud", "is no audience")
    sub = claims.get("sub")
    # OIDC Core §2: at most 255 ASCII characters.
    if not isinstance(sub, str) or not 0 < len(sub) <= 255 or not sub.isascii():
        raise ClaimRefused("sub", "is missing or no subject")
    # A line break in a name is meant for somebody's log or header, not for us.
    if not sub.isprintable():
        raise ClaimRefused("sub", "holds characters that cannot be shown")
    amr = claims.get("amr", [])
    if not isinstance(amr, list) or not all(isinstance(one, str) for one in amr):
        raise ClaimRefused("amr", "is no list of texts")
    return IdToken(
        iss=claims["iss"],
        sub=sub,
        aud=tuple(audiences),
        exp=_moment(claims, "exp"),
        iat=_moment(claims, "iat"),
        auth_time=_moment(claims, "auth_time") if "auth_time" in claims else None,
        acr=_optional_text(claims, "acr"),
        amr=tuple(amr),
        sid=_optional_text(claims, "sid"),
        claims=claims,
    )


def _moment(claims: dict[str, Any], name: str) -> datetime:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ClaimRefused(name, "is missing or no number")
    if not 0 <= value <= LAST_MOMENT:
        raise ClaimRefused(name, "is no date")
    return datetime.fromtimestamp(value, UTC)


def _optional_text(claims: dict[str, Any], name: str) -> str | None:
    value = claims.get(name)
    if value is not None and not isinstance(value, str):
        raise ClaimRefused(name, "is no text")
    return value


def read_id_token_hint(
    token: Secret, *, issuer: str, keys: KeySet, algorithms: AbstractSet[Algorithm]
) -> IdToken:
    """An ID token of our own that came back as a hint (OIDC RP-Initiated Logout §2).

    Its expiry is not looked at: people sign out of old sessions too. It proves who was signed
    in where, and nothing else.

    Raises:
        JoseError: it is not one of ours.
    """
    jws = parse(token.reveal())
    if jws.header.typ is not None:
        require_typ(jws.header, TYP.lower())
    claims = decode_object(jws.payload)
    if claims.get("iss") != issuer:
        raise ClaimRefused("iss", "is another issuer")
    jws.require_signature(keys, algorithms)
    return _read(claims)


def mint_id_token(
    *,
    iss: str,
    sub: str,
    aud: str,
    nonce: str | None,
    auth_time: datetime,
    sid: str | None,
    access_token: Secret | None,
    now: datetime,
    lifetime: timedelta,
    key: SigningKey,
    acr: str | None = None,
    amr: tuple[str, ...] = (),
    extra: Mapping[str, Any] | None = None,
) -> Secret:
    """A signed ID token for one client (OIDC Core §2)."""
    iat = int(now.timestamp())
    optional = {
        "nonce": nonce,
        "sid": sid,
        "acr": acr,
        "amr": list(amr) or None,
        "at_hash": at_hash_of(access_token, key.algorithm) if access_token else None,
    }
    claims: dict[str, Any] = {
        **(extra or {}),
        "iss": iss,
        "sub": sub,
        "aud": aud,
        "iat": iat,
        "exp": iat + int(lifetime.total_seconds()),
        "auth_time": int(auth_time.timestamp()),
        **{name: value for name, value in optional.items() if value is not None},
    }
    return Secret(sign(msgspec.json.encode(claims), key, typ=TYP))
