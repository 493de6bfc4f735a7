"""L: tokens that only their issuer can read, and issuers that answer wrongly (RFC 7662, RFC 9701)."""

import secrets
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from mintmark.jose.base64url import encode
from mintmark.testing.attacks.forging import raw_json
from mintmark.testing.attacks.model import (
    ACCEPTED,
    R1,
    R7,
    Fetches,
    Flood,
    Group,
    Issuer,
    Request,
    Send,
    Setting,
    Variant,
)
from mintmark.testing.attacks.trying import does, wait
from mintmark.testing.faults import Fault

if TYPE_CHECKING:
    from mintmark.testing.authority import FakeAuthority
    from mintmark.testing.mint import Mint, Token

__all__ = ["INTROSPECTION"]

INTROSPECTION = Group("L")
ASKED_AGAIN = 2.0
"""Seconds: after a failure an issuer is left alone for one."""


def _mend(issuer: "FakeAuthority") -> None:
    issuer.lies.clear()
    issuer.down = False
    said = issuer.introspection
    said.changes.clear()
    said.outer_changes.clear()
    said.faults.clear()
    said.signed, said.key, said.typ = bool(said.recipient), None, "token-introspection+jwt"


def _lying(
    mint: "Mint", name: str, lie: Issuer, token: "Token | None" = None, **rest: Any
) -> Variant:
    """An honest token while the issuer answers like this, and another after it has come to itself."""
    request = mint.ask(token or mint.opaque())
    rest.setdefault("setting", Setting.OPAQUE)
    twin = (does(_mend), wait(seconds=ASKED_AGAIN), Send(lambda: mint.ask(mint.opaque())))
    return Variant(name=name, steps=(lie, Send(request)), twin=twin, **rest)


def _saying(**members: Any) -> Issuer:
    return does(lambda issuer: issuer.introspection.changes.update(members))


def _answering(fault: Fault) -> Issuer:
    return does(lambda issuer: issuer.lies.update({"/introspect": fault}))


def _wrapping(members: Mapping[str, Any]) -> Issuer:
    return does(lambda issuer: issuer.introspection.outer_changes.update(members))


def _with(attribute: str, value: Any) -> Issuer:
    return does(lambda issuer: setattr(issuer.introspection, attribute, value))


@INTROSPECTION.attack("L1", "the issuer says that the token is over", R1)
def inactive(mint: "Mint") -> Iterator[Variant]:
    yield _lying(mint, "active false", _saying(active=False))
    stranger = Send(mint.carry(secrets.token_urlsafe(32)))
    twin = (Send(lambda: mint.ask(mint.opaque())),)
    yield Variant(name="never issued", steps=(stranger,), twin=twin, setting=Setting.OPAQUE)


@INTROSPECTION.attack("L2", "a yes that is no JSON true", R1)
def no_true(mint: "Mint") -> Iterator[Variant]:
    odd_ones: tuple[Any, ...] = ("true", 1, None, "yes", [], {"a": 1}, 0, "")
    for active in odd_ones:
        yield _lying(mint, f"{active!r}", _saying(active=active))


@INTROSPECTION.attack("L3", "an answer that is none", R7)
def no_answer(mint: "Mint") -> Iterator[Variant]:
    html = {"content-type": "text/html"}
    for name, fault in {
        "HTML": Fault(body=b"<html>busy</html>", headers=html),
        "empty": Fault(body=b""),
        "5 MB": Fault(body=b'{"active":true,"x":"' + b"x" * 5_000_000 + b'"}'),
        "an array": Fault(body=b'[{"active":true}]'),
        "a text": Fault(body=b'"active"'),
        "active twice": Fault(body=b'{"active":false,"active":true}'),
        "not UTF-8": Fault(body=b'{"active":true,"x":"\xff"}'),
    }.items():
        yield _lying(mint, name, _answering(fault))


@INTROSPECTION.attack("L4", "an issuer that refuses, limits, fails or hangs", R7)
def failing_issuer(mint: "Mint") -> Iterator[Variant]:
    for status in (400, 401, 403, 404, 429, 500, 502, 503):
        yield _lying(mint, f"{status}", _answering(Fault(status=status)))
    elsewhere = Fault(status=307, headers={"location": "https://evil.example/introspect"})
    yield _lying(mint, "a redirect", _answering(elsewhere))
    yield _lying(mint, "no end", _answering(Fault(body=b" " * 200, drip=0.1)))
    yield _lying(mint, "down", does(lambda issuer: setattr(issuer, "down", True)))


