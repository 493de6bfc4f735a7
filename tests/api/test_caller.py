"""What a checked token's claims become, and which claims are refused rather than guessed at."""

import copy
import json
import operator
import pickle
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from mintmark.api.caller import (
    MAX_ACTORS,
    Actor,
    ActorChainTooLong,
    Binding,
    Caller,
    CallerKind,
    Identity,
    binding_of,
    caller_of,
    make_caller,
)
from mintmark.jose.errors import ClaimRefused
from mintmark.protocol.access_token import AccessToken

DIGEST = bytes(range(32))
IDENTITY = Identity(kind=CallerKind.DELEGATED, subject="alice", client_id="web")


def caller(**claims: Any) -> Caller:
    return make_caller(claims, IDENTITY, issuer="i", audience=("a",), expires_at=1.0, digest=DIGEST)


def of_token(sub: str = "alice", **claims: Any) -> Caller:
    token = AccessToken("i", sub, ("a",), "web", "j", 1.0, frozenset(), None, {}, claims)
    return caller_of(token, DIGEST)


def chain(length: int) -> dict[str, Any]:
    act: dict[str, Any] = {"sub": f"actor-{length}"}
    for number in range(length - 1, 0, -1):
        act = {"sub": f"actor-{number}", "act": act}
    return act


class TestKind:
    """RFC 9068 §5, RFC 8693 §4.1."""

    def test_s28_of_a_standard_token(self) -> None:
        assert of_token(sub="web").kind is CallerKind.APPLICATION
        assert of_token(sub="alice").kind is CallerKind.DELEGATED
        assert of_token(sub="alice", act={"sub": "gw"}).kind is CallerKind.ON_BEHALF
        assert of_token(sub="web", act={"sub": "gw"}).kind is CallerKind.ON_BEHALF

    def test_roles_and_groups_of_a_standard_token(self) -> None:
        """RFC 9068 §2.2.3.1."""
        found = of_token(roles=["a", "b"], groups=[])

        assert (found.roles, found.groups) == (frozenset({"a", "b"}), frozenset())

    @pytest.mark.parametrize("roles", [None, "admin", 0, False, "", {}, [1], [None], {"a": 1}])
    def test_roles_that_are_no_list_of_texts_are_refused(self, roles: Any) -> None:
        with pytest.raises(ClaimRefused, match="roles"):
            of_token(roles=roles)


