"""Tokens bound to a key.

RFC 9449 §4.2, RFC 9449 §5, RFC 9449 §7.1, RFC 9449 §8, RFC 9449 §8.1, RFC 9449 §8.2, RFC 9449 §9,
RFC 9449 §10.
"""

import secrets
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.client.bound import GatedApi, gated_api
from tests.client.callers import CALLERS, Api, Caller

from mintmark.api import DPoP as ApiDPoP
from mintmark.client import (
    Authority,
    AuthorityUnavailable,
    Client,
    DPoP,
    LoginFailed,
    LoginRequired,
    MemoryNonces,
    MemoryUserTokens,
    OriginNotAllowed,
    PrivateKeyJwt,
    ProofRejected,
    ProofUnavailable,
    SharedNonces,
    TokenManager,
    TokenRefused,
    UserTokens,
)
from mintmark.client.dpop import dump_key
from mintmark.client.shared import StoreUnavailable
from mintmark.events import LogEvents
from mintmark.jose.algorithms import ALL_ALGORITHMS, Algorithm
from mintmark.jose.keys import SigningKey
from mintmark.protocol.dpop import read_proof, require_for_token, require_made_for
from mintmark.secret import Secret
from mintmark.storage.sql.web_sessions import SqliteSessions
from mintmark.testing import FakeAuthority, FrozenClock
from mintmark.testing.asked import Asked
from mintmark.testing.authority import Fault
from mintmark.testing.fake_dpop import FakeDPoP
from mintmark.webapp.sign_in import SignIn
from mintmark.webapp.vault import Vault

API = "https://api.example"
CALLBACK = "https://shop.example/cb"


@pytest.fixture
def fake(authority: FakeAuthority, clock: FrozenClock) -> FakeDPoP:
    authority.clock = clock
    return FakeDPoP.install(authority)


class Clients:
    def __init__(self, authority: FakeAuthority, clock: FrozenClock) -> None:
        self.authority, self.clock = authority, clock
        self.made: list[Client] = []

    def __call__(self, **settings: Any) -> Client:
        client = Client(
            Authority(self.authority.issuer, policy=self.authority.policy, clock=self.clock),
            client_id="client",
            tokens=TokenManager(clock=self.clock),
            **({"binding": DPoP()} | settings),
        )
        self.made.append(client)
        return client


@pytest.fixture
def clients(authority: FakeAuthority, clock: FrozenClock, fake: FakeDPoP) -> Iterator[Clients]:
    assert fake.authority is authority
    made = Clients(authority, clock)
    yield made
    for client in made.made:
        client.close()


def signed_in(client: Client, session: Secret) -> MemoryUserTokens:
    flow = client.login(redirect_uri=CALLBACK, scope="openid offline_access", resource=API)
    attempt = flow.begin()
    location = httpx2.get(attempt.url, trust_env=False).headers["location"]
    done = flow.finish(location.partition("?")[2], attempt)
    store = MemoryUserTokens()
    store.begin(session, done.tokens)
    return store


class AwayStore:
    """A store of somebody's own, with errors of its own."""

    def load(self, session: Secret) -> UserTokens | None:
        raise OSError(f"no route to {session.reveal()}")

    def replace(self, session: Secret, tokens: UserTokens) -> UserTokens:
        raise OSError("no route")

    def forget(self, session: Secret) -> None:
        raise OSError("no route")


