"""Foreign names for what an API wants to know, and the application's last word on a caller."""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest
from tests.api.callers import caller_with

from mintmark.api.caller import Actor, Binding, Caller, CallerKind, Identity
from mintmark.api.claim_map import (
    NotIdempotent,
    Transformation,
    TransformRefused,
    map_claims,
    read_names,
    read_scopes,
    read_text,
)
from mintmark.jose.errors import ClaimRefused

FOUND = Identity(
    kind=CallerKind.DELEGATED, subject="alice", client_id="web", scopes=frozenset({"own"}),
    roles=frozenset({"own"}),
)  # fmt: skip


class TestMap:
    def test_nothing_is_mapped_unless_it_is_said(self) -> None:
        claims = {"sub": "bob", "role": "admin", "roles": ["admin"]}

        assert map_claims().identity(claims, FOUND) == FOUND
        assert map_claims().claims(claims) is claims

    def test_each_thing_from_its_own_place(self) -> None:
        where = map_claims(
            subject="user.id", client_id="app", scopes="rights", roles="realm_access.roles",
            groups=("https://x.example/groups",),
        )  # fmt: skip
        claims = {
            "user": {"id": "u1"}, "app": "shop", "rights": ["r", "w"],
            "realm_access": {"roles": ["ops"]}, "https://x.example/groups": ["g"],
        }  # fmt: skip

        assert where.identity(claims, FOUND) == Identity(
            kind=CallerKind.DELEGATED, subject="u1", client_id="shop",
            scopes=frozenset({"r", "w"}), roles=frozenset({"ops"}), groups=frozenset({"g"}),
        )  # fmt: skip

    def test_what_is_mapped_and_missing_is_not_taken_from_elsewhere(self) -> None:
        where = map_claims(roles="realm_access.roles", scopes="rights")
        found = where.identity({"roles": ["admin"], "realm_access": {}}, FOUND)

        assert (found.roles, found.scopes) == (frozenset(), frozenset())
        with pytest.raises(ClaimRefused, match=r"user\.id"):
            map_claims(subject="user.id").identity({"user": {}}, FOUND)


class TestRenaming:
    def test_a_claim_under_its_new_name(self) -> None:
        where = map_claims(rename={"tenant": ("https://x.example/tenant",), "city": "address.city"})
        claims = {"https://x.example/tenant": "a", "address": {"city": "b"}, "sub": "s"}

        assert where.claims(claims) == {
            "tenant": "a", "city": "b", "sub": "s", "address": {"city": "b"},
        }  # fmt: skip

    def test_a_token_cannot_choose_what_passes_for_a_renamed_claim(self) -> None:
        where = map_claims(rename={"tenant": "org.tenant"})

        assert where.claims({"tenant": "chosen", "org": {"tenant": "given"}})["tenant"] == "given"
        assert "tenant" not in where.claims({"tenant": "chosen", "org": {}})

    @pytest.mark.parametrize("name", ["iss", "sub", "aud", "exp", "cnf", "act", "acr", "scope", ""])
    def test_what_has_a_meaning_keeps_its_name(self, name: str) -> None:
        with pytest.raises(ValueError, match="rename"):
            map_claims(rename={name: "other"})
        if name:
            with pytest.raises(ValueError, match="rename"):
                map_claims(rename={"other": name})


class TestReading:
    @pytest.mark.parametrize(
        ("value", "expected"),
        [("a b", {"a", "b"}), (["a", "b"], {"a", "b"}), ("", set()), ([], set()), ("a", {"a"})],
    )
    def test_scopes_as_text_or_list(self, value: Any, expected: set[str]) -> None:
        """RFC 8693 §4.2."""
        assert read_scopes(value, "scp") == frozenset(expected)

    @pytest.mark.parametrize(
        "value", [None, 1, True, {}, ["a b"], [1], [None], [""], "a  b", " ", 'a"b', "ä", ["a", []]]
    )
    def test_scopes_that_cannot_be_read_are_refused(self, value: Any) -> None:
        with pytest.raises(ClaimRefused, match="scp"):
            read_scopes(value, "scp")

    def test_a_text_is_one_role_whatever_is_in_it(self) -> None:
        assert read_names("admin, ops", "roles") == frozenset({"admin, ops"})
        assert read_names(["a", "b"], "roles") == frozenset({"a", "b"})

    @pytest.mark.parametrize("value", [None, 1, True, {}, {"a": 1}, [1], [None], [""], "", [["a"]]])
    def test_roles_that_cannot_be_read_are_refused(self, value: Any) -> None:
        with pytest.raises(ClaimRefused, match="roles"):
            read_names(value, "roles")

    @pytest.mark.parametrize("value", [None, 1, "", "a\n", "a\x00", "x" * 513, ["a"]])
    def test_a_name_that_cannot_be_shown_is_refused(self, value: Any) -> None:
        assert read_text("x" * 512, "sub") == "x" * 512
        with pytest.raises(ClaimRefused, match="sub"):
            read_text(value, "sub")


def with_changes(**changes: Any) -> Callable[[Caller], Awaitable[Caller]]:
    async def transform(caller: Caller) -> Caller:
        return msgspec.structs.replace(caller, **changes)

    return transform


async def grows(caller: Caller) -> Caller:
    """Not idempotent: each time there is one role more."""
    roles = caller.roles | {f"role-{len(caller.roles)}"}
    return msgspec.structs.replace(caller, roles=roles)


class TestTransformation:
    async def test_the_application_adds_what_it_knows(self) -> None:
        roles = frozenset({"from-the-database"})
        for check in (True, False):
            changed = await Transformation(with_changes(roles=roles), check=check).apply(
                caller_with("a")
            )
            assert changed == caller_with("a", roles=roles)

    async def test_a_second_result_that_differs_is_noticed_in_development_only(self) -> None:
        with pytest.raises(NotIdempotent):
            await Transformation(grows, check=True).apply(caller_with())
        changed = await Transformation(grows).apply(caller_with())
        assert changed.roles == {"role-0"}

    @pytest.mark.parametrize(
        "change",
        [{"kind": CallerKind.APPLICATION}, {"issuer": "https://other.example"},
         {"audience": ("https://other.example",)}, {"binding": Binding.DPOP},
         {"token_ref": "other"}, {"actor_chain": (Actor(subject="x"),)},
         {"expires_at": caller_with().expires_at + 1}],
    )  # fmt: skip
    async def test_what_only_the_token_can_say_stays(self, change: dict[str, Any]) -> None:
        with pytest.raises(TransformRefused):
            await Transformation(with_changes(**change)).apply(caller_with())

    async def test_a_token_may_be_made_to_end_sooner(self) -> None:
        sooner = caller_with().expires_at - 1
        changed = await Transformation(with_changes(expires_at=sooner)).apply(caller_with())

        assert changed.expires_at == sooner

    async def test_a_transformation_that_forgets_its_caller_is_refused(self) -> None:
        async def forgets(caller: Caller) -> Any:
            return None

        with pytest.raises(TransformRefused, match="no caller"):
            await Transformation(forgets).apply(caller_with())
