"""Attack list L: opaque tokens, and an issuer that is asked about them over real HTTP.

RFC 7662 §2.1, RFC 7662 §2.2, RFC 9701 §5, RFC 6749 §2.3.1, RFC 9110 §15.5.2.
"""

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from tests.api.conftest import API
from tests.jose import forge

from mintmark.api import introspect
from mintmark.api.client_proof import ClientSecretBasic, ClientSecretPost, PrivateKeyJwt
from mintmark.api.events import IntrospectionFailed
from mintmark.api.introspect import (
    Introspected,
    Introspection,
    IntrospectionUnavailable,
    OpaqueIssuer,
    TokenInactive,
)
from mintmark.events import Event, Events
from mintmark.fetch import FetchPolicy
from mintmark.jose.algorithms import ALL_ALGORITHMS, Algorithm
from mintmark.jose.jws import parse
from mintmark.jose.key_set import KeySet
from mintmark.jose.keys import SigningKey
from mintmark.jose.strict_json import decode_object
from mintmark.protocol.client_authentication import ClientCredential
from mintmark.secret import Secret
from mintmark.testing import FakeAuthority, FrozenClock
from mintmark.testing.authority import Fault

JKT = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"
SECRET = Secret("s3cret:/ of+the api")
PROOF = ClientSecretBasic("api-1", SECRET)
KEY = SigningKey.generate(Algorithm.ES256)


