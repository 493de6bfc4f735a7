"""J: DPoP proofs, one by one (RFC 9449 §4.3, §7.1)."""

import secrets
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from mintmark.jose.algorithms import Algorithm
from mintmark.jose.base64url import encode
from mintmark.testing.attacks.forging import (
    Signer,
    compact,
    hmac_signer,
    padded,
    raw_json,
    unsigned,
)
from mintmark.testing.attacks.jose_header import rsa_key
from mintmark.testing.attacks.model import (
    ACCEPTED,
    R1,
    R1_DPOP,
    R4,
    Answer,
    Group,
    Request,
    Send,
    Setting,
    Variant,
)
from mintmark.testing.attacks.raw_rsa import short_key
from mintmark.testing.attacks.trying import tried
from mintmark.testing.proofs import ProofKey

if TYPE_CHECKING:
    from mintmark.testing.mint import Mint

__all__ = ["PROOFS", "proven", "sent_with"]

PROOFS = Group("J")
KEY: Final = ProofKey.generate()
OTHER: Final = ProofKey.generate()


def sent_with(text: str, *proofs: str, scheme: bytes = b"DPoP", **rest: Any) -> Request:
    """A token and these proofs beside it."""
    token = (b"authorization", scheme + b" " + text.encode())
    fields = tuple((b"dpop", proof.encode("utf-8", "surrogatepass")) for proof in proofs)
    return Request(headers=(token, *fields, *rest.pop("more", ())), **rest)


def proven(
    mint: "Mint",
    name: str,
    expected: Answer | None = None,
    *,
    header: Mapping[str, Any] | None = None,
    signer: Signer | None = None,
    without: tuple[str, ...] = (),
    rest: Mapping[str, Any] | None = None,
    **changes: Any,
) -> Variant:
    """A bound token with a proof that is changed in this one respect, and the honest proof after."""
    text = mint.delegated().dpop(KEY).text
    honest = KEY.payload("GET", mint.url(), now=mint.now, token=text)
    payload = {k: v for k, v in (honest | changes).items() if k not in without}
    head = {k: v for k, v in {**KEY.header, **(header or {})}.items() if v is not ...}
    proof = compact(head, payload, signer or KEY.key)
    request = sent_with(text, proof, **(rest or {}))
    return tried(name, request, expected, setting=Setting.DPOP, twin=honest_proof(mint))


def honest_proof(mint: "Mint") -> tuple[Send, ...]:
    return (Send(lambda: mint.ask(mint.delegated().dpop(KEY))),)


def _bound(mint: "Mint", name: str, request: Request, expected: Answer | None = None) -> Variant:
    return tried(name, request, expected, setting=Setting.DPOP, twin=honest_proof(mint))


@PROOFS.attack("J1", "a bound token sent as a bearer token", R1.offering("DPoP"))
def as_bearer(mint: "Mint") -> Iterator[Variant]:
    token = mint.delegated().dpop(KEY)
    yield _bound(mint, "no proof", mint.ask(token.as_bearer()))
    proof = KEY.proof("GET", mint.url(), now=mint.now, token=token.text)
    yield _bound(mint, "with its proof", sent_with(token.text, proof, scheme=b"Bearer"))


@PROOFS.attack("J2", "an unbound token sent with a proof", R1_DPOP)
def unbound(mint: "Mint") -> Iterator[Variant]:
    text = mint.delegated().text
    proof = KEY.proof("GET", mint.url(), now=mint.now, token=text)
    yield _bound(mint, "a sound proof", sent_with(text, proof))


@PROOFS.attack("J3", "no proof", R4)
def no_proof(mint: "Mint") -> Iterator[Variant]:
    text = mint.delegated().dpop(KEY).text
    yield _bound(mint, "no field", sent_with(text))
    yield _bound(mint, "an empty one", sent_with(text, ""))


@PROOFS.attack("J4", "two proofs", R4)
def two_proofs(mint: "Mint") -> Iterator[Variant]:
    text = mint.delegated().dpop(KEY).text
    one, two = (KEY.proof("GET", mint.url(), now=mint.now, token=text) for _ in range(2))
    yield _bound(mint, "two fields", sent_with(text, one, two))
    yield _bound(mint, "a list", sent_with(text, f"{one}, {two}"))
    yield _bound(mint, "a list without blanks", sent_with(text, f"{one},{two}"))
    yield _bound(mint, "one and an empty one", sent_with(text, one, ""))


@PROOFS.attack("J5", "a proof that is no compact signature", R4)
def no_compact(mint: "Mint") -> Iterator[Variant]:
    text = mint.delegated().dpop(KEY).text
    proof = KEY.proof("GET", mint.url(), now=mint.now, token=text)
    head, body, tail = proof.split(".")
    flattened = raw_json({"payload": body, "protected": head, "signature": tail}).decode()
    for name, bad in {"1 MB": "a" * 1_048_576, "two segments": f"{head}.{body}",
                      "four segments": f"{proof}.{tail}", "JSON": flattened, "noise": "x",
                      "packed JSON": encode(flattened.encode()), "padded": padded(proof + "x")
                      }.items():  # fmt: skip
        yield _bound(mint, name, sent_with(text, bad))


