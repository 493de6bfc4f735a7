"""Attack list M: what a valid token still may not do."""

from collections.abc import Callable
from typing import Any

import pytest
from tests.api.conftest import REALM, bearer

from mintmark.api import AUTHENTICATED, Caller, CallerKind, Policy, client, kind, rule, scope
from mintmark.testing import FakeAuthority

Call = Callable[..., Any]


async def status(call: Call, authority: FakeAuthority, policy: Policy, **token: Any) -> int:
    answer = await call(bearer(authority.access_token(**token)), policy=policy)
    found: int = answer.status_code
    return found


class TestS26Scopes:
    """R3: 403, naming what is missing (RFC 6750 §3.1)."""

    @pytest.mark.parametrize(
        ("granted", "expected"),
        [("read", 200), ("read write", 200), ("write read", 200), ("xread", 403), ("readx", 403),
         ("READ", 403), ("read:all", 403), ("rea", 403), ("", 403)],
    )  # fmt: skip
    async def test_s26_m2_a_scope_is_a_whole_word(
        self, call: Call, authority: FakeAuthority, granted: str, expected: int
    ) -> None:
        assert await status(call, authority, scope("read"), scope=granted) == expected

    async def test_s26_m1_v11_the_challenge_names_only_what_is_missing(
        self, call: Call, authority: FakeAuthority
    ) -> None:
        token = authority.access_token(scope="read")
        answer = await call(bearer(token), policy=scope("read write delete"))

        assert answer.status_code == 403
        assert answer.json()["error"] == "insufficient_scope"
        assert answer.headers["www-authenticate"] == (
            f'{REALM}, error="insufficient_scope", scope="delete write"'
        )


class TestR8:
    """403 without a challenge: no other token would help."""

    async def test_h9_m3_an_application_where_a_person_is_needed(
        self, call: Call, authority: FakeAuthority
    ) -> None:
        delegated = kind(CallerKind.DELEGATED)
        answer = await call(bearer(authority.access_token()), policy=delegated)

        assert (answer.status_code, answer.json()) == (403, {"title": "Forbidden", "status": 403})
        assert "www-authenticate" not in answer.headers
        assert await status(call, authority, delegated, sub="alice") == 200
        assert await status(call, authority, kind(CallerKind.APPLICATION), sub="alice") == 403

    async def test_w10_a_client_that_is_not_named(
        self, call: Call, authority: FakeAuthority
    ) -> None:
        """W-10: to an API that looks at the audience alone, every client is equal."""
        assert await status(call, authority, client("web", "job"), client_id="job") == 200
        assert await status(call, authority, client("web"), client_id="webx") == 403

    async def test_m6_a_policy_that_raises_denies(
        self, call: Call, authority: FakeAuthority
    ) -> None:
        async def broken(caller: Caller) -> bool:
            raise LookupError(caller.subject)

        answer = await call(bearer(authority.access_token()), policy=rule("broken", broken))

        assert (answer.status_code, answer.headers.get("www-authenticate")) == (403, None)

    async def test_a_rule_that_forgets_to_answer_denies(
        self, call: Call, authority: FakeAuthority
    ) -> None:
        async def forgets(caller: Caller) -> bool:
            return caller.subject  # type: ignore[return-value]  # -- the mistake under test

        async def agrees(caller: Caller) -> bool:
            return caller.subject == "client"

        assert await status(call, authority, rule("forgets", forgets)) == 403
        assert await status(call, authority, rule("agrees", agrees)) == 200


class TestCombined:
    @pytest.mark.parametrize(
        ("granted", "expected", "missing"),
        [("a b", 200, None), ("a", 403, "b"), ("", 403, "a b")],
    )
    async def test_all_of_them(
        self, call: Call, authority: FakeAuthority, granted: str, expected: int, missing: str | None
    ) -> None:
        answer = await call(
            bearer(authority.access_token(scope=granted)), policy=scope("a") & scope("b")
        )

        assert answer.status_code == expected
        if missing is not None:
            assert f'scope="{missing}"' in answer.headers["www-authenticate"]

    async def test_m5_what_no_scope_would_mend_is_said_before_a_scope(
        self, call: Call, authority: FakeAuthority
    ) -> None:
        answer = await call(
            bearer(authority.access_token()), policy=scope("a") & kind(CallerKind.DELEGATED)
        )

        assert (answer.status_code, answer.headers.get("www-authenticate")) == (403, None)

    async def test_one_of_them_and_the_smallest_step_is_named(
        self, call: Call, authority: FakeAuthority
    ) -> None:
        either = kind(CallerKind.DELEGATED) | scope("a b c") | scope("a b")
        answer = await call(bearer(authority.access_token(scope="a")), policy=either)

        assert 'scope="b"' in answer.headers["www-authenticate"]
        assert await status(call, authority, either, scope="a b") == 200
        assert await status(call, authority, either, sub="alice") == 200

    def test_a_policy_says_what_it_is(self) -> None:
        policy = scope("b a") & (kind(CallerKind.DELEGATED) | client("web"))

        assert repr(policy) == "scope('a b') & (kind(delegated) | client(web))"
        assert repr(AUTHENTICATED | scope("a")) == "AUTHENTICATED | scope('a')"

    @pytest.mark.parametrize("text", ["", " ", "a  b", 'a"b'])
    def test_a_scope_that_is_none_is_refused_as_it_is_written(self, text: str) -> None:
        with pytest.raises(Exception, match="scope"):
            scope(text)
