"""Signing in, and a person's tokens afterwards."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import unquote_plus, urlencode, urlsplit

import pytest
from tests.client.conftest import API
from tests.client.sharing import until

from mintmark.client import (
    AuthorityUnavailable,
    Client,
    DelegatedToken,
    LoginAttempt,
    LoginFailed,
    LoginFlow,
    LoginRequired,
    MemoryUserTokens,
    TokenRefused,
)
from mintmark.secret import Secret
from mintmark.testing import FakeAuthority, FrozenClock
from mintmark.testing.authority import Fault

CALLBACK = "https://app.example/callback"


@pytest.fixture
def flow(client: Client) -> LoginFlow:
    return client.login(
        redirect_uri=CALLBACK, scope="openid offline_access orders.read", resource=API
    )


def answer_to(authority: FakeAuthority, attempt: LoginAttempt) -> str:
    """The query that the browser comes back with."""
    return urlsplit(authority.authorize(urlsplit(attempt.url).query)).query


class TestS17Login:
    """OIDC Core §3.1, RFC 6749 §10.12, RFC 9207 §2.4, RFC 8707 §2.2."""

    def test_an_honest_sign_in_gives_the_persons_tokens(
        self, flow: LoginFlow, authority: FakeAuthority
    ) -> None:
        attempt = flow.begin()

        signed_in = flow.finish(answer_to(authority, attempt), attempt)

        assert signed_in.id_token.sub == signed_in.tokens.subject == "alice"
        assert signed_in.tokens.refresh_token is not None
        (held,) = signed_in.tokens.access_tokens
        assert held.resource == {API}

    def test_every_attempt_is_another(self, flow: LoginFlow) -> None:
        one, other = flow.begin(), flow.begin()

        assert one.state != other.state
        assert one.nonce != other.nonce
        assert one.code_verifier != other.code_verifier
        assert one.code_verifier.reveal() not in one.url

    @pytest.mark.parametrize(
        "change",
        [
            {"state": "another"}, {"state": ""}, {"iss": "https://evil.example"}, {"iss": ""}, {"code": "another"},
            {"code": ""}, {"code": "", "error": "access_denied"},
        ],
    )  # fmt: skip
    def test_s17_a_wrong_answer_signs_nobody_in(
        self, flow: LoginFlow, authority: FakeAuthority, change: dict[str, str]
    ) -> None:
        attempt = flow.begin()
        answer = dict(pair.split("=", 1) for pair in answer_to(authority, attempt).split("&"))

        answer = {name: unquote_plus(value) for name, value in answer.items()} | change

        with pytest.raises(LoginFailed):
            flow.finish(urlencode(answer), attempt)

    @pytest.mark.parametrize(
        "members",
        [
            {"id_token": None},
            {"id_token": "a.b.c"},
            {"access_token": "another-access-token"},
            {"token_type": "mac"},
        ],
    )
    def test_s17_tokens_that_do_not_hold_sign_nobody_in(
        self, flow: LoginFlow, authority: FakeAuthority, members: dict[str, Any]
    ) -> None:
        attempt = flow.begin()
        query = answer_to(authority, attempt)
        authority.changes = members

        with pytest.raises(LoginFailed):
            flow.finish(query, attempt)

    def test_s17_another_nonce_or_verifier_signs_nobody_in(
        self, flow: LoginFlow, authority: FakeAuthority
    ) -> None:

        changes: tuple[dict[str, Any], ...] = (
            {"nonce": Secret.generate()},
            {"code_verifier": Secret.generate()},
        )
        for change in changes:
            attempt = flow.begin()
            query = answer_to(authority, attempt)
            with pytest.raises(LoginFailed):
                flow.finish(query, replace(attempt, **change))

    @pytest.mark.parametrize("seconds", [31, -3600], ids=["later", "clock-set-back"])
    def test_keys_that_are_newer_than_ours_are_fetched(
        self, flow: LoginFlow, authority: FakeAuthority, clock: FrozenClock, seconds: int
    ) -> None:
        attempt = flow.begin()
        flow.finish(answer_to(authority, attempt), attempt)
        authority.rotate_key()
        clock.advance(timedelta(seconds=seconds))
        attempt = flow.begin()

        assert flow.finish(answer_to(authority, attempt), attempt).id_token.sub == "alice"
        assert authority.counts["jwks"] == 2


@pytest.fixture
def store() -> MemoryUserTokens:
    return MemoryUserTokens()


@pytest.fixture
def session() -> Secret:
    return Secret.generate()


@pytest.fixture
def mine(
    client: Client,
    flow: LoginFlow,
    authority: FakeAuthority,
    store: MemoryUserTokens,
    session: Secret,
) -> Callable[[], DelegatedToken]:
    """Alice's token for the API; she has just signed in."""
    attempt = flow.begin()
    store.begin(session, flow.finish(answer_to(authority, attempt), attempt).tokens)
    return lambda: client.user_token(session, store, scope="orders.read", resource=API)