@PROOFS.attack("J6", "a proof of another type", R4)
def other_type(mint: "Mint") -> Iterator[Variant]:
    for typ in ("JWT", "at+jwt", "dpop", "dpop+jwt ", "", 5, None, ...):
        yield proven(mint, f"{typ!r}", header={"typ": typ})


@PROOFS.attack("J7", "a proof whose alg proves nothing", R4)
def bad_alg(mint: "Mint") -> Iterator[Variant]:
    text = mint.delegated().dpop(KEY).text
    payload = KEY.payload("GET", mint.url(), now=mint.now, token=text)
    bare = unsigned({**KEY.header, "alg": "none"}, payload)
    yield _bound(mint, "none", sent_with(text, bare))
    jwk = hmac_signer(raw_json(KEY.jwk))
    yield proven(mint, "HS256 with the public key", header={"alg": "HS256"}, signer=jwk)
    for alg in ("ES256K", "ES384", "RS256", "XS256", None, 5, ...):
        yield proven(mint, f"{alg!r}", header={"alg": alg})


@PROOFS.attack("J8", "a proof with a bad key", R4)
def bad_key(mint: "Mint") -> Iterator[Variant]:
    jwk, secret = KEY.jwk, b"0" * 32
    oct_key = {"kty": "oct", "k": encode(secret)}
    weak = {k: v for k, v in short_key().jwk("x").items() if k != "kid"}
    yield proven(mint, "missing", header={"jwk": ...})
    yield proven(mint, "private", header={"jwk": {**jwk, "d": encode(b"\x01" * 32)}})
    yield proven(mint, "oct", header={"jwk": oct_key, "alg": "HS256"}, signer=hmac_signer(secret))
    rsa = {"jwk": weak, "alg": "RS256"}
    yield proven(mint, "RSA of 1024 bits", header=rsa, signer=short_key().sign)
    yield proven(mint, "off the curve", header={"jwk": {**jwk, "y": OTHER.jwk["y"]}})
    yield proven(mint, "for another alg", header={"jwk": {**jwk, "alg": "ES384"}})
    yield proven(mint, "for encryption", header={"jwk": {**jwk, "use": "enc"}})
    odd_ones: tuple[Any, ...] = (None, "text", [], {}, 5)
    for odd in odd_ones:
        yield proven(mint, f"{odd!r}", header={"jwk": odd})


@PROOFS.attack("J9", "a proof signed by another key", R4)
def other_signer(mint: "Mint") -> Iterator[Variant]:
    yield proven(mint, "another EC key", signer=OTHER.key)
    yield proven(mint, "noise", signer=lambda _: secrets.token_bytes(64))
    yield proven(mint, "zeros", signer=lambda _: bytes(64))


@PROOFS.attack("J10", "a sound proof of another key than the token's", R1_DPOP)
def other_key(mint: "Mint") -> Iterator[Variant]:
    text = mint.delegated().dpop(KEY).text
    proof = OTHER.proof("GET", mint.url(), now=mint.now, token=text)
    yield _bound(mint, "another EC key", sent_with(text, proof))
    rsa = ProofKey(rsa_key(Algorithm.RS256)).proof("GET", mint.url(), now=mint.now, token=text)
    yield _bound(mint, "an RSA key", sent_with(text, rsa))


@PROOFS.attack("J11", "a proof for another token, or for none", R4)
def other_token(mint: "Mint") -> Iterator[Variant]:
    text = mint.delegated().dpop(KEY).text
    own = KEY.payload("GET", mint.url(), now=mint.now, token=text)["ath"]
    other = KEY.payload("GET", mint.url(), now=mint.now, token="other")["ath"]
    yield proven(mint, "missing", without=("ath",))
    yield proven(mint, "another token's", ath=other)
    yield _own_ath(mint, "padded", padded(own), text)
    yield _own_ath(mint, "another case", own.swapcase(), text)
    odd_ones: tuple[Any, ...] = ("", 5, None, [])
    for ath in odd_ones:
        yield proven(mint, f"{ath!r}", ath=ath)


def _own_ath(mint: "Mint", name: str, ath: str, text: str) -> Variant:
    proof = KEY.proof("GET", mint.url(), now=mint.now, token=text, ath=ath)
    return _bound(mint, name, sent_with(text, proof))


@PROOFS.attack("J12", "a proof for another method", R4)
def other_method(mint: "Mint") -> Iterator[Variant]:
    yield proven(mint, "missing", without=("htm",))
    for htm in ("POST", "get", "Get", "GET ", "", 5, None, ["GET"], "*"):
        yield proven(mint, f"{htm!r}", htm=htm)


