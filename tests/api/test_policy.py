"""Policies as values, and every verdict they can come to. Attack list M, without the wire."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import pytest
from tests.api.callers import NOW, caller_with

from mintmark.api.caller import Actor, Binding, Caller, CallerKind
from mintmark.api.policy import (
    AUTHENTICATED,
    PUBLIC,
    Allowed,
    CannotDecide,
    Forbidden,
    Hidden,
    MissingDetails,
    MissingScopes,
    Policy,
    StepUp,
    Undecided,
    Verdict,
    acr_of,
    actor,
    bound,
    claim,
    client,
    detail,
    details_of,
    group,
    hide_as_404,
    issuer,
    kind,
    login,
    role,
    rule,
    scope,
    scope_sets_of,
    scopes_of,
)

FIVE = timedelta(minutes=5)


async def judge(policy: Policy, caller: Caller, subject: object = None) -> Verdict:
    verdict = await policy.judge(caller, subject, now=NOW)
    if not policy.asks:
        assert policy.decide(caller, NOW) == verdict
    return verdict


async def allows(policy: Policy, caller: Caller, subject: object = None) -> bool:
    return isinstance(await judge(policy, caller, subject), Allowed)


def scopes(text: str) -> frozenset[str]:
    return frozenset(text.split())


@rule("says yes")
async def yes(caller: Caller) -> bool:
    return True


@rule("says no")
async def no(caller: Caller) -> bool:
    return False


@rule("raises")
async def broken(caller: Caller) -> bool:
    raise LookupError(caller.subject)


@rule("knows nothing")
async def unsure(caller: Caller) -> bool:
    raise CannotDecide("the directory is away")


class TestScopes:
    @pytest.mark.parametrize(
        ("granted", "missing"),
        [("a b", ""), ("b a c", ""), ("a", "b"), ("", "a b"), ("ab", "a b"), ("A b", "a")],
    )
    async def test_m1_s26_only_what_is_missing_is_named(self, granted: str, missing: str) -> None:
        verdict = await judge(scope("a b"), caller_with(granted))

        assert verdict == (MissingScopes(scopes(missing)) if missing else Allowed())

    async def test_w62_a_token_with_two_scopes_has_each_of_them(self) -> None:
        """W-62: compared with the whole text, a second scope loses the first."""
        caller = caller_with("other scope_a")

        assert await allows(scope("scope_a"), caller)
        assert await allows(scope("other"), caller)

    @pytest.mark.parametrize("granted", ["not_dataEventRecordsX", "dataEventRecordsX", "dataEvent"])
    async def test_w67_m2_a_scope_is_no_part_of_a_word(self, granted: str) -> None:
        """W-67: found by substring, `not_dataEventRecordsX` passes for `dataEventRecords`."""
        wanted = scope("dataEventRecords")

        assert not await allows(wanted, caller_with(granted))
        assert await allows(wanted, caller_with(f"{granted} dataEventRecords"))


class TestWho:
    async def test_w68_m3_two_roles_are_two_policies(self) -> None:
        """W-68: with the role checks out, whoever could read could delete."""
        user, admin = (caller_with("data", roles=frozenset({name})) for name in ("user", "admin"))
        delete = scope("data") & role("admin")

        assert await judge(delete, user) == Forbidden("missing_role")
        assert await allows(delete, admin)
        assert await allows(scope("data") & role("user"), user)
        assert role("admin") != role("user")

    async def test_m3_a_role_is_a_whole_word_and_no_group(self) -> None:
        caller = caller_with(roles=frozenset({"ops-team"}), groups=frozenset({"ops"}))

        assert await judge(role("ops"), caller) == Forbidden("missing_role")
        assert await allows(group("ops"), caller)
        assert await judge(group("ops-team"), caller) == Forbidden("missing_group")

    @pytest.mark.parametrize("wanted", list(CallerKind))
    @pytest.mark.parametrize("found", list(CallerKind))
    async def test_s28_each_kind_is_let_in_where_it_is_wanted_alone(
        self, wanted: CallerKind, found: CallerKind
    ) -> None:
        verdict = await judge(kind(wanted), caller_with(kind=found))

        assert verdict == (Allowed() if wanted is found else Forbidden("wrong_kind"))

    async def test_s28_several_kinds_may_be_wanted(self) -> None:
        people = kind(CallerKind.DELEGATED, CallerKind.ON_BEHALF)

        assert await allows(people, caller_with(kind=CallerKind.ON_BEHALF))
        assert not await allows(people, caller_with(kind=CallerKind.APPLICATION))

    async def test_w59_client_kind_and_scope_together_tell_two_tokens_of_one_client_apart(
        self,
    ) -> None:
        """W-59: a policy of client alone is satisfied by the application's own token."""
        user_data = client("web") & kind(CallerKind.DELEGATED) & scope("user.read")
        jobs = client("web") & kind(CallerKind.APPLICATION) & role("jobs")
        person = caller_with("user.read")
        application = caller_with(
            kind=CallerKind.APPLICATION, subject="web", roles=frozenset({"jobs"})
        )

        assert await allows(user_data, person)
        assert await allows(jobs, application)
        assert isinstance(await judge(user_data, application), Forbidden)
        assert isinstance(await judge(jobs, person), Forbidden)
        assert await judge(user_data, caller_with()) == MissingScopes(scopes("user.read"))

    async def test_a_client_of_another_issuer_is_another_client(self) -> None:
        ours = client("web", issuer="https://id.example")

        assert await allows(ours, caller_with())
        assert not await allows(ours, caller_with(issuer="https://other.example"))
        assert await allows(client("web"), caller_with(issuer="https://other.example"))
        assert await judge(client("webx"), caller_with()) == Forbidden("other_client")
        assert await allows(issuer("https://id.example"), caller_with())
        assert await judge(issuer("https://id.exampl"), caller_with()) == Forbidden("other_issuer")

    @pytest.mark.parametrize(
        ("binding", "wanted", "expected"),
        [(Binding.NONE, None, False), (Binding.DPOP, None, True), (Binding.MTLS, None, True),
         (Binding.DPOP, Binding.DPOP, True), (Binding.MTLS, Binding.DPOP, False),
         (Binding.BOTH, Binding.DPOP, True), (Binding.BOTH, Binding.MTLS, True),
         (Binding.DPOP, Binding.BOTH, False), (Binding.BOTH, Binding.BOTH, True)],
    )  # fmt: skip
    async def test_bound_tokens(
        self, binding: Binding, wanted: Binding | None, expected: bool
    ) -> None:
        assert await allows(bound(wanted), caller_with(binding=binding)) is expected