class TestTokenRequest:
    def test_the_token_is_bound_to_the_key_of_the_client(
        self, clients: Clients, fake: FakeDPoP
    ) -> None:
        client = clients()
        client.app_token(scope="a", resource=API).token()
        client.app_token(scope="b", resource=API).token()

        assert len({proof.jkt for proof in fake.proofs}) == 1
        assert [proof.ath for proof in fake.proofs] == [None, None]
        assert len(set(fake.jtis)) == 2
        assert [held.kind for held in client.tokens.snapshot()] == ["application"] * 2

    def test_two_instances_have_two_keys_unless_they_are_given_one(
        self, clients: Clients, fake: FakeDPoP
    ) -> None:
        key = SigningKey.generate(Algorithm.ES256)
        for binding in (DPoP(), DPoP(), DPoP(key=key), DPoP(key=key)):
            clients(binding=binding).app_token(resource=API).token()

        assert len({proof.jkt for proof in fake.proofs}) == 3

    def test_s40_w101_a_nonce_is_answered_once_and_everything_is_proved_anew(
        self, clients: Clients, fake: FakeDPoP
    ) -> None:
        fake.nonce = "first-nonce"
        client = clients(proof=PrivateKeyJwt(SigningKey.generate(Algorithm.ES256)))
        client.app_token(scope="a", resource=API).token()
        client.app_token(scope="b", resource=API).token()

        assert fake.refused == ["nonce"]
        assert len(fake.assertions) == len(set(fake.assertions)) == 3
        assert len(fake.jtis) == len(set(fake.jtis)) == 3

    def test_the_nonce_of_a_success_is_used_next(self, clients: Clients, fake: FakeDPoP) -> None:
        """RFC 9449 §8.2."""
        fake.nonce, fake.churn = "first-nonce", True
        client = clients()
        for scope in "abcd":
            client.app_token(scope=scope, resource=API).token()

        assert fake.refused == ["nonce"]
        assert len({proof.nonce for proof in fake.proofs}) == 4

    def test_a_server_that_never_has_enough_is_asked_twice(
        self, clients: Clients, fake: FakeDPoP
    ) -> None:
        fake.nonce, fake.insatiable = "x", True
        with pytest.raises(TokenRefused) as refused:
            clients().app_token(resource=API).token()

        assert refused.value.error == "use_dpop_nonce"
        assert fake.refused == ["nonce", "nonce"]

    @pytest.mark.parametrize("nonce", ["", 'a"b', "a b", "a\\b", "n" * 2049])
    def test_what_is_no_nonce_is_not_sent_back(
        self, clients: Clients, fake: FakeDPoP, nonce: str
    ) -> None:
        """RFC 9449 §8.1."""
        fake.nonce = nonce
        with pytest.raises(TokenRefused):
            clients().app_token(resource=API).token()

        assert len(fake.jtis) == 1

    def test_the_longest_nonce_is_sent_back(self, clients: Clients, fake: FakeDPoP) -> None:
        fake.nonce = "n" * 2048
        clients().app_token(resource=API).token()
        assert len(fake.proofs) == 1

    def test_s40_a_bearer_answer_is_thrown_away(
        self, clients: Clients, fake: FakeDPoP, authority: FakeAuthority
    ) -> None:
        authority.changes = {"token_type": "Bearer"}
        client = clients()
        with pytest.raises(TokenRefused) as refused:
            client.app_token(resource=API).token()

        assert refused.value.error == "token_not_bound"
        assert client.tokens.snapshot() == ()
        assert len(fake.proofs) == 1

    def test_the_type_has_no_case(self, clients: Clients, authority: FakeAuthority) -> None:
        authority.changes = {"token_type": "dpop"}
        clients().app_token(resource=API).token()

    def test_who_asked_for_an_unbound_token_takes_no_bound_one(
        self, clients: Clients, authority: FakeAuthority
    ) -> None:
        del authority.endpoints["/token"]
        authority.changes = {"token_type": "DPoP"}
        with pytest.raises(TokenRefused) as refused:
            clients(binding=None).app_token(resource=API).token()
        assert refused.value.error == "unknown_token_type"

    def test_one_recipe_alone_can_be_bound(
        self, clients: Clients, fake: FakeDPoP, authority: FakeAuthority
    ) -> None:
        client = clients(binding=None)
        client.app_token(resource=API, binding=DPoP()).token()
        assert len(fake.proofs) == 1

        del authority.endpoints["/token"]
        authority.bound_to = {}
        client.app_token(resource=API).token()
        assert len(client.tokens.snapshot()) == 2

    def test_another_key_is_another_token(self, clients: Clients, fake: FakeDPoP) -> None:
        keys = [SigningKey.generate(Algorithm.ES256)]
        recipe = clients(binding=DPoP(key=lambda: keys[-1])).app_token(resource=API)
        first = recipe.token()
        assert recipe.token() == first
        keys.append(SigningKey.generate(Algorithm.ES384))

        assert recipe.token() != first
        assert [proof.jkt for proof in fake.proofs] == [key.public.thumbprint() for key in keys]

    @pytest.mark.parametrize("algorithm", [Algorithm.ES384, Algorithm.EDDSA])
    def test_another_algorithm(
        self, clients: Clients, fake: FakeDPoP, algorithm: Algorithm
    ) -> None:
        clients(binding=DPoP(algorithm=algorithm)).app_token(resource=API).token()
        assert len(fake.proofs) == 1

    def test_no_secret_in_a_repr(self, clients: Clients) -> None:
        binding = DPoP(key=SigningKey.generate(Algorithm.ES256))
        sender = clients(binding=binding).app_token(resource=API).sender
        assert sender is not None
        proof = sender.prove("GET", API, Secret("a-token"))
        assert "eyJ" in proof.headers["dpop"]
        assert "eyJ" not in f"{binding!r} {sender!r} {proof!r}"
        assert "PRIVATE" not in f"{binding!r}"
        with pytest.raises(TypeError):
            binding.__reduce__()


