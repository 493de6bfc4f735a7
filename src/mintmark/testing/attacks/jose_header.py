"""C: the JOSE header (RFC 7515 §4, RFC 8725 §3)."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from mintmark.jose.algorithms import Algorithm
from mintmark.jose.base64url import encode
from mintmark.jose.keys import SigningKey
from mintmark.testing.attacks.certificates import self_made
from mintmark.testing.attacks.forging import compact, hmac_signer, raw_json, unsigned
from mintmark.testing.attacks.model import ACCEPTED, R1, Group, Send, Variant
from mintmark.testing.attacks.trying import each, forged, signs_with, tried, with_token

if TYPE_CHECKING:
    from mintmark.testing.mint import Mint

__all__ = ["JOSE_HEADER", "rsa_key"]

JOSE_HEADER = Group("C")
_THIEF: Final = SigningKey.generate(Algorithm.ES256)
_P384: Final = SigningKey.generate(Algorithm.ES384)


@cache
def rsa_key(algorithm: Algorithm = Algorithm.RS256) -> SigningKey:
    """One RSA key for the whole run: making one takes as long as a hundred attacks."""
    der = SigningKey.generate(Algorithm.RS256).to_pkcs8() if algorithm is Algorithm.RS256 else (
        rsa_key().to_pkcs8()
    )  # fmt: skip
    return SigningKey.from_pkcs8(der, algorithm, kid="rsa")


@JOSE_HEADER.attack("C1", "no signature, and alg says so", R1)
def alg_none(mint: "Mint") -> Iterator[Variant]:
    token = mint.delegated()
    yield with_token(mint, "empty signature", token.broken("alg-none"))
    yield with_token(mint, "no kid", unsigned({"alg": "none", "typ": "at+jwt"}, token.payload))
    with_signature = compact({**token.header, "alg": "none"}, token.payload, token.key)
    yield with_token(mint, "with a signature all the same", with_signature)


@JOSE_HEADER.attack("C2", "none, written otherwise", R1)
def alg_none_otherwise(mint: "Mint") -> Iterator[Variant]:
    token = mint.delegated()
    for name in ("None", "NONE", "nOnE", "none ", " none", "none\u0000", "\u0578one", ""):
        header = {**token.header, "alg": name}
        yield with_token(mint, f"{name!r}", unsigned(header, token.payload))


@JOSE_HEADER.attack("C3", "alg is missing or no text", R1)
def alg_no_text(mint: "Mint") -> Iterator[Variant]:
    token = mint.delegated()
    yield with_token(mint, "missing", token.unheaded("alg"))
    for alg in (None, 5, True, ["ES256"], {"alg": "ES256"}, "es256", "ES256 "):
        yield with_token(mint, f"{alg!r}", token.headed(alg=alg))


@JOSE_HEADER.attack("C4", "an HMAC keyed with the public key", R1)
def hmac_with_public_key(mint: "Mint") -> Iterator[Variant]:
    token = mint.delegated()
    for family, key in (("EC", mint.issuer.key), ("RSA", rsa_key())):
        sent = []
        for name, secret in _spellings(key).items():
            header = {**token.header, "alg": "HS256", "kid": key.kid}
            text = compact(header, token.payload, hmac_signer(secret))
            sent.append(Send(mint.carry(text), name=name))
        before = (signs_with(rsa_key()),) if family == "RSA" else ()
        yield Variant(name=f"{family} key", before=before, steps=tuple(sent))


def _spellings(key: SigningKey) -> dict[str, bytes]:
    """Every text that somebody may hold the public key in."""
    public = serialization.load_der_private_key(key.to_pkcs8(), None).public_key()
    info = serialization.PublicFormat.SubjectPublicKeyInfo
    pem = public.public_bytes(serialization.Encoding.PEM, info)
    found = {
        "PEM": pem,
        "PEM without its newline": pem.rstrip(),
        "PEM after a blank": b" " + pem,
        "PEM with CRLF": pem.replace(b"\n", b"\r\n"),
        "DER": public.public_bytes(serialization.Encoding.DER, info),
        "JWK": raw_json(key.public.to_jwk()),
        "JWK, spaced": json.dumps(key.public.to_jwk()).encode(),
        "nothing": b"",
    }
    if isinstance(public, rsa.RSAPublicKey):
        pkcs1 = serialization.PublicFormat.PKCS1
        found["PKCS#1 PEM"] = public.public_bytes(serialization.Encoding.PEM, pkcs1)
    return found


@JOSE_HEADER.attack("C5", "another RSA algorithm than the key's own", R1)
def rsa_swapped(mint: "Mint") -> Iterator[Variant]:
    token, before = mint.delegated(), (signs_with(rsa_key()),)
    for algorithm in (Algorithm.PS256, Algorithm.RS512, Algorithm.RS384, Algorithm.PS512):
        other = token.by(rsa_key(algorithm))
        yield with_token(mint, f"{algorithm} for RS256", other, before=before)
    claimed = token.by(rsa_key()).headed(alg="PS256")
    yield with_token(mint, "only claimed", claimed, before=before)


@JOSE_HEADER.attack("C6", "an algorithm of another curve", R1)
def other_curves(mint: "Mint") -> Iterator[Variant]:
    token, before = mint.delegated(), (signs_with(mint.issuer.key, _P384),)
    wide = token.headed(kid=_P384.kid).signed_by(_P384)
    yield with_token(mint, "ES256 with a P-384 key", wide, before=before)
    for alg in ("ES256K", "ES384", "ES512", "EdDSA", "RS256"):
        yield with_token(mint, f"{alg} with a P-256 key", token.headed(alg=alg))
    text = compact({**token.header, "alg": "ES256K"}, token.payload, _sign_on_secp256k1)
    yield with_token(mint, "ES256K, really", text)


def _sign_on_secp256k1(content: bytes) -> bytes:
    key = ec.generate_private_key(ec.SECP256K1())
    r, s = decode_dss_signature(key.sign(content, ec.ECDSA(hashes.SHA256())))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


@JOSE_HEADER.attack("C7", "the attacker's key in the header", R1)
def embedded_key(mint: "Mint") -> Iterator[Variant]:
    token, jwk = mint.delegated().signed_by(_THIEF), _THIEF.public.to_jwk()
    yield with_token(mint, "kid of the issuer", token.headed(jwk=jwk))
    yield with_token(mint, "kid of its own", token.headed(jwk=jwk, kid=_THIEF.kid))
    yield with_token(mint, "no kid", token.unheaded("kid").headed(jwk=jwk))


@JOSE_HEADER.attack("C8", "an address to fetch a key from", R1)
def address_of_a_key(mint: "Mint") -> Iterator[Variant]:
    stranger = f"{mint.stranger.issuer}/jwks"
    addresses = (stranger, "https://evil.example/jwks", "http://169.254.169.254/latest/meta-data/",
                 "http://127.0.0.1:1/jwks", "file:///etc/passwd",
                 "data:application/json,{}", "//evil.example/jwks")  # fmt: skip
    for member in ("jku", "x5u"):
        for address in addresses:
            thief = mint.delegated().signed_by(mint.stranger.key).headed(**{member: address})
            own_kid = thief.headed(kid=mint.stranger.key.kid)
            yield with_token(mint, f"{member} {address[:24]}", thief)
            yield with_token(mint, f"{member} {address[:24]}, kid of its own", own_kid)
            # The header is not looked at, so beside an honest signature it does no harm.
            honest = mint.delegated().headed(**{member: address})
            yield with_token(mint, f"{member} {address[:24]}, honest", honest, ACCEPTED)


@JOSE_HEADER.attack("C9", "the attacker's certificates in the header", R1)
def embedded_certificates(mint: "Mint") -> Iterator[Variant]:
    import base64

    der = self_made(_THIEF)
    token = mint.delegated().signed_by(_THIEF)
    chain = [base64.b64encode(der).decode()]
    thumbprint = encode(hashlib.sha256(der).digest())
    yield with_token(mint, "x5c", token.headed(x5c=chain))
    yield with_token(mint, "x5c, no kid", token.unheaded("kid").headed(x5c=chain))
    yield with_token(mint, "x5t", token.headed(x5t=encode(hashlib.sha1(der).digest())))  # noqa: S324 -- what x5t is
    named = token.unheaded("kid").headed(**{"x5t#S256": thumbprint})
    yield with_token(mint, "x5t#S256, no kid", named)


@JOSE_HEADER.attack("C10", "a critical extension that nobody knows", R1)
def unknown_crit(mint: "Mint") -> Iterator[Variant]:
    token = mint.delegated()
    yield with_token(mint, "one", token.headed(crit=["http://ext.example"], **_EXTENSION))
    yield with_token(mint, "exp", token.headed(crit=["exp"], exp=1))
    yield with_token(mint, "one of two", token.headed(crit=["b64", "x"], b64=True, x=1))


_EXTENSION: Final[Mapping[str, Any]] = {"http://ext.example": 1}


@JOSE_HEADER.attack("C11", "crit that breaks its own rules", R1)
def malformed_crit(mint: "Mint") -> Iterator[Variant]:
    token = mint.delegated()
    for name, crit in {
        "empty": [],
        "a text": "alg",
        "a duplicate": ["x", "x"],
        "a registered member": ["alg"],
        "an absent member": ["absent"],
        "null": None,
        "an object": {"x": 1},
        "a list of numbers": [1],
        "itself": ["crit"],
    }.items():
        more = {"x": 1} if name == "a duplicate" else {}
        yield with_token(mint, name, token.headed(crit=crit, **more))


@JOSE_HEADER.attack("C12", "the type of an ID token", R1)
def id_token_type(mint: "Mint") -> Iterator[Variant]:
    yield from each(mint, {typ: mint.delegated().headed(typ=typ) for typ in ("JWT", "jwt")})


@JOSE_HEADER.attack("C13", "the type of another kind of token", R1)
def other_types(mint: "Mint") -> Iterator[Variant]:
    for typ in ("dpop+jwt", "logout+jwt", "secevent+jwt", "token-introspection+jwt",
                "oauth-authz-req+jwt", "application/", "at+jwt+x", "xat+jwt",
                "application/application/at+jwt"):  # fmt: skip
        yield with_token(mint, typ, mint.delegated().headed(typ=typ))


@JOSE_HEADER.attack("C14", "the right type, written otherwise", ACCEPTED)
def type_written_otherwise(mint: "Mint") -> Iterator[Variant]:
    for typ in ("application/AT+JWT", "AT+JWT", "application/at+jwt", "At+Jwt"):
        yield with_token(mint, typ, mint.delegated().headed(typ=typ))


@JOSE_HEADER.attack("C15", "no type, or one that is no text", R1)
def no_type(mint: "Mint") -> Iterator[Variant]:
    yield with_token(mint, "missing", mint.delegated().unheaded("typ"))
    for typ in (None, 5, ["at+jwt"], ""):
        yield with_token(mint, f"{typ!r}", mint.delegated().headed(typ=typ))


@JOSE_HEADER.attack("C16", "a token that says another is inside", R1)
def nested_claim(mint: "Mint") -> Iterator[Variant]:
    yield from each(mint, {cty: mint.delegated().headed(cty=cty) for cty in ("JWT", "jwt")})


@JOSE_HEADER.attack("C17", "alg twice", R1)
def alg_twice(mint: "Mint") -> Iterator[Variant]:
    token = mint.delegated()
    head = raw_json(token.header)
    for name, first in (("none first", b'{"alg":"none",'), ("the same", b'{"alg":"ES256",')):
        yield with_token(mint, name, forged(mint, header=first + head[1:]))
    last = head[:-1] + b',"alg":"none"}'
    yield with_token(mint, "none last", forged(mint, header=last))
    escaped = head[:-1] + b',"\\u0061lg":"none"}'
    yield with_token(mint, "none last, escaped", forged(mint, header=escaped))
    kid = head[:-1] + b',"kid":"other"}'
    yield with_token(mint, "kid twice", forged(mint, header=kid))


@JOSE_HEADER.attack("C18", "members of encryption in a signature's header", R1)
def encryption_members(mint: "Mint") -> Iterator[Variant]:
    for members in ({"zip": "DEF"}, {"p2c": 1000, "p2s": "AAAA"}, {"epk": _THIEF.public.to_jwk()},
                    {"enc": "A256GCM"}, {"iv": "AAAA", "tag": "AAAA"}, {"apu": "AAAA"}):  # fmt: skip
        yield with_token(mint, ", ".join(members), mint.delegated().headed(**members))


@JOSE_HEADER.attack("C19", "an HMAC whose secret the token itself names", R1)
def hmac_from_the_token(mint: "Mint") -> Iterator[Variant]:
    token = mint.delegated()
    for name in ("iss", "client_id", "jti"):
        header = {**token.header, "alg": "HS256"}
        secret = str(token.payload[name]).encode()
        text = compact(header, token.payload, hmac_signer(secret))
        yield tried(f"secret from {name}", mint.carry(text))
    header = {**token.header, "alg": "HS256", "kid": "k", "k": "c2VjcmV0"}
    text = compact(header, token.payload, hmac_signer(b"secret"))
    yield tried("secret from the header", mint.carry(text))