class TestM10Actors:
    """RFC 8693 §4.1: the current actor decides, and those before it are history."""

    def chain(self, *names: str, **changes: Any) -> Caller:
        actors = tuple(Actor(subject=name) for name in names)
        return caller_with(kind=CallerKind.ON_BEHALF, actor_chain=actors, **changes)

    async def test_m10_the_outermost_actor_alone_is_looked_at(self) -> None:
        assert await allows(actor("gateway"), self.chain("gateway", "batch"))
        refused = await judge(actor("gateway"), self.chain("batch", "gateway"))
        assert refused == Forbidden("actor_refused")

    @pytest.mark.parametrize(("length", "expected"), [(0, True), (2, True), (3, False)])
    async def test_m10_a_chain_may_be_so_long(self, length: int, expected: bool) -> None:
        assert await allows(actor(depth=2), self.chain(*["a"] * length)) is expected

    async def test_m10_where_an_actor_is_named_somebody_must_act(self) -> None:
        assert not await allows(actor("gateway"), caller_with())
        assert await allows(actor("gateway") | kind(CallerKind.DELEGATED), caller_with())

    async def test_m10_an_actor_of_another_issuer_is_another_actor(self) -> None:
        acting = (Actor(subject="gateway", issuer="https://other.example"),)
        caller = caller_with(actor_chain=acting)

        assert not await allows(actor("gateway"), caller)
        assert await allows(actor("gateway", issuer="https://other.example"), caller)

    async def test_an_actor_without_a_client_id_is_not_found_by_an_empty_name(self) -> None:
        with pytest.raises(ValueError, match="actor"):
            actor("")


