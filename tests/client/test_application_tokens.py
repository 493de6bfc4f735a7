"""Application tokens: fetched once, handed out while they last, never the wrong one."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from tests.client.conftest import API
from tests.server.events import Recorded

from mintmark.client import (
    Authority,
    AuthorityUnavailable,
    Client,
    LoginRequired,
    MemoryUserTokens,
    StoredToken,
    TokenManager,
    TokenRefused,
    UserTokens,
)
from mintmark.client.renewal import ASSUMED_LIFETIME, RenewalPolicy
from mintmark.secret import Secret
from mintmark.testing import FakeAuthority, FrozenClock
from mintmark.testing.authority import Fault

SECOND = timedelta(seconds=1)


def wait_until(holds: Callable[[], object]) -> None:
    """For what a thread of the manager is about to do."""
    event = threading.Event()
    for _ in range(500):
        if holds():
            return
        event.wait(0.01)
    raise AssertionError("it did not happen")


class TestS02SingleFlight:
    """However many ask, one token is fetched."""

    async def test_s02_w04_two_hundred_coroutines_and_two_hundred_threads(
        self, client: Client, authority: FakeAuthority
    ) -> None:
        """W-04: a lock around the write alone lets everybody fetch."""
        authority.delay = 0.1
        orders = client.app_token(scope="orders.read", resource=API)

        with ThreadPoolExecutor(200) as pool:
            threads = [pool.submit(orders.token) for _ in range(200)]
            tokens = await asyncio.gather(*(orders.atoken() for _ in range(200)))
        tokens += [thread.result() for thread in threads]

        assert authority.counts["client_credentials"] == 1
        assert len(set(tokens)) == 1

    async def test_equal_recipes_share_and_unequal_ones_do_not(
        self, client: Client, authority: FakeAuthority
    ) -> None:
        first = await client.app_token(scope="a b", resource=API).atoken()

        assert await client.app_token(scope="b a", resource=[API]).atoken() == first
        assert await client.app_token(scope="a", resource=API).atoken() != first
        assert authority.counts["client_credentials"] == 2

    async def test_a_caller_that_gives_up_takes_nothing_from_the_others(
        self, client: Client, authority: FakeAuthority
    ) -> None:
        authority.delay = 0.1
        orders = client.app_token(resource=API)
        leader = asyncio.create_task(orders.atoken())
        await asyncio.sleep(0.02)
        follower = asyncio.create_task(orders.atoken())
        await asyncio.sleep(0)
        leader.cancel()

        assert isinstance(await follower, Secret)
        assert authority.counts["client_credentials"] == 1

    def test_event_loops_of_several_threads_share_one_flight(
        self, client: Client, authority: FakeAuthority
    ) -> None:
        authority.delay = 0.1
        orders = client.app_token(resource=API)

        with ThreadPoolExecutor(8) as pool:
            tokens = list(pool.map(lambda _: asyncio.run(orders.atoken()), range(8)))

        assert len(set(tokens)) == 1
        assert authority.counts["client_credentials"] == 1

    async def test_every_waiter_hears_of_a_failure(
        self, client: Client, authority: FakeAuthority
    ) -> None:
        authority.delay = 0.05
        client.authority.metadata()
        authority.down = True
        orders = client.app_token(resource=API)

        outcomes = await asyncio.gather(
            *(orders.atoken() for _ in range(20)), return_exceptions=True
        )

        assert {type(outcome) for outcome in outcomes} == {AuthorityUnavailable}
        assert authority.counts["token"] == 1


class TestS04Expiry:
    """Slack: 10 % of the lifetime, 10 s to 5 min; on the second."""

    @pytest.mark.parametrize(
        ("left", "same"), [(timedelta(seconds=61), True), (timedelta(seconds=60), False)]
    )
    def test_s04_w03_a_minute_before_its_end_a_token_of_ten_minutes_is_replaced(
        self,
        client: Client,
        authority: FakeAuthority,
        clock: FrozenClock,
        left: timedelta,
        *,
        same: bool,
    ) -> None:
        """W-03: a token that dies on its way was handed out too late."""
        orders = client.app_token(resource=API)
        first = orders.token()
        clock.advance(authority.lifetime - left)

        assert (orders.token() == first) is same

    @pytest.mark.parametrize(
        ("lifetime", "slack"),
        [(50, 10), (100, 10), (101, 10.1), (600, 60), (3000, 300), (86400, 300)],
    )
    def test_the_slack_has_a_floor_and_a_ceiling(self, lifetime: float, slack: float) -> None:
        assert RenewalPolicy().slack(timedelta(seconds=lifetime)) == timedelta(seconds=slack)

    def test_w02_a_lease_never_outlives_its_token(self) -> None:
        """W-02: an entry that slides along with its use keeps dead tokens for days."""
        for seconds in (1, 9, 10, 11, 60, 600, 86400):
            lease = RenewalPolicy().lease(1000.0, timedelta(seconds=seconds))
            assert 1000.0 <= lease.renew_from <= lease.usable_until <= lease.expires_at
            assert lease.expires_at == 1000.0 + seconds

    def test_a_token_that_is_used_up_as_it_comes_serves_one_call(
        self, client: Client, authority: FakeAuthority
    ) -> None:
        authority.lifetime = timedelta(seconds=10)
        orders = client.app_token(resource=API)

        assert orders.token() != orders.token()
        assert client.tokens.snapshot() == ()

    def test_s10_w18_without_expires_in_a_minute_is_assumed(
        self, client: Client, authority: FakeAuthority, clock: FrozenClock
    ) -> None:
        """W-18: neither for ever, nor fetched again for every call."""
        authority.changes["expires_in"] = None
        orders = client.app_token(resource=API)
        first = orders.token()

        clock.advance(ASSUMED_LIFETIME - timedelta(seconds=11))
        assert orders.token() == first
        clock.advance(SECOND)
        assert orders.token() != first

    @pytest.mark.parametrize("value", [0, -5, "soon", True])
    def test_s10_w18_a_lifetime_of_nothing_is_an_error_and_no_loop(
        self, client: Client, authority: FakeAuthority, value: Any
    ) -> None:
        authority.changes["expires_in"] = value
        orders = client.app_token(resource=API)

        for _ in range(5):
            with pytest.raises(TokenRefused):
                orders.token()
        assert authority.counts["token"] == 1

    def test_at_a_planned_renewal_nobody_waits(
        self, client: Client, authority: FakeAuthority, clock: FrozenClock
    ) -> None:
        orders = client.app_token(resource=API)
        first = orders.token()
        clock.advance(timedelta(minutes=10) * 0.75)
        authority.delay = 0.05

        assert orders.token() == first
        wait_until(lambda: authority.counts["client_credentials"] == 2 and orders.token() != first)
        (held,) = client.tokens.snapshot()
        assert (held.fetched, held.renewed) == (2, 1)

    def test_before_its_last_quarter_nothing_is_renewed(
        self, client: Client, authority: FakeAuthority, clock: FrozenClock
    ) -> None:
        orders = client.app_token(resource=API)
        orders.token()
        # The jitter makes a renewal earlier by up to a fifth of the slack, which is a minute here.
        clock.advance(timedelta(minutes=10) * 0.75 - timedelta(seconds=13))
        orders.token()

        assert authority.counts["client_credentials"] == 1

    def test_refresh_in_is_when_the_next_one_is_fetched(
        self, client: Client, authority: FakeAuthority, clock: FrozenClock
    ) -> None:
        """A server that wants to be asked earlier says so; nobody waits for that either."""
        authority.changes["refresh_in"] = "120"
        orders = client.app_token(resource=API)
        first = orders.token()
        clock.advance(timedelta(seconds=120 - 13))  # up to 12 s earlier, by the jitter
        orders.token()
        assert authority.counts["client_credentials"] == 1
        clock.advance(timedelta(seconds=13))

        assert orders.token() == first
        wait_until(lambda: orders.token() != first)
        assert authority.counts["client_credentials"] == 2

    @pytest.mark.parametrize("value", [0, -5, "soon", True, [], 1e300])
    def test_a_strange_refresh_in_is_none(
        self, client: Client, authority: FakeAuthority, value: Any
    ) -> None:
        authority.changes["refresh_in"] = value
        orders = client.app_token(resource=API)

        assert orders.token() == orders.token()
        assert authority.counts["client_credentials"] == 1

    @pytest.mark.parametrize("hint", [1, 300, 599, 600, 10_000])
    def test_refresh_in_never_lengthens_a_tokens_life(self, hint: int) -> None:
        policy, ten = RenewalPolicy(), timedelta(minutes=10)
        lease = policy.lease(1000.0, ten, timedelta(seconds=hint))

        assert 1000.0 <= lease.renew_from <= min(1000.0 + hint, lease.usable_until)
        assert lease.usable_until == policy.lease(1000.0, ten).usable_until

    def test_a_clock_set_back_makes_no_token_immortal(
        self, client: Client, authority: FakeAuthority, clock: FrozenClock
    ) -> None:
        orders = client.app_token(resource=API)
        first = orders.token()
        clock.advance(timedelta(minutes=-1))
        assert orders.token() == first
        clock.advance(-SECOND)
        assert orders.token() != first
        assert authority.counts["client_credentials"] == 2


class TestS10Failure:
    """A server that is down is left alone for a while, and asked again by itself."""

    def test_s10_the_last_token_serves_while_it_lives(
        self, client: Client, authority: FakeAuthority, clock: FrozenClock
    ) -> None:
        orders = client.app_token(resource=API)
        first = orders.token()
        authority.down = True
        clock.advance(timedelta(minutes=10) - SECOND)
        assert orders.token() == first

        clock.advance(SECOND)
        with pytest.raises(AuthorityUnavailable) as failure:
            orders.token()
        assert failure.value.retryable
        authority.down = False
        clock.advance(timedelta(minutes=2))
        assert orders.token() != first

    def test_w08_a_failure_is_remembered_a_second_and_then_twice_as_long(
        self, client: Client, authority: FakeAuthority, clock: FrozenClock
    ) -> None:
        """W-08: without it every page load asks a server that is down, and waits."""
        client.authority.metadata()
        authority.down = True
        orders = client.app_token(resource=API)

        asked = []
        for pause in (1, 2, 4, 8, 16, 32, 60, 60):
            with pytest.raises(AuthorityUnavailable):
                orders.token()
            asked.append(authority.counts["token"])
            clock.advance(timedelta(seconds=pause) - timedelta(milliseconds=1))
            with pytest.raises(AuthorityUnavailable):
                orders.token()
            assert authority.counts["token"] == asked[-1]
            clock.advance(timedelta(milliseconds=1))
        assert asked == [1, 2, 3, 4, 5, 6, 7, 8]

    @pytest.mark.parametrize(("said", "obeyed"), [("120", 120), ("7200", 3600), ("soon", 1)])
    def test_retry_after_is_obeyed_up_to_an_hour(
        self, client: Client, authority: FakeAuthority, clock: FrozenClock, said: str, obeyed: int
    ) -> None:
        """RFC 9110 §10.2.3."""
        authority.faults = [Fault(status=429, headers={"retry-after": said})]
        orders = client.app_token(resource=API)
        with pytest.raises(AuthorityUnavailable):
            orders.token()

        clock.advance(timedelta(seconds=obeyed, milliseconds=-1))
        with pytest.raises(AuthorityUnavailable):
            orders.token()
        clock.advance(timedelta(milliseconds=1))
        assert isinstance(orders.token(), Secret)

    @pytest.mark.parametrize(
        "fault",
        [
            Fault(status=200, body=b"<html>"), Fault(status=200, body=b"[]"), Fault(status=200, body=b"{}"),
            Fault(status=200, body=b'{"access_token":"a","token_type":"mac","expires_in":60}'),
            Fault(status=400, body=b'{"error":"invalid_scope"}'), Fault(status=404, body=b"nothing"),
            Fault(status=401, body=b'{"error":5}'),
            Fault(status=200, body=b'{"access_token":"a","token_type":"Bearer","expires_in":60,"scope":"less"}'),
        ],
    )  # fmt: skip
    def test_w28_an_answer_that_is_no_token_is_an_error(
        self, client: Client, authority: FakeAuthority, fault: Fault
    ) -> None:
        """RFC 6749 §5.2, RFC 6749 §7.1; nothing of it is held."""
        authority.faults = [fault]

        with pytest.raises(TokenRefused) as refusal:
            client.app_token(scope="orders.read", resource=API).token()
        assert not refusal.value.retryable
        assert client.tokens.snapshot() == ()

    def test_a_redirect_is_not_followed_with_a_secret(
        self, client: Client, authority: FakeAuthority
    ) -> None:
        authority.faults = [Fault(status=307, headers={"location": "https://evil.example/token"})]

        with pytest.raises(AuthorityUnavailable):
            client.app_token(resource=API).token()


class TestKeys:
    """W-01: the key of a token is its whole request."""

    def test_s05_w01_two_scopes_and_two_apis_are_four_tokens(
        self, client: Client, authority: FakeAuthority
    ) -> None:
        recipes = [
            client.app_token(scope=s, resource=r) for s in ("a", "b") for r in (API, API + "/2")
        ]

        tokens = [recipe.token() for recipe in recipes]

        assert len(set(tokens)) == 4
        assert [recipe.token() for recipe in recipes] == tokens
        assert authority.counts["client_credentials"] == 4

    def test_w25_a_persons_token_is_nobody_elses(
        self, client: Client, clock: FrozenClock, authority: FakeAuthority
    ) -> None:
        """W-25: a key without the person in it gives one person's token to everybody."""
        store = MemoryUserTokens()
        alice, bob = Secret.generate(), Secret.generate()
        for session, subject in ((alice, "alice"), (bob, "bob")):
            token = authority.access_token(sub=subject)

            stored = StoredToken(
                access_token=token, received=clock.now(), expires_at=clock.now() + authority.lifetime,
                scope=frozenset(), resource=frozenset({API}),
            )  # fmt: skip
            store.begin(
                session,
                UserTokens(
                    subject=subject, refresh_token=None, id_token=None, access_tokens=(stored,)
                ),
            )

        mine = client.user_token(alice, store, resource=API).token()
        theirs = client.user_token(bob, store, resource=API).token()

        assert mine != theirs
        assert client.app_token(resource=API).token() not in {mine, theirs}
        with pytest.raises(LoginRequired):
            client.user_token(Secret.generate(), store, resource=API).token()

    def test_w11_one_authority_serves_every_thread_and_client(
        self, authority: FakeAuthority, clock: FrozenClock
    ) -> None:
        """W-11, W-08: metadata is fetched once for all, and again when it is an hour old."""
        shared = Authority(authority.issuer, policy=authority.policy, clock=clock)
        with ThreadPoolExecutor(20) as pool:
            list(pool.map(lambda _: shared.metadata(), range(50)))
        assert authority.counts["metadata"] == 1

        clock.advance(timedelta(hours=1) - SECOND)
        shared.metadata()
        assert authority.counts["metadata"] == 1
        clock.advance(SECOND)
        shared.metadata()
        assert authority.counts["metadata"] == 2
        authority.down = True
        clock.advance(timedelta(hours=2))
        assert shared.metadata().issuer == authority.issuer
        shared.close()

    def test_another_issuers_metadata_is_refused(
        self, client: Client, authority: FakeAuthority
    ) -> None:
        authority.metadata_changes["issuer"] = "https://evil.example"

        with pytest.raises(AuthorityUnavailable, match="another issuer"):
            client.app_token(resource=API).token()

    def test_w09_the_snapshot_and_the_log_show_no_token(
        self, authority: FakeAuthority, clock: FrozenClock
    ) -> None:
        """W-09: what an endpoint answered never reaches a log."""
        events = Recorded()
        authority.clock = clock
        client = Client(
            Authority(authority.issuer, policy=authority.policy, clock=clock), client_id="client",
            client_secret=Secret("a-client-secret-of-this-test-alone"), tokens=TokenManager(clock=clock, events=events),
        )  # fmt: skip
        token = client.app_token(scope="a", resource=API).token()
        authority.faults = [
            Fault(status=400, body=b'{"error":"invalid_client","error_description":"no"}')
        ]
        with pytest.raises(TokenRefused) as refusal:
            client.app_token(scope="b", resource=API).token()

        (held,) = client.tokens.snapshot()
        shown = repr(held) + repr(events.events) + repr(refusal.value) + str(refusal.value)
        assert held.fingerprint == token.fingerprint()
        assert token.reveal() not in shown
        assert "a-client-secret" not in shown
        assert (held.asked, held.from_cache, held.fetched) == (1, 0, 1)
        client.close()
