"""Exchanged tokens: each person's own, once, and never for longer than they themselves are there."""

import asyncio
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import httpx2
import pytest
from tests.client.callers import Api
from tests.client.conftest import API

from mintmark.client import (
    AuthorityUnavailable,
    CallerToken,
    Client,
    LoginRequired,
    MemoryUserTokens,
    OriginNotAllowed,
    SubjectToken,
    TokenRefused,
)
from mintmark.jose.algorithms import Algorithm
from mintmark.jose.jws import parse
from mintmark.jose.keys import SigningKey
from mintmark.jose.strict_json import decode_object
from mintmark.protocol.id_token import mint_id_token
from mintmark.protocol.token import TokenResponse
from mintmark.protocol.token_exchange import ID_JAG, ID_TOKEN, JWT, TokenExchangeRequest
from mintmark.secret import Secret
from mintmark.testing import FakeAuthority, FrozenClock
from mintmark.testing.asked import Asked
from mintmark.testing.authority import Fault
from mintmark.testing.fake_exchange import FakeExchange

STOCK = "https://stock.example"
GRANT = TokenExchangeRequest.grant_type
SECOND = timedelta(seconds=1)


@pytest.fixture
def exchange(authority: FakeAuthority, client: Client) -> FakeExchange:
    assert client.client_id == "client"
    return FakeExchange(authority)


def of(authority: FakeAuthority, sub: str, scope: str = "stock.read") -> Secret:
    """A token that somebody called this API with."""
    return authority.access_token(scope=scope, sub=sub, client_id="web", aud=(API,))


def claims(token: Secret) -> dict[str, Any]:
    return decode_object(parse(token.reveal()).payload)


def subject_of(authorization: str) -> str:
    """Whose token a request carried."""
    sub: str = claims(Secret(authorization.removeprefix("Bearer ")))["sub"]
    return sub