class TestClaims:
    def test_how_the_person_signed_in(self) -> None:
        found = caller(acr="phr", amr=["pwd", "otp"], auth_time=7)

        assert (found.acr, found.amr, found.auth_time) == ("phr", ("pwd", "otp"), 7.0)
        assert (caller().acr, caller().amr, caller().auth_time) == (None, (), None)

    @pytest.mark.parametrize(
        ("claim", "value"),
        [("acr", 1), ("acr", None), ("acr", ["phr"]), ("amr", "pwd"), ("amr", [1]), ("amr", None),
         ("auth_time", True), ("auth_time", "7"), ("auth_time", None), ("auth_time", 1e13),
         ("auth_time", float("nan")), ("auth_time", 10**400),
         ("authorization_details", {}), ("authorization_details", None),
         ("authorization_details", [{"type": 1}]), ("authorization_details", [{}]),
         ("authorization_details", ["payment"])],
    )  # fmt: skip
    def test_a_claim_that_is_not_what_it_should_be_is_refused(self, claim: str, value: Any) -> None:
        with pytest.raises(ClaimRefused) as refused:
            caller(**{claim: value})

        assert refused.value.claim == claim

    def test_details_are_there_to_read(self) -> None:
        """RFC 9396 §2."""
        (one,) = caller(authorization_details=[{"type": "payment", "amount": 5}]).details

        assert dict(one) == {"type": "payment", "amount": 5}
        with pytest.raises(TypeError):
            one["amount"] = 6  # type: ignore[index]  # -- the mistake under test

    def test_claims_cannot_be_changed_by_whoever_reads_them(self) -> None:
        claims = {"tenant": "x"}
        found = caller(**claims)

        with pytest.raises(TypeError):
            found.claims["tenant"] = "y"  # type: ignore[index]  # -- the mistake under test
        with pytest.raises(TypeError):
            found.claims.update(tenant="y")  # type: ignore[attr-defined]  # -- the mistake under test
        with pytest.raises(AttributeError):
            found.subject = "bob"  # type: ignore[misc]  # -- the mistake under test

    def test_nor_anything_inside_them_for_the_next_request_gets_the_same(self) -> None:
        found = caller(realm_access={"roles": ["user"]}, groups=["a", "b"]).claims

        assert found["groups"] == ("a", "b")
        with pytest.raises(AttributeError):
            found["realm_access"]["roles"].append("admin")
        inside: Any = found["realm_access"]
        changes: list[tuple[Callable[..., Any], tuple[Any, ...]]] = [
            (inside.update, ({"roles": ("admin",)},)),
            (operator.setitem, (inside, "roles", ("admin",))),
            (operator.delitem, (inside, "roles")),
            (operator.__ior__, (inside, {"roles": ("admin",)})),
            (inside.pop, ("roles",)),
        ]
        for change, arguments in changes:
            with pytest.raises(TypeError):
                change(*arguments)
        assert found["realm_access"] == {"roles": ("user",)}

    def test_claims_can_be_written_as_json_copied_and_sent_to_another_process(self) -> None:
        found = caller(realm_access={"roles": ["user"]}).claims

        assert json.loads(json.dumps(found)) == {"realm_access": {"roles": ["user"]}}
        assert msgspec.json.decode(msgspec.json.encode(found)) == json.loads(json.dumps(found))
        assert copy.deepcopy(found) == pickle.loads(pickle.dumps(found)) == found  # noqa: S301 -- our own

    def test_the_token_is_named_by_half_its_digest(self) -> None:
        assert caller().token_ref == DIGEST[:8].hex()

    @pytest.mark.parametrize(
        ("cnf", "binding"),
        [({}, Binding.NONE), ({"jkt": "x"}, Binding.DPOP), ({"x5t#S256": "x"}, Binding.MTLS),
         ({"jkt": "x", "x5t#S256": "x"}, Binding.BOTH)],
    )  # fmt: skip
    def test_what_a_token_is_bound_to(self, cnf: dict[str, str], binding: Binding) -> None:
        """RFC 9449 §6.1, RFC 8705 §3.1."""
        assert binding_of(cnf) is binding

    def test_nothing_is_no_part_of_both(self) -> None:
        assert Binding.BOTH.includes(Binding.DPOP)
        assert not Binding.BOTH.includes(Binding.NONE)
        assert not Binding.DPOP.includes(Binding.MTLS)


class TestM10Actors:
    """RFC 8693 §4.1."""

    def test_m10_who_acts_now_comes_first(self) -> None:
        found = caller(act={"sub": "gw", "iss": "i2", "act": {"client_id": "batch"}})

        assert found.actor == Actor(subject="gw", issuer="i2")
        assert found.actor_chain == (found.actor, Actor(subject="", client_id="batch"))
        assert caller().actor is None

    def test_m10_a_chain_has_an_end(self) -> None:
        names = [one.subject for one in caller(act=chain(MAX_ACTORS)).actor_chain]

        assert names == [f"actor-{number}" for number in range(1, 9)]
        with pytest.raises(ActorChainTooLong):
            caller(act=chain(MAX_ACTORS + 1))

    @pytest.mark.parametrize(
        "act",
        [None, [], "gw", {}, {"sub": ""}, {"sub": 1}, {"iss": "i"}, {"sub": "a\n"},
         {"sub": "a", "act": None}, {"sub": "a", "act": {}}, {"sub": "a", "client_id": None}],
    )  # fmt: skip
    def test_m10_an_actor_that_cannot_be_read_is_refused(self, act: Any) -> None:
        with pytest.raises(ClaimRefused, match="act"):
            caller(act=act)
