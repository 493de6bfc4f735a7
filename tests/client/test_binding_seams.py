"""A binding beside everything else that keeps tokens: shared stores, sessions, other grants.

RFC 9449 §5, RFC 9449 §7.1, RFC 8705 §3.
"""

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from mintmark.client import (
    Authority,
    CallerToken,
    Client,
    DPoP,
    KeyRing,
    LoginRequired,
    MemoryUserTokens,
    TokenManager,
)
from mintmark.client.memory_tokens import MemoryTokens
from mintmark.jose.algorithms import Algorithm
from mintmark.jose.keys import SigningKey
from mintmark.secret import Secret
from mintmark.testing import FakeAuthority, FrozenClock
from mintmark.testing.fake_dpop import FakeDPoP
from mintmark.testing.fake_exchange import FakeExchange

API = "https://api.example"


class Sharers:
    """Clients that share a store, each as it would be in a process of its own."""

    def __init__(self, authority: FakeAuthority, clock: FrozenClock) -> None:
        authority.clock = clock
        self.authority, self.clock = authority, clock
        self.store, self.ring = MemoryTokens(clock=clock), KeyRing(KeyRing.generate_key())
        self.dpop = FakeDPoP.install(authority)
        self.exchange = FakeExchange(authority)
        self.made: list[Client] = []

    def __call__(self, **settings: Any) -> Client:
        client = Client(
            Authority(self.authority.issuer, policy=self.authority.policy, clock=self.clock),
            client_id="client",
            client_secret=Secret("a-client-secret-of-this-test-alone"),
            tokens=TokenManager(clock=self.clock, shared=self.store, key_ring=self.ring),
            **settings,
        )
        self.made.append(client)
        return client

    def person(self) -> Secret:
        """A token that somebody called with, or an assertion about them."""
        return self.authority.access_token(scope="a", sub="alice", client_id="web", aud=(API,))

    def unbound(self) -> None:
        """From now on the server binds nothing."""
        del self.authority.endpoints["/token"]
        self.authority.bound_to = {}


@pytest.fixture
def sharers(authority: FakeAuthority, clock: FrozenClock) -> Iterator[Sharers]:
    made = Sharers(authority, clock)
    yield made
    for client in made.made:
        client.close()


class TestAssertedTokens:
    """Assertions that are made anew for each request are no part of a key; the binding is."""

    def test_an_unbound_token_is_not_handed_to_whoever_binds_theirs(self, sharers: Sharers) -> None:
        bound = sharers(binding=DPoP()).jwt_bearer(sharers.person, subject="alice", resource=API)
        plain = sharers().jwt_bearer(sharers.person, subject="alice", resource=API)
        first = bound.token()
        sharers.unbound()

        assert plain.token() != first
        assert len(sharers.exchange.requests) == 2

    def test_another_key_is_another_token_and_the_same_key_the_same(self, sharers: Sharers) -> None:
        key = SigningKey.generate(Algorithm.ES256)
        bindings = DPoP(), DPoP(key=key), DPoP(key=key)
        tokens = [
            sharers(binding=one).jwt_bearer(sharers.person, subject="alice", resource=API).token()
            for one in bindings
        ]

        assert tokens[0] != tokens[1] == tokens[2]
        assert len(sharers.dpop.proofs) == 2


class TestEventLoops:
    """A key that has to be fetched is fetched in a thread; the loop goes on meanwhile."""

    async def test_a_callables_key_is_never_asked_for_on_the_loop(self, sharers: Sharers) -> None:
        key, threads = SigningKey.generate(Algorithm.ES256), set[threading.Thread]()

        def vault() -> SigningKey:
            threads.add(threading.current_thread())
            return key

        client, person = sharers(binding=DPoP(key=vault)), sharers.person()
        await client.app_token(resource=API).atoken()
        await client.exchange(subject=person, resource=API).atoken()
        await client.jwt_bearer(lambda: person, subject="alice", resource=API).atoken()

        assert len(sharers.dpop.proofs) == 3
        assert threads
        assert threading.current_thread() not in threads

    def test_a_key_that_is_given_costs_no_thread(self, sharers: Sharers) -> None:
        for binding in (DPoP(), DPoP(key=SigningKey.generate(Algorithm.ES256))):
            sender = sharers(binding=binding).app_token(resource=API).sender
            assert sender is not None
            assert sender.at_once


class TestWorkThatGoesOn:
    """Its refresh token is the client's, and is shared; the access token belongs to one key."""

    def test_instances_with_keys_of_their_own_do_not_take_one_anothers_tokens(
        self, sharers: Sharers
    ) -> None:
        sharers.exchange.refresh = True
        session, store = Secret.generate(), MemoryUserTokens()
        key = SigningKey.generate(Algorithm.ES256)
        tokens = [
            sharers(binding=one)
            .exchange(subject=sharers.person(), resource=API, session=session, store=store)
            .token()
            for one in (DPoP(), DPoP(key=key), DPoP(key=key))
        ]

        assert tokens[0] != tokens[1] == tokens[2]
        assert len(sharers.exchange.requests) == 1  # the second one came by refresh

    def test_what_has_ended_is_not_found_again_in_the_shared_store(self, sharers: Sharers) -> None:
        sharers.exchange.refresh = True
        sharers.unbound()
        session, store, caller = Secret.generate(), MemoryUserTokens(), CallerToken()
        here, elsewhere = (
            sharers().exchange(subject=caller, resource=API, session=session, store=store)
            for _ in range(2)
        )
        with caller.of(sharers.person()):
            first = here.token()
        assert here.token() == first
        here.end()

        for work in (here, elsewhere):
            with pytest.raises(LoginRequired):
                work.token()

    def test_one_that_was_bound_to_nothing_is_renewed(self, sharers: Sharers) -> None:
        installed, sharers.exchange.refresh = sharers.authority.endpoints["/token"], True
        session, store = Secret.generate(), MemoryUserTokens()
        asked: dict[str, Any] = {"resource": API, "session": session, "store": store}
        sharers.unbound()
        first = sharers().exchange(subject=sharers.person(), **asked).token()
        sharers.authority.endpoints["/token"] = installed

        assert sharers(binding=DPoP()).exchange(subject=sharers.person(), **asked).token() != first
        assert len(sharers.exchange.requests) == 1