class TestOneForEach:
    def test_the_request_says_everything(
        self, client: Client, authority: FakeAuthority, exchange: FakeExchange
    ) -> None:
        """RFC 8693 §2.1, RFC 8707 §2, RFC 9396 §6."""
        alice, robot = of(authority, "alice"), of(authority, "robot")
        client.exchange(
            subject=alice,
            actor=robot,
            scope="stock.read",
            resource=[STOCK, API],
            audience="stock",
            authorization_details=[{"type": "read", "of": "shelf"}],
        ).token()

        (request,) = exchange.requests
        assert isinstance(request, TokenExchangeRequest)
        assert (request.subject_token, request.actor_token) == (alice, robot)
        assert request.resource == (API, STOCK)
        assert request.audience == ("stock",)
        assert request.authorization_details == '[{"of":"shelf","type":"read"}]'

    async def test_one_exchange_however_many_ask(
        self, client: Client, authority: FakeAuthority, exchange: FakeExchange
    ) -> None:
        authority.delay = 0.05
        alice = of(authority, "alice")
        stock = client.exchange(subject=alice, resource=STOCK)
        with ThreadPoolExecutor(20) as pool:
            threads = [pool.submit(stock.token) for _ in range(20)]
            others = [client.exchange(subject=lambda: alice, resource=STOCK) for _ in range(20)]
            tokens = await asyncio.gather(*(other.atoken() for other in others))
        tokens += [thread.result() for thread in threads]

        assert len(set(tokens)) == 1
        assert len(exchange.requests) == 1

    def test_w25_w35_whatever_differs_makes_another_token(
        self, client: Client, authority: FakeAuthority, exchange: FakeExchange
    ) -> None:
        """W-25, W-35: held under the client's name, one user's token was served to all."""
        alice, bob, robot = (of(authority, name) for name in ("alice", "bob", "robot"))
        requests: list[dict[str, Any]] = [
            {"subject": alice},
            {"subject": bob},
            {"subject": alice, "actor": robot},
            {"subject": alice, "actor": bob},
            {"subject": alice, "resource": STOCK},
            {"subject": alice, "resource": [STOCK, API]},
            {"subject": alice, "audience": STOCK},
            {"subject": alice, "scope": "stock.read"},
            {"subject": alice, "subject_token_type": JWT},
            {"subject": alice, "authorization_details": [{"type": "a"}]},
            {"subject": alice, "authorization_details": [{"type": "b"}]},
        ]
        first = [client.exchange(**request).token() for request in requests]

        assert len(set(first)) == len(requests) == len(exchange.requests)
        assert [client.exchange(**request).token() for request in requests] == first
        assert len(exchange.requests) == len(requests)
        # An assertion of the same text is another grant.
        assert client.jwt_bearer(alice).token() not in first

    def test_w58_people_at_the_same_moment_lose_nothing(
        self, client: Client, authority: FakeAuthority, exchange: FakeExchange
    ) -> None:
        authority.delay = 0.02
        people = [of(authority, f"user-{number}") for number in range(4)]
        start = threading.Barrier(40)

        def ask(number: int) -> tuple[int, Secret]:
            start.wait()
            return number % 4, client.exchange(subject=people[number % 4]).token()

        with ThreadPoolExecutor(40) as threads:
            answers = set(threads.map(ask, range(40)))

        assert len(answers) == len(exchange.requests) == 4

    async def test_s15_a_thousand_interleavings_carry_the_right_subject(
        self, client: Client, authority: FakeAuthority, exchange: FakeExchange
    ) -> None:
        """Users through one middle API, one recipe for all, real calls from coroutines and threads."""
        caller = CallerToken()
        stock = client.exchange(subject=caller, resource=STOCK, scope="stock.read")
        people = {f"user-{number}": of(authority, f"user-{number}") for number in range(8)}
        dice = random.Random(15)  # noqa: S311 -- the same interleavings each time, no secret
        plan = [(dice.choice(list(people)), dice.random() / 50, dice.random()) for _ in range(1000)]

        with Api().serve() as api:
            auth = stock.auth(origins=[api.origin])
            with httpx2.Client(auth=auth) as threads:
                async with httpx2.AsyncClient(auth=auth) as coroutines:

                    async def serve(name: str, pause: float, kind: float) -> None:
                        caller.set(people[name])
                        await asyncio.sleep(pause)
                        url = f"{api.origin}/{name}"
                        if kind < 0.1:
                            # Refused by an API: this one is fetched anew, and nobody else's.
                            stock.forget(await stock.atoken())
                        if kind < 0.4:
                            await asyncio.to_thread(threads.get, url)
                        else:
                            await coroutines.get(url)

                    await asyncio.gather(*(serve(*one) for one in plan))
        carried = [(seen.path, "/" + subject_of(seen.authorization)) for seen in api.seen]

        assert len(carried) == 1000
        assert [one for one in carried if one[0] != one[1]] == []
        assert {path for path, _ in carried} == {f"/{name}" for name in people}
        assert len(exchange.requests) < 200
        with pytest.raises(LoginRequired, match="no caller"):
            await stock.atoken()

    def test_w27_the_servers_metadata_is_fetched_once_for_everybody(
        self, client: Client, authority: FakeAuthority, exchange: FakeExchange
    ) -> None:
        for number in range(5):
            client.exchange(subject=of(authority, f"user-{number}")).token()
        assert authority.counts["metadata"] == 1
        assert len(exchange.requests) == 5

    async def test_an_actor_may_be_fetched(
        self, client: Client, authority: FakeAuthority, exchange: FakeExchange
    ) -> None:
        """Its own token is held like any other; when it cannot be had, nobody is signed out."""
        robot = of(authority, "robot")
        asked = 0

        def actor() -> Secret:
            nonlocal asked
            asked += 1
            if asked == 1:
                raise AuthorityUnavailable("the actor's server is down")
            return robot

        stock = client.exchange(
            subject=of(authority, "alice"), actor=actor, actor_token_type=JWT, resource=STOCK
        )
        with pytest.raises(AuthorityUnavailable, match="actor's server"):
            await stock.atoken()
        assert await stock.atoken() == stock.token()
        (request,) = exchange.requests
        assert isinstance(request, TokenExchangeRequest)
        assert (request.actor_token, request.actor_token_type) == (robot, JWT)


