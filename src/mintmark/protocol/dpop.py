"""The proof that a request comes from the holder of a key: made, and checked (RFC 9449).

The twelve checks of RFC 9449 §4.3, and who makes them:

 1      one header field, no list               `read_proof`
 2      a single, well-formed JWT               `read_proof`
 3      the required claims, of their types     `read_proof`
 4      typ                                     `read_proof`
 5      an asymmetric alg that is allowed here  `read_proof`
 6, 7   signed by its jwk, which is public      `read_proof`
 8, 9   for this method, for this URI           `require_made_for`
10      the nonce                               `mintmark.protocol.dpop_nonce`
11      made just now                           `require_fresh`, `require_not_over`
12      for this token, by the key it names     `require_for_token`

That a proof is used once (§11.1) needs a memory, so it is not decided here.
"""

import hashlib
import re
import secrets
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import msgspec

from mintmark.jose.algorithms import Algorithm
from mintmark.jose.base64url import encode
from mintmark.jose.errors import HeaderRefused, JoseError, KeyRefused
from mintmark.jose.jws import Jws, parse_with_members, require_typ, sign
from mintmark.jose.keys import SigningKey, VerificationKey
from mintmark.jose.strict_json import decode_object
from mintmark.secret import Secret

__all__ = [
    "MAX_LENGTH",
    "TYP",
    "DPoPProof",
    "KeyMismatch",
    "ProofRefused",
    "access_token_hash",
    "make_proof",
    "read_proof",
    "require_for_token",
    "require_fresh",
    "require_made_for",
    "require_not_over",
]

TYP: Final = "dpop+jwt"

MAX_LENGTH: Final = 8 * 1024
"""Characters. An RSA key of 4096 bits and its signature need 2,000."""

MAX_JTI_LENGTH: Final = 256
_MAX_TEXT_LENGTH: Final = 4096
# 4096 bits in base64url. Larger ones are sound, but strangers choose this key, and we compute.
_MAX_MODULUS_LENGTH: Final = 683
_LAST_DATE: Final = 1e12


class ProofRefused(Exception):
    """This proof proves nothing here. `reason` is for the log: fixed words, nothing of the proof."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class KeyMismatch(ProofRefused):
    """The proof is sound, but of another key than the token is bound to: the token is stolen.

    The fault is the token's then, and the answer `invalid_token` (RFC 9449 §7.1).
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class DPoPProof:
    """What a proof says. `read_proof` makes one: its signature holds, and no more is proved."""

    jkt: str  # the thumbprint of its key
    jti: str
    iat: float
    htm: str
    htu: str
    nonce: str | None = None
    ath: str | None = None
    exp: float | None = None
    nbf: float | None = None


def make_proof(
    key: SigningKey,
    *,
    htm: str,
    htu: str,
    now: datetime,
    jti: str | None = None,
    access_token: Secret | None = None,
    nonce: str | None = None,
) -> Secret:
    """A proof for one request (RFC 9449 §4.2).

    Args:
        htu: the request's URI; query and fragment are left out of the proof.
        access_token: the token that goes with the request, at an API.
        nonce: what this server said last in `DPoP-Nonce`.
    """
    claims: dict[str, Any] = {
        "jti": jti or secrets.token_urlsafe(16),
        "htm": htm,
        "htu": _without_query(htu),
        "iat": int(now.timestamp()),
    }
    if access_token is not None:
        claims["ath"] = access_token_hash(access_token.reveal().encode())
    if nonce is not None:
        claims["nonce"] = nonce
    # `sign` takes its header from here; the one of a proof has the key in place of its name.
    if TYP not in key.headers:
        key.headers[TYP] = _header_segment(key)
    return Secret(sign(msgspec.json.encode(claims), key, typ=TYP))


def access_token_hash(token: bytes) -> str:
    """The `ath` of a token (RFC 9449 §4.2)."""
    return encode(hashlib.sha256(token).digest())


def _header_segment(key: SigningKey) -> bytes:
    jwk = {k: v for k, v in key.public.to_jwk().items() if k in {"kty", "crv", "x", "y", "n", "e"}}
    members = {"typ": TYP, "alg": key.algorithm.value, "jwk": jwk}
    return encode(msgspec.json.encode(members)).encode() + b"."


