"""On behalf of whoever called, in both dialects, and tokens for an assertion (RFC 7523 §2.1)."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import msgspec
import pytest
from tests.client.conftest import API

from mintmark.client import (
    AuthorityUnavailable,
    Client,
    Dialect,
    InteractionRequired,
    MemoryUserTokens,
    TokenRefused,
)
from mintmark.protocol.jwt_bearer import JwtBearerRequest
from mintmark.protocol.token_exchange import TokenExchangeRequest
from mintmark.secret import Secret
from mintmark.testing import FakeAuthority, FrozenClock
from mintmark.testing.authority import Fault
from mintmark.testing.fake_exchange import FakeExchange

GRAPH = "https://graph.example"
CHALLENGE = '{"access_token":{"acrs":{"essential":true,"value":"c1"}}}'


@pytest.fixture
def exchange(authority: FakeAuthority, client: Client) -> FakeExchange:
    assert client.client_id == "client"
    return FakeExchange(authority)


def of(authority: FakeAuthority, sub: str) -> Secret:
    return authority.access_token(scope="stock.read", sub=sub, client_id="web", aud=(API,))


def asks_for_interaction(error: str, claims: object) -> Fault:
    return Fault(status=400, body=msgspec.json.encode({"error": error, "claims": claims}))


class TestDialects:
    def test_the_standard_one_is_token_exchange(
        self, client: Client, authority: FakeAuthority, exchange: FakeExchange
    ) -> None:
        alice = of(authority, "alice")
        assert client.on_behalf_of(alice, resource=GRAPH, scope="stock.read").token().reveal()
        (request,) = exchange.requests
        assert isinstance(request, TokenExchangeRequest)
        # The same request, whatever it was called.
        client.exchange(subject=alice, resource=GRAPH, scope="stock.read").token()
        assert len(exchange.requests) == 1
        with pytest.raises(ValueError, match="no such parameter"):
            client.on_behalf_of(alice, claims=CHALLENGE)

    def test_microsofts_is_an_assertion_with_its_use(
        self, client: Client, authority: FakeAuthority, exchange: FakeExchange
    ) -> None:
        """Its answer names scopes in another form, and `resource` is refused there."""
        alice, bob = of(authority, "alice"), of(authority, "bob")
        tokens = {
            client.on_behalf_of(
                subject, resource=GRAPH, scope="stock.read", dialect="entra"
            ).token()
            for subject in (alice, bob, alice)
        }
        assert len(tokens) == len(exchange.requests) == 2
        first = exchange.requests[0]
        assert isinstance(first, JwtBearerRequest)
        assert first == JwtBearerRequest(
            assertion=alice, scope=frozenset({"stock.read"}), requested_token_use="on_behalf_of"
        )
        authority.changes["scope"] = "User.Read"
        recipe = client.on_behalf_of(alice, resource=GRAPH, dialect=Dialect.ENTRA)
        assert recipe.token() not in tokens

    def test_an_unknown_dialect_is_a_mistake(self, client: Client) -> None:
        with pytest.raises(ValueError, match="dialect"):
            client.on_behalf_of(Secret("a"), dialect="dialect-of-nobody")

    def test_long_running_work_goes_on_in_this_dialect_too(
        self, client: Client, authority: FakeAuthority, exchange: FakeExchange, clock: FrozenClock
    ) -> None:
        exchange.refresh = True
        work = client.on_behalf_of(
            of(authority, "alice"),
            resource=GRAPH,
            dialect="entra",
            expires_at=clock.now() + timedelta(minutes=1),
            session=Secret.generate(),
            store=MemoryUserTokens(),
        )
        first = work.token()
        clock.advance(timedelta(hours=1))
        assert work.token() != first
        assert authority.counts["refresh_token"] == len(exchange.requests) == 1


class TestS36Interaction:
    @pytest.mark.parametrize("dialect", list(Dialect))
    @pytest.mark.parametrize("error", ["interaction_required", "invalid_grant"])
    def test_s36_the_claims_come_out_and_the_next_call_succeeds_once(
        self,
        client: Client,
        authority: FakeAuthority,
        exchange: FakeExchange,
        dialect: Dialect,
        error: str,
    ) -> None:
        authority.faults.append(asks_for_interaction(error, CHALLENGE))
        before, after = of(authority, "alice"), of(authority, "alice")
        with pytest.raises(InteractionRequired) as outcome:
            client.on_behalf_of(before, resource=GRAPH, dialect=dialect).token()
        assert outcome.value.claims == CHALLENGE
        assert outcome.value.error == error
        assert not outcome.value.retryable

        # Asked again with the same token, the server is left alone, and the outcome is the same.
        with pytest.raises(InteractionRequired) as outcome:
            client.on_behalf_of(before, resource=GRAPH, dialect=dialect).token()
        assert outcome.value.claims == CHALLENGE
        # The person signed in with these claims: their new token works at once.
        fresh = client.on_behalf_of(after, resource=GRAPH, dialect=dialect)
        assert fresh.token() == fresh.token()
        assert len(exchange.requests) == 1

    def test_without_claims_it_is_one_all_the_same(
        self, client: Client, authority: FakeAuthority
    ) -> None:
        authority.faults.append(Fault(status=400, body=b'{"error":"interaction_required"}'))
        with pytest.raises(InteractionRequired) as outcome:
            client.on_behalf_of(Secret("a"), resource=GRAPH, dialect="entra").token()
        assert outcome.value.claims == ""

    @pytest.mark.parametrize(
        "claims",
        ["x", "[]", '{"a":1}\r\nset-cookie: a=b', '{"a":"' + "x" * 4096 + '"}', '{"a":1,"a":2}'],
        ids=["text", "list", "header", "long", "twice"],
    )
    def test_claims_that_cannot_be_handed_on_are_left_out(
        self, client: Client, authority: FakeAuthority, claims: str
    ) -> None:
        authority.faults.append(asks_for_interaction("interaction_required", claims))
        with pytest.raises(InteractionRequired) as outcome:
            client.on_behalf_of(Secret("a"), resource=GRAPH, dialect="entra").token()
        assert outcome.value.claims == ""

    def test_claims_that_are_no_text_make_a_refusal_unreadable(
        self, client: Client, authority: FakeAuthority
    ) -> None:
        authority.faults.append(asks_for_interaction("interaction_required", {"a": 1}))
        with pytest.raises(TokenRefused, match="unreadable_response"):
            client.on_behalf_of(Secret("a"), resource=GRAPH, dialect="entra").token()

    def test_claims_of_a_challenge_are_sent(
        self, client: Client, authority: FakeAuthority, exchange: FakeExchange
    ) -> None:
        alice = of(authority, "alice")
        plain = client.on_behalf_of(alice, resource=GRAPH, dialect="entra").token()
        recipe = client.on_behalf_of(alice, resource=GRAPH, dialect="entra", claims=CHALLENGE)
        assert recipe.token() != plain
        request = exchange.requests[1]
        assert isinstance(request, JwtBearerRequest)
        assert request.claims == CHALLENGE


class TestJwtBearer:
    """RFC 7523 §2.1."""

    def test_a_given_assertion_is_its_own_key(
        self, client: Client, authority: FakeAuthority, exchange: FakeExchange
    ) -> None:
        alice, bob = of(authority, "alice"), of(authority, "bob")
        first = client.jwt_bearer(alice, resource=[API, GRAPH], scope="stock.read").token()
        assert client.jwt_bearer(bob, resource=[API, GRAPH], scope="stock.read").token() != first
        assert client.jwt_bearer(alice, resource=[GRAPH, API], scope="stock.read").token() == first
        assert [request.resource for request in exchange.requests] == [(API, GRAPH)] * 2

    def test_a_made_one_is_made_for_each_request_and_not_for_each_call(
        self, client: Client, authority: FakeAuthority, exchange: FakeExchange, clock: FrozenClock
    ) -> None:
        made: list[Secret] = []

        def make() -> Secret:
            made.append(of(authority, "alice"))
            return made[-1]

        recipe = client.jwt_bearer(make, subject="alice", resource=API)
        with ThreadPoolExecutor(10) as threads:
            tokens = set(threads.map(lambda _: recipe.token(), range(10)))
        assert len(tokens) == len(made) == 1
        clock.advance(authority.lifetime)
        assert recipe.token() not in tokens
        assert len(set(made)) == len(exchange.requests) == 2

    def test_two_people_never_share_one(
        self, client: Client, authority: FakeAuthority, exchange: FakeExchange
    ) -> None:
        tokens = {
            client.jwt_bearer(lambda: of(authority, name), subject=name, resource=API).token()  # noqa: B023 -- asked before the loop goes on
            for name in ("alice", "bob")
        }
        assert len(tokens) == len(exchange.requests) == 2
        with pytest.raises(ValueError, match="subject"):
            client.jwt_bearer(lambda: Secret("a"), resource=API)

    @pytest.mark.parametrize("kind", ["raises", "no secret"])
    def test_an_assertion_that_cannot_be_made_sends_nothing(
        self, client: Client, authority: FakeAuthority, kind: str
    ) -> None:
        def broken() -> Secret:
            if kind == "raises":
                raise RuntimeError("the-key-itself")
            return "text"  # type: ignore[return-value]  # -- what it must notice

        with pytest.raises(AuthorityUnavailable, match="assertion") as failure:
            client.jwt_bearer(broken, subject="alice", resource=API).token()
        assert "key" not in str(failure.value)
        assert authority.counts["token"] == 0

    def test_it_is_asked_in_a_thread_of_its_own(
        self, client: Client, authority: FakeAuthority, exchange: FakeExchange
    ) -> None:
        """It may take its time; a coroutine's event loop goes on."""
        seen: list[str] = []

        def make() -> Secret:
            seen.append(threading.current_thread().name)
            return of(authority, "alice")

        assert exchange.requests == []
        client.jwt_bearer(make, subject="alice", resource=API).token()
        assert seen[0].startswith("mintmark-token")