class TestNobodyThere:
    def test_w19_without_a_caller_nothing_is_sent(
        self, client: Client, exchange: FakeExchange
    ) -> None:
        """W-19: a request without a token is worse than none at all."""

        def broken() -> Secret:
            raise KeyError("the-content-of-a-request")

        # RFC 6749 §A.12: what a hostile header held is no token.
        odd: list[Any] = [Secret(""), Secret("\udcff"), Secret("a\r\nb"), Secret("ä"), None]
        subjects: list[Any] = [CallerToken(), broken, *(lambda one=one: one for one in odd)]
        for subject in subjects:
            with pytest.raises(LoginRequired) as refusal:
                client.exchange(subject=subject, resource=STOCK).token()
            assert "content" not in str(refusal.value)
        assert exchange.requests == []

    def test_a_block_ends(self) -> None:
        caller = CallerToken()
        with caller.of(Secret("outer")):
            with caller.of(Secret("inner")):
                assert caller().token == Secret("inner")
            assert caller().token == Secret("outer")
        with pytest.raises(LoginRequired):
            caller()


class TestLifetime:
    def test_w23_nothing_outlives_the_callers_token(
        self, client: Client, authority: FakeAuthority, exchange: FakeExchange, clock: FrozenClock
    ) -> None:
        """W-23: a stored token is not handed out past its end; here, past its person's."""
        end = clock.now() + timedelta(minutes=4)
        exchange_ = client.exchange(subject=of(authority, "alice"), resource=STOCK, expires_at=end)
        first = exchange_.token()
        clock.advance(timedelta(minutes=4) - SECOND)
        assert exchange_.token() == first
        (held,) = client.tokens.snapshot()
        assert held.expires_at == end
        clock.advance(SECOND)
        with pytest.raises(LoginRequired, match="has ended"):
            exchange_.token()
        assert len(exchange.requests) == 1

    def test_the_tokens_own_end_counts_when_it_is_earlier(
        self, client: Client, authority: FakeAuthority, exchange: FakeExchange, clock: FrozenClock
    ) -> None:
        stock = client.exchange(
            subject=SubjectToken(of(authority, "alice"), clock.now() + timedelta(days=1)),
            resource=STOCK,
        )
        stock.token()
        (held,) = client.tokens.snapshot()
        assert held.expires_at == clock.now() + authority.lifetime
        assert len(exchange.requests) == 1

    def test_an_end_without_a_time_zone_or_beside_a_callable_is_a_mistake(
        self, client: Client
    ) -> None:
        naive = datetime(2030, 1, 1)  # noqa: DTZ001 -- what is refused
        with pytest.raises(ValueError, match="time zone"):
            SubjectToken(Secret("a"), naive)
        with pytest.raises(ValueError, match="callable"):
            client.exchange(subject=CallerToken(), expires_at=naive)

    def test_people_who_are_gone_are_swept(
        self, client: Client, authority: FakeAuthority, exchange: FakeExchange, clock: FrozenClock
    ) -> None:
        lifetime = clock.now() + timedelta(minutes=1)
        body = (
            b'{"access_token":"t","token_type":"Bearer","expires_in":600,'
            b'"issued_token_type":"urn:ietf:params:oauth:token-type:access_token"}'
        )
        for number in range(1500):
            authority.faults.append(Fault(status=200, body=body))
            client.exchange(
                subject=Secret(f"caller-{number}"), resource=STOCK, expires_at=lifetime
            ).token()
            if number == 1000:
                clock.advance(timedelta(minutes=2))
                lifetime = clock.now() + timedelta(minutes=1)
        assert len(client.tokens.snapshot()) == 499
        assert exchange.requests == []