class TestPeople:
    """A key for each sign-in: the code, the refresh token and every access token have it."""

    def test_each_session_has_its_own_key_from_the_redirect_on(
        self, clients: Clients, fake: FakeDPoP, authority: FakeAuthority
    ) -> None:
        client = clients()
        for name in ("s1", "s2"):
            session = Secret(name)
            store = signed_in(client, session)
            recipe = client.user_token(session, store, scope="a", resource=API + "/other")
            recipe.token()

        keys = [proof.jkt for proof in fake.proofs]
        assert keys[0] == keys[1] != keys[2] == keys[3]
        assert fake.refused == []

    async def test_a_coroutine_gets_it_as_well(
        self, clients: Clients, fake: FakeDPoP, authority: FakeAuthority
    ) -> None:
        client, session = clients(), Secret("s")
        store = signed_in(client, session)
        recipe = client.user_token(session, store, resource=API + "/other")
        assert recipe.sender is not None
        before = recipe.sender.at_once
        await recipe.atoken()
        assert (before, recipe.sender.at_once) == (False, True)
        assert len(fake.proofs) == 2

    def test_a_session_that_was_bound_to_nothing_signs_in_again(
        self, clients: Clients, authority: FakeAuthority, fake: FakeDPoP
    ) -> None:
        client, session = clients(), Secret("s")
        store = signed_in(client, session)
        tokens = store.load(session)
        assert tokens is not None
        for kept in (None, Secret("ES256.AAAA"), Secret("HS256.AAAA"), Secret("x")):
            store.begin(session, replace(tokens, proof_key=kept))
            with pytest.raises(LoginRequired):
                client.user_token(session, store, resource=API).token()
        with pytest.raises(LoginRequired):
            client.user_token(Secret("another"), store, resource=API).token()
        assert len(fake.proofs) == 1

    def test_an_attempt_without_its_key_fails(
        self, clients: Clients, authority: FakeAuthority
    ) -> None:
        flow = clients().login(redirect_uri=CALLBACK, scope="openid")
        attempt = flow.begin()
        location = authority.authorize(attempt.url.partition("?")[2])
        with pytest.raises(LoginFailed, match="no key"):
            flow.finish(location.partition("?")[2], replace(attempt, proof_key=None))

    def test_the_end_of_a_session_forgets_its_key(
        self, clients: Clients, authority: FakeAuthority
    ) -> None:
        client, session = clients(), Secret("s")
        store = signed_in(client, session)
        recipe = client.user_token(session, store, resource=API + "/other")
        recipe.token()
        assert recipe.sender is not None
        client.end_session(session)
        assert not recipe.sender.at_once

    def test_a_store_that_is_away_is_no_foreign_failure(
        self, clients: Clients, authority: FakeAuthority
    ) -> None:
        client, session = clients(), Secret("s")
        store = signed_in(client, session)

        away = AwayStore()
        recipe = client.user_token(session, away, resource=API)
        with pytest.raises(AuthorityUnavailable, match="OSError") as failure:
            recipe.token()
        assert "route" not in str(failure.value)
        assert client.user_token(session, store, resource=API).token().reveal()

    def test_an_answer_that_ends_the_session_is_the_callers_all_the_same(
        self, clients: Clients, authority: FakeAuthority
    ) -> None:
        client, session = clients(), Secret("s")
        store = signed_in(client, session)
        sender = client.user_token(session, store, resource=API).sender
        assert sender is not None
        assert sender.learn(API, "first") == "first"
        assert sender.prove("GET", API, Secret("t")).nonce == "first"
        store.forget(session)
        client.end_session(session)

        assert sender.learn(API, "second") == "second"

    def test_a_session_that_was_signed_in_anew_elsewhere_is_not_ended_by_the_key_before(
        self, clients: Clients, authority: FakeAuthority, fake: FakeDPoP
    ) -> None:
        here, elsewhere, session = clients(), clients(), Secret("s")
        store = signed_in(here, session)
        recipe = here.user_token(session, store, resource=API + "/other")
        recipe.token()
        anew = signed_in(elsewhere, session).load(session)
        assert anew is not None
        store.begin(session, anew)

        third = here.user_token(session, store, resource=API + "/third")
        with pytest.raises(AuthorityUnavailable, match="another key"):
            third.token()
        assert third.token().reveal()
        assert fake.refused == []
        assert fake.proofs[-1].jkt == fake.proofs[-2].jkt != fake.proofs[0].jkt

    def test_userinfo_is_asked_with_the_proof_of_the_sessions_key_and_never_without(
        self, clients: Clients, authority: FakeAuthority
    ) -> None:
        """RFC 9449 §7.1, RFC 9449 §9."""
        client, session, seen = clients(), Secret("s"), []
        store = signed_in(client, session)

        def userinfo(asked: Asked) -> Fault:
            proof = read_proof([asked.headers["dpop"]], algorithms=ALL_ALGORITHMS)
            scheme, _, token = asked.headers["authorization"].partition(" ")
            require_for_token(proof, token=token.encode(), jkt=proof.jkt)
            require_made_for(proof, method="GET", uri=f"{authority.issuer}/userinfo")
            seen.append((scheme, proof.nonce))
            if proof.nonce is None:
                wants = {"www-authenticate": 'DPoP error="use_dpop_nonce"', "dpop-nonce": "n"}
                return Fault(status=401, headers=wants)
            return Fault(body=b'{"sub":"alice"}')

        authority.endpoints["/userinfo"] = userinfo
        authority.metadata_changes["userinfo_endpoint"] = f"{authority.issuer}/userinfo"
        other = clients()  # it has not seen the metadata of before
        recipe = other.user_token(session, store, resource=API)
        token = recipe.token()
        assert other.userinfo(token, subject="alice", sender=recipe.sender) == {"sub": "alice"}
        assert seen == [("DPoP", None), ("DPoP", "n")]
        with pytest.raises(ValueError, match="sender"):
            other.userinfo(token, subject="alice")
        assert len(seen) == 2

    def test_a_web_application_keeps_the_key_sealed_from_the_redirect_on(
        self, clients: Clients, fake: FakeDPoP, clock: FrozenClock, tmp_path: Path
    ) -> None:
        client, vault, browser = clients(), Vault(secrets.token_bytes(32)), Secret("browser")
        sessions = SqliteSessions.open(tmp_path / "sessions", vault)
        sign_in = SignIn(
            flow=client.login(redirect_uri=CALLBACK, scope="openid offline_access", resource=API),
            sessions=sessions,
            vault=vault,
            clock=clock,
            events=LogEvents(),
            absolute=timedelta(hours=8),
        )
        url = sign_in.begin(browser, "/")
        location = httpx2.get(url, trust_env=False).headers["location"]
        session, _ = sign_in.finish(location.partition("?")[2], browser, None)
        client.user_token(session, sessions, resource=API + "/other").token()

        tokens = sessions.load(session)
        assert tokens is not None
        assert tokens.proof_key is not None
        assert len({proof.jkt for proof in fake.proofs}) == 1
        assert len(fake.proofs) == 2
        kept = tokens.proof_key.reveal().encode()
        assert not any(kept in file.read_bytes() for file in tmp_path.iterdir())

    def test_a_kept_key_is_a_secret(self) -> None:
        kept = dump_key(SigningKey.generate(Algorithm.ES256))
        assert kept.reveal() not in repr(kept)


