"""A: the request's shape (RFC 6750 §2.1)."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from mintmark.testing.attacks.model import (
    ACCEPTED,
    CLOSED,
    PASSED,
    R0,
    R1,
    R2,
    Group,
    Request,
    Route,
    Send,
    Setting,
    Variant,
)
from mintmark.testing.attacks.trying import tried, with_token

if TYPE_CHECKING:
    from mintmark.testing.mint import Mint

__all__ = ["REQUEST_SHAPE"]

REQUEST_SHAPE = Group("A")
_FORM = (b"content-type", b"application/x-www-form-urlencoded")
_PREFLIGHT = ((b"origin", b"https://app.example"), (b"access-control-request-method", b"GET"))


def _authorization(value: bytes) -> Request:
    return Request(headers=((b"authorization", value),))


@REQUEST_SHAPE.attack("A1", "nothing is sent", R0)
def no_header(mint: "Mint") -> Iterator[Variant]:
    del mint
    yield tried("no header", Request())


@REQUEST_SHAPE.attack("A2", "the header is there and holds no token", R2)
def empty_header(mint: "Mint") -> Iterator[Variant]:
    del mint
    for value in (b"", b"Bearer", b"Bearer ", b"Bearer    ", b"bearer\t"):
        yield tried(repr(value), _authorization(value))


@REQUEST_SHAPE.attack("A3", "another authentication scheme", R0)
def another_scheme(mint: "Mint") -> Iterator[Variant]:
    del mint
    for value in (b"Basic YTpi", b"Negotiate abc", b"Unknown", b"bearers abc", b"Digest a=b"):
        yield tried(repr(value), _authorization(value))


@REQUEST_SHAPE.attack("A4", "the scheme in any case", ACCEPTED)
def scheme_in_any_case(mint: "Mint") -> Iterator[Variant]:
    for scheme in (b"bEaReR", b"BEARER", b"bearer"):
        yield tried(scheme.decode(), mint.carry(mint.delegated().text, scheme))


@REQUEST_SHAPE.attack("A5", "blanks or tabs where one blank belongs", R2)
def wrong_blanks(mint: "Mint") -> Iterator[Variant]:
    token = mint.delegated().text.encode()
    yield tried("inner blank", _authorization(b"Bearer a b"))
    yield tried("a token in two", _authorization(b"Bearer " + token[:40] + b" " + token[40:]))
    yield tried("tab", _authorization(b"Bearer\t" + token))
    yield tried("two blanks", _authorization(b"Bearer  " + token))


@REQUEST_SHAPE.attack("A6", "two headers, both valid", R2)
def two_headers(mint: "Mint") -> Iterator[Variant]:
    one, two = mint.carry(mint.delegated().text), mint.carry(mint.delegated("bob").text)
    yield tried("two tokens", Request(headers=one.headers + two.headers))
    yield tried("the same twice", Request(headers=one.headers * 2))
    basic = ((b"authorization", b"Basic YTpi"),)
    yield tried("another scheme beside it", Request(headers=basic + one.headers))


@REQUEST_SHAPE.attack("A7", "a list of tokens in one header", R2)
def comma_list(mint: "Mint") -> Iterator[Variant]:
    one, two = mint.delegated().text.encode(), mint.delegated("bob").text.encode()
    yield tried("two schemes", _authorization(b"Bearer " + one + b", Bearer " + two))
    yield tried("one scheme", _authorization(b"Bearer " + one + b"," + two))


@REQUEST_SHAPE.attack("A8", "a token in the address alone", R0)
def token_in_query(mint: "Mint") -> Iterator[Variant]:
    token = mint.delegated().text
    query = f"access_token={token}".encode()
    yield tried("query", Request(query=query, tokens=(token,)))


@REQUEST_SHAPE.attack("A9", "a token in the header and another in the body", R2)
def token_in_body_too(mint: "Mint") -> Iterator[Variant]:
    token = mint.delegated().text
    body = f"access_token={token}".encode()
    both = Request(
        headers=(*mint.carry(token).headers, _FORM), method="POST", body=body, tokens=(token,)
    )
    yield tried("both", both, setting=Setting.BODY_METHOD)
    alone = Request(headers=(_FORM,), method="POST", body=body, tokens=(token,))
    # Where bodies are not read, what is in one is no attempt at anything.
    yield tried("in the body alone, where bodies are not read", alone, R0)


@REQUEST_SHAPE.attack("A10", "octets that no header value may hold", R2)
def forbidden_octets(mint: "Mint") -> Iterator[Variant]:
    token = mint.delegated().text.encode()
    for octets in (b"\x00", b"\x01", b"\x7f", b"\xc3\xa9", b"\xff", b"\r\n"):
        yield tried(f"{octets!r} inside", _authorization(b"Bearer " + token[:9] + octets + token))
        yield tried(f"{octets!r} at the end", _authorization(b"Bearer " + token + octets))


@REQUEST_SHAPE.attack("A11", "a header of one mebibyte", R1, within=0.5)
def huge_header(mint: "Mint") -> Iterator[Variant]:
    yield tried("one letter", mint.carry(b"a" * 1_048_576))
    yield tried("a token in front", mint.carry(mint.delegated().text + "." + "a" * 1_048_576))


@REQUEST_SHAPE.attack("A12", "the DPoP scheme where there is no DPoP", R0)
def dpop_where_there_is_none(mint: "Mint") -> Iterator[Variant]:
    yield tried("an honest token", mint.carry(mint.delegated().text, b"DPoP"))
    yield tried("a bound token with its proof", mint.ask(mint.delegated().dpop()))


@REQUEST_SHAPE.attack("A13", "a browser's preflight", PASSED)
def preflight(mint: "Mint") -> Iterator[Variant]:
    yield tried("without credentials", Request(method="OPTIONS", headers=_PREFLIGHT))
    unasked = Request(method="OPTIONS", headers=_PREFLIGHT[:1])
    yield tried("OPTIONS that is no preflight", unasked, R0)
    yield tried("its headers on a GET", Request(headers=_PREFLIGHT), R0)
    with_bad_token = Request(method="OPTIONS", headers=(*_PREFLIGHT, *mint.carry("x").headers))
    yield tried("with a bad token, which is not looked at", with_bad_token)


@REQUEST_SHAPE.attack("A14", "a WebSocket handshake with a bad token or none", R1)
def websocket(mint: "Mint") -> Iterator[Variant]:
    token = mint.carry(mint.delegated().text).headers
    bad = mint.carry("nonsense").headers
    for answers in (True, False):
        where = "" if answers else ", by a server that can only close"
        twin = (
            Send(
                Request(headers=token, route=Route.WEBSOCKET, websocket=True, http_answers=answers)
            ),
        )
        for name, headers, expected in (("none", (), R0), ("a bad one", bad, R1)):
            request = Request(
                headers=headers, route=Route.WEBSOCKET, websocket=True, http_answers=answers
            )
            yield tried(
                name + where,
                request,
                expected if answers else CLOSED,
                twin=twin,
                routes=frozenset({Route.ANY, Route.WEBSOCKET}),
            )


@REQUEST_SHAPE.attack("A15", "HEAD and TRACE with a bad token", R1)
def head_and_trace(mint: "Mint") -> Iterator[Variant]:
    for method in ("HEAD", "TRACE"):
        yield tried(method, mint.carry("nonsense", method=method))
    yield with_token(mint, "GET, to compare", "nonsense")
