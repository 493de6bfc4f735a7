"""Whoever binds their tokens to a key gets no other ones, whichever way they come (RFC 9449 §5)."""

from collections.abc import Iterator

import pytest
from tests.client.conftest import API
from tests.client.test_device import Passing

from mintmark.client import (
    Authority,
    Client,
    DPoP,
    LoginFailed,
    MemoryUserTokens,
    TokenManager,
    TokenRefused,
)
from mintmark.client.dpop import load_key
from mintmark.jose.jws import parse
from mintmark.jose.strict_json import decode_object
from mintmark.secret import Secret
from mintmark.testing import FakeAuthority, FrozenClock
from mintmark.testing.fake_ciba import FakeBackchannel
from mintmark.testing.fake_device import FakeDevice
from mintmark.testing.fake_dpop import FakeDPoP
from mintmark.testing.fake_exchange import FakeExchange


@pytest.fixture
def bound(authority: FakeAuthority, clock: FrozenClock) -> Iterator[Client]:
    authority.clock = clock
    made = Client(
        Authority(authority.issuer, policy=authority.policy, clock=clock),
        client_id="client",
        client_secret=Secret("a-client-secret-of-this-test-alone"),
        tokens=TokenManager(clock=clock),
        binding=DPoP(),
    )
    yield made
    made.close()


@pytest.fixture
def dpop(authority: FakeAuthority, bound: Client) -> FakeDPoP:
    assert bound.client_id == "client"
    return FakeDPoP.install(authority)


def jkt_of(token: Secret) -> object:
    return decode_object(parse(token.reveal()).payload)["cnf"]["jkt"]


def persons_token(authority: FakeAuthority, sub: str) -> Secret:
    return authority.access_token(sub=sub, scope="orders.read", client_id="web")


def approve(fake: FakeDevice | FakeBackchannel) -> None:
    """The newest one."""
    assert fake.last is not None
    fake.last.always = None


class TestExchange:
    def test_it_is_asked_for_with_a_proof_and_must_come_bound(
        self, bound: Client, dpop: FakeDPoP, authority: FakeAuthority
    ) -> None:
        exchange = FakeExchange(authority)
        recipe = bound.exchange(subject=persons_token(authority, "alice"), resource=API)

        token = recipe.token()

        assert [proof.jkt for proof in dpop.proofs] == [recipe.sender.thumbprint()]  # type: ignore[union-attr]  # -- it has one
        assert recipe.token() == token
        assert len(exchange.requests) == 1

    def test_a_bearer_token_in_its_place_is_thrown_away(
        self, bound: Client, dpop: FakeDPoP, authority: FakeAuthority
    ) -> None:
        FakeExchange(authority)
        authority.changes["token_type"] = "Bearer"
        recipe = bound.exchange(subject=persons_token(authority, "alice"), resource=API)

        with pytest.raises(TokenRefused) as refused:
            recipe.token()

        assert refused.value.error == "token_not_bound"
        assert len(dpop.proofs) == 1

    def test_a_client_that_binds_nothing_takes_no_bound_one(
        self, client: Client, authority: FakeAuthority
    ) -> None:
        FakeExchange(authority)
        authority.changes["token_type"] = "DPoP"

        with pytest.raises(TokenRefused):
            client.exchange(subject=persons_token(authority, "alice"), resource=API).token()

    def test_on_behalf_of_and_assertions_are_no_way_around_it(
        self, bound: Client, dpop: FakeDPoP, authority: FakeAuthority
    ) -> None:
        FakeExchange(authority)
        person = persons_token(authority, "alice")
        for recipe in (
            bound.on_behalf_of(person, resource=API),
            bound.on_behalf_of(person, scope="orders.read", dialect="entra"),
            bound.jwt_bearer(person, resource=API),
        ):
            recipe.token()
            authority.changes["token_type"] = "Bearer"
            with pytest.raises(TokenRefused):
                bound_again = recipe
                bound_again.forget(recipe.token())
                recipe.token()
            del authority.changes["token_type"]

        assert len(dpop.proofs) == 6


class TestOnAnotherDevice:
    SCOPE = "openid offline_access orders.read"

    def test_the_tokens_are_bound_to_a_key_of_this_sign_in(
        self, bound: Client, dpop: FakeDPoP, authority: FakeAuthority, clock: FrozenClock
    ) -> None:
        device = FakeDevice(authority)
        flow = bound.device(scope=self.SCOPE, resource=API)
        second, first = flow.begin(), flow.begin()
        approve(device)

        approved = flow.wait(first, cancelled=Passing(clock))

        assert first.proof_key != second.proof_key
        assert approved.tokens.proof_key == first.proof_key is not None
        own = load_key(first.proof_key).public.thumbprint()
        assert jkt_of(approved.tokens.access_tokens[0].access_token) == own
        assert {proof.jkt for proof in dpop.proofs} == {own}

    def test_the_session_goes_on_with_that_key(
        self, bound: Client, dpop: FakeDPoP, authority: FakeAuthority, clock: FrozenClock
    ) -> None:
        device = FakeDevice(authority)
        flow = bound.device(scope=self.SCOPE, resource=API)
        code = flow.begin()
        approve(device)
        approved = flow.wait(code, cancelled=Passing(clock))
        session, store = Secret.generate(), MemoryUserTokens()
        store.begin(session, approved.tokens)
        recipe = bound.user_token(session, store, scope="orders.read", resource=API)

        assert approved.tokens.proof_key is not None
        own = load_key(approved.tokens.proof_key).public.thumbprint()
        assert recipe.token() == approved.tokens.access_tokens[0].access_token
        assert recipe.sender is not None
        assert recipe.sender.thumbprint() == own
        assert {proof.jkt for proof in dpop.proofs} == {own}

    def test_a_bearer_token_signs_nobody_in(
        self, bound: Client, dpop: FakeDPoP, authority: FakeAuthority, clock: FrozenClock
    ) -> None:
        device = FakeDevice(authority)
        authority.changes["token_type"] = "Bearer"
        flow = bound.device(scope=self.SCOPE, resource=API)
        code = flow.begin()
        approve(device)

        with pytest.raises(LoginFailed, match="token_not_bound"):
            flow.wait(code, cancelled=Passing(clock))
        assert len(dpop.proofs) == 1

    def test_a_code_from_before_keys_were_used_begins_again(
        self, client: Client, bound: Client, authority: FakeAuthority, clock: FrozenClock
    ) -> None:
        FakeDevice(authority)
        before = client.device(scope=self.SCOPE).begin()

        with pytest.raises(LoginFailed, match="no key"):
            bound.device(scope=self.SCOPE).wait(before, cancelled=Passing(clock))

    def test_so_is_a_sign_in_that_the_server_asks_for(
        self, bound: Client, dpop: FakeDPoP, authority: FakeAuthority, clock: FrozenClock
    ) -> None:
        backchannel = FakeBackchannel(authority)
        flow = bound.backchannel(scope=self.SCOPE, resource=API)
        login = flow.begin(login_hint="alice")
        approve(backchannel)

        approved = flow.wait(login, cancelled=Passing(clock))

        assert approved.tokens.proof_key == login.proof_key is not None
        assert {proof.jkt for proof in dpop.proofs} == {
            load_key(login.proof_key).public.thumbprint()
        }
