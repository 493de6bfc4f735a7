"""D: which key is chosen, and what a key set may hold (RFC 7517 §4, §5)."""

import secrets
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from mintmark.jose.algorithms import Algorithm
from mintmark.jose.base64url import encode
from mintmark.jose.keys import SigningKey
from mintmark.testing.attacks.forging import Signer, compact, segment
from mintmark.testing.attacks.jose_header import rsa_key
from mintmark.testing.attacks.model import (
    ACCEPTED,
    R1,
    R7,
    Fetches,
    Flood,
    Group,
    Request,
    Send,
    Setting,
    Variant,
)
from mintmark.testing.attacks.raw_rsa import RawRsa, exponent_one, roca, short_key
from mintmark.testing.attacks.trying import (
    does,
    each,
    honest,
    publish,
    signs_with,
    wait,
    with_token,
)

if TYPE_CHECKING:
    from mintmark.testing.mint import Mint

__all__ = ["KEY_SETS"]

KEY_SETS = Group("D")
_OTHER: Final = SigningKey.generate(Algorithm.ES256)
COOLDOWN: Final = 31.0
"""Seconds: an issuer is asked again for an unknown key at most every thirty."""


def with_kid_only(mint: "Mint", number: int) -> Request:
    """A well-formed token with a `kid` of its own, and noise for a signature."""
    token = mint.delegated().headed(kid=f"unknown-{number}")
    noise = encode(secrets.token_bytes(64))
    return mint.carry(f"{segment(token.header)}.{segment(token.payload)}.{noise}")


@KEY_SETS.attack("D1", "a kid that nobody has seen", R1)
def unknown_kid(mint: "Mint") -> Iterator[Variant]:
    unknown = Send(lambda: mint.carry(mint.delegated().headed(kid="unknown").text))
    yield Variant(name="on a cold API", steps=(unknown, Fetches(2)))
    steps = (honest(mint, ACCEPTED), Fetches(2), wait(seconds=COOLDOWN), unknown, Fetches(1, 1))
    yield Variant(name="on a warm API", steps=steps)
    again = (*steps, unknown, Fetches(0))
    yield Variant(name="twice within the pause", steps=again)


@KEY_SETS.attack("D2", "ten thousand kids that nobody has seen", R1)
def flood_of_kids(mint: "Mint") -> Iterator[Variant]:
    flood = Flood(lambda number: with_kid_only(mint, number), 10_000)
    yield Variant(
        name="on a warm API",
        steps=(honest(mint, ACCEPTED), Fetches(2), wait(seconds=COOLDOWN), flood, Fetches(1)),
    )


@KEY_SETS.attack("D3", "a kid made for a database, a shell, a path, a template", R1)
def kid_for_others(mint: "Mint") -> Iterator[Variant]:
    for kid in ("' OR 1=1 --", "../../../../dev/null", "$(id)", "*)(uid=*", "{{7*7}}", "%00",
                "| cat /etc/passwd", "\u202e", "kid\r\nset-cookie: a=b"):  # fmt: skip
        yield with_token(mint, f"{kid!r}", mint.delegated().headed(kid=kid))


@KEY_SETS.attack("D4", "a kid that is no text, or a huge one", R1)
def kid_no_text(mint: "Mint") -> Iterator[Variant]:
    kids: dict[str, Any] = {"number": 5, "object": {"a": 1}, "list": ["x"], "null": None,
                            "true": True, "empty": "", "100 KB": "k" * 100_000}  # fmt: skip
    yield from each(mint, {name: mint.delegated().headed(kid=kid) for name, kid in kids.items()})


@KEY_SETS.attack("D5", "no kid, and one key that suits", ACCEPTED)
def no_kid_one_key(mint: "Mint") -> Iterator[Variant]:
    yield with_token(mint, "one key", mint.delegated().unheaded("kid"))
    mixed = (signs_with(mint.issuer.key, rsa_key()),)
    token = mint.delegated().unheaded("kid")
    yield with_token(mint, "one key for this algorithm", token, before=mixed)