class TestRefusals:
    @pytest.mark.parametrize("wrong", ["audience", "expired", "signature", "app-only", "issuer"])
    def test_s33_a_token_that_does_not_hold_brings_none(
        self,
        client: Client,
        authority: FakeAuthority,
        exchange: FakeExchange,
        clock: FrozenClock,
        wrong: str,
    ) -> None:
        """RFC 8693 §2.2.2. W-28: what a refusal does not hold is not kept."""
        exchange.audience = API
        token = of(authority, "alice")
        match wrong:
            case "audience":
                token = authority.access_token(sub="alice", client_id="web", aud=(STOCK,))
            case "expired":
                clock.advance(authority.lifetime)
            case "signature":
                token = Secret(token.reveal()[:-8] + "AAAAAAAA")
            case "app-only":
                token = authority.access_token(client_id="web", aud=(API,))
            case _:
                with FakeAuthority(clock=clock).serve() as other:
                    token = of(other, "alice")
        with pytest.raises(TokenRefused, match="invalid_request"):
            client.exchange(subject=token, resource=STOCK).token()
        assert client.tokens.snapshot() == ()
        # The boundary's other side.
        assert client.exchange(subject=of(authority, "alice"), resource=STOCK).token().reveal()

    @pytest.mark.parametrize(
        ("resource", "scope", "error"),
        [("https://other.example", "", "invalid_target"), (STOCK, "stock.write", "invalid_scope")],
    )
    def test_s34_another_target_or_a_wider_scope_is_refused(
        self,
        client: Client,
        authority: FakeAuthority,
        exchange: FakeExchange,
        resource: str,
        scope: str,
        error: str,
    ) -> None:
        exchange.allowed = frozenset({STOCK})
        alice = of(authority, "alice")
        with pytest.raises(TokenRefused) as refusal:
            client.exchange(subject=alice, resource=resource, scope=scope).token()
        assert refusal.value.error == error
        assert client.exchange(subject=alice, resource=STOCK, scope="stock.read").token().reveal()

    def test_a_refusal_of_one_person_is_not_anothers(
        self, client: Client, authority: FakeAuthority, exchange: FakeExchange
    ) -> None:
        assert exchange.requests == []
        with pytest.raises(TokenRefused):
            client.exchange(subject=Secret("forged"), resource=STOCK).token()
        assert client.exchange(subject=of(authority, "bob"), resource=STOCK).token().reveal()

    def test_s35_two_hops_keep_the_person_and_name_who_acted(
        self, client: Client, authority: FakeAuthority, exchange: FakeExchange, clock: FrozenClock
    ) -> None:
        """RFC 8693 §4.1."""
        assert exchange.requests == []
        first = of(authority, "alice")
        clock.advance(timedelta(minutes=5))
        second = client.exchange(
            subject=first, actor=of(authority, "orders"), resource=STOCK
        ).token()
        third = client.exchange(
            subject=second, actor=of(authority, "stock"), resource="https://third.example"
        ).token()

        assert claims(third)["sub"] == "alice"
        assert claims(third)["act"] == {"sub": "stock", "act": {"sub": "orders"}}
        assert claims(third)["exp"] <= claims(second)["exp"] <= claims(first)["exp"]

    @pytest.mark.parametrize(
        ("issued", "token_type", "error"),
        [
            (ID_TOKEN, "Bearer", "unexpected_token_type"),
            (JWT, "Bearer", "unexpected_token_type"),
            (None, "N_A", "unknown_token_type"),
            (None, "mac", "unknown_token_type"),
        ],
    )
    def test_another_type_than_was_asked_for_is_refused(
        self,
        client: Client,
        authority: FakeAuthority,
        exchange: FakeExchange,
        issued: str | None,
        token_type: str,
        error: str,
    ) -> None:
        """RFC 8693 §2.2.1."""
        exchange.issued_token_type = issued or exchange.issued_token_type
        exchange.token_type = token_type
        with pytest.raises(TokenRefused) as refusal:
            client.exchange(subject=of(authority, "alice"), resource=STOCK).token()
        assert refusal.value.error == error

    def test_what_is_no_access_token_comes_as_n_a_and_never_goes_on_a_request(
        self, client: Client, authority: FakeAuthority, exchange: FakeExchange
    ) -> None:
        """RFC 8693 §2.2.1, RFC 8693 §3: only an access token or a JWT is usable as one."""
        exchange.issued_token_type, exchange.token_type = ID_JAG, "N_A"
        alice = of(authority, "alice")
        assertion = client.exchange(subject=alice, resource=STOCK, requested_token_type=ID_JAG)
        assert assertion.token().reveal()
        with pytest.raises(ValueError, match="no access token"):
            assertion.auth()
        exchange.token_type = "Bearer"
        with pytest.raises(TokenRefused, match="unknown_token_type"):
            client.exchange(subject=alice, resource=API, requested_token_type=ID_JAG).token()

    def test_less_scope_than_was_asked_for_is_refused(
        self, client: Client, authority: FakeAuthority, exchange: FakeExchange
    ) -> None:
        assert exchange.requests == []
        alice = of(authority, "alice", "stock.read stock.write openid offline_access")
        authority.changes["scope"] = "stock.read"
        with pytest.raises(TokenRefused, match="narrower_scope"):
            client.exchange(subject=alice, scope="stock.write").token()
        # They ask for other tokens, and no server counts them among this one's.
        assert (
            client.exchange(subject=alice, scope="stock.read openid offline_access")
            .token()
            .reveal()
        )

    def test_the_token_goes_to_its_own_api_alone(
        self, client: Client, authority: FakeAuthority, exchange: FakeExchange
    ) -> None:
        assert exchange.requests == []
        auth = client.exchange(subject=of(authority, "alice"), resource=STOCK).auth()
        with pytest.raises(OriginNotAllowed):
            auth._attachment.token_for("https://evil.example/")

    def test_forgetting_does_not_hide_the_apis_refusal_when_the_actor_is_away(
        self, client: Client, authority: FakeAuthority, exchange: FakeExchange
    ) -> None:
        robot, away = of(authority, "robot"), False

        def actor() -> Secret:
            if away:
                raise AuthorityUnavailable("status 503")
            return robot

        stock = client.exchange(subject=of(authority, "alice"), actor=actor, resource=STOCK)
        refused = stock.token()
        away = True
        stock.forget(refused)
        with pytest.raises(AuthorityUnavailable):
            stock.token()
        away = False
        stock.forget(refused)

        assert stock.token() != refused

    def test_forgetting_takes_one_persons_token_only(
        self, client: Client, authority: FakeAuthority, exchange: FakeExchange
    ) -> None:
        alice, bob = (
            client.exchange(subject=of(authority, name), resource=STOCK)
            for name in ("alice", "bob")
        )
        refused, kept = alice.token(), bob.token()
        alice.forget(refused)
        bob.forget(refused)
        with CallerToken().of(refused):
            client.exchange(subject=CallerToken(), resource=STOCK).forget(kept)
        assert alice.token() != refused
        assert bob.token() == kept
        assert len(exchange.requests) == 3