class TestClaims:
    CLAIMS: Mapping[str, Any] = {
        "tier": "gold", "level": 1, "admin": 1, "yes": True, "nothing": None,
        "tenants": ["a", "bc"], "https://x.example/plan": {"na.me": "pro"},
        "realm_access": {"roles": ["ops"]},
    }  # fmt: skip

    @pytest.mark.parametrize(
        ("policy", "expected"),
        [
            (claim("tier").equals("gold"), True),
            (claim("tier").equals("gol"), False),
            (claim("tier").one_of("silver", "gold"), True),
            (claim("tier").one_of("silver", "golden"), False),
            (claim("tier").contains("gold"), False),
            (claim("level").equals(1), True),
            (claim("level").equals(1.0), True),
            (claim("level").equals("1"), False),
            (claim("admin").equals(True), False),
            (claim("yes").equals(True), True),
            (claim("yes").equals(1), False),
            (claim("nothing").equals(False), False),
            (claim("absent").equals(""), False),
            (claim("tenants").contains("a"), True),
            (claim("tenants").contains("b"), False),
            (claim("tenants").equals("a"), False),
            (claim("realm_access.roles").contains("ops"), True),
            (claim("realm_access.roles.0").equals("ops"), False),
            (claim("tier.gold").equals("gold"), False),
            (claim(("https://x.example/plan", "na.me")).equals("pro"), True),
        ],
    )
    async def test_a_claim_is_compared_whole_and_with_its_type(
        self, policy: Policy, expected: bool
    ) -> None:
        assert await allows(policy, caller_with(claims=self.CLAIMS)) is expected

    @pytest.mark.parametrize("path", ["", "a..b", ".a", "a.", "https://x.example/roles", ()])
    def test_a_path_that_would_find_nothing_is_refused_as_it_is_written(self, path: Any) -> None:
        with pytest.raises(ValueError, match="claim"):
            claim(path)

    @pytest.mark.parametrize("value", [None, [], {}, ("a",)])
    def test_a_value_that_is_no_scalar_is_refused(self, value: Any) -> None:
        with pytest.raises(TypeError, match="claim"):
            claim("a").equals(value)

    def test_policies_about_true_and_about_one_are_two(self) -> None:
        assert claim("a").equals(True) != claim("a").equals(1)
        assert claim("a").equals(True) == claim("a").equals(True)