class Calling:
    """One caller of one gated API."""

    def __init__(self, name: str, client: Client, api: GatedApi, *more: str) -> None:
        self.recipe = client.app_token(scope="orders.read", resource=api.origin)
        self.caller: Caller = CALLERS[name](self.recipe, [api.origin, *more])


@pytest.mark.parametrize("name", CALLERS)
class TestApi:
    """Every HTTP library, over real connections, against the project's own gate."""

    def test_every_call_has_a_proof_of_its_own(
        self, name: str, clients: Clients, authority: FakeAuthority, clock: FrozenClock
    ) -> None:
        with gated_api(authority, clock, ApiDPoP(required=True)) as api:
            calling = Calling(name, clients(), api).caller
            assert calling.call("GET", api.origin + "/a?page=2#part") == 200
            assert calling.call("POST", api.origin + "/b", b"body") == 200
            calling.close()

            assert api.require_no_proof_twice() == 2
            assert [proof.htu for proof in api.proofs()] == [api.origin + "/a", api.origin + "/b"]
            assert all(one["authorization"].startswith("DPoP ey") for one in api.seen)
            assert api.bodies == [b"", b"body"]

    def test_s40_a_nonce_is_answered_and_kept(
        self,
        name: str,
        clients: Clients,
        authority: FakeAuthority,
        clock: FrozenClock,
        fake: FakeDPoP,
    ) -> None:
        """RFC 9449 §9; the token server's nonce is another one."""
        fake.nonce = "of-the-token-server"
        with gated_api(authority, clock, ApiDPoP(nonce="always")) as api:
            calling = Calling(name, clients(), api).caller
            assert calling.call("POST", api.origin + "/a", b"whole") == 200
            assert calling.call("POST", api.origin + "/a", b"whole") == 200
            calling.close()

            assert api.statuses == [401, 200, 200]
            assert api.require_no_proof_twice() == 3
            assert api.bodies == [b"whole"] * 2
            assert "of-the-token-server" not in {proof.nonce for proof in api.proofs()}

    def test_w20_without_a_proof_nothing_is_sent_least_of_all_a_bearer_token(
        self, name: str, clients: Clients, authority: FakeAuthority, clock: FrozenClock
    ) -> None:
        made, away = SigningKey.generate(Algorithm.ES256), False

        def key() -> SigningKey:
            if away:
                raise OSError("the vault does not answer")
            return made

        with gated_api(authority, clock, ApiDPoP()) as api:
            calling = Calling(name, clients(binding=DPoP(key=key)), api).caller
            assert calling.call("GET", api.origin + "/a") == 200
            away = True
            with pytest.raises(ProofUnavailable):
                calling.call("GET", api.origin + "/a")
            assert len(api.seen) == 1
            away = False
            assert calling.call("GET", api.origin + "/a") == 200
            calling.close()
            assert {one["authorization"].split()[0] for one in api.seen} == {"DPoP"}

    def test_s46_a_stream_is_not_sent_again_but_the_nonce_is_learnt(
        self, name: str, clients: Clients, authority: FakeAuthority, clock: FrozenClock
    ) -> None:
        with gated_api(authority, clock, ApiDPoP(nonce="always")) as api:
            calling = Calling(name, clients(), api).caller
            assert calling.call("POST", api.origin + "/a", [b"ha", b"lf"]) == 401
            assert calling.call("POST", api.origin + "/a", [b"ha", b"lf"]) == 200
            calling.close()
            assert api.statuses == [401, 200]

    def test_s08_a_nonce_and_a_renewal_are_two_repetitions(
        self, name: str, clients: Clients, authority: FakeAuthority, clock: FrozenClock
    ) -> None:
        with gated_api(authority, clock, ApiDPoP(nonce="always")) as api:
            made = Calling(name, clients(), api)
            held = made.recipe.token()
            authority.rotate_key(keep_old=False)
            invalid = (b"www-authenticate", b'DPoP error="invalid_token"')
            api.first = [{"status": 401, "headers": [invalid]}]
            assert made.caller.call("POST", api.origin + "/a", b"whole") == 200
            made.caller.close()

            assert api.statuses == [401, 401, 200]
            assert api.require_no_proof_twice() == 3
            assert made.recipe.token() != held
            assert authority.counts["client_credentials"] == 2

    def test_an_api_that_never_has_enough_is_a_typed_error(
        self, name: str, clients: Clients
    ) -> None:
        with Api().serve() as api:
            wants = 'DPoP error="use_dpop_nonce"'
            api.answers = [
                (401, {"www-authenticate": wants, "dpop-nonce": f"n{turn}"}) for turn in range(9)
            ]
            recipe = clients().app_token(resource=API)
            calling = CALLERS[name](recipe, [api.origin])
            with pytest.raises(ProofRejected):
                calling.call("GET", api.origin)
            calling.close()
            assert len(api.seen) == 2

    def test_a_redirect_within_the_api_gets_a_proof_of_its_own(
        self, name: str, clients: Clients, authority: FakeAuthority, clock: FrozenClock
    ) -> None:
        with gated_api(authority, clock, ApiDPoP()) as api:
            calling = Calling(name, clients(), api).caller
            for status, method in ((307, "POST"), (303, "GET")):
                api.first = [{"status": status, "headers": [(b"location", b"/there?a=b")]}]
                assert calling.call("POST", api.origin + "/here", b"whole") == 200
                done = [one for one in api.seen if one[":path"] == "/there"][-1]
                assert done[":method"] == method
                assert read_proof([done["dpop"]], algorithms=ALL_ALGORITHMS).htm == method
            calling.close()

            api.require_no_proof_twice()
            assert api.bodies == [b"whole", b""]

    def test_w19_a_redirect_elsewhere_carries_neither_token_nor_proof(
        self, name: str, clients: Clients, authority: FakeAuthority, clock: FrozenClock
    ) -> None:
        with (
            gated_api(authority, clock, ApiDPoP()) as api,
            gated_api(authority, clock, ApiDPoP()) as elsewhere,
        ):
            calling = Calling(name, clients(), api).caller
            there = (b"location", elsewhere.origin.encode())
            api.first = [{"status": 302, "headers": [there]}]
            if calling.bare_elsewhere:
                assert calling.call("GET", api.origin) == 401
            else:
                with pytest.raises(OriginNotAllowed):
                    calling.call("GET", api.origin)
            calling.close()
            assert not any("dpop" in one or "authorization" in one for one in elsewhere.seen)

    def test_two_apis_do_not_push_out_one_anothers_nonce(
        self, name: str, clients: Clients, authority: FakeAuthority, clock: FrozenClock
    ) -> None:
        with (
            gated_api(authority, clock, ApiDPoP(nonce="always")) as one,
            gated_api(authority, clock, ApiDPoP(nonce="always")) as other,
        ):
            client = clients()
            callers = [(Calling(name, client, api).caller, api.origin) for api in (one, other)]
            for _ in range(3):
                assert [caller.call("GET", origin) for caller, origin in callers] == [200, 200]
            for caller, _ in callers:
                caller.close()
            assert one.statuses == other.statuses == [401, 200, 200, 200]