def read_proof(fields: Sequence[bytes | str], *, algorithms: AbstractSet[Algorithm]) -> DPoPProof:
    """The proof of a request that was signed by the key it carries: checks 1 to 7.

    Args:
        fields: the values of all `DPoP` header fields of the request.
        algorithms: what is allowed here.

    Raises:
        ProofRefused
    """
    field = _require_single(fields)
    try:
        # RFC 9449 §4.3 (2)
        jws, members = parse_with_members(field)
        claims = decode_object(jws.payload)
        proof_of = _claims_of(claims)
        # RFC 9449 §4.3 (4)
        require_typ(jws.header, TYP)
        # RFC 9449 §4.3 (5). `none` and HMAC are no values of `Algorithm`.
        if jws.header.algorithm not in algorithms:
            raise ProofRefused("alg is not allowed here")
        key = _require_signed(jws, members)
    except JoseError as refusal:
        raise ProofRefused(refusal.reason) from None
    return DPoPProof(jkt=key.thumbprint(), **proof_of)


def _require_single(fields: Sequence[bytes | str]) -> str:
    # RFC 9449 §4.3 (1). Of two, another reader may have checked the one and we would take the
    # other; servers join fields of one name with a comma.
    if len(fields) != 1:
        raise ProofRefused("there are several proofs" if fields else "there is no proof")
    field = fields[0]
    if len(field) > MAX_LENGTH:
        raise ProofRefused("the proof is too long")
    text = field if isinstance(field, str) else field.decode("latin-1")
    if "," in text:
        raise ProofRefused("the proof is a list")
    return text


def _claims_of(claims: dict[str, Any]) -> dict[str, Any]:
    # RFC 9449 §4.3 (3), §4.2. `ath` and `nonce` may be missing, but what is there is a text.
    proof_of: dict[str, Any] = {
        "jti": _text(claims, "jti", MAX_JTI_LENGTH),
        "htm": _text(claims, "htm", _MAX_TEXT_LENGTH),
        "htu": _text(claims, "htu", _MAX_TEXT_LENGTH),
        "iat": _date(claims, "iat"),
    }
    for name in ("ath", "nonce"):
        if name in claims:
            proof_of[name] = _text(claims, name, _MAX_TEXT_LENGTH, shortest=0)
    for name in ("exp", "nbf"):
        if name in claims:
            proof_of[name] = _date(claims, name)
    return proof_of


def _text(claims: dict[str, Any], name: str, longest: int, shortest: int = 1) -> str:
    value = claims.get(name)
    if type(value) is not str or not shortest <= len(value) <= longest:
        raise ProofRefused(f"{name} is missing, no text, or too long")
    return value


def _date(claims: dict[str, Any], name: str) -> float:
    # RFC 7519 §2: a JSON number, which `True` is to Python only.
    value = claims.get(name)
    if type(value) is not int and type(value) is not float:
        raise ProofRefused(f"{name} is missing or no number")
    if not -_LAST_DATE < value < _LAST_DATE:
        raise ProofRefused(f"{name} is no date")
    return value


def _require_signed(jws: Jws, members: dict[str, Any]) -> VerificationKey:
    jwk = members.get("jwk")
    if type(jwk) is not dict:
        raise HeaderRefused("jwk is missing or no key")
    modulus = jwk.get("n")
    if type(modulus) is str and len(modulus) > _MAX_MODULUS_LENGTH:
        raise KeyRefused("the RSA modulus is too long for a proof")
    # RFC 9449 §4.3 (7). A private key is refused before it is used for anything; so is one that
    # is weak, off its curve, or for another algorithm than the header's.
    key = VerificationKey.from_jwk(jwk)
    # RFC 9449 §4.3 (6)
    key.verify(jws.signature, jws.signing_input, jws.header.algorithm)
    return key


