"""G: time (RFC 7519 §4.1.4-4.1.6)."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from mintmark.testing.attacks.model import (
    ACCEPTED,
    GONE,
    R1,
    Group,
    Request,
    Route,
    Send,
    Setting,
    Variant,
)
from mintmark.testing.attacks.trying import wait, with_token

if TYPE_CHECKING:
    from mintmark.testing.mint import Mint

__all__ = ["TIMES"]

TIMES = Group("G")


@TIMES.attack("G1", "expired a second ago, which clocks may differ by", ACCEPTED)
def within_skew(mint: "Mint") -> Iterator[Variant]:
    token = mint.delegated().claims(exp=mint.now - 1, iat=mint.now - 600)
    yield with_token(mint, "a second", token)


@TIMES.attack("G2", "expired", R1)
def expired(mint: "Mint") -> Iterator[Variant]:
    skew = int(mint.skew.total_seconds())
    for name, by in (("right after the skew", skew), ("an hour", 3600), ("a year", 31_536_000)):
        token = mint.delegated().claims(exp=mint.now - by, iat=mint.now - by - 600)
        yield with_token(mint, name, token)
    for exp in (0, -1, 1):
        yield with_token(mint, f"exp {exp}", mint.delegated().claims(exp=exp, iat=0))


@TIMES.attack("G3", "not yet valid", R1)
def not_yet_valid(mint: "Mint") -> Iterator[Variant]:
    later = mint.now + 3600
    token = mint.delegated().claims(exp=later + 600)
    yield with_token(mint, "an hour", token.claims(nbf=later))
    kinds: tuple[Any, ...] = (str(mint.now), True, None, [], 1e300)
    for nbf in kinds:
        yield with_token(mint, f"nbf {type(nbf).__name__}", token.claims(nbf=nbf))


@TIMES.attack("G4", "issued in the future", R1)
def issued_later(mint: "Mint") -> Iterator[Variant]:
    token = mint.delegated().claims(exp=mint.now + 7200)
    yield with_token(mint, "an hour", token.claims(iat=mint.now + 3600))
    for iat in (str(mint.now), True, None, -1):
        yield with_token(mint, f"iat {iat!r}"[:8], token.claims(iat=iat))


@TIMES.attack("G5", "over before it began", R1)
def over_before_it_began(mint: "Mint") -> Iterator[Variant]:
    now, token = mint.now, mint.delegated()
    yield with_token(mint, "exp before nbf", token.claims(nbf=now + 20, exp=now + 10))
    yield with_token(mint, "exp before iat", token.claims(iat=now + 20, exp=now + 10))
    yield with_token(mint, "exp is iat", token.claims(iat=now + 5, exp=now + 5))


@TIMES.attack("G6", "valid for ten years where there is a limit", R1)
def ten_years(mint: "Mint") -> Iterator[Variant]:
    setting, now = Setting.MAX_LIFETIME, mint.now
    for name, exp in (("ten years", now + 315_360_000), ("an hour and a second", now + 3601)):
        yield with_token(mint, name, mint.delegated().claims(exp=exp), setting=setting)
    hour = mint.delegated().claims(exp=now + 3600)
    yield with_token(mint, "an hour", hour, ACCEPTED, setting=setting)


@TIMES.attack("G7", "a stream that outlives its token", GONE)
def stream(mint: "Mint") -> Iterator[Variant]:
    # It has a second left, clocks being forgiven what they are.
    left = 1 - int(mint.skew.total_seconds())
    token = mint.delegated().claims(exp=mint.now + left, iat=mint.now - 600)
    request = Request(
        headers=mint.carry(token.text).headers, route=Route.STREAM, websocket=True, lasting=2.0
    )
    routes = frozenset({Route.ANY, Route.STREAM})
    yield Variant(name="WebSocket", steps=(Send(request),), routes=routes)


@TIMES.attack("G8", "a token that was remembered and has ended", R1)
def remembered(mint: "Mint") -> Iterator[Variant]:
    skew = mint.skew.total_seconds()
    request = mint.ask(mint.delegated().claims(exp=mint.now + 20))
    steps = (Send(request, ACCEPTED), Send(request, ACCEPTED), wait(seconds=20 + skew))
    yield Variant(name="after exp and skew", steps=(*steps, Send(request)))
    lasting = mint.ask(mint.delegated().claims(exp=mint.now + 50))
    known = (Send(lasting, ACCEPTED), wait(seconds=49 + skew), Send(lasting, ACCEPTED))
    yield Variant(name="not before", steps=(*known, wait(seconds=1), Send(lasting)))