class TestRenewal:
    """RFC 6749 §4.4's counterpart for people: RFC 6749 §6, OIDC Core §12.2."""

    async def test_s12_twenty_at_once_renew_once(
        self, mine: Callable[[], DelegatedToken], authority: FakeAuthority, clock: FrozenClock
    ) -> None:
        first = await mine().atoken()
        clock.advance(timedelta(minutes=10) - timedelta(seconds=30))
        authority.delay = 0.05

        tokens = await asyncio.gather(*(mine().atoken() for _ in range(20)))

        assert authority.counts["refresh_token"] == 1
        assert set(tokens) == {tokens[0]}
        assert tokens[0] != first

    async def test_the_first_token_is_the_one_that_came_with_the_sign_in(
        self,
        mine: Callable[[], DelegatedToken],
        authority: FakeAuthority,
        store: MemoryUserTokens,
        session: Secret,
    ) -> None:
        stored = store.load(session)
        assert stored is not None

        assert await mine().atoken() == stored.access_tokens[0].access_token
        assert authority.counts["refresh_token"] == 0

    def test_the_first_token_is_renewed_when_the_server_would_like_to_be_asked(
        self, flow: LoginFlow, client: Client, authority: FakeAuthority, clock: FrozenClock
    ) -> None:
        """RFC 6749 §5.1 names no `refresh_in`; without it this one would last for 450 s at least."""
        authority.changes["refresh_in"] = "120"
        attempt, began = flow.begin(), clock.now()
        tokens = flow.finish(answer_to(authority, attempt), attempt).tokens
        (held,) = tokens.access_tokens
        store, session = MemoryUserTokens(), Secret.generate()
        store.begin(session, tokens)
        recipe = client.user_token(session, store, scope="orders.read", resource=API)

        assert held.renew_at == began + timedelta(seconds=120)
        clock.advance(timedelta(seconds=107))  # up to 12 s earlier, by the jitter
        assert recipe.token() == held.access_token
        assert authority.counts["refresh_token"] == 0
        clock.advance(timedelta(seconds=14))
        assert recipe.token() == held.access_token, "nobody waits for it"
        until(lambda: recipe.token() != held.access_token)
        assert authority.counts["refresh_token"] == 1

    def test_s13_the_old_refresh_token_goes_on_where_no_new_one_came(
        self,
        mine: Callable[[], DelegatedToken],
        authority: FakeAuthority,
        clock: FrozenClock,
        store: MemoryUserTokens,
        session: Secret,
    ) -> None:
        before = store.load(session)
        authority.changes["refresh_token"] = None
        clock.advance(timedelta(minutes=10))
        mine().token()
        after = store.load(session)

        assert before is not None
        assert after is not None
        assert (after.version, after.refresh_token) == (before.version + 1, before.refresh_token)

    def test_s14_w17_who_is_not_renewed_has_to_sign_in_again(
        self,
        mine: Callable[[], DelegatedToken],
        authority: FakeAuthority,
        clock: FrozenClock,
        store: MemoryUserTokens,
        session: Secret,
    ) -> None:
        """W-17: a session is worth no more than its tokens."""
        clock.advance(timedelta(minutes=10))
        authority.faults = [Fault(status=400, body=b'{"error":"invalid_grant"}')]

        with pytest.raises(LoginRequired):
            mine().token()
        assert store.load(session) is None

    def test_a_server_that_is_down_signs_nobody_out(
        self,
        mine: Callable[[], DelegatedToken],
        authority: FakeAuthority,
        clock: FrozenClock,
        store: MemoryUserTokens,
        session: Secret,
    ) -> None:
        clock.advance(timedelta(minutes=10))
        authority.down = True

        with pytest.raises(AuthorityUnavailable):
            mine().token()
        assert store.load(session) is not None
        authority.down = False
        clock.advance(timedelta(seconds=2))
        assert isinstance(mine().token(), Secret)

    def test_w21_a_loser_takes_the_winners_pair(
        self, mine: Callable[[], DelegatedToken], client: Client, authority: FakeAuthority, clock: FrozenClock,
        store: MemoryUserTokens, session: Secret,
    ) -> None:  # fmt: skip
        """W-21: another process renewed with the same refresh token a moment before."""
        clock.advance(timedelta(minutes=10))
        other = Client(
            client.authority, client_id="client", client_secret=Secret("a-client-secret-of-this-test-alone"),
            tokens=type(client.tokens)(clock=clock),
        )  # fmt: skip
        stored = store.load(session)
        assert stored is not None
        winner = other.user_token(session, store, scope="orders.read", resource=API).token()
        loser = mine()
        loads = iter([stored, stored])  # as it waits its turn, and when it has it
        real = store.load
        store.load = lambda session: next(loads, None) or real(session)  # type: ignore[method-assign]  # -- what the loser read before

        assert loser.token() == winner
        other.close()

    def test_a_loser_of_another_api_renews_with_the_winners_refresh_token(
        self, mine: Callable[[], DelegatedToken], client: Client, authority: FakeAuthority, clock: FrozenClock,
        store: MemoryUserTokens, session: Secret,
    ) -> None:  # fmt: skip
        """What another process stored is nothing to be deleted for our own late try."""
        clock.advance(timedelta(minutes=10))
        other = Client(
            client.authority, client_id="client", client_secret=Secret("a-client-secret-of-this-test-alone"),
            tokens=type(client.tokens)(clock=clock),
        )  # fmt: skip
        stored = store.load(session)
        other.user_token(session, store, resource="https://stock.example").token()
        winners = store.load(session)
        assert winners is not None
        loads = iter([stored, stored])  # as it waits its turn, and when it has it
        real = store.load
        store.load = lambda session: next(loads, None) or real(session)  # type: ignore[method-assign]  # -- what the loser read before
        authority.faults = [Fault(status=400, body=b'{"error":"invalid_grant"}')]

        assert isinstance(mine().token(), Secret)
        after = store.load(session)
        assert after is not None
        assert after.version == winners.version + 1
        other.close()

    def test_a_recipe_made_before_signing_out_holds_no_token_after_it(
        self,
        mine: Callable[[], DelegatedToken],
        client: Client,
        store: MemoryUserTokens,
        session: Secret,
    ) -> None:
        """A task that outlives the request must not go on in the name of who has left."""
        made_before = mine()
        made_before.token()
        store.forget(session)
        client.end_session(session)

        with pytest.raises(LoginRequired):
            made_before.token()

    def test_who_signs_in_is_not_refused_for_having_been_signed_out(
        self,
        client: Client,
        flow: LoginFlow,
        authority: FakeAuthority,
        store: MemoryUserTokens,
        session: Secret,
    ) -> None:
        mine = client.user_token(session, store, scope="orders.read", resource=API)
        for _ in range(3):
            with pytest.raises(LoginRequired):
                mine.token()
        attempt = flow.begin()
        store.begin(session, flow.finish(answer_to(authority, attempt), attempt).tokens)

        assert isinstance(mine.token(), Secret)

    def test_another_persons_id_token_is_refused(
        self, mine: Callable[[], DelegatedToken], authority: FakeAuthority, clock: FrozenClock
    ) -> None:

        clock.advance(timedelta(minutes=10))
        authority.subject = "mallory"

        with pytest.raises(TokenRefused, match="another person"):
            mine().token()

    def test_signing_out_revokes(self, client: Client, authority: FakeAuthority) -> None:
        """RFC 7009 §2.1, OIDC RP-Initiated Logout §2."""
        token = Secret.generate()
        client.revoke(token)
        url = client.logout_url(
            id_token=None, post_logout_redirect_uri="https://app.example/", state=Secret("s")
        )

        assert authority.revoked == [token.fingerprint()]
        assert url.startswith(
            authority.issuer + "/logout?client_id=client&post_logout_redirect_uri="
        )