class Heard(Events):
    """Keeps what was said."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def emit(self, event: Event) -> None:
        self.events.append(event)

    def reasons(self) -> list[str]:
        return [event.reason for event in self.events if isinstance(event, IntrospectionFailed)]


class Asking:
    """An `Introspection` with its clock, as the guard would use it."""

    def __init__(self, settings: OpaqueIssuer, clock: FrozenClock, **more: Any) -> None:
        self.heard = Heard()
        self.clock = clock
        self.introspection = Introspection(settings, clock, self.heard, **more)

    async def __call__(self, token: Secret | str, *, peer: str = "") -> Introspected:
        text = token.reveal() if isinstance(token, Secret) else token
        now = self.clock.timestamp()
        return await self.introspection.require_active(text.encode(), now, peer=peer)

    async def answer(self, token: Secret | str, *, peer: str = "") -> int:
        """The status that the guard would give."""
        try:
            await self(token, peer=peer)
        except TokenInactive:
            return 401
        except IntrospectionUnavailable:
            return 503
        return 200


Asks = Callable[..., Asking]


@pytest.fixture
def asks(authority: FakeAuthority, clock: FrozenClock) -> Iterator[Asks]:
    """`asks(cache=..., signed=...)`: settings for the authority, with these differences."""
    authority.clock = clock
    authority.introspection.recipient = "api-1"
    made: list[Asking] = []

    def one(*, keys: Any = None, **settings: Any) -> Asking:
        ours: dict[str, Any] = {"issuer": authority.issuer, "audience": API, "client_proof": PROOF,
                "policy": authority.policy}  # fmt: skip
        made.append(Asking(OpaqueIssuer(**(ours | settings)), clock, keys=keys))
        return made[-1]

    yield one
    for asking in made:
        asking.introspection.close()


class TestAnswers:
    async def test_an_active_token_is_what_its_issuer_says(
        self, asks: Asks, authority: FakeAuthority, clock: FrozenClock
    ) -> None:
        known = await asks()(authority.opaque_token(scope="orders.read", sub="alice"))

        assert known.token.sub == "alice"
        assert known.token.scopes == frozenset({"orders.read"})
        assert known.token.iss == authority.issuer
        assert known.until == clock.timestamp() + 60
        assert authority.counts["metadata"] == 1

    async def test_l01_a_token_that_is_not_active(
        self, asks: Asks, authority: FakeAuthority
    ) -> None:
        ask = asks()

        assert await ask.answer(Secret.generate()) == 401
        assert await ask.answer(authority.opaque_token()) == 200
        assert ask.heard.reasons() == []

    @pytest.mark.parametrize("active", ["true", 1, None])
    async def test_l02_active_that_is_no_boolean(
        self, asks: Asks, authority: FakeAuthority, active: object
    ) -> None:
        ask, token, twin = asks(), authority.opaque_token(), authority.opaque_token()
        authority.introspection.changes = {"active": active}
        assert await ask.answer(token) == 401

        authority.introspection.changes = {}
        assert await ask.answer(twin) == 200

    @pytest.mark.parametrize(
        "fault",
        [
            pytest.param(Fault(body=b"<html>", headers={"content-type": "text/html"}), id="html"),
            pytest.param(Fault(body=b"<html>"), id="html-as-json"),
            pytest.param(Fault(body=b""), id="empty"),
            pytest.param(Fault(body=b'{"active":true,"a":"' + b"x" * 5_000_000 + b'"}'), id="5-MB"),
            pytest.param(Fault(body=b'[{"active":true}]'), id="array"),
            pytest.param(
                Fault(body=b'{"active":true,"sub":"a"}', headers={"content-type": "text/plain"}),
                id="another-media-type",
            ),
            pytest.param(Fault(body=b'{"active":false,"active":true,"sub":"a"}'), id="twice"),
            pytest.param(Fault(status=204, body=b""), id="no-content"),
            pytest.param(Fault(status=302, headers={"location": "/jwks"}), id="redirect"),
        ],
    )
    async def test_l03_what_is_no_answer_is_nobodys_token(
        self, asks: Asks, authority: FakeAuthority, clock: FrozenClock, fault: Fault
    ) -> None:
        ask, token = asks(), authority.opaque_token()
        authority.introspection.faults = [fault]

        assert await ask.answer(token) == 503
        assert len(ask.heard.reasons()) == 1
        # It was one answer that was wrong: another token's question is asked, and this one's soon.
        assert await ask.answer(authority.opaque_token()) == 200
        clock.advance(timedelta(seconds=1))
        assert await ask.answer(token) == 200

    @pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500, 502, 503])
    async def test_l04_the_issuers_refusals_are_not_the_callers(
        self, asks: Asks, authority: FakeAuthority, clock: FrozenClock, status: int
    ) -> None:
        ask, token = asks(), authority.opaque_token()
        authority.introspection.faults = [Fault(status=status, body=b'{"active":false}')]

        assert await ask.answer(token) == 503
        assert ask.heard.reasons() == [f"status {status}"]
        clock.advance(timedelta(seconds=1))
        assert await ask.answer(token) == 200

    async def test_l04_a_slow_issuer_and_none_at_all(
        self, asks: Asks, authority: FakeAuthority
    ) -> None:
        quick = FetchPolicy(
            insecure_allow_http_on_loopback=True, timeout=timedelta(milliseconds=200)
        )
        authority.introspection.delay = 0.6
        slow = asks(policy=quick)
        gone = asks(introspection_endpoint="http://127.0.0.1:1/introspect")
        started = time.perf_counter()

        assert await slow.answer(authority.opaque_token()) == 503
        assert time.perf_counter() - started < 0.6
        assert await gone.answer(authority.opaque_token()) == 503
        assert len(slow.heard.reasons()) == len(gone.heard.reasons()) == 1

    @pytest.mark.parametrize(
        "changes",
        [{"exp": 1}, {"nbf": 4_000_000_000}, {"aud": "https://other.example"},
         {"iss": "https://other.example"}, {"exp": "soon"}],
        ids=str,
    )  # fmt: skip
    async def test_l05_active_and_still_not_good_here(
        self, asks: Asks, authority: FakeAuthority, changes: dict[str, Any]
    ) -> None:
        ask = asks()

        assert await ask.answer(authority.opaque_token(extra=changes)) == 401
        assert await ask.answer(authority.opaque_token()) == 200

    @pytest.mark.parametrize(("skew", "status"), [(11, 200), (10, 401)])
    async def test_l05_two_clocks_may_differ_by_the_configured_skew(
        self, asks: Asks, authority: FakeAuthority, skew: int, status: int
    ) -> None:
        authority.lifetime = timedelta(seconds=-10)
        ask = asks(skew=timedelta(seconds=skew))
        token = authority.opaque_token(extra={"iat": 1})

        assert await ask.answer(token) == status

    async def test_l06_a_binding_is_kept_for_the_guard_to_enforce(
        self, asks: Asks, authority: FakeAuthority
    ) -> None:
        ask = asks()
        bound = {"token_type": "DPoP", "cnf": {"jkt": JKT}}

        assert (await ask(authority.opaque_token(extra=bound))).token.cnf == {"jkt": JKT}
        assert (await ask(authority.opaque_token())).token.cnf == {}
        assert await ask.answer(authority.opaque_token(extra={"token_type": "DPoP"})) == 401


class TestOnce:
    async def test_l07_a_thousand_requests_with_one_token_are_one_question(
        self, asks: Asks, authority: FakeAuthority
    ) -> None:
        ask, token = asks(), authority.opaque_token(sub="alice")
        authority.introspection.delay = 0.1

        known = await asyncio.gather(*[ask(token) for _ in range(1_000)])

        assert {one.token.sub for one in known} == {"alice"}
        assert authority.counts["introspect"] == 1

    async def test_a_thousand_requests_with_one_bad_token_are_one_question(
        self, asks: Asks, authority: FakeAuthority
    ) -> None:
        ask, token = asks(), Secret.generate()
        authority.introspection.delay = 0.1

        answers = await asyncio.gather(*[ask.answer(token) for _ in range(1_000)])

        assert set(answers) == {401}
        assert authority.counts["introspect"] == 1

    async def test_whoever_goes_away_takes_the_answer_from_nobody(
        self, asks: Asks, authority: FakeAuthority
    ) -> None:
        ask, token = asks(), authority.opaque_token(sub="alice")
        authority.introspection.delay = 0.2
        first = asyncio.create_task(ask(token))
        await asyncio.sleep(0.05)
        second = asyncio.create_task(ask(token))
        await asyncio.sleep(0.05)
        first.cancel()

        assert (await second).token.sub == "alice"
        assert authority.counts["introspect"] == 1
        with pytest.raises(asyncio.CancelledError):
            await first

    async def test_loops_of_several_threads_share_one_question(
        self, asks: Asks, authority: FakeAuthority
    ) -> None:
        ask, token = asks(), authority.opaque_token()
        authority.introspection.delay = 0.2

        def in_a_loop_of_its_own() -> int:
            return asyncio.run(ask.answer(token))

        answers = await asyncio.gather(*[asyncio.to_thread(in_a_loop_of_its_own) for _ in range(4)])

        assert answers == [200] * 4
        assert authority.counts["introspect"] == 1

    async def test_closing_ends_every_wait(self, asks: Asks, authority: FakeAuthority) -> None:
        ask = asks()
        authority.introspection.delay = 0.3
        waiting = asyncio.create_task(ask.answer(authority.opaque_token()))
        await asyncio.sleep(0.1)
        ask.introspection.close()

        assert await asyncio.wait_for(waiting, 0.15) == 503
        # The question that was under way ends by itself, and gives its connection back.
        await asyncio.sleep(0.4)
        assert ask.heard.reasons() == []
        assert await ask.answer(authority.opaque_token()) == 503


class TestRemembered:
    async def test_s30_l10_w71_a_revoked_token_stops_within_the_stated_time(
        self, asks: Asks, authority: FakeAuthority, clock: FrozenClock
    ) -> None:
        """S-30, and W-71: an answer is remembered, and no longer than it says."""
        ask, token, kept = asks(), authority.opaque_token(), authority.opaque_token()
        assert await ask.answer(token) == await ask.answer(kept) == 200
        authority.introspection.forget(token)

        clock.advance(timedelta(seconds=59))
        assert await ask.answer(token) == 200
        assert authority.counts["introspect"] == 2
        clock.advance(timedelta(seconds=1))
        assert await ask.answer(token) == 401
        assert await ask.answer(kept) == 200

    @pytest.mark.parametrize("seconds", [1, 20])
    async def test_l10_the_time_is_the_configured_one(
        self, asks: Asks, authority: FakeAuthority, clock: FrozenClock, seconds: int
    ) -> None:
        ask, token = asks(cache=timedelta(seconds=seconds)), authority.opaque_token()
        assert await ask.answer(token) == 200
        authority.introspection.forget(token)

        clock.advance(timedelta(seconds=seconds - 0.5))
        assert await ask.answer(token) == 200
        clock.advance(timedelta(seconds=0.5))
        assert await ask.answer(token) == 401

    async def test_l10_without_a_cache_revocation_is_immediate(
        self, asks: Asks, authority: FakeAuthority
    ) -> None:
        ask, token = asks(cache=timedelta(0)), authority.opaque_token()
        assert await ask.answer(token) == 200
        authority.introspection.forget(token)

        assert await ask.answer(token) == 401

    async def test_nothing_is_remembered_beyond_the_tokens_end(
        self, asks: Asks, authority: FakeAuthority, clock: FrozenClock
    ) -> None:
        authority.lifetime = timedelta(seconds=20)
        ask, token = asks(), authority.opaque_token()
        assert (await ask(token)).until == clock.timestamp() + 20
        clock.advance(timedelta(seconds=19))
        assert await ask.answer(token) == 200
        assert authority.counts["introspect"] == 1
        clock.advance(timedelta(seconds=1))
        await ask.answer(token)

        assert authority.counts["introspect"] == 2

    async def test_a_token_without_an_end_is_asked_about_again(
        self, asks: Asks, authority: FakeAuthority, clock: FrozenClock
    ) -> None:
        authority.introspection.changes = {"exp": None}
        ask, token = asks(), authority.opaque_token()

        assert (await ask(token)).until == clock.timestamp() + 60
        clock.advance(timedelta(seconds=60))
        assert await ask.answer(token) == 200
        assert authority.counts["introspect"] == 2

    async def test_a_bad_token_is_asked_about_once_in_ten_seconds(
        self, asks: Asks, authority: FakeAuthority, clock: FrozenClock
    ) -> None:
        ask, token = asks(), Secret.generate()
        for _ in range(50):
            assert await ask.answer(token) == 401
        clock.advance(timedelta(seconds=9.9))
        await ask.answer(token)
        assert authority.counts["introspect"] == 1
        clock.advance(timedelta(seconds=0.1))
        await ask.answer(token)

        assert authority.counts["introspect"] == 2

    async def test_l08_invented_tokens_fill_no_memory_and_drive_out_no_real_one(
        self, asks: Asks, authority: FakeAuthority, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(introspect, "MAX_REMEMBERED", 50)
        ask, token = asks(), authority.opaque_token()
        assert await ask.answer(token) == 200
        for number in range(150):
            assert await ask.answer(f"invented-{number}") == 401
        assert await ask.answer(token) == 200

        assert authority.counts["introspect"] == 151
        assert len(ask.introspection._others) == 50
        assert all(len(key) == 32 for key in ask.introspection._others)
        # The ones that were seen last are the ones that are known.
        assert await ask.answer("invented-149") == 401
        assert authority.counts["introspect"] == 151
        assert await ask.answer("invented-0") == 401
        assert authority.counts["introspect"] == 152

    def test_l08_the_bound_is_the_lists(self) -> None:
        assert introspect.MAX_REMEMBERED == 10_000

    @pytest.mark.parametrize(
        "token",
        ["", "a b", "a" * 2049, "bløp", "a=b", "a\n", "ey\0", "=", "'; --"],
        ids=lambda token: repr(token)[:20],
    )
    async def test_l08_what_cannot_be_a_token_is_refused_unasked(
        self, asks: Asks, authority: FakeAuthority, token: str
    ) -> None:
        ask = asks()

        assert await ask.answer(token) == 401
        assert authority.counts.total() == 0
        assert await ask.answer("a" * 2048) == 401
        assert authority.counts["introspect"] == 1

    async def test_l08_a_shape_of_ones_own(self, asks: Asks, authority: FakeAuthority) -> None:
        ask = asks(shape="[A-Za-z0-9_-]{43}", refuse_jwt=True)
        loose = asks(refuse_jwt=True)

        assert await ask.answer("a" * 42) == 401
        assert await loose.answer(authority.access_token()) == 401
        assert authority.counts.total() == 0
        assert await ask.answer(authority.opaque_token()) == 200
        assert await asks().answer(authority.access_token()) == 401
        assert authority.counts["introspect"] == 2

    async def test_l08_w71_one_address_has_a_limit_and_others_do_not_feel_it(
        self, asks: Asks, authority: FakeAuthority, clock: FrozenClock
    ) -> None:
        """W-71: whoever invents tokens cannot make the API ask about all of them."""
        ask, token = asks(unknown_per_peer=20), authority.opaque_token()
        answers = [await ask.answer(f"invented-{n}", peer="192.0.2.1") for n in range(30)]
        assert answers == [401] * 20 + [503] * 10
        assert authority.counts["introspect"] == 20

        assert await ask.answer(token, peer="192.0.2.2") == 200
        # What is known already is no question.
        assert await ask.answer(token, peer="192.0.2.1") == 200
        clock.advance(timedelta(seconds=59))
        assert await ask.answer("invented-x", peer="192.0.2.1") == 503
        clock.advance(timedelta(seconds=1))
        assert await ask.answer("invented-x", peer="192.0.2.1") == 401

    async def test_w71_good_tokens_do_not_count_against_an_address(
        self, asks: Asks, authority: FakeAuthority
    ) -> None:
        ask = asks(unknown_per_peer=5)
        tokens = [authority.opaque_token() for _ in range(12)]

        assert [await ask.answer(t, peer="192.0.2.1") for t in tokens] == [200] * 12

    async def test_l08_ten_thousand_at_once_leave_nobody_waiting(
        self, asks: Asks, authority: FakeAuthority, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(introspect, "MAX_WAITING", 40)
        ask, token = asks(), authority.opaque_token()
        assert await ask.answer(token) == 200
        flood = [ask.answer(f"invented-{number}") for number in range(10_000)]

        answers = await asyncio.gather(*flood, ask.answer(token))

        assert answers[-1] == 200
        assert set(answers[:-1]) == {401, 503}
        assert authority.counts["introspect"] < 1_000


class TestBackOff:
    async def test_a_dead_issuer_is_asked_once_a_second(
        self, asks: Asks, authority: FakeAuthority, clock: FrozenClock
    ) -> None:
        ask, known = asks(), authority.opaque_token()
        assert await ask.answer(known) == 200
        authority.down = True
        for _ in range(20):
            assert await ask.answer(authority.opaque_token()) == 503
        assert authority.counts["introspect"] == 2
        # What is known is still known.
        assert await ask.answer(known) == 200

        clock.advance(timedelta(seconds=0.9))
        assert await ask.answer(authority.opaque_token()) == 503
        assert authority.counts["introspect"] == 2
        authority.down = False
        clock.advance(timedelta(seconds=0.1))
        assert await ask.answer(authority.opaque_token()) == 200
        assert len(ask.heard.reasons()) == 1

    async def test_one_token_that_the_issuer_stumbles_over_shuts_out_no_other(
        self, asks: Asks, authority: FakeAuthority
    ) -> None:
        ask, twin = asks(), authority.opaque_token()
        authority.introspection.faults = [Fault(status=500)]

        assert [await ask.answer("stumbling") for _ in range(10)] == [503] * 10
        assert authority.counts["introspect"] == 1
        assert await ask.answer(twin) == 200

    async def test_w71_our_own_credentials_being_wrong_is_not_asked_again_and_again(
        self, asks: Asks, authority: FakeAuthority
    ) -> None:
        ask = asks()
        authority.introspection.faults = [Fault(status=401), Fault(status=401)]
        for _ in range(5):
            assert await ask.answer(authority.opaque_token()) == 503

        assert authority.counts["introspect"] == 1


class TestEndpoint:
    @pytest.mark.parametrize(
        "changes",
        [{"introspection_endpoint": None}, {"introspection_endpoint": "https://evil.example/i"},
         {"introspection_endpoint": 5}, {"issuer": "https://evil.example"}],
        ids=str,
    )  # fmt: skip
    async def test_tokens_go_to_the_issuers_own_site_only(
        self, asks: Asks, authority: FakeAuthority, clock: FrozenClock, changes: dict[str, Any]
    ) -> None:
        ask, token = asks(), authority.opaque_token()
        authority.metadata_changes = changes
        assert await ask.answer(token) == 503
        assert authority.counts["introspect"] == 0

        authority.metadata_changes = {}
        clock.advance(timedelta(seconds=1))
        assert await ask.answer(token) == 200

    async def test_an_endpoint_that_is_given_needs_no_metadata(
        self, asks: Asks, authority: FakeAuthority
    ) -> None:
        ask = asks(introspection_endpoint=f"{authority.issuer}/introspect")

        assert await ask.answer(authority.opaque_token()) == 200
        assert authority.counts["metadata"] == 0

    async def test_an_address_that_was_right_is_used_while_none_can_be_had(
        self, asks: Asks, authority: FakeAuthority, clock: FrozenClock
    ) -> None:
        ask = asks()
        authority.lifetime = timedelta(days=1)
        assert await ask.answer(authority.opaque_token()) == 200
        clock.advance(timedelta(minutes=59))
        assert await ask.answer(authority.opaque_token()) == 200
        assert authority.counts["metadata"] == 1
        authority.metadata_changes = {"introspection_endpoint": None}
        clock.advance(timedelta(minutes=1))

        assert await ask.answer(authority.opaque_token()) == 200
        assert authority.counts["metadata"] == 2

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"audience": ""}, "audience"),
            ({"algorithms": frozenset()}, "algorithms"),
            ({"cache": timedelta(minutes=10, seconds=1)}, "cache"),
            ({"cache": timedelta(seconds=-1)}, "cache"),
            ({"cache_refused": timedelta(minutes=11)}, "cache_refused"),
            ({"skew": timedelta(minutes=6)}, "skew"),
            ({"issuer": "http://id.example"}, "only https"),
            ({"introspection_endpoint": "http://id.example/i"}, "introspection_endpoint"),
        ],
    )
    def test_settings_that_cannot_be_meant(self, settings: dict[str, Any], message: str) -> None:
        honest: dict[str, Any] = {
            "issuer": "https://id.example",
            "audience": API,
            "client_proof": PROOF,
        }

        assert OpaqueIssuer(**honest, cache=timedelta(minutes=10)).cache
        with pytest.raises(ValueError, match=message):
            OpaqueIssuer(**(honest | settings))


class TestClientProof:
    async def test_a_secret_in_the_header(self, asks: Asks, authority: FakeAuthority) -> None:
        assert await asks().answer(authority.opaque_token()) == 200

        authorization, form = authority.introspection.received[0]
        credential = ClientCredential.parse(authorization, form)
        assert (credential.client_id, credential.client_secret) == ("api-1", SECRET)
        assert form.values.keys() == {"token", "token_type_hint"}

    async def test_a_secret_in_the_body(self, asks: Asks, authority: FakeAuthority) -> None:
        ask = asks(client_proof=ClientSecretPost("api-1", SECRET))
        assert await ask.answer(authority.opaque_token()) == 200

        credential = ClientCredential.parse(*authority.introspection.received[0])
        assert (credential.client_id, credential.client_secret) == ("api-1", SECRET)

    async def test_w101_a_signature_made_anew_for_each_question(
        self, asks: Asks, authority: FakeAuthority, clock: FrozenClock
    ) -> None:
        ask = asks(client_proof=PrivateKeyJwt("api-1", KEY))
        assert await ask.answer(authority.opaque_token()) == 200
        clock.advance(timedelta(hours=1))
        assert await ask.answer(authority.opaque_token()) == 200

        seen = set()
        for authorization, form in authority.introspection.received:
            assertion = parse(form.required("client_assertion", str))
            assertion.require_signature(KeySet.of(KEY.public), ALL_ALGORITHMS)
            claims = decode_object(assertion.payload)
            seen.add((claims["jti"], claims["exp"]))
            assert authorization is None
            assert (claims["iss"], claims["aud"]) == ("api-1", authority.issuer)
        assert len(seen) == 2
        assert {exp for _, exp in seen} == {
            int(clock.timestamp()) + 60 - hour for hour in (0, 3600)
        }

    def test_w71_no_secret_shows_in_the_settings(self) -> None:
        """W-71: a secret in the source is a secret in every copy of it, and so is one in a log."""
        for proof in (PROOF, ClientSecretPost("api-1", SECRET), PrivateKeyJwt("api-1", KEY)):
            settings = OpaqueIssuer(issuer="https://id.example", audience=API, client_proof=proof)
            assert "s3cret" not in repr(settings)

    async def test_no_token_shows_in_what_is_said_of_it(
        self, asks: Asks, authority: FakeAuthority
    ) -> None:
        ask, token = asks(), Secret.generate()
        with pytest.raises(TokenInactive) as inactive:
            await ask(token)
        authority.introspection.faults = [Fault(status=500, body=token.reveal().encode())]
        other = Secret.generate()
        with pytest.raises(IntrospectionUnavailable) as unavailable:
            await ask(other)

        said = f"{inactive.value!r} {unavailable.value!r} {ask.heard.events!r}"
        assert token.reveal() not in said
        assert other.reveal() not in said


class TestSigned:
    async def test_l09_an_honest_signed_answer_is_taken(
        self, asks: Asks, authority: FakeAuthority
    ) -> None:
        authority.introspection.signed = True

        for signed in ("accept", "require"):
            ask = asks(signed=signed)
            assert (await ask(authority.opaque_token(sub="alice"))).token.sub == "alice"
            assert await ask.answer(Secret.generate()) == 401
            assert ask.heard.reasons() == []

    @pytest.mark.parametrize(
        ("signed", "sent", "status"),
        [("forbid", True, 503), ("forbid", False, 200), ("accept", False, 200),
         ("require", False, 503)],
    )  # fmt: skip
    async def test_l09_an_answer_of_the_form_that_was_not_agreed(
        self, asks: Asks, authority: FakeAuthority, signed: str, sent: bool, status: int
    ) -> None:
        authority.introspection.signed = sent

        assert await asks(signed=signed).answer(authority.opaque_token()) == status

    @pytest.mark.parametrize(
        "fault",
        [{"typ": "JWT"}, {"typ": "at+jwt"}, {"recipient": "another-api"}, {"key": forge.ES256},
         {"outer_changes": {"iat": 1}}, {"outer_changes": {"iss": "https://other.example"}},
         {"outer_changes": {"active": True}}, {"outer_changes": {"token_introspection": None}}],
        ids=lambda fault: "-".join(fault),
    )  # fmt: skip
    async def test_l09_a_wrong_signed_answer_is_the_issuers_fault(
        self, asks: Asks, authority: FakeAuthority, clock: FrozenClock, fault: dict[str, Any]
    ) -> None:
        endpoint, token = authority.introspection, authority.opaque_token()
        endpoint.signed = True
        right = {name: getattr(endpoint, name) for name in fault}
        for name, value in fault.items():
            setattr(endpoint, name, value)
        ask = asks(signed="require")
        assert await ask.answer(token) == 503
        assert len(ask.heard.reasons()) == 1

        for name, value in right.items():
            setattr(endpoint, name, value)
        clock.advance(timedelta(seconds=31))
        assert await ask.answer(token) == 200

    async def test_l09_an_unsigned_text_in_a_signed_answers_place(
        self, asks: Asks, authority: FakeAuthority
    ) -> None:
        token = authority.opaque_token()
        header, payload = (
            forge.segment(json.dumps(part).encode())
            for part in (
                {"alg": "none", "typ": "token-introspection+jwt"},
                {"iss": authority.issuer, "aud": "api-1", "iat": int(authority.clock.timestamp()),
                 "token_introspection": {"active": True, "sub": "eve", "client_id": "x"}},
            )
        )  # fmt: skip
        kind = {"content-type": "application/token-introspection+jwt"}
        bodies = [f"{header}.{payload}.", '{"active":true,"sub":"eve"}', "\xff", ""]
        authority.introspection.faults = [
            Fault(body=body.encode("latin-1"), headers=kind) for body in bodies
        ]
        ask = asks(signed="accept")

        answers = [await ask.answer(authority.opaque_token()) for _ in bodies]
        assert answers == [503] * 4
        assert await ask.answer(token) == 200

    async def test_an_issuer_that_changes_its_key_goes_on_answering(
        self, asks: Asks, authority: FakeAuthority, clock: FrozenClock
    ) -> None:
        authority.introspection.signed = True
        ask = asks(signed="require")
        assert await ask.answer(authority.opaque_token()) == 200
        authority.rotate_key(keep_old=False)
        clock.advance(timedelta(seconds=31))

        assert await ask.answer(authority.opaque_token()) == 200
        assert authority.counts["jwks"] == 2

    async def test_keys_that_are_given_are_the_keys(
        self, asks: Asks, authority: FakeAuthority, clock: FrozenClock
    ) -> None:
        authority.introspection.signed = True
        right = asks(signed="require", keys=KeySet.of(authority.key.public))
        wrong = asks(signed="require", keys=KeySet.of(forge.ES256.public))

        assert await right.answer(authority.opaque_token()) == 200
        assert await wrong.answer(authority.opaque_token()) == 503
        assert authority.counts["jwks"] == 0

    async def test_no_keys_are_no_answer(
        self, asks: Asks, authority: FakeAuthority, clock: FrozenClock
    ) -> None:
        authority.introspection.signed = True
        published, authority.published = authority.published, []
        ask = asks(signed="require")
        assert await ask.answer(authority.opaque_token()) == 503

        authority.published = published
        clock.advance(timedelta(seconds=1))
        assert await ask.answer(authority.opaque_token()) == 200

    async def test_an_encrypted_answer_goes_through_whoever_can_open_it(
        self, asks: Asks, authority: FakeAuthority
    ) -> None:
        now = int(authority.clock.timestamp())
        inner = forge.signed(
            {"iss": authority.issuer, "aud": API, "iat": now,
             "token_introspection": {"active": True, "sub": "alice", "client_id": "web"}},
            authority.key, typ="token-introspection+jwt",
        )  # fmt: skip
        kind = {"content-type": "application/token-introspection+jwt"}
        sealed = Fault(body=b"a.b.c.d.e", headers=kind)

        def broken(_: str) -> bytes:
            raise ZeroDivisionError

        can = asks(signed="require", decrypt=lambda _: inner.encode())
        for ask, status in ((can, 200), (asks(signed="require"), 503),
                            (asks(signed="require", decrypt=broken), 503)):  # fmt: skip
            authority.introspection.faults = [sealed]
            assert await ask.answer(authority.opaque_token()) == status
