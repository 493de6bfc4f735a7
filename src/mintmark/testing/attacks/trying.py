"""Short ways to say what most variants are: one request, or one token in the plainest request."""

from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from mintmark.jose.keys import SigningKey
from mintmark.testing.attacks.forging import Part, Signer, compact
from mintmark.testing.attacks.model import Answer, Issuer, Make, Route, Send, Variant, Wait

if TYPE_CHECKING:
    from mintmark.testing.authority import FakeAuthority
    from mintmark.testing.mint import Mint, Token

__all__ = [
    "does",
    "each",
    "forged",
    "honest",
    "publish",
    "signs_with",
    "tried",
    "wait",
    "with_token",
]


def tried(name: str, request: Make, expected: Answer | None = None, **rest: Any) -> Variant:
    """One request."""
    return Variant(name=name, steps=(Send(request, expected),), **rest)


def with_token(
    mint: "Mint", name: str, token: "Token | str", expected: Answer | None = None, **rest: Any
) -> Variant:
    """One token after `Bearer`."""
    text = token if isinstance(token, str) else token.text
    return tried(name, mint.carry(text), expected, **rest)


def each(mint: "Mint", tokens: Mapping[str, "Token | str"], **rest: Any) -> Iterator[Variant]:
    """One variant for each of these tokens."""
    for name, token in tokens.items():
        yield with_token(mint, name, token, **rest)


def forged(
    mint: "Mint", header: Part = None, payload: Part = None, by: Signer | None = None
) -> str:
    """The honest token with its header or payload replaced; its own key signs it."""
    token = mint.delegated()
    return compact(
        token.header if header is None else header,
        token.payload if payload is None else payload,
        by or token.key,
    )


def honest(mint: "Mint", expected: Answer | None = None, route: Route = Route.ANY) -> Send:
    """A fresh honest token, made when its turn comes."""
    return Send(lambda: mint.ask(mint.delegated(), route), expected)


def wait(**by: float) -> Wait:
    return Wait(timedelta(**by))


def publish(*jwks: Mapping[str, Any]) -> Issuer:
    """The issuer's key set is exactly this from now on."""
    import msgspec

    from mintmark.testing.faults import Fault

    body = msgspec.json.encode({"keys": jwks})

    def lie(issuer: "FakeAuthority") -> None:
        issuer.lies["/jwks"] = Fault(body=body)

    return Issuer(lie)


def signs_with(*keys: SigningKey) -> Issuer:
    """The issuer signs with the first of these keys, and publishes all of them."""

    def change(issuer: "FakeAuthority") -> None:
        issuer.key = keys[0]
        issuer.published = [key.public for key in keys]

    return Issuer(change)


def does(change: Callable[["FakeAuthority"], Any], *, partner: bool = False) -> Issuer:
    """The issuer changes in this way; its partner, if that is said."""
    return Issuer(change, partner)