class TestM4StepUp:
    """RFC 9470 §3, RFC 9470 §4."""

    PAY = login(acr=("phr", "phrh"), within=FIVE)
    AGAIN = StepUp(("phr", "phrh"), 300)

    @pytest.mark.parametrize(
        ("acr", "age", "expected"),
        [("phr", 0, True), ("phrh", 0, True), ("phr", 300, True), ("phr", 301, False),
         ("phr", None, False), ("pwd", 0, False), (None, 0, False), ("ph", 0, False),
         ("phr", -30, True), ("phr", -31, False)],
    )  # fmt: skip
    async def test_m4_so_well_and_so_recently(
        self, acr: str | None, age: float | None, expected: bool
    ) -> None:
        signed_in = None if age is None else NOW - age
        verdict = await judge(self.PAY, caller_with(acr=acr, auth_time=signed_in))

        assert verdict == (Allowed() if expected else self.AGAIN)

    async def test_m5_one_challenge_for_step_up_and_scope(self) -> None:
        """The new token carries both, so nobody is sent twice."""
        for policy in (self.PAY & scope("pay"), scope("pay") & self.PAY):
            assert await judge(policy, caller_with()) == StepUp(("phr", "phrh"), 300, scopes("pay"))
            assert await judge(policy, caller_with("pay")) == self.AGAIN
            fresh = caller_with(acr="phr", auth_time=NOW)
            assert await judge(policy, fresh) == MissingScopes(scopes("pay"))

    async def test_an_application_cannot_sign_in_again(self) -> None:
        application = caller_with(kind=CallerKind.APPLICATION, acr="phr", auth_time=NOW)

        assert await judge(self.PAY, application) == Forbidden("no_person")

    async def test_two_demands_become_one_that_satisfies_both(self) -> None:
        both = login(acr=("a", "b", "c"), within=FIVE) & login(("c", "b"), timedelta(seconds=60))

        assert await judge(both, caller_with()) == StepUp(("b", "c"), 60)
        neither = login("a") & login("b")
        assert await judge(neither, caller_with()) == Forbidden("no_acr_for_all")
        assert await judge(login("a") & login(within=FIVE), caller_with()) == StepUp(("a",), 300)

    @pytest.mark.parametrize("acr", ["", "a b", 'a"', "a\\", "a\n", "ä", ()])
    def test_an_acr_that_no_challenge_could_hold_is_refused(self, acr: Any) -> None:
        with pytest.raises(ValueError, match="login"):
            login(acr)

    @pytest.mark.parametrize("seconds", [0, 0.5, 1.5, -1])
    def test_an_age_that_no_challenge_could_hold_is_refused(self, seconds: float) -> None:
        assert repr(login(within=timedelta(seconds=1))) == "login(within=1s)"
        with pytest.raises(ValueError, match="within"):
            login(within=timedelta(seconds=seconds))


class TestM9Details:
    """RFC 9396 §2."""

    LIMIT = detail("payment", lambda one: bool(one["amount"] <= 500))

    async def verdict(self, *details: Mapping[str, Any]) -> Verdict:
        return await judge(self.LIMIT, caller_with(details=details))

    async def test_m9_type_and_amount(self) -> None:
        missing = MissingDetails(frozenset({"payment"}))

        assert await self.verdict({"type": "payment", "amount": 500}) == Allowed()
        assert await self.verdict({"type": "payment", "amount": 501}) == missing
        assert await self.verdict({"type": "payments", "amount": 1}) == missing
        assert await self.verdict() == missing

    async def test_m9_one_detail_must_do_by_itself(self) -> None:
        large, other = {"type": "payment", "amount": 900}, {"type": "account", "amount": 1}

        assert not isinstance(await self.verdict(large, other), Allowed)
        assert await self.verdict(large, {"type": "payment", "amount": 5}) == Allowed()

    async def test_m6_m9_a_predicate_that_raises_denies_and_is_an_alarm(self) -> None:
        verdict = await self.verdict({"type": "payment"})

        assert verdict == MissingDetails(frozenset({"payment"}))
        assert verdict.failures == ("KeyError",)
        negated = await judge(~self.LIMIT, caller_with(details=({"type": "payment"},)))
        assert negated == Forbidden("rule_failed")

    async def test_a_predicate_that_gives_anything_but_true_denies(self) -> None:
        def wrong(one: Mapping[str, Any]) -> Any:
            return one["type"]

        caller = caller_with(details=({"type": "payment"},))

        assert not await allows(detail("payment", wrong), caller)
        assert await allows(detail("payment"), caller)

    async def test_m9_scope_and_details_are_wanted_together(self) -> None:
        verdict = await judge(scope("pay") & self.LIMIT, caller_with())

        assert verdict == MissingDetails(frozenset({"payment"}), scopes("pay"))


