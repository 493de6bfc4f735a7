"""M: honest tokens that may not do what they are sent for (RFC 6750 §3.1, RFC 9470 §3)."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from mintmark.testing.attacks.model import (
    HIDDEN,
    R0,
    R3,
    R6,
    R8,
    Answer,
    Group,
    Request,
    Route,
    Send,
    Variant,
)
from mintmark.testing.attacks.trying import tried

if TYPE_CHECKING:
    from mintmark.testing.mint import Mint, Token

__all__ = ["AUTHORIZATION"]

AUTHORIZATION = Group("M")
_SIGN_IN_AGAIN = R6.saying(acr_values="phr", max_age="300")


def _at(
    mint: "Mint",
    route: Route,
    name: str,
    token: "Token",
    good: "Token | None",
    expected: Answer | None = None,
) -> Variant:
    """An honest token at a route that it may not use; `good` may use it."""
    twin = (Send(mint.ask(good, route)),) if good is not None else None
    routes = frozenset({Route.ANY, route})
    return tried(name, mint.ask(token, route), expected, twin=twin, routes=routes)


@AUTHORIZATION.attack("M1", "a scope is missing", R3)
def missing_scope(mint: "Mint") -> Iterator[Variant]:
    good = mint.delegated(scopes="orders.read orders.write")
    for scopes, missing in (("orders.read", "orders.write"), ("orders.write", "orders.read"),
                            ("other", "orders.read orders.write"),
                            ("", "orders.read orders.write")):  # fmt: skip
        token = mint.delegated(scopes=scopes)
        expected = R3.saying(scope=missing)
        yield _at(mint, Route.SCOPED, f"only {scopes!r}", token, good, expected)
    none = mint.delegated().without("scope")
    both = R3.saying(scope="orders.read orders.write")
    yield _at(mint, Route.SCOPED, "no scope claim", none, good, both)


@AUTHORIZATION.attack("M2", "a scope that is nearly the right one", R3.saying(scope="orders.write"))
def near_scope(mint: "Mint") -> Iterator[Variant]:
    good = mint.delegated(scopes="orders.read orders.write")
    for near in ("orders.writ", "orders.write:all", "Orders.Write", "ORDERS.WRITE", "xorders.write",
                 "orders.*", "*", "orders", "orders.write,orders.read"):  # fmt: skip
        token = mint.delegated(scopes=f"orders.read {near}")
        yield _at(mint, Route.SCOPED, near, token, good)


@AUTHORIZATION.attack("M3", "the right scope without the role", R8)
def missing_role(mint: "Mint") -> Iterator[Variant]:
    good = mint.delegated().claims(roles=["support"])
    for name, roles in {"none": [], "another": ["supporter"], "another case": ["Support"]}.items():
        yield _at(mint, Route.ROLE, name, mint.delegated().claims(roles=roles), good)
    yield _at(mint, Route.ROLE, "no claim", mint.delegated(), good)


@AUTHORIZATION.attack("M4", "a sign-in too weak or too long ago", _SIGN_IN_AGAIN)
def weak_sign_in(mint: "Mint") -> Iterator[Variant]:
    good = mint.delegated(acr="phr", auth_age=10)
    weak: dict[str, Any] = {
        "weak": mint.delegated(acr="pwd", auth_age=10),
        "long ago": mint.delegated(acr="phr", auth_age=3600),
        "a second too long": mint.delegated(acr="phr", auth_age=301),
        "both": mint.delegated(acr="pwd", auth_age=3600),
        "no acr": mint.delegated(auth_age=10),
        "no auth_time": mint.delegated(acr="phr"),
        "signed in tomorrow": mint.delegated(acr="phr", auth_age=-86_400),
        "nearly the acr": mint.delegated(acr="PHR", auth_age=10),
    }
    for name, token in weak.items():
        yield _at(mint, Route.STEP_UP, name, token, good)


@AUTHORIZATION.attack("M5", "a scope and a better sign-in are missing", _SIGN_IN_AGAIN)
def both_missing(mint: "Mint") -> Iterator[Variant]:
    # The new token will carry both, so one challenge is enough, and this is the one.
    good = mint.delegated(scopes="orders.write", acr="phr", auth_age=10)
    neither = mint.delegated(acr="pwd", auth_age=10)
    yield _at(mint, Route.SCOPE_AND_STEP_UP, "both", neither, good)
    scope_alone = mint.delegated(acr="phr", auth_age=10)
    missing = R3.saying(scope="orders.write")
    yield _at(mint, Route.SCOPE_AND_STEP_UP, "the scope alone", scope_alone, good, missing)


@AUTHORIZATION.attack("M6", "a policy that fails", R8)
def failing_policy(mint: "Mint") -> Iterator[Variant]:
    yield _at(mint, Route.RAISING, "it raises", mint.delegated(), None)


@AUTHORIZATION.attack("M7", "a route that nobody spoke of", R8)
def unruled_route(mint: "Mint") -> Iterator[Variant]:
    routes = frozenset({Route.ANY, Route.UNRULED})
    yield _at(mint, Route.UNRULED, "with a token", mint.delegated(), None)
    yield tried("without one", Request(route=Route.UNRULED), R0, routes=routes)


@AUTHORIZATION.attack("M8", "somebody else's object", R8)
def object_level(mint: "Mint") -> Iterator[Variant]:
    for route, expected in ((Route.SECRET, R8), (Route.HIDDEN, HIDDEN)):
        good = mint.delegated("owner")
        yield _at(mint, route, f"{route}", mint.delegated("alice"), good, expected)


@AUTHORIZATION.attack("M9", "authorization details for something else", R3)
def other_details(mint: "Mint") -> Iterator[Variant]:
    def paying(*details: Any) -> "Token":
        return mint.delegated().claims(authorization_details=list(details))

    good = paying({"type": "payment", "amount": 500})
    for name, token in {
        "another type": paying({"type": "account", "amount": 1}),
        "too much": paying({"type": "payment", "amount": 501}),
        "two that would do together": paying({"type": "payment"}, {"type": "x", "amount": 1}),
        "none": paying(),
        "no claim": mint.delegated(),
        "no amount": paying({"type": "payment"}),
    }.items():
        yield _at(mint, Route.DETAILS, name, token, good)


@AUTHORIZATION.attack("M10", "acting for somebody without being let", R8)
def acting(mint: "Mint") -> Iterator[Variant]:
    good = mint.on_behalf("alice", "helper")
    for name, token in {
        "another actor": mint.on_behalf("alice", "stranger"),
        "a longer chain": mint.on_behalf("alice", "helper", "second"),
        "the helper behind another": mint.on_behalf("alice", "stranger", "helper"),
    }.items():
        yield _at(mint, Route.ACTOR, name, token, good)
