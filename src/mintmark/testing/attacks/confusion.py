"""H: tokens made for something, somebody or somewhere else (RFC 8725 §3.8-3.11)."""

import secrets
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from mintmark.jose.base64url import encode
from mintmark.testing.attacks.forging import compact
from mintmark.testing.attacks.model import R1, R8, Fetches, Group, Route, Send, Setting, Variant
from mintmark.testing.attacks.trying import each, tried, with_token
from mintmark.testing.proofs import ProofKey

if TYPE_CHECKING:
    from mintmark.testing.mint import Mint

__all__ = ["CONFUSION"]

CONFUSION = Group("H")


def _signed(mint: "Mint", typ: str | None, **claims: Any) -> str:
    """A token of another kind, signed by the issuer's own key and meant for this API."""
    key, now = mint.issuer.key, mint.now
    header = {"alg": key.algorithm.value, "kid": key.kid, **({"typ": typ} if typ else {})}
    common = {"iss": mint.issuer.issuer, "aud": mint.audience, "iat": now, "exp": now + 600,
              "jti": secrets.token_hex(8), "sub": "alice"}  # fmt: skip
    return compact(header, {**common, **claims}, key)


@CONFUSION.attack("H1", "an ID token of the same issuer", R1)
def id_token(mint: "Mint") -> Iterator[Variant]:
    for typ in ("JWT", None):
        claims = {"nonce": "n", "auth_time": mint.now, "azp": "shop", "sid": "s"}
        yield with_token(mint, f"typ {typ}", _signed(mint, typ, **claims))
        for_client = _signed(mint, typ, aud="shop", client_id="shop", **claims)
        yield with_token(mint, f"typ {typ}, for the client", for_client)


@CONFUSION.attack("H2", "a refresh token, a code, a logout or event token", R1)
def other_kinds(mint: "Mint") -> Iterator[Variant]:
    events: Any = {"http://schemas.openid.net/event/backchannel-logout": {}}
    revoked: Any = {"https://schemas.openid.net/secevent/caep/event-type/session-revoked": {}}
    yield from each(mint, {
        "refresh token": secrets.token_urlsafe(32),
        "code": secrets.token_urlsafe(24),
        "logout token": _signed(mint, "logout+jwt", events=events, sid="s"),
        "security event token": _signed(mint, "secevent+jwt", events=revoked),
        "logout token of the old kind": _signed(mint, "JWT", events=events, sid="s"),
        "introspection answer": _signed(
            mint, "token-introspection+jwt", token_introspection={"active": True}
        ),
        "request object": _signed(mint, "oauth-authz-req+jwt", client_id="shop"),
    })  # fmt: skip


@CONFUSION.attack("H3", "a token for another API of the same issuer", R1)
def another_api(mint: "Mint") -> Iterator[Variant]:
    for aud in ("https://other.example", ["https://other.example", "https://third.example"]):
        yield with_token(mint, f"{aud}", mint.delegated().claims(aud=aud))


@CONFUSION.attack("H4", "an issuer that nobody here trusts", R1)
def untrusted_issuer(mint: "Mint") -> Iterator[Variant]:
    request = mint.carry(mint.of(mint.stranger).text)
    yield Variant(name="a real one", steps=(Send(request), Send(request)))
    for iss in ("https://evil.example", "http://169.254.169.254", "file:///etc", "https://[::1]/"):
        token = mint.of(mint.stranger).claims(iss=iss)
        yield with_token(mint, iss, token)