class TestM6Rules:
    async def test_a_rule_of_ones_own(self) -> None:
        assert await allows(yes, caller_with())
        assert await judge(no, caller_with()) == Forbidden("rule_refused")

    async def test_m6_a_rule_that_raises_denies_whatever_is_made_of_it(self) -> None:
        for policy in (broken, ~broken, ~~broken, broken & yes, broken | no, ~(broken | no)):
            verdict = await judge(policy, caller_with())
            assert verdict == Forbidden("rule_failed"), policy
            assert verdict.failures == ("LookupError",)

    async def test_m6_a_failure_is_an_alarm_even_where_something_else_allows(self) -> None:
        verdict = await judge(broken | yes, caller_with())

        assert (verdict, verdict.failures) == (Allowed(), ("LookupError",))

    @pytest.mark.parametrize("said", [None, 1, "yes", [True]])
    async def test_m6_a_rule_that_says_neither_yes_nor_no_denies_its_negation_too(
        self, said: Any
    ) -> None:
        async def odd(caller: Caller) -> bool:
            return said  # type: ignore[no-any-return]  # -- the mistake under test

        assert await judge(rule("odd", odd), caller_with()) == Forbidden("rule_failed")
        assert await judge(~rule("odd", odd), caller_with()) == Forbidden("rule_failed")
        assert await allows(~no, caller_with())

    async def test_what_cannot_be_decided_is_neither_yes_nor_no(self) -> None:
        undecided = Undecided("rule_undecided")
        caller = caller_with("a")

        assert await judge(unsure, caller) == undecided
        assert await judge(~unsure, caller) == undecided
        assert await judge(unsure & yes, caller) == undecided
        assert await judge(unsure & no, caller) == Forbidden("rule_refused")
        assert await judge(unsure | yes, caller) == Allowed()
        assert await judge(unsure | no, caller) == undecided
        assert await judge(unsure | scope("b"), caller) == undecided
        assert await judge(unsure & scope("b"), caller) == MissingScopes(scopes("b"))
        assert await judge(hide_as_404(unsure), caller) == undecided

    async def test_rules_are_not_run_for_whoever_the_rest_turns_away(self) -> None:
        asked = []

        @rule("counts")
        async def counts(caller: Caller) -> bool:
            asked.append(caller.subject)
            return True

        assert not await allows(counts & scope("a"), caller_with())
        assert await allows(counts | scope("a"), caller_with("a"))
        assert asked == []
        assert await allows(counts & scope("a"), caller_with("a"))
        assert asked == ["alice"]

    async def test_object_level_rules(self) -> None:
        @rule("same tenant")
        async def same_tenant(caller: Caller, order: Mapping[str, str]) -> bool:
            return bool(caller.claims["tenant"] == order["tenant"])

        policy, caller = scope("a") & same_tenant, caller_with("a", claims={"tenant": "x"})

        assert (same_tenant.needs_object, policy.needs_object) == (True, True)
        assert (yes.needs_object, scope("a").needs_object) == (False, False)
        assert await allows(policy, caller, {"tenant": "x"})
        assert await judge(policy, caller, {"tenant": "y"}) == Forbidden("rule_refused")
        without = await judge(~same_tenant, caller)
        assert (without, without.failures) == (Forbidden("rule_failed"), ("ObjectMissing",))

    def test_a_rule_that_could_never_be_asked_is_refused_as_it_is_written(self) -> None:
        for wrong in (bool, len, print):
            with pytest.raises(TypeError, match="async"):
                rule("wrong", wrong)  # type: ignore[arg-type]  # -- the mistake under test

        async def three(caller: Caller, order: int, more: int) -> bool:
            return True

        with pytest.raises(TypeError, match="object"):
            rule("three", three)
        with pytest.raises(ValueError, match="name"):
            rule("")

    async def test_an_object_with_an_async_call_is_a_rule(self) -> None:
        class Counting:
            async def __call__(self, caller: Caller, order: int) -> bool:
                return order == 1

        policy = rule("counting", Counting())

        assert policy.needs_object
        assert await allows(policy, caller_with(), 1)
        assert not await allows(policy, caller_with(), 2)

    async def test_what_has_to_be_asked_is_not_decided(self) -> None:
        for policy in (yes, yes & scope("a"), yes | scope("a"), ~yes, hide_as_404(yes)):
            assert policy.asks
            with pytest.raises(TypeError, match="judge"):
                policy.decide(caller_with("a"), NOW)