@KEY_SETS.attack("D6", "no kid, and several keys that suit", R1)
def no_kid_several_keys(mint: "Mint") -> Iterator[Variant]:
    several = (signs_with(mint.issuer.key, _OTHER),)
    token = mint.delegated().unheaded("kid")
    yield with_token(mint, "the first one's", token, before=several)
    second = token.signed_by(_OTHER)
    yield with_token(mint, "the second one's", second, before=several)


@KEY_SETS.attack("D7", "the key of another trusted issuer", R1)
def key_of_the_partner(mint: "Mint") -> Iterator[Variant]:
    partner = Setting.TWO_ISSUERS
    twin = (honest(mint), Send(lambda: mint.ask(mint.of(mint.partner))))
    token = mint.delegated().by(mint.partner.key)
    yield with_token(mint, "partner's kid and key", token, setting=partner, twin=twin)
    unnamed = token.unheaded("kid")
    yield with_token(mint, "no kid", unnamed, setting=partner, twin=twin)
    reverse = mint.of(mint.partner).by(mint.issuer.key)
    yield with_token(mint, "the other way round", reverse, setting=partner, twin=twin)


@KEY_SETS.attack("D8", "two keys of one name", R1)
def two_keys_of_one_name(mint: "Mint") -> Iterator[Variant]:
    own = mint.issuer.key
    jwk, clash = own.public.to_jwk(), {**_OTHER.public.to_jwk(), "kid": own.kid}
    # The twin has a key of another algorithm: of that name and algorithm there is one alone.
    rsa = RawRsa.of(rsa_key())
    twin_jwk = {**rsa.jwk(own.kid), "alg": "RS256"}
    twin = (Send(lambda: mint.ask(mint.delegated().by(rsa_key()).headed(kid=own.kid))),)
    for name, order in (("ours first", (jwk, clash)), ("ours last", (clash, jwk))):
        before = (publish(*order, twin_jwk),)
        yield with_token(mint, name, mint.delegated(), before=before, twin=twin)
    suits = (publish(jwk, twin_jwk),)
    yield with_token(mint, "one of them suits", mint.delegated(), ACCEPTED, before=suits)


def _beside(
    mint: "Mint", name: str, bad: Mapping[str, Any], by: Signer, alg: str = "ES256"
) -> Variant:
    """A bad key published beside the honest one, and a token that it signed."""
    token = mint.delegated()
    header = {**token.header, "kid": bad.get("kid", "bad"), "alg": alg}
    text = compact(header, token.payload, by)
    return with_token(mint, name, text, before=(publish(mint.issuer.key.public.to_jwk(), bad),))


@KEY_SETS.attack("D9", "a key for something else than signatures", R1)
def key_for_something_else(mint: "Mint") -> Iterator[Variant]:
    for members in ({"use": "enc"}, {"key_ops": ["encrypt"]}, {"key_ops": ["sign"]},
                    {"use": "enc", "key_ops": ["verify"]}, {"use": 5}):  # fmt: skip
        jwk = {k: v for k, v in _OTHER.public.to_jwk().items() if k != "use"}
        yield _beside(mint, f"{members}", {**jwk, **members}, _OTHER)


@KEY_SETS.attack("D10", "private and symmetric keys in the set", R1)
def private_keys(mint: "Mint") -> Iterator[Variant]:
    from mintmark.testing.attacks.forging import hmac_signer

    private = {**_OTHER.public.to_jwk(), "d": encode(b"\x01" * 32)}
    yield _beside(mint, "private", private, _OTHER)
    secret = b"0123456789abcdef0123456789abcdef"
    octets = {"kty": "oct", "kid": "oct", "k": encode(secret), "alg": "HS256"}
    yield _beside(mint, "oct", octets, hmac_signer(secret), "HS256")
    yield _beside(mint, "oct without alg", {"kty": "oct", "kid": "oct", "k": encode(secret)},
                  hmac_signer(secret), "HS256")  # fmt: skip