class Shelf:
    """A shared store of entries, which can be away."""

    def __init__(self) -> None:
        self.entries: dict[str, bytes] = {}
        self.away = False
        self.swaps = 0

    def load(self, name: str) -> bytes | None:
        if self.away:
            raise StoreUnavailable
        return self.entries.get(name)

    def swap(self, name: str, old: bytes | None, new: bytes, *, seconds: float) -> bytes | None:
        assert seconds > 0
        if self.away:
            raise StoreUnavailable
        self.swaps += 1
        if self.entries.get(name) == old:
            self.entries[name] = new
        return self.entries[name]


class TestNonces:
    def test_the_oldest_origin_of_a_key_goes_first(self) -> None:
        nonces = MemoryNonces(origins=2, keys=2)
        for origin in ("a", "b"):
            nonces.save(origin, "k", origin)
        assert nonces.load("a", "k") == "a"
        nonces.save("c", "k", "c")

        assert [nonces.load(origin, "k") for origin in "abc"] == ["a", None, "c"]

    def test_the_oldest_key_goes_first(self) -> None:
        nonces = MemoryNonces(keys=2)
        for key in "abc":
            nonces.save("o", key, key)
        assert [nonces.load("o", key) for key in "abc"] == [None, "b", "c"]

    @pytest.mark.parametrize("settings", [{"origins": 0}, {"keys": 0}])
    def test_none_at_all_is_refused(self, settings: dict[str, int]) -> None:
        with pytest.raises(ValueError, match="1 or more"):
            MemoryNonces(**settings)

    def test_processes_with_one_key_share_what_they_learnt(self) -> None:
        shelf: Any = Shelf()
        one, other = SharedNonces(shelf), SharedNonces(shelf)
        one.save("o", "k", "n")
        one.save("o", "k", "n")

        assert (other.load("o", "k"), shelf.swaps) == ("n", 1)
        assert other.load("o", "another") is None
        shelf.away = True
        assert (one.load("o", "k"), other.load("o", "k")) == ("n", None)
        other.save("o", "k", "m")
        assert other.load("o", "k") == "m"

    def test_what_somebody_else_put_into_the_store_is_no_nonce(self) -> None:
        shelf: Any = Shelf()
        nonces = SharedNonces(shelf)
        nonces.save("o", "k", "n")
        shelf.entries = dict.fromkeys(shelf.entries, b"a\r\nb")
        assert nonces.load("o", "k") is None

    @pytest.mark.parametrize("name", ["httpx2-async", "aiohttp", "requests"])
    def test_calls_go_on_with_shared_nonces(
        self, name: str, clients: Clients, authority: FakeAuthority, clock: FrozenClock
    ) -> None:
        shelf: Any = Shelf()
        key = SigningKey.generate(Algorithm.ES256)
        with gated_api(authority, clock, ApiDPoP(nonce="always")) as api:
            for _ in range(2):
                client = clients(binding=DPoP(key=key, nonces=SharedNonces(shelf)))
                calling = Calling(name, client, api).caller
                assert calling.call("GET", api.origin) == 200
                calling.close()
            assert api.statuses == [401, 200, 200]


def test_no_proof_comes_twice_from_many_threads(
    clients: Clients, authority: FakeAuthority, clock: FrozenClock
) -> None:
    with gated_api(authority, clock, ApiDPoP(nonce="always")) as api:
        calling = Calling("httpx2", clients(), api).caller
        assert calling.call_together(20, api.origin) == [200] * 20
        calling.close()
        assert api.require_no_proof_twice() >= 20
