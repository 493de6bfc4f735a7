"""A token in words: its kind, header and claims. Nothing of it is proved here."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from mintmark.cli.moments import relative, shown
from mintmark.jose.base64url import decode
from mintmark.jose.errors import JoseError
from mintmark.jose.strict_json import decode_object
from mintmark.jose.times import LAST_MOMENT
from mintmark.secret import Secret

__all__ = ["describe"]

LONGEST_VALUE: Final = 300
_DATES: Final = frozenset({"exp", "iat", "nbf", "auth_time", "updated_at"})
_BY_TYP: Final = {
    "at+jwt": "an access token (RFC 9068)",
    "dpop+jwt": "a DPoP proof (RFC 9449): it goes beside an access token and is none",
    "client-authentication+jwt": "a client assertion: it proves a client to a token server",
    "logout+jwt": "a logout token: it tells an application that a session has ended",
    "token-introspection+jwt": "an answer about a token (RFC 9701), and no token",
    "oauth-authz-req+jwt": "an authorization request (RFC 9101)",
}
_SIGNED_IN: Final = "an ID token: it tells an application who signed in, and is for no API"
_ASSERTION: Final = "a client assertion (RFC 7523): it proves a client to a token server"
_UNNAMED: Final = "a JWT that does not say what it is; some servers write access tokens so"
_TOKEN_INSIDE: Final = re.compile(r"e[wy][\w-]{6,}\.[\w-]*\.[\w-]*(?:\.[\w-]*\.[\w-]*)?")
# Members of a private key: nobody should send one, and nobody is shown it.
_PRIVATE: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})


def describe(token: Secret, now: float) -> Iterator[str]:
    """Line by line what can be said of it; never its text, and never its signature."""
    segments = token.reveal().split(".")
    try:
        if len(segments) == 5:
            yield from _encrypted(decode_object(decode(segments[0])))
            return
        if len(segments) == 3:
            header = decode_object(decode(segments[0]))
            claims = decode_object(decode(segments[1]))
            yield from _signed(header, claims, signed=bool(segments[2]), now=now)
            return
    except JoseError as refusal:
        yield "kind      unreadable: it has the dots of a JWT and is none"
        yield f"          {refusal.reason}"
        return
    yield "kind      opaque: only its issuer can say what it means"
    yield f"length    {len(token.reveal())} characters"


def _encrypted(header: Mapping[str, Any]) -> Iterator[str]:
    yield "kind      encrypted: only the API that it is for can read its claims"
    yield from _members("header", header)


def _signed(
    header: Mapping[str, Any], claims: Mapping[str, Any], *, signed: bool, now: float
) -> Iterator[str]:
    yield f"kind      {_kind(header, claims)}"
    yield from _members("header", header)
    for name, value in claims.items():
        yield f"claim     {_name(name)}  {_date(value, now) if name in _DATES else _shown(value)}"
    yield f"signature {'there, not looked at yet' if signed else 'none: anybody can write this'}"


def _kind(header: Mapping[str, Any], claims: Mapping[str, Any]) -> str:
    typ = header.get("typ")
    if isinstance(typ, str):
        named = _BY_TYP.get(typ.lower().removeprefix("application/"))
        if named is not None:
            return named
    # OIDC Core §2: an ID token has no name of its own, so it is known by what only it says.
    if not {"nonce", "at_hash", "c_hash"}.isdisjoint(claims):
        return _SIGNED_IN
    # RFC 7523 §3: a client speaks of itself, to the token server.
    if "iss" in claims and claims["iss"] == claims.get("sub") and "jti" in claims:
        return _ASSERTION
    if "events" in claims and "sub" not in claims:
        return _BY_TYP["logout+jwt"]
    return _UNNAMED


def _members(title: str, members: Mapping[str, Any]) -> Iterator[str]:
    for name, value in members.items():
        yield f"{title:9} {_name(name)}  {_shown(value)}"


def _date(value: Any, now: float) -> str:
    if type(value) not in (int, float) or not 0 <= value <= LAST_MOMENT:
        return f"{_shown(value)} (no date)"
    return f"{shown(value)} ({relative(int(value) - int(now))})"


def _name(name: str) -> str:
    return f"{json.dumps(name)[1:-1][:80]:12}"


def _shown(value: Any) -> str:
    # As ASCII JSON, so that a claim cannot move the cursor or start a line of its own.
    text = json.dumps(_without_secrets(value))
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}... ({len(text)} long)"


def _without_secrets(value: Any) -> Any:
    if isinstance(value, str):
        return "(a token, not shown)" if _TOKEN_INSIDE.fullmatch(value) else value
    if isinstance(value, list):
        return [_without_secrets(one) for one in value]
    if isinstance(value, dict):
        hidden = _PRIVATE if "kty" in value else frozenset[str]()
        return {
            name: "(private, not shown)" if name in hidden else _without_secrets(inner)
            for name, inner in value.items()
        }
    return value