@KEY_SETS.attack("D11", "weak RSA keys", R1)
def weak_rsa_keys(mint: "Mint") -> Iterator[Variant]:
    strong = RawRsa.of(rsa_key())
    even = RawRsa(strong.n, 65536, 1)
    for name, key in (("1024 bits", short_key()), ("exponent 1", exponent_one(strong)),
                      ("even exponent", even), ("ROCA", roca())):  # fmt: skip
        yield _beside(mint, name, key.jwk("weak"), key.sign, "RS256")


@KEY_SETS.attack("D12", "broken EC keys", R1)
def broken_ec_keys(mint: "Mint") -> Iterator[Variant]:
    jwk = {**_OTHER.public.to_jwk(), "kid": "broken"}
    other = SigningKey.generate(Algorithm.ES256).public.to_jwk()
    x = jwk["x"]
    yield _beside(mint, "off the curve", {**jwk, "y": other["y"]}, _OTHER)
    yield _beside(mint, "another crv", {**jwk, "crv": "P-384"}, _OTHER)
    yield _beside(mint, "no crv", {k: v for k, v in jwk.items() if k != "crv"}, _OTHER)
    longer = encode(b"\x00" + _octets(x))
    yield _beside(mint, "a coordinate too long", {**jwk, "x": longer}, _OTHER)
    short, signer = _with_a_leading_zero()
    yield _beside(mint, "a coordinate too short", short, signer)


def _octets(text: str) -> bytes:
    from mintmark.jose.base64url import decode

    return decode(text)


def _with_a_leading_zero() -> tuple[dict[str, str], SigningKey]:
    """A key whose x begins with zeros, which are left out; one in 256 is such a key."""
    while True:
        key = SigningKey.generate(Algorithm.ES256)
        jwk = key.public.to_jwk()
        x = _octets(jwk["x"])
        if x[0] == 0:
            return {**jwk, "x": encode(x.lstrip(b"\x00"))}, key


@KEY_SETS.attack("D13", "a key of a kind that nobody knows beside good ones", ACCEPTED)
def exotic_key(mint: "Mint") -> Iterator[Variant]:
    good = mint.issuer.key.public.to_jwk()
    for name, odd in {
        "unknown kty": {"kty": "PQC", "kid": "x", "pub": "AAAA"},
        "unknown crv": {"kty": "EC", "crv": "P-999", "x": "AA", "y": "AA"},
        "unknown alg": {**good, "kid": "y", "alg": "ES1024"},
        "no kty": {"kid": "z"},
    }.items():
        for order in ((good, odd), (odd, good)):
            place = "last" if order[0] is good else "first"
            token = mint.delegated()
            yield with_token(mint, f"{name}, {place}", token, before=(publish(*order),))


@KEY_SETS.attack("D18", "a key that was withdrawn", R1)
def withdrawn_key(mint: "Mint") -> Iterator[Variant]:
    stolen = mint.ask(mint.delegated())
    rotate = does(lambda issuer: issuer.rotate_key(keep_old=False))
    # The first token of the new key makes the API ask; from then on the old one is no more.
    steps = (Send(stolen, ACCEPTED), rotate, wait(seconds=COOLDOWN), honest(mint, ACCEPTED))
    yield Variant(name="remembered before", steps=(*steps, Send(stolen)))
    unseen = mint.ask(mint.delegated("bob"))
    yield Variant(name="never seen before", steps=(*steps, Send(unseen)))


@KEY_SETS.attack("D16", "the issuer is down and no key is held", R7)
def down_and_cold(mint: "Mint") -> Iterator[Variant]:
    down = does(lambda issuer: setattr(issuer, "down", True))
    up = does(lambda issuer: setattr(issuer, "down", False))
    yield Variant(
        name="down",
        before=(down,),
        steps=(honest(mint), honest(mint)),
        twin=(up, wait(seconds=COOLDOWN), honest(mint)),
    )
