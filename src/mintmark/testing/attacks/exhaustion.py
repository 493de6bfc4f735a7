"""N: exhausting, timing, listening."""

import secrets
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from mintmark.jose.algorithms import Algorithm
from mintmark.jose.base64url import encode
from mintmark.testing.attacks.forging import segment
from mintmark.testing.attacks.jose_header import rsa_key
from mintmark.testing.attacks.key_sets import COOLDOWN
from mintmark.testing.attacks.model import (
    ACCEPTED,
    R1,
    R4,
    R7,
    R8,
    Flood,
    Fork,
    Group,
    Request,
    Route,
    Send,
    Setting,
    Variant,
)
from mintmark.testing.attacks.trying import does, honest, tried, wait
from mintmark.testing.faults import Fault
from mintmark.testing.proofs import ProofKey

if TYPE_CHECKING:
    from mintmark.testing.mint import Mint

__all__ = ["EXHAUSTION"]

EXHAUSTION = Group("N")
MEGABYTE: Final = 1_000_000


@EXHAUSTION.attack("N1", "a flood of tokens with noise for a signature", R1)
def noise(mint: "Mint") -> Iterator[Variant]:
    token = mint.delegated()

    def make(number: int) -> Request:
        payload = {**token.payload, "jti": str(number)}
        signature = encode(secrets.token_bytes(64))
        return mint.carry(f"{segment(token.header)}.{segment(payload)}.{signature}")

    # What the first ones fill (a cache of headers, say) is no growth, so they go first.
    first = Flood(make, 600)
    yield Variant(name="noise", steps=(first, Flood(make, 2_000, grows_at_most=MEGABYTE)))


@EXHAUSTION.attack("N2", "a flood of proofs with huge RSA keys", R4)
def huge_proof_keys(mint: "Mint") -> Iterator[Variant]:
    key = rsa_key(Algorithm.RS256)
    token = mint.delegated().dpop(ProofKey(key))
    jwk = {"kty": "RSA", "e": "AQAB", "n": encode(b"\xff" + secrets.token_bytes(510) + b"\x01")}
    text = token.text

    def make(number: int) -> Request:
        del number
        proof = ProofKey(key).proof(
            "GET", mint.url(), now=mint.now, token=text, header={"jwk": jwk},
            signer=lambda _: secrets.token_bytes(512),
        )  # fmt: skip
        headers = ((b"authorization", b"DPoP " + text.encode()), (b"dpop", proof.encode()))
        return Request(headers=headers)

    steps = (Flood(make, 100), Flood(make, 500, grows_at_most=MEGABYTE))
    yield Variant(name="RSA of 4096 bits", steps=steps, setting=Setting.DPOP)


@EXHAUSTION.attack("N3", "more valid tokens than can be remembered", ACCEPTED)
def many_valid_tokens(mint: "Mint") -> Iterator[Variant]:
    def make(number: int) -> Request:
        return mint.carry(mint.delegated(f"person-{number}").text)

    filling = Flood(make, mint.cache_size + mint.cache_size // 10)
    more = Flood(make, mint.cache_size, grows_at_most=MEGABYTE)
    yield Variant(name="valid ones", steps=(filling, more))


@EXHAUSTION.attack("N4", "tokens that differ where a cache might not look", R1)
def alike_tokens(mint: "Mint") -> Iterator[Variant]:
    text = mint.delegated().text
    start, _, tail = text.rpartition(".")
    known = Send(mint.carry(text), ACCEPTED, "the original")
    # A cache that knows a token by less than all of it would know these as well.
    changed = {
        "the last characters": text[:-8] + ("AAAAAAAA" if text[-8:] != "AAAAAAAA" else "BAAAAAAA"),
        "the first of the signature": f"{start}.{'A' if tail[0] != 'A' else 'B'}{tail[1:]}",
        "no signature": f"{start}.",
        "another payload": f"{text.partition('.')[0]}."
        f"{segment({**mint.delegated().payload, 'sub': 'root'})}.{tail}",
    }
    steps = tuple(Send(mint.carry(other), name=name) for name, other in changed.items())
    yield Variant(name="one after the other", steps=(known, *steps))


@EXHAUSTION.attack("N5", "one issuer whose keys come an octet a second", R7, within=7)
def slow_issuer(mint: "Mint") -> Iterator[Variant]:
    drip = Fault(body=b" " * 30, drip=1.0)
    slow = does(lambda issuer: issuer.lies.update({"/jwks": drip}), partner=True)
    mend = does(lambda issuer: issuer.lies.clear(), partner=True)
    theirs = Send(lambda: mint.ask(mint.of(mint.partner)))
    yield Variant(
        name="the other is not held up",
        setting=Setting.TWO_ISSUERS,
        before=(slow,),
        steps=(honest(mint, ACCEPTED), theirs, honest(mint, ACCEPTED)),
        twin=(mend, wait(seconds=COOLDOWN), Send(theirs.request, ACCEPTED)),
    )


@EXHAUSTION.attack("N6", "telling causes apart by their answers", R1)
def causes(mint: "Mint") -> Iterator[Variant]:
    token = mint.delegated()
    start = token.text.rpartition(".")[0]
    tokens: dict[str, Any] = {
        "unknown kid": token.headed(kid="unknown").text,
        "bad signature": f"{start}.{encode(secrets.token_bytes(64))}",
        "bad claims": token.claims(aud="https://other.example").text,
        "expired": token.expired().text,
        "unreadable": "nonsense",
    }
    steps = tuple(Send(mint.carry(text), name=name) for name, text in tokens.items())
    yield Variant(name="plain", steps=steps, alike=True)


@EXHAUSTION.attack("N7", "a token in a log, an exception or an answer", R1)
def listening(mint: "Mint") -> Iterator[Variant]:
    yield tried("refused", mint.carry(mint.delegated().broken("other-key").text))
    yield tried("accepted", mint.ask(mint.delegated()), ACCEPTED)
    yield tried("malformed", mint.carry(mint.delegated().text + ".x"))
    routes = frozenset({Route.ANY, Route.RAISING})
    yield tried("a policy fails", mint.ask(mint.delegated(), Route.RAISING), R8, routes=routes)


@EXHAUSTION.attack("N8", "a worker that was forked after the start", ACCEPTED)
def forked_worker(mint: "Mint") -> Iterator[Variant]:
    # In the child the threads of the parent are gone, and its connections are shared.
    rotate = does(lambda issuer: issuer.rotate_key())
    known = Fork(lambda: mint.ask(mint.delegated()), ACCEPTED)
    yield Variant(name="with the keys it has", steps=(honest(mint), known))
    steps = (honest(mint), rotate, wait(seconds=COOLDOWN), Fork(known.request, ACCEPTED))
    yield Variant(name="with keys it has to fetch", steps=steps)