class TestM8Hidden:
    async def test_m8_whoever_may_not_see_it_sees_nothing(self) -> None:
        for refused in (scope("a"), role("a"), login("a"), detail("a"), no, broken):
            assert isinstance(await judge(hide_as_404(refused), caller_with()), Hidden)
        assert await allows(hide_as_404(scope("a")), caller_with("a"))
        assert (await judge(hide_as_404(broken), caller_with())).failures == ("LookupError",)

    async def test_m8_hiding_wins_over_every_other_refusal(self) -> None:
        hidden = hide_as_404(role("member"))
        for other in (scope("a"), role("a"), login("a"), detail("a")):
            assert isinstance(await judge(other & hidden, caller_with()), Hidden)


class TestCombined:
    @pytest.mark.parametrize(
        ("policy", "nearest"),
        [
            (role("a") | scope("b c") | scope("d"), MissingScopes(scopes("d"))),
            (login("x") | scope("b c"), MissingScopes(scopes("b c"))),
            (login("x") & scope("b") | login("y"), StepUp(("y",))),
            (login("x") | detail("y"), MissingDetails(frozenset({"y"}))),
            (role("a") | login("x"), StepUp(("x",))),
            (hide_as_404(role("a")) | role("b"), Forbidden("missing_role")),
        ],
    )
    async def test_of_several_ways_the_nearest_is_named(
        self, policy: Policy, nearest: Verdict
    ) -> None:
        assert await judge(policy, caller_with()) == nearest

    async def test_what_no_token_would_mend_is_said_before_all_else(self) -> None:
        for policy in (role("a") & scope("b"), login("x") & role("a"), detail("y") & role("a")):
            assert await judge(policy, caller_with()) == Forbidden("missing_role")

    async def test_a_negated_scope_never_asks_for_more_scope(self) -> None:
        assert await judge(~scope("a"), caller_with("a")) == Forbidden("negated")
        assert await allows(~scope("a"), caller_with("b"))
        twice = await judge(~~scope("a"), caller_with("b"))
        assert twice == Forbidden("negated")
        assert await judge(~scope("a") & scope("b"), caller_with("a")) == Forbidden("negated")

    def test_policies_are_values(self) -> None:
        one, other = (scope("b a") & (role("x") | ~client("web")) for _ in range(2))

        assert one == other
        assert len({one, other}) == 1
        assert one != scope("a b") & role("x")
        assert scope("a") & (scope("b") & scope("c")) == (scope("a") & scope("b")) & scope("c")

    @pytest.mark.parametrize(
        ("policy", "text"),
        [
            (~(scope("a") | role("b")), "~(scope('a') | role('b'))"),
            (~scope("a") & group("g"), "~scope('a') & group('g')"),
            (login("phr", FIVE), "login(acr='phr', within=300s)"),
            (bound() & bound(Binding.DPOP), "bound() & bound(dpop)"),
            (detail("payment"), "detail('payment')"),
            (actor("gw", depth=2), "actor(gw, depth=2)"),
            (claim("a.b").one_of("x", 1), "claim('a.b').one_of('x', 1)"),
            (claim(("a.b", "c")).equals("x"), "claim(('a.b', 'c')).equals('x')"),
            (client("b", "a", issuer="i"), "client(a, b, issuer='i')"),
            (hide_as_404(yes & AUTHENTICATED), "hide_as_404(rule('says yes') & AUTHENTICATED)"),
            (kind(CallerKind.ON_BEHALF) & issuer("i"), "kind(on_behalf) & issuer(i)"),
        ],
    )
    def test_a_policy_says_what_it_is(self, policy: Policy, text: str) -> None:
        assert repr(policy) == text

    def test_public_stands_alone(self) -> None:
        """`PUBLIC | x` reads as a choice, and would be none."""
        combinations: list[Callable[[], Policy]] = [
            lambda: PUBLIC | scope("a"),
            lambda: scope("a") & PUBLIC,
            lambda: ~PUBLIC,
            lambda: hide_as_404(PUBLIC),
        ]
        for wrong in combinations:
            with pytest.raises(ValueError, match="PUBLIC"):
                wrong()

    def test_only_policies_are_put_together(self) -> None:
        with pytest.raises(TypeError, match="policies"):
            scope("a") & claim("b")  # type: ignore[operator]  # -- the mistake under test

    @pytest.mark.parametrize("make", [role, group, client, issuer, actor, detail])
    def test_an_empty_name_is_refused_as_it_is_written(self, make: Any) -> None:
        with pytest.raises(ValueError, match=make.__name__):
            make("")

    @pytest.mark.parametrize("make", [client, issuer, kind, claim("a").one_of])
    def test_none_of_none_is_refused_as_it_is_written(self, make: Any) -> None:
        with pytest.raises(ValueError, match="nobody"):
            make()