class TestDetails:
    """RFC 9396 §6 asks, RFC 9396 §7 answers."""

    def test_what_was_granted_can_be_read(
        self, client: Client, authority: FakeAuthority, exchange: FakeExchange
    ) -> None:
        exchange.granted = ({"type": "read", "of": "one shelf"},)
        stock = client.exchange(
            subject=of(authority, "alice"), authorization_details=[{"type": "read"}]
        )
        assert stock.authorization_details() == exchange.granted
        assert len(exchange.requests) == 1

    def test_an_application_token_asks_and_reads_too(
        self, client: Client, authority: FakeAuthority
    ) -> None:
        authority.changes["authorization_details"] = [{"type": "pay", "max": 5}]
        pay = client.app_token(
            resource=API, authorization_details=[{"type": "pay"}], claims={"access_token": {}}
        )
        assert pay.authorization_details() == ({"type": "pay", "max": 5},)
        same = client.app_token(
            resource=API, authorization_details=[{"type": "pay"}], claims='{"access_token": {}}'
        )
        assert same.token() == pay.token()
        assert client.app_token(resource=API).token() != pay.token()
        assert authority.counts["client_credentials"] == 2


class TestLongRunning:
    def test_it_goes_on_after_the_person_has_left(
        self, client: Client, authority: FakeAuthority, exchange: FakeExchange, clock: FrozenClock
    ) -> None:
        exchange.refresh = True
        store, session, caller = MemoryUserTokens(), Secret.generate(), CallerToken()
        work = client.exchange(
            subject=caller, scope="stock.read", resource=STOCK, session=session, store=store
        )
        with caller.of(of(authority, "alice"), expires_at=clock.now() + timedelta(minutes=1)):
            first = work.token()
        clock.advance(timedelta(hours=3))
        second = work.token()

        assert second != first
        assert claims(second)["sub"] == "alice"
        assert authority.counts["refresh_token"] == len(exchange.requests) == 1
        work.end()
        with pytest.raises(LoginRequired):
            work.token()

    def test_without_a_refresh_token_it_ends_with_the_person(
        self, client: Client, authority: FakeAuthority, exchange: FakeExchange, clock: FrozenClock
    ) -> None:
        assert exchange.requests == []
        work = client.exchange(
            subject=of(authority, "alice"),
            expires_at=clock.now() + timedelta(minutes=1),
            session=Secret.generate(),
            store=MemoryUserTokens(),
        )
        assert work.token().reveal()
        clock.advance(timedelta(minutes=1))
        with pytest.raises(LoginRequired):
            work.token()

    def test_s14_a_person_who_may_not_any_more_ends_it(
        self, client: Client, authority: FakeAuthority, exchange: FakeExchange, clock: FrozenClock
    ) -> None:
        exchange.refresh = True
        store, session, caller = MemoryUserTokens(), Secret.generate(), CallerToken()
        work = client.exchange(subject=caller, resource=STOCK, session=session, store=store)
        with caller.of(of(authority, "alice")):
            work.token()
        clock.advance(timedelta(hours=1))
        authority.faults.append(Fault(status=400, body=b'{"error":"invalid_grant"}'))
        with pytest.raises(LoginRequired):
            work.token()
        with pytest.raises(LoginRequired):
            work.token()
        # With the person there again it begins anew.
        with caller.of(of(authority, "alice")):
            assert work.token().reveal()
        assert len(exchange.requests) == 2

    def test_sessions_and_requests_have_entries_of_their_own(
        self, client: Client, authority: FakeAuthority, exchange: FakeExchange, clock: FrozenClock
    ) -> None:
        exchange.refresh = True
        store, alices, bobs = MemoryUserTokens(), Secret.generate(), Secret.generate()
        recipes = [
            client.exchange(
                subject=of(authority, name), resource=resource, session=session, store=store
            )
            for name, session in (("alice", alices), ("bob", bobs))
            for resource in (STOCK, API)
        ]
        for recipe in recipes:
            recipe.token()
        clock.advance(timedelta(hours=1))
        renewed = [claims(recipe.token()) for recipe in recipes]

        assert [one["sub"] for one in renewed] == ["alice", "alice", "bob", "bob"]
        assert authority.counts["refresh_token"] == len(exchange.requests) == 4
        client.end_session(alices)
        assert len(client.tokens.snapshot()) == 2

    def test_work_that_began_without_an_id_token_goes_on_when_one_comes(
        self, client: Client, authority: FakeAuthority, exchange: FakeExchange, clock: FrozenClock
    ) -> None:
        """OIDC Core §12.2 lets a refreshed answer have one, or not."""
        exchange.refresh = True
        session, store, renew = Secret.generate(), MemoryUserTokens(), exchange._renew
        key, now = authority.key, clock.now()

        def with_id_token(asked: Asked) -> TokenResponse:
            answer = renew(asked)
            id_token = mint_id_token(
                iss=authority.issuer, sub="alice", aud="client", nonce=None, auth_time=now, sid=None,
                access_token=answer.access_token, now=clock.now(), lifetime=SECOND, key=key,
            )  # fmt: skip
            return replace(answer, id_token=id_token)

        authority.grants["refresh_token"] = with_id_token
        work = client.exchange(
            subject=of(authority, "alice"), resource=STOCK, session=session, store=store
        )
        seen = {work.token()}
        for _ in range(2):
            clock.advance(timedelta(hours=1))
            seen.add(work.token())

        assert len(seen) == 3
        key = SigningKey.generate(Algorithm.ES256)  # and one that does not hold is refused as ever
        clock.advance(timedelta(hours=1))
        with pytest.raises(TokenRefused, match="invalid_id_token"):
            work.token()

    def test_a_token_that_an_api_refuses_is_renewed(
        self, client: Client, authority: FakeAuthority, exchange: FakeExchange
    ) -> None:
        exchange.refresh = True
        work = client.exchange(
            subject=of(authority, "alice"),
            resource=STOCK,
            session=Secret.generate(),
            store=MemoryUserTokens(),
        )
        refused = work.token()
        work.forget(refused)
        assert work.token() != refused
        assert authority.counts["refresh_token"] == 1

    def test_work_that_cannot_begin_says_why(self, client: Client, exchange: FakeExchange) -> None:
        """A server that is down for the actor is no reason to sign the person in again."""

        def down() -> Secret:
            raise AuthorityUnavailable("the actor's server is down")

        work = client.exchange(
            subject=Secret("alice"),
            actor=down,
            session=Secret.generate(),
            store=MemoryUserTokens(),
        )
        with pytest.raises(AuthorityUnavailable, match="actor's server"):
            work.token()
        assert exchange.requests == []

    def test_a_session_needs_a_store(self, client: Client) -> None:
        with pytest.raises(ValueError, match="go together"):
            client.exchange(subject=Secret("a"), session=Secret("b"))
        with pytest.raises(ValueError, match="no session"):
            client.exchange(subject=Secret("a")).end()