def require_made_for(proof: DPoPProof, *, method: str, uri: str) -> None:
    """Refuse a proof that was made for some other request: checks 8 and 9.

    Args:
        uri: of this request, from an origin that is configured and not from the request's word.

    Raises:
        ProofRefused
    """
    # RFC 9449 §4.3 (8). Methods have a case (RFC 9110 §9.1).
    if proof.htm != method:
        raise ProofRefused("htm is not this request's method")
    # RFC 9449 §4.3 (9). Query and fragment take no part, and both sides are normalised first:
    # ":443" or "HTTPS://" alone must not fail an honest client.
    if _normal_form(proof.htu) != _normal_form(uri):
        raise ProofRefused("htu is not this request's URI")


_URI: Final = re.compile(
    r"""(?P<scheme>https?)://
        (?P<host>\[[0-9a-f:.]+\]|(?:[a-z0-9\-._~!$&'()*+;=]|%[0-9a-f]{2})+)
        (?::(?P<port>[0-9]{0,8}))?
        (?P<path>/[!-~]*)?""",
    re.VERBOSE | re.IGNORECASE | re.ASCII,  # or "ſ" would be an "s"
)
_ESCAPE: Final = re.compile(r"%[0-9A-Fa-f]{2}")
_UNRESERVED: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_DEFAULT_PORT: Final = {"https": 443, "http": 80}


def _normal_form(uri: str) -> tuple[str, str, int, str]:
    """Scheme, host, port and path, alike for all spellings of one URI (RFC 3986 §6.2.2, §6.2.3).

    Dot segments stay as they are. Whoever resolves them says that `/a/../b` and `/b` are one;
    the router behind us may not agree, and a proof for the one would pass for the other.
    """
    parts = _URI.fullmatch(_without_query(uri))
    if parts is None:
        raise ProofRefused("htu or the request's URI is no http URI")
    scheme = parts["scheme"].lower()
    host = _ESCAPE.sub(_normal_escape, parts["host"]).lower()
    port = int(parts["port"] or _DEFAULT_PORT[scheme])
    # RFC 3986 §6.2.3: an empty path is the root.
    return scheme, host, port, _ESCAPE.sub(_normal_escape, parts["path"] or "/")


def _normal_escape(escape: "re.Match[str]") -> str:
    # RFC 3986 §6.2.2.1, §6.2.2.2. `%2F` is no slash: a reserved character means something else
    # when it is not escaped.
    character = chr(int(escape[0][1:], 16))
    return character if character in _UNRESERVED else escape[0].upper()


def _without_query(uri: str) -> str:
    return uri.partition("#")[0].partition("?")[0]


def require_fresh(proof: DPoPProof, *, now: float, back: float = 60.0, ahead: float = 10.0) -> None:
    """Refuse a proof that was made too long ago, or seems made too far in the future: check 11.

    Args:
        now: the moment of this request, in seconds since 1970.
        back, ahead: seconds. Clocks differ and requests travel: a window of a second refuses
            honest clients.

    Raises:
        ProofRefused
    """
    # RFC 9449 §4.3 (11), §11.1
    if proof.iat < now - back:
        raise ProofRefused("iat is too long ago")
    if proof.iat > now + ahead:
        raise ProofRefused("iat is in the future")


def require_not_over(proof: DPoPProof, *, now: float, ahead: float = 10.0) -> None:
    """Refuse a proof that says itself that its time is over, or has not come.

    No proof needs `exp` or `nbf`; one that has them means them.

    Raises:
        ProofRefused
    """
    # RFC 7519 §4.1.4: on or after the moment it says, it is over.
    if proof.exp is not None and now >= proof.exp:
        raise ProofRefused("exp has passed")
    # RFC 7519 §4.1.5
    if proof.nbf is not None and proof.nbf > now + ahead:
        raise ProofRefused("nbf has not come")


def require_for_token(proof: DPoPProof, *, token: bytes, jkt: str) -> None:
    """Refuse a proof that belongs to another token, or to another key than the token's: check 12.

    Args:
        token: the access token as it came.
        jkt: from the token's `cnf`.

    Raises:
        ProofRefused: it was made for another token.
        KeyMismatch: it was made with another key.
    """
    # RFC 9449 §4.3 (12a)
    if proof.ath != access_token_hash(token):
        raise ProofRefused("ath is not of this access token")
    # RFC 9449 §4.3 (12b), §6. Without this line a stolen token is good with any key at all.
    if proof.jkt != jkt:
        raise KeyMismatch("the access token is bound to another key")