@PROOFS.attack("J13", "a proof for another address", R4)
def other_address(mint: "Mint") -> Iterator[Variant]:
    own, api = mint.url(), mint.audience
    path = own.removeprefix(api)
    yield proven(mint, "missing", without=("htu",))
    for name, htu in {"host": f"https://other.example{path}", "port": f"{api}:8443{path}",
                      "path": f"{own}/x", "scheme": own.replace("https", "http"), "root": api,
                      "relative": path, "a slash more": f"{own}/", "user-info":
                      own.replace("://", "://x@"), "dot segments": f"{api}/x/..{path}",
                      "empty": "", "a number": 5, "null": None, "a list": [own]}.items():  # fmt: skip
        yield proven(mint, name, htu=htu)


@PROOFS.attack("J14", "the same address, written otherwise", ACCEPTED)
def same_address(mint: "Mint") -> Iterator[Variant]:
    own, api = mint.url(), mint.audience
    path, host = own.removeprefix(api), api.removeprefix("https://")
    escaped = "".join(f"%{ord(letter):02x}" if letter.isalpha() else letter for letter in path)
    for name, htu in {"with a query": f"{own}?a=b", "with a fragment": f"{own}#a",
                      "the default port": f"{api}:443{path}", "a host in capitals":
                      f"https://{host.upper()}{path}", "a scheme in capitals":
                      f"HTTPS://{host}{path}", "percent-encoded": f"{api}{escaped}"}.items():  # fmt: skip
        yield proven(mint, name, htu=htu)
    query = {"query": b"page=2"}
    yield proven(mint, "the request has a query", rest=query)


@PROOFS.attack("J15", "a path in another case", R4)
def path_in_other_case(mint: "Mint") -> Iterator[Variant]:
    path = mint.url().removeprefix(mint.audience)
    yield proven(mint, "capitals", htu=mint.audience + path.upper())
    yield proven(mint, "one capital", htu=mint.audience + path[0] + path[1:].capitalize())


@PROOFS.attack("J16", "headers that move the address", R4)
def moved_address(mint: "Mint") -> Iterator[Variant]:
    path = mint.url().removeprefix(mint.audience)
    evil = f"https://evil.example{path}"
    for header in ((b"x-forwarded-host", b"evil.example"), (b"x-original-host", b"evil.example"),
                   (b"forwarded", b"host=evil.example;proto=https"),
                   (b"x-forwarded-server", b"evil.example")):  # fmt: skip
        yield proven(mint, header[0].decode(), htu=evil, rest={"more": (header,)})
    yield proven(mint, "host", htu=evil, rest={"host": "evil.example"})
    plain = mint.url().replace("https", "http")
    proto = ((b"x-forwarded-proto", b"http"),)
    yield proven(mint, "x-forwarded-proto", htu=plain, rest={"more": proto})


@PROOFS.attack("J17", "a proof from another time", R4)
def other_time(mint: "Mint") -> Iterator[Variant]:
    now = mint.now
    yield proven(mint, "missing", without=("iat",))
    for name, iat in {"ten minutes ago": now - 600, "in ten minutes": now + 600, "a text": str(now),
                      "true": True, "null": None, "a list": [now], "zero": 0, "negative": -now,
                      "huge": 10**30, "milliseconds": now * 1000}.items():  # fmt: skip
        yield proven(mint, name, iat=iat)


@PROOFS.attack("J18", "a proof without a name of its own", R4)
def no_name(mint: "Mint") -> Iterator[Variant]:
    yield proven(mint, "missing", without=("jti",))
    for jti in ("", [], ["a"], 5, None, True, {"a": 1}):
        yield proven(mint, f"{jti!r}", jti=jti)
    yield proven(mint, "1 MB", jti="j" * 1_048_576)
    yield proven(mint, "1,000 letters", jti="j" * 1_000)


@PROOFS.attack("J27", "a proof with an extension that nobody knows", R4)
def unknown_extension(mint: "Mint") -> Iterator[Variant]:
    yield proven(mint, "crit", header={"crit": ["x"], "x": 1})
    yield proven(mint, "empty crit", header={"crit": []})
    yield proven(mint, "b64", header={"crit": ["b64"], "b64": True})
    yield proven(mint, "zip", header={"zip": "DEF"})
    yield proven(mint, "cty", header={"cty": "JWT"})


@PROOFS.attack("J28", "a proof that says its own time is over", R4)
def over(mint: "Mint") -> Iterator[Variant]:
    times: dict[str, dict[str, Any]] = {"exp an hour ago": {"exp": mint.now - 3600}, "exp now": {"exp": mint.now},
                          "exp a text": {"exp": "x"}, "nbf in an hour": {"nbf": mint.now + 3600},
                          "exp null": {"exp": None}}  # fmt: skip
    for name, changes in times.items():
        yield proven(mint, name, **changes)