@INTROSPECTION.attack("L5", "a yes to a token that is over or not meant for us", R1)
def yes_but(mint: "Mint") -> Iterator[Variant]:
    now = mint.now
    said: dict[str, dict[str, Any]] = {
        "expired": {"exp": now - 3600},
        "exp a text": {"exp": str(now + 600)},
        "not yet": {"nbf": now + 3600},
        "another audience": {"aud": "https://other.example"},
        "an empty audience": {"aud": []},
        "another issuer": {"iss": "https://other.example"},
    }
    for name, members in said.items():
        yield _lying(mint, name, _saying(**members))


@INTROSPECTION.attack("L6", "an opaque token that is bound, sent as a bearer token", R1)
def bound(mint: "Mint") -> Iterator[Variant]:
    said: dict[str, dict[str, Any]] = {
        "token_type": {"token_type": "DPoP"},
        "token_type in small letters": {"token_type": "dpop"},
        "cnf.jkt": {"cnf": {"jkt": "x" * 43}},
        "cnf.x5t#S256": {"cnf": {"x5t#S256": "x" * 43}},
        "an unknown cnf": {"cnf": {"x": "y"}},
        "an empty cnf": {"cnf": {}},
    }
    for name, members in said.items():
        yield _lying(mint, name, _saying(**members))


@INTROSPECTION.attack("L7", "a thousand requests with one token", ACCEPTED)
def thousand(mint: "Mint") -> Iterator[Variant]:
    many = Send(mint.ask(mint.opaque()), times=1_000, accepted=1_000)
    steps = (many, Fetches(1, 1, of="introspect"))
    twin = (Send(lambda: mint.ask(mint.opaque())),)
    yield Variant(name="at once", steps=steps, twin=twin, setting=Setting.OPAQUE)


@INTROSPECTION.attack("L8", "ten thousand strings that are no tokens", R1)
def strings(mint: "Mint") -> Iterator[Variant]:
    def make(number: int) -> Request:
        return mint.carry(f"invented-{number}-{secrets.token_urlsafe(16)}")

    def wrong_shape(number: int) -> Request:
        return mint.carry("x" * (4_000 + number % 100))

    asked = Fetches(mint.unknown_per_peer, of="introspect")
    flood = Flood(make, 10_000, also=R7, grows_at_most=4_000_000)
    twin = (wait(minutes=2), Send(lambda: mint.ask(mint.opaque())))
    yield Variant(
        name="of the right shape", steps=(flood, asked), twin=twin, setting=Setting.OPAQUE
    )
    steps = (Flood(wrong_shape, 1_000), Fetches(0, of="introspect"))
    yield Variant(name="too long for one", steps=steps, twin=twin[1:], setting=Setting.OPAQUE)


@INTROSPECTION.attack("L9", "a signed answer that proves nothing", R7)
def unproven(mint: "Mint") -> Iterator[Variant]:
    now = mint.now
    outer: dict[str, Mapping[str, Any]] = {
        "another audience": {"aud": "https://other.example"},
        "no audience": {"aud": None},
        "old": {"iat": now - 3600},
        "from the future": {"iat": now + 3600},
        "no iat": {"iat": None},
        "another issuer": {"iss": "https://other.example"},
        "active outside": {"token_introspection": None, "active": True},
        "inside a text": {"token_introspection": '{"active":true}'},
    }
    setting = Setting.OPAQUE_SIGNED
    for name, members in outer.items():
        lie = _wrapping(members)
        yield _lying(mint, name, lie, setting=setting)
    for name, attribute, value in (("unsigned", "signed", False), ("another type", "typ", "JWT"),
                                   ("an access token's type", "typ", "at+jwt"),
                                   ("a stranger's key", "key", mint.stranger.key)):  # fmt: skip
        lie = _with(attribute, value)
        yield _lying(mint, name, lie, setting=setting)
    head = encode(raw_json({"alg": "none", "typ": "token-introspection+jwt"}))
    body = {"iss": mint.issuer.issuer, "iat": now, "token_introspection": {"active": True}}
    media = {"content-type": "application/token-introspection+jwt"}
    none = Fault(body=f"{head}.{encode(raw_json(body))}.".encode(), headers=media)
    yield _lying(mint, "alg none", _answering(none), setting=setting)


@INTROSPECTION.attack("L10", "a token that was revoked while it was remembered", R1)
def revoked(mint: "Mint") -> Iterator[Variant]:
    request = mint.ask(mint.opaque())
    revoke = does(lambda issuer: issuer.introspection.changes.update(active=False))
    twin = (does(_mend), wait(seconds=ASKED_AGAIN), Send(lambda: mint.ask(mint.opaque())))
    steps = (Send(request, ACCEPTED), revoke, wait(seconds=59), Send(request, ACCEPTED),
             wait(seconds=2), Send(request))  # fmt: skip
    yield Variant(name="a minute", steps=steps, twin=twin, setting=Setting.OPAQUE)
