"""The JWT access token: written by the server, checked by the API (RFC 9068)."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from mintmark.jose.algorithms import Algorithm
from mintmark.jose.errors import ClaimRefused, HeaderRefused
from mintmark.jose.jws import Jws, parse, sign
from mintmark.jose.key_set import KeySet
from mintmark.jose.keys import SigningKey
from mintmark.jose.strict_json import decode_object
from mintmark.jose.times import require_current
from mintmark.protocol.errors import OAuthError
from mintmark.protocol.scope import Scope, format_scope, parse_scope
from mintmark.secret import Secret

__all__ = [
    "TYP",
    "AccessToken",
    "UncheckedAccessToken",
    "audience_claim",
    "check_access_token",
    "confirmation_claim",
    "date_claim",
    "mint_access_token",
    "read_access_token",
    "require_issued",
    "require_valid",
    "scope_claim",
    "text_claim",
]

TYP: Final = "at+jwt"
"""RFC 9068 §2.1. Without it an ID token with the right audience would pass."""

_TYPS: Final[frozenset[str | None]] = frozenset({TYP})

MAX_SUB_LENGTH: Final = 255
MAX_ID_LENGTH: Final = 512


class AccessToken(msgspec.Struct, frozen=True, gc=False):
    """What a checked access token says. Only `require_valid` makes one."""

    iss: str
    sub: str
    aud: tuple[str, ...]
    client_id: str
    jti: str
    expires_at: float  # seconds since 1970
    scopes: Scope
    kid: str | None
    cnf: Mapping[str, str]  # `jkt`, `x5t#S256`; empty when the token is bound to nothing
    claims: Mapping[str, Any]  # all members of the payload


class UncheckedAccessToken(msgspec.Struct, frozen=True, gc=False):
    """A token taken apart, of which nothing is proved: good for choosing an issuer entry."""

    jws: Jws
    claims: dict[str, Any]

    @property
    def iss(self) -> str | None:
        iss = self.claims.get("iss")
        return iss if isinstance(iss, str) else None


def read_access_token(token: str | bytes) -> UncheckedAccessToken:
    """Raises `JoseError` unless the token can be read at all."""
    jws = parse(token)
    return UncheckedAccessToken(jws, decode_object(jws.payload))


def check_access_token(
    token: str | bytes,
    *,
    issuer: str,
    audience: str,
    keys: KeySet,
    algorithms: AbstractSet[Algorithm],
    now: float,
    skew: float = 30.0,
) -> AccessToken:
    """Read and check in one go, where there is one issuer to check against."""
    return require_valid(
        read_access_token(token),
        issuer=issuer,
        audience=audience,
        keys=keys,
        algorithms=algorithms,
        now=now,
        skew=skew,
    )


def require_valid(
    token: UncheckedAccessToken,
    *,
    issuer: str,
    audience: str,
    keys: KeySet,
    algorithms: AbstractSet[Algorithm],
    now: float,
    skew: float = 30.0,
    max_lifetime: float | None = None,
) -> AccessToken:
    """Refuse every token but one of this issuer, for this audience, now.

    Args:
        issuer: compared character by character.
        audience: this API's own identifier.
        keys, algorithms: the issuer's; never those of several issuers together.
        now, skew, max_lifetime: seconds.

    Raises:
        JoseError: whatever is wrong; the reason is for the log and not for the caller.

    Source: RFC 9068 §4.
    """
    claims = token.claims
    aud, exp = require_issued(
        token,
        typ=_TYPS,
        issuer=issuer,
        audience=audience,
        keys=keys,
        algorithms=algorithms,
        now=now,
        skew=skew,
        max_lifetime=max_lifetime,
    )
    client_id = text_claim(claims, "client_id", MAX_ID_LENGTH)
    if claims.get("azp", client_id) != client_id:
        raise ClaimRefused("azp", "disagrees with client_id")
    return AccessToken(
        issuer,
        text_claim(claims, "sub", MAX_SUB_LENGTH),
        aud,
        client_id,
        text_claim(claims, "jti", MAX_ID_LENGTH),
        exp,
        scope_claim(claims["scope"]) if "scope" in claims else _NO_SCOPES,
        token.jws.header.kid,
        confirmation_claim(claims["cnf"]) if "cnf" in claims else _UNBOUND,
        claims,
    )


def require_issued(
    token: UncheckedAccessToken,
    *,
    typ: AbstractSet[str | None],
    issuer: str,
    audience: str,
    keys: KeySet,
    algorithms: AbstractSet[Algorithm],
    now: float,
    skew: float = 30.0,
    max_lifetime: float | None = None,
    audience_required: bool = True,
) -> tuple[tuple[str, ...], float]:
    """Refuse every token that this issuer did not sign, for this audience, for now.

    What else must be in it is for its dialect to say; `require_valid` is that of the standard.

    Args:
        typ: what the header may say, in lower case and without `application/`; None is silence.
        audience_required: without it, `aud` may be missing. If it is there it is checked.

    Returns:
        The audiences, and the moment when it ends in seconds since 1970.

    Raises:
        JoseError: whatever is wrong.
    """
    jws, claims = token.jws, token.claims
    # RFC 8725 §3.11
    if jws.header.typ not in typ:
        raise HeaderRefused("typ says that this is another kind of token")
    # RFC 9068 §4: the issuer first, for keys and audience belong to it.
    if claims.get("iss") != issuer:
        raise ClaimRefused("iss", "is another issuer")
    jws.require_signature(keys, algorithms)
    if audience_required or "aud" in claims:
        aud = audience_claim(claims.get("aud"))
        if audience not in aud:
            raise ClaimRefused("aud", "does not name this API")
    else:
        aud = ()
    exp, iat = date_claim(claims, "exp"), date_claim(claims, "iat")
    nbf = date_claim(claims, "nbf") if "nbf" in claims else None
    require_current(exp, nbf, iat, now=now, skew=skew)
    if max_lifetime is not None and exp - iat > max_lifetime:
        raise ClaimRefused("exp", "is too far from iat")
    return aud, exp


def text_claim(claims: dict[str, Any], name: str, longest: int) -> str:
    """A claim that must be there, and be text that can be shown."""
    # RFC 9068 §2.2: required, and a string.
    value = claims.get(name)
    if type(value) is not str or not 0 < len(value) <= longest:
        raise ClaimRefused(name, "is missing, no text, or too long")
    # A line break in a name is meant for somebody's log or header, not for us.
    if not value.isprintable():
        raise ClaimRefused(name, "holds characters that cannot be shown")
    return value


def date_claim(claims: dict[str, Any], name: str) -> float:
    """A moment in seconds since 1970."""
    # RFC 7519 §2: a JSON number. `True` is one to Python, so types are compared, not classes.
    value = claims.get(name)
    if type(value) is not int and type(value) is not float:
        raise ClaimRefused(name, "is missing or no number")
    if not -1e12 < value < 1e12:
        raise ClaimRefused(name, "is no date")
    return value


def audience_claim(aud: Any) -> tuple[str, ...]:
    """The names of those a token is for."""
    # RFC 7519 §4.1.3: one text or a list of them.
    if type(aud) is str and aud:
        return (aud,)
    if (
        type(aud) is list
        and aud
        and all(type(one) is str and one and one.isprintable() for one in aud)
    ):
        return tuple(aud)
    raise ClaimRefused("aud", "is missing or no audience")


_scopes_read: dict[str, Scope] = {}
_MAX_SCOPES: Final = 512


def scope_claim(scope: Any) -> Scope:
    """The scope values, from memory where the same text was read before."""
    # RFC 8693 §4.2: a string. `null` is not "none".
    if type(scope) is not str:
        raise ClaimRefused("scope", "is no text")
    read = _scopes_read.get(scope)
    if read is None:
        try:
            read = parse_scope(scope) if scope else _NO_SCOPES
        except OAuthError:
            raise ClaimRefused("scope", "cannot be read") from None
        if len(_scopes_read) >= _MAX_SCOPES:
            _scopes_read.clear()
        _scopes_read[scope] = read
    return read


_NO_SCOPES: Final[Scope] = frozenset()
_UNBOUND: Final[Mapping[str, str]] = {}
_CONFIRMATIONS: Final = frozenset({"jkt", "x5t#S256"})


def confirmation_claim(cnf: Any) -> Mapping[str, str]:
    """The keys a token is bound to, by their thumbprints."""
    # RFC 7800 §3.1: a binding we cannot check must not be read as no binding.
    if type(cnf) is not dict or not cnf or not _CONFIRMATIONS.issuperset(cnf):
        raise ClaimRefused("cnf", "binds the token in a way that is not known here")
    # RFC 7638 §3, RFC 8705 §3.1: the base64url of a SHA-256.
    if not all(type(value) is str and len(value) == 43 for value in cnf.values()):
        raise ClaimRefused("cnf", "holds no thumbprint")
    return cnf


def mint_access_token(
    *,
    iss: str,
    sub: str,
    aud: tuple[str, ...],
    client_id: str,
    scope: Scope,
    jti: str,
    now: datetime,
    lifetime: timedelta,
    key: SigningKey,
    extra: Mapping[str, Any] | None = None,
) -> Secret:
    """A signed access token (RFC 9068 §2.2).

    `extra` are further claims (`auth_time`, `acr`, `amr`, `sid`, `cnf`, `roles`); it cannot
    replace one of those made here.
    """
    iat = int(now.timestamp())
    claims = _encode(
        _Claims(
            iss,
            sub,
            aud[0] if len(aud) == 1 else aud,
            client_id,
            iat,
            iat + lifetime.days * 86400 + lifetime.seconds,
            jti,
            format_scope(scope) if scope else "",
        )
    )
    if extra and not _OURS.isdisjoint(extra):
        extra = {name: value for name, value in extra.items() if name not in _OURS}
    if extra:
        claims = b"".join((claims[:-1], b",", _encode(extra)[1:]))
    return Secret(sign(claims, key, typ=TYP))


class _Claims(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """RFC 9068 §2.2. A struct is written in half the time of a dictionary."""

    iss: str
    sub: str
    aud: str | tuple[str, ...]
    client_id: str
    iat: int
    exp: int
    jti: str
    scope: str = ""


_OURS: Final = frozenset(_Claims.__struct_fields__)


_encode: Final = msgspec.json.Encoder().encode
