"""Asking the issuer what an opaque token is worth, and reading its answer (RFC 7662, RFC 9701)."""

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Final, Self

import msgspec

from mintmark.jose.algorithms import Algorithm
from mintmark.jose.errors import ClaimRefused, Malformed
from mintmark.jose.jws import parse, require_typ
from mintmark.jose.key_set import KeySet
from mintmark.jose.strict_json import decode_object
from mintmark.jose.times import LAST_MOMENT, require_current
from mintmark.protocol.access_token import (
    MAX_ID_LENGTH,
    MAX_SUB_LENGTH,
    AccessToken,
    audience_claim,
    confirmation_claim,
    date_claim,
    scope_claim,
    text_claim,
)
from mintmark.protocol.form import Form
from mintmark.secret import Secret

__all__ = [
    "MEDIA_TYPE",
    "TYP",
    "IntrospectionRequest",
    "IntrospectionResponse",
    "read_introspection",
    "read_signed_introspection",
    "require_active",
]

TYP: Final = "token-introspection+jwt"
"""RFC 9701 §5. Without it an access token would pass as an answer about itself."""

MEDIA_TYPE: Final = "application/token-introspection+jwt"

RECENT: Final = 60.0
"""Seconds. A signed answer that is older was made for another question."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IntrospectionRequest:
    """Asks what a token is worth (RFC 7662 §2.1)."""

    token: Secret
    token_type_hint: str | None = "access_token"  # noqa: S105 -- a kind of token, and none itself

    @classmethod
    def parse(cls, form: Form) -> Self:
        """Raises `OAuthError(INVALID_REQUEST)` when there is no token."""
        return cls(
            token=form.required("token", Secret),
            token_type_hint=form.optional("token_type_hint", str),
        )

    def parameters(self) -> list[tuple[str, str]]:
        hint = self.token_type_hint
        return [
            ("token", self.token.reveal()),
            *([("token_type_hint", hint)] if hint else []),
        ]


class IntrospectionResponse(msgspec.Struct, frozen=True, gc=False):
    """What the issuer said, of which nothing is checked before `require_active`."""

    claims: dict[str, Any]

    @property
    def active(self) -> bool:
        """RFC 7662 §2.2: a JSON boolean. The text "true" and the number 1 are no yes."""
        return self.claims.get("active") is True


def read_introspection(body: bytes) -> IntrospectionResponse:
    """Raises `Malformed` unless this is one JSON object, read in its one meaning."""
    return IntrospectionResponse(decode_object(body))


def read_signed_introspection(
    jwt: str,
    *,
    issuer: str,
    audiences: AbstractSet[str],
    keys: KeySet,
    algorithms: AbstractSet[Algorithm],
    now: float,
    decrypt: Callable[[str], bytes] | None = None,
) -> IntrospectionResponse:
    """An answer that its issuer signed, for this API, just now.

    Args:
        audiences: this API's names with the issuer: its client id, its own identifier.
        keys, algorithms: this issuer's alone.
        now: the moment after the answer came, in seconds since 1970.
        decrypt: opens an encrypted answer and gives what was signed; raises `JoseError`.

    Raises:
        JoseError: whatever is wrong. It is the issuer's fault, and never the caller's.

    Source: RFC 9701 §5.
    """
    jws = parse(_signed_part(jwt, decrypt))
    require_typ(jws.header, TYP)
    jws.require_signature(keys, algorithms)
    claims = decode_object(jws.payload)
    if claims.get("iss") != issuer:
        raise ClaimRefused("iss", "is another issuer")
    if audiences.isdisjoint(audience_claim(claims.get("aud"))):
        raise ClaimRefused("aud", "does not name this API")
    if not now - RECENT <= date_claim(claims, "iat") <= now + RECENT:
        raise ClaimRefused("iat", "is not of this moment")
    # What stands beside `token_introspection` speaks of the answer. A token's claims there are
    # what a confused server, or somebody with another of its signatures, would send.
    if "active" in claims:
        raise ClaimRefused("active", "stands outside token_introspection")
    said = claims.get("token_introspection")
    if type(said) is not dict:
        raise ClaimRefused("token_introspection", "is missing or no object")
    return IntrospectionResponse(said)


def _signed_part(jwt: str, decrypt: Callable[[str], bytes] | None) -> str | bytes:
    # RFC 7516 §9: five segments are encrypted, three are signed.
    if jwt.count(".") != 4:
        return jwt
    if decrypt is None:
        raise Malformed("the answer is encrypted, and there is no key for it here")
    return decrypt(jwt)


def require_active(
    response: IntrospectionResponse,
    *,
    issuer: str,
    audience: str,
    now: float,
    skew: float = 30.0,
) -> AccessToken:
    """Refuse what is not active, not of this issuer, not for this API, or not for now.

    The issuer answers for the token; what it says of it is checked all the same, for it may
    answer several APIs alike, or from a cache of its own. All claims but `active` may be missing
    (RFC 7662 §2.2). Then the result has no text there, no audience, and no end: `expires_at` is
    the last moment there is, and how long the answer is good is for whoever asked to say.

    Raises:
        ClaimRefused: the token is not good here; the reason is for the log.
    """
    claims = response.claims
    if not response.active:
        said = claims.get("active", "")
        raise ClaimRefused("active", "is false" if said is False else "is missing or no boolean")
    if claims.get("iss", issuer) != issuer:
        raise ClaimRefused("iss", "is another issuer")
    aud = audience_claim(claims["aud"]) if "aud" in claims else ()
    if aud and audience not in aud:
        raise ClaimRefused("aud", "does not name this API")
    exp = _require_current(claims, now, skew)
    _require_access_token(claims)
    sub, client_id = _parties(claims)
    return AccessToken(
        issuer,
        sub,
        aud,
        client_id,
        text_claim(claims, "jti", MAX_ID_LENGTH) if "jti" in claims else "",
        exp,
        scope_claim(claims["scope"]) if "scope" in claims else frozenset(),
        None,
        confirmation_claim(claims["cnf"]) if "cnf" in claims else {},
        claims,
    )


def _require_current(claims: dict[str, Any], now: float, skew: float) -> float:
    exp = date_claim(claims, "exp") if "exp" in claims else LAST_MOMENT
    nbf = date_claim(claims, "nbf") if "nbf" in claims else None
    iat = date_claim(claims, "iat") if "iat" in claims else None
    require_current(exp, nbf, iat, now=now, skew=skew)
    return exp


def _require_access_token(claims: dict[str, Any]) -> None:
    # RFC 7662 §2.1: the hint is no filter. A server says of its refresh tokens, too, that they
    # are active, and some say by these members what they are.
    kind = claims.get("token_type", "Bearer")
    if type(kind) is not str or kind.lower() not in _TYPES:
        raise ClaimRefused("token_type", "is no type of access token that is known here")
    if claims.get("token_use", "access") not in _USES:
        raise ClaimRefused("token_use", "says that this is another kind of token")
    # RFC 9449 §6.2: the key is named by `cnf`. Without it there is nothing to hold a proof to.
    if kind.lower() == "dpop" and "cnf" not in claims:
        raise ClaimRefused("cnf", "is missing from a token that is bound to a key")


_TYPES: Final = frozenset({"bearer", "dpop", "access_token"})
_USES: Final = ("access", "access_token")


def _parties(claims: dict[str, Any]) -> tuple[str, str]:
    client_id = text_claim(claims, "client_id", MAX_ID_LENGTH) if "client_id" in claims else ""
    if client_id and claims.get("azp", client_id) != client_id:
        raise ClaimRefused("azp", "disagrees with client_id")
    if "sub" in claims:
        return text_claim(claims, "sub", MAX_SUB_LENGTH), client_id
    # A token without a subject is the client's own. One that names a person in another way is
    # not, and must not pass for it.
    if not client_id or "username" in claims:
        raise ClaimRefused("sub", "is missing, and nothing else says whose token this is")
    return client_id, client_id