class TestTrace:
    async def test_the_trace_names_each_part_and_what_it_said(self) -> None:
        policy = scope("a") & (role("ops") | login("phr")) & no
        verdict = await judge(policy, caller_with("a", acr="phr"))

        assert verdict.explain() == (
            "scope('a'): allowed, role('ops'): missing_role, login(acr='phr'): allowed, "
            "rule('says no'): rule_refused"
        )

    async def test_the_trace_holds_nothing_of_the_caller(self) -> None:
        secret = "value-of-a-claim"
        caller = caller_with(
            subject=secret, client_id=secret, acr=secret, claims={"tenant": secret},
            roles=frozenset({secret}), actor_chain=(Actor(subject=secret),),
            details=({"type": "payment", "amount": secret},), issuer=secret,
        )  # fmt: skip
        policy = (
            ~claim("tenant").equals("x") & ~role("x") & ~client("x") & ~actor("x") & ~login("x")
            & ~issuer("x")
        )  # fmt: skip
        for one in (policy, TestM9Details.LIMIT, broken, ~policy):
            verdict = await judge(one, caller)
            assert verdict.trace
            assert secret not in verdict.explain() + repr(verdict) + repr(verdict.failures)


class TestNeeds:
    POLICY = scope("a b") & (scope("c") | role("x") & scope("d")) & ~scope("z") & login("phr")

    def test_what_may_help_is_known_without_a_caller(self) -> None:
        """RFC 9728 §2: the metadata document lists it."""
        assert scopes_of(self.POLICY) == scopes("a b c d")
        assert acr_of(self.POLICY | login(("mfa", "phr"))) == ("phr", "mfa")
        assert details_of(hide_as_404(detail("p")) & ~detail("q")) == {"p"}
        assert scopes_of(AUTHENTICATED) == frozenset()

    def test_alternatives_are_sets_of_which_each_is_enough(self) -> None:
        assert scope_sets_of(self.POLICY) == (scopes("a b c"), scopes("a b d"))
        assert scope_sets_of(scope("a") | scope("a b")) == (scopes("a"),)
        assert scope_sets_of(role("x") | scope("a")) == (frozenset(),)
        assert scope_sets_of(AUTHENTICATED) == (frozenset(),)

    async def test_each_alternative_is_enough_for_the_policy_that_names_it(self) -> None:
        policy = scope("a") & (scope("b") | scope("c d")) | scope("e f g")

        assert len(scope_sets_of(policy)) == 3
        for enough in scope_sets_of(policy):
            assert await allows(policy, caller_with(scopes=enough))
            for one in enough:
                assert not await allows(policy, caller_with(scopes=enough - {one}))

    def test_past_any_reason_there_is_one_set_of_all(self) -> None:
        policy: Policy = AUTHENTICATED
        for number in range(40):
            policy = policy & (scope(f"a{number}") | scope(f"b{number}"))

        assert scope_sets_of(policy) == (scopes_of(policy),)
        assert len(scopes_of(policy)) == 80