@CONFUSION.attack("H5", "an issuer that looks like ours", R1)
def look_alike_issuer(mint: "Mint") -> Iterator[Variant]:
    own = mint.issuer.issuer
    scheme, _, host = own.partition("://")
    near = {
        "user-info": f"{scheme}://x@{host}",
        "user-info that is ours": f"{own}@evil.example",
        "a port more": f"{scheme}://{host.partition(':')[0]}:9",
        "a dot segment": f"{own}/./",
        "two dot segments": f"{own}/a/..",
        "percent-encoding": f"{scheme}://%31{host[1:]}",
        "a trailing dot": f"{scheme}://{host.partition(':')[0]}.:{host.partition(':')[2]}",
        "punycode": f"{scheme}://xn--127-0-0-1-xyz",
        "a fragment": f"{own}#",
        "a query": f"{own}?",
        "a tab inside": f"{own[:9]}\t{own[9:]}",
        "full-width": own.replace(".", "\uff0e"),
        "another scheme": own.replace("http://", "https://", 1),
    }
    for name, iss in near.items():
        for whose, key in (("our key", mint.issuer.key), ("a stranger's", mint.stranger.key)):
            token = mint.delegated().claims(iss=iss).by(key)
            yield with_token(mint, f"{name}, {whose}", token)


@CONFUSION.attack("H6", "one tenant's token at another tenant's host", R1)
def other_tenant(mint: "Mint") -> Iterator[Variant]:
    ours, theirs = mint.delegated().text, mint.of(mint.partner).text
    twin = (Send(mint.carry(ours)), Send(mint.carry(theirs, host="partner.example")))
    rest: dict[str, Any] = {"setting": Setting.TENANTS, "twin": twin}
    yield tried("ours at theirs", mint.carry(ours, host="partner.example"), **rest)
    yield tried("theirs at ours", mint.carry(theirs), **rest)


@CONFUSION.attack("H7", "a proof or a client assertion as an access token", R1)
def proof_as_token(mint: "Mint") -> Iterator[Variant]:
    key = ProofKey(mint.issuer.key)
    proof = key.proof("GET", mint.url(), now=mint.now, token=mint.delegated().text)
    yield with_token(mint, "DPoP proof", proof)
    full = key.proof("GET", mint.url(), now=mint.now, token="", **mint.delegated().payload)
    yield with_token(mint, "DPoP proof with every claim", full)
    assertion = _signed(mint, "client-authentication+jwt", iss="shop", sub="shop")
    yield with_token(mint, "client assertion", assertion)
    old = _signed(mint, "JWT", iss="shop", sub="shop", client_id="shop")
    yield with_token(mint, "client assertion of the old kind", old)


@CONFUSION.attack("H8", "a token whose header was changed after it was signed", R1)
def nonce_header(mint: "Mint") -> Iterator[Variant]:
    # As tokens for Microsoft Graph come: the signature is over a hash of the nonce in the header,
    # so that nobody but Graph can check it.
    token = mint.delegated().headed(nonce="a-hash")
    start, _, signature = token.text.rpartition(".")
    shown = mint.delegated().headed(nonce="the-nonce").text.partition(".")[0]
    yield with_token(mint, "nonce", f"{shown}.{start.partition('.')[2]}.{signature}")


@CONFUSION.attack("H9", "an application's token where a person is needed", R8)
def application_token(mint: "Mint") -> Iterator[Variant]:
    route = Route.DELEGATED
    twin = (Send(lambda: mint.ask(mint.delegated(), route)),)
    routes = frozenset({Route.ANY, route})
    request = mint.ask(mint.application(), route)
    yield tried("application", request, twin=twin, routes=routes)


@CONFUSION.attack("H10", "a string that only its issuer can read", R1)
def opaque(mint: "Mint") -> Iterator[Variant]:
    # Introspection at an API that was not told to do it would send tokens to whoever is named.
    texts = {"random": secrets.token_urlsafe(32), "uuid": "6f1d1f0e-7c3b-4b52-8b1a-1f2f6a1f9d10",
             "short": "a", "base64": encode(secrets.token_bytes(48))}  # fmt: skip
    for name, text in texts.items():
        steps = (Send(mint.carry(text)), Fetches(0, of="introspect"))
        yield Variant(name=name, steps=steps)
