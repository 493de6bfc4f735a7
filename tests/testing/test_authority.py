"""The token server for tests: each way in which it renews, misbehaves, and counts.

RFC 6749 §6 and RFC 9700 §4.14.2 as it plays them, RFC 7009 §2.2 for what it forgets.
"""

import http.client
import socket
import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlencode

import msgspec
import pytest

from mintmark.client import (
    AuthorityUnavailable,
    Client,
    LoginFailed,
    LoginFlow,
    LoginRequired,
    MemoryUserTokens,
    TokenRefused,
)
from mintmark.secret import Secret
from mintmark.testing import FakeAuthority, Fault, FrozenClock
from mintmark.testing.asked import Asked
from mintmark.testing.clock import duration

API = "https://api.example"


@pytest.fixture
def client(fake_authority: FakeAuthority) -> Iterator[Client]:
    made = fake_authority.client()
    yield made
    made.close()


@pytest.fixture
def flow(client: Client) -> LoginFlow:
    return client.login(redirect_uri="https://app.example/callback", scope="openid", resource=API)


def signed_in(fake: FakeAuthority, flow: LoginFlow) -> Secret:
    """The first refresh token of a sign-in."""
    attempt = flow.begin()
    token = flow.finish(fake.sign_in(attempt.url), attempt).tokens.refresh_token
    assert token is not None
    return token


def answer(fake: FakeAuthority, **form: str) -> tuple[int, dict[str, Any]]:
    return posted(fake, "/token", urlencode(form))


def posted(
    fake: FakeAuthority, path: str, body: str, headers: dict[str, str] | None = None
) -> tuple[int, dict[str, Any]]:
    connection = http.client.HTTPConnection(fake.issuer.removeprefix("http://"), timeout=5)
    try:
        connection.request("POST", path, body, headers or {})
        response = connection.getresponse()
        content = response.read()
        return response.status, msgspec.json.decode(content) if content else {}
    finally:
        connection.close()


def renewed(fake: FakeAuthority, token: Secret) -> Secret | None:
    """What a renewal gives; None when it is refused."""
    status, members = answer(fake, grant_type="refresh_token", refresh_token=token.reveal())
    if status == 200:
        return Secret(members["refresh_token"])
    assert (status, members["error"]) == (400, "invalid_grant")
    return None


class TestRotation:
    def test_each_works_once_and_a_second_use_ends_nothing_but_itself(
        self, fake_authority: FakeAuthority, flow: LoginFlow
    ) -> None:
        first = signed_in(fake_authority, flow)

        second = renewed(fake_authority, first)
        assert second is not None
        assert renewed(fake_authority, first) is None
        assert renewed(fake_authority, second) is not None
        assert fake_authority.refresh_tokens.reused == 1

    def test_with_reuse_detection_a_second_use_ends_the_family_and_no_other(
        self, fake_authority: FakeAuthority, flow: LoginFlow
    ) -> None:
        fake_authority.rotate(detect_reuse=True)
        first, other = signed_in(fake_authority, flow), signed_in(fake_authority, flow)
        second = renewed(fake_authority, first)
        assert second is not None

        assert renewed(fake_authority, first) is None
        assert renewed(fake_authority, second) is None
        assert renewed(fake_authority, other) is not None

    def test_within_the_grace_the_same_successor_comes_again(
        self, fake_authority: FakeAuthority, flow: LoginFlow, clock: FrozenClock
    ) -> None:
        fake_authority.rotate(detect_reuse=True, grace="30s")
        first = signed_in(fake_authority, flow)
        second = renewed(fake_authority, first)
        clock.advance("29.9s")

        assert renewed(fake_authority, first) == second
        clock.advance("0.1s")
        assert renewed(fake_authority, first) is None
        assert second is not None
        assert renewed(fake_authority, second) is None

    def test_a_clock_that_was_set_back_makes_no_grace_longer(
        self, fake_authority: FakeAuthority, flow: LoginFlow, clock: FrozenClock
    ) -> None:
        fake_authority.rotate(detect_reuse=True, grace=timedelta(seconds=30))
        first = signed_in(fake_authority, flow)
        renewed(fake_authority, first)
        clock.advance("-1s")

        assert renewed(fake_authority, first) is None

    def test_the_grace_is_over_when_the_successor_was_used(
        self, fake_authority: FakeAuthority, flow: LoginFlow
    ) -> None:
        fake_authority.rotate(detect_reuse=True, grace="30s")
        first = signed_in(fake_authority, flow)
        second = renewed(fake_authority, first)
        assert second is not None
        third = renewed(fake_authority, second)
        assert third is not None

        assert renewed(fake_authority, first) is None
        assert renewed(fake_authority, third) is None

    def test_of_many_at_once_one_gets_the_successor(
        self, fake_authority: FakeAuthority, flow: LoginFlow
    ) -> None:
        first = signed_in(fake_authority, flow)
        with ThreadPoolExecutor(20) as pool:
            came = list(pool.map(lambda _: renewed(fake_authority, first), range(40)))

        assert sum(one is not None for one in came) == 1
        fake_authority.require_count("refresh_token", 40)

    def test_without_rotation_the_old_one_goes_on_and_no_new_one_comes(
        self, fake_authority: FakeAuthority, flow: LoginFlow
    ) -> None:
        fake_authority.keep_refresh_tokens()
        token = signed_in(fake_authority, flow)
        form = {"grant_type": "refresh_token", "refresh_token": token.reveal()}
        for _ in range(3):
            status, members = answer(fake_authority, **form)
            assert status == 200
            assert "refresh_token" not in members

    def test_a_revoked_one_ends_its_family_and_an_unknown_one_ends_nothing(
        self, fake_authority: FakeAuthority, flow: LoginFlow, client: Client
    ) -> None:
        first, other = signed_in(fake_authority, flow), signed_in(fake_authority, flow)
        second = renewed(fake_authority, first)
        assert second is not None
        client.revoke(Secret.generate())
        client.revoke(first)

        assert renewed(fake_authority, second) is None
        assert renewed(fake_authority, other) is not None
        assert fake_authority.count("revoke") == 2

    def test_s14_whoever_was_locked_out_is_not_renewed(
        self, fake_authority: FakeAuthority, flow: LoginFlow
    ) -> None:
        token = signed_in(fake_authority, flow)
        fake_authority.end_grants()

        assert renewed(fake_authority, token) is None


class TestFaults:
    @pytest.mark.parametrize(
        ("fault", "pause"),
        [
            (Fault.busy(retry_after=30), timedelta(seconds=30)),
            (Fault.unavailable(retry_after="7"), timedelta(seconds=7)),
            (Fault.unavailable(), None),
            (Fault.truncated(), None),
            (Fault.truncated(0), None),
            (Fault.lost(), None),
        ],
        ids=["busy", "unavailable", "plain", "truncated", "headers-alone", "lost"],
    )
    def test_a_client_may_try_again_and_succeeds(
        self,
        fake_authority: FakeAuthority,
        client: Client,
        clock: FrozenClock,
        fault: Fault,
        pause: timedelta | None,
    ) -> None:
        fake_authority.fail(fault)
        recipe = client.app_token(resource=API)
        with pytest.raises(AuthorityUnavailable) as none:
            recipe.token()
        assert none.value.retry_after == pause

        clock.advance(pause or "1s")
        assert recipe.token().reveal()
        # What was carried out and never heard of was carried out all the same.
        assert fake_authority.count("client_credentials") == 1 + fault.carried_out
        assert fake_authority.count("token") == 2

    def test_garbage_is_no_token(self, fake_authority: FakeAuthority, client: Client) -> None:
        fake_authority.fail(Fault.garbage())
        with pytest.raises(TokenRefused):
            client.app_token(resource=API).token()

    def test_a_refusal_is_in_the_protocols_words(
        self, fake_authority: FakeAuthority, client: Client
    ) -> None:
        fake_authority.fail(Fault.refusal("invalid_scope"))
        with pytest.raises(TokenRefused) as refused:
            client.app_token(resource=API).token()
        assert refused.value.error == "invalid_scope"

    def test_a_slow_answer_is_the_true_one(
        self, fake_authority: FakeAuthority, client: Client
    ) -> None:
        fake_authority.fail(Fault.slow(0.2))

        assert client.app_token(resource=API).token().reveal()
        fake_authority.require_count("client_credentials", 1)

    def test_a_lost_renewal_has_spent_the_token(
        self, fake_authority: FakeAuthority, flow: LoginFlow
    ) -> None:
        token = signed_in(fake_authority, flow)
        fake_authority.fail(Fault.lost())
        with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
            renewed(fake_authority, token)

        assert renewed(fake_authority, token) is None

    def test_faults_come_in_their_order_and_each_path_has_its_own(
        self, fake_authority: FakeAuthority, client: Client
    ) -> None:
        fake_authority.fail(Fault.refusal("one"), Fault.refusal("two"))
        fake_authority.fail(Fault.unavailable(), at="/revoke")
        fake_authority.fail(Fault.unavailable(), at="/.well-known/openid-configuration")
        with pytest.raises(AuthorityUnavailable):
            client.authority.metadata()
        with pytest.raises(AuthorityUnavailable):
            client.revoke(Secret.generate())
        client.revoke(Secret.generate())

        said = [answer(fake_authority, grant_type="client_credentials") for _ in range(3)]
        assert [members.get("error") for _, members in said] == ["one", "two", None]

    @pytest.mark.parametrize("wrong", [{"cut": -1}, {"delay": -0.1}, {"drip": -1.0}], ids=str)
    def test_a_fault_that_cannot_be_is_refused(self, wrong: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match=r"cut|drip and delay"):
            Fault(**wrong)

    def test_a_fault_at_a_further_endpoint(self, fake_authority: FakeAuthority) -> None:
        pushed: list[Asked] = []

        def push(asked: Asked) -> Fault:
            pushed.append(asked)
            return Fault(status=201, body=b'{"it":1}')

        fake_authority.endpoints["/par"] = push
        fake_authority.fail(Fault.unavailable(), Fault.lost(), at="/par")

        assert posted(fake_authority, "/par", "a=b")[0] == 503
        with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
            posted(fake_authority, "/par", "a=b")
        assert posted(fake_authority, "/par", "a=b") == (201, {"it": 1})
        assert fake_authority.count("par") == 3
        assert len(pushed) == 2  # the first was not carried out, and the second was

    def test_an_endpoint_that_declines_leaves_it_to_the_servers_own(
        self, fake_authority: FakeAuthority
    ) -> None:
        fake_authority.endpoints |= {"/token": lambda _: None, "/par": lambda _: None}

        assert answer(fake_authority, grant_type="client_credentials")[0] == 200
        assert posted(fake_authority, "/par", "a=b")[0] == 404
        assert (fake_authority.count("token"), fake_authority.count("par")) == (1, 0)


class TestWrongIssuer:
    def test_in_the_metadata(self, fake_authority: FakeAuthority, client: Client) -> None:
        fake_authority.metadata_changes["issuer"] = "https://evil.example"
        with pytest.raises(AuthorityUnavailable):
            client.authority.metadata()

    @pytest.mark.parametrize("iss", ["https://evil.example", None])
    def test_in_the_response(
        self, fake_authority: FakeAuthority, flow: LoginFlow, iss: str | None
    ) -> None:
        fake_authority.response_changes["iss"] = iss
        with pytest.raises(LoginFailed, match="iss"):
            signed_in(fake_authority, flow)

    @pytest.mark.parametrize("iss", ["https://evil.example", None])
    def test_in_the_id_token(
        self, fake_authority: FakeAuthority, flow: LoginFlow, iss: str | None
    ) -> None:
        fake_authority.id_token_changes["iss"] = iss
        with pytest.raises(LoginFailed, match="ID token"):
            signed_in(fake_authority, flow)

    def test_a_person_who_says_no(self, fake_authority: FakeAuthority, flow: LoginFlow) -> None:
        fake_authority.response_changes |= {"code": None, "error": "access_denied"}
        with pytest.raises(LoginFailed) as failed:
            signed_in(fake_authority, flow)
        assert failed.value.error == "access_denied"

    def test_other_claims_are_signed_as_well(
        self, fake_authority: FakeAuthority, flow: LoginFlow
    ) -> None:
        fake_authority.id_token_changes["acr"] = "gold"
        attempt = flow.begin()

        assert flow.finish(fake_authority.sign_in(attempt.url), attempt).id_token.acr == "gold"


class TestTheRecord:
    def test_it_has_names_and_no_value(
        self, fake_authority: FakeAuthority, flow: LoginFlow
    ) -> None:
        secret = signed_in(fake_authority, flow)
        renewed(fake_authority, secret)
        *_, last = fake_authority.requests

        assert (last.method, last.path, last.grant_type) == ("POST", "/token", "refresh_token")
        assert last.parameters == ("grant_type", "refresh_token")
        assert "host" in last.headers
        assert str(last) == "12:00:00 POST /token refresh_token (grant_type, refresh_token)"
        assert secret.reveal() not in repr(fake_authority.requests)

    def test_a_value_in_the_place_of_a_name_is_not_kept(
        self, fake_authority: FakeAuthority
    ) -> None:
        answer(fake_authority, grant_type="hunter2")

        assert "hunter2" not in repr(fake_authority.requests)

    def test_one_refresh_is_required_and_what_came_is_said(
        self, fake_authority: FakeAuthority, flow: LoginFlow
    ) -> None:
        token = signed_in(fake_authority, flow)
        with pytest.raises(AssertionError, match=r"refresh_token: 1 expected, 0 came"):
            fake_authority.require_one_refresh()
        second = renewed(fake_authority, token)
        assert second is not None
        fake_authority.require_one_refresh()
        renewed(fake_authority, second)
        with pytest.raises(AssertionError, match=r"2 came(.|\n)*POST /token refresh_token"):
            fake_authority.require_one_refresh()

    def test_none_of_two_hundred_at_once_is_missed(self, fake_authority: FakeAuthority) -> None:
        with ThreadPoolExecutor(20) as pool:
            list(pool.map(lambda _: fake_authority.record.count("token"), range(20_000)))

        assert fake_authority.count("token") == 20_000

    def test_fifty_callers_after_fifty_five_minutes_make_one_renewal(
        self, fake_authority: FakeAuthority, clock: FrozenClock, client: Client, flow: LoginFlow
    ) -> None:
        fake_authority.lifetime = timedelta(hours=1)
        fake_authority.rotate(detect_reuse=True)
        attempt, store, session = flow.begin(), MemoryUserTokens(), Secret.generate()
        store.begin(session, flow.finish(fake_authority.sign_in(attempt.url), attempt).tokens)
        recipe = client.user_token(session, store, resource=API)
        recipe.token()
        clock.advance("55m")
        with ThreadPoolExecutor(50) as pool:
            tokens = set(pool.map(lambda _: recipe.token().reveal(), range(50)))

        assert len(tokens) == 1
        fake_authority.require_one_refresh()
        fake_authority.end_grants()
        clock.advance("1h")
        with pytest.raises(LoginRequired):
            recipe.token()


class TestWhatNobodyShouldSend:
    @pytest.mark.parametrize(
        ("path", "body", "status"),
        [
            ("/token", "", 400), ("/token", "a=1&a=2", 400), ("/token", "grant_type=refresh_token", 400), ("/token", "grant_type=&x=1", 400),
            ("/token", "grant_type=magic&refresh_token=x", 400),
            ("/token", "grant_type=authorization_code&code=%ff", 400), ("/revoke", "", 400),
            ("/token?x=1", "grant_type=client_credentials", 200), ("/elsewhere", "", 404), ("/jwks", "", 404),
        ],
    )  # fmt: skip
    def test_it_is_answered_and_nothing_hangs(
        self, fake_authority: FakeAuthority, path: str, body: str, status: int
    ) -> None:
        assert posted(fake_authority, path, body)[0] == status

    def test_a_length_that_is_no_number(self, fake_authority: FakeAuthority) -> None:
        where = fake_authority.issuer.removeprefix("http://").split(":")
        with socket.create_connection((where[0], int(where[1])), timeout=5) as connection:
            connection.sendall(b"POST /token HTTP/1.1\r\nhost: x\r\ncontent-length: much\r\n\r\n")
            assert connection.recv(100).startswith(b"HTTP/1.1 400 ")

    def test_whoever_hangs_up_before_the_answer_leaves_no_traceback(
        self, fake_authority: FakeAuthority, capfd: pytest.CaptureFixture[str]
    ) -> None:
        where = fake_authority.issuer.removeprefix("http://").split(":")
        for _ in range(5):
            with socket.create_connection((where[0], int(where[1])), timeout=5) as connection:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                connection.sendall(b"GET /jwks HTTP/1.1\r\nhost: x\r\n\r\n" * 3)
        assert answer(fake_authority, grant_type="client_credentials")[0] == 200

        assert capfd.readouterr().err == ""

    def test_an_authorization_request_that_cannot_be_read(
        self, fake_authority: FakeAuthority
    ) -> None:
        connection = http.client.HTTPConnection(fake_authority.issuer[7:], timeout=5)
        connection.request("GET", "/authorize?client_id=x")
        assert connection.getresponse().status == 400
        connection.close()

    def test_a_browsers_way_through_it(
        self, fake_authority: FakeAuthority, flow: LoginFlow
    ) -> None:
        attempt = flow.begin()
        connection = http.client.HTTPConnection(fake_authority.issuer[7:], timeout=5)
        connection.request("GET", attempt.url.removeprefix(fake_authority.issuer))
        response = connection.getresponse()
        back = response.getheader("location") or ""
        connection.close()

        assert response.status == 303
        assert set(parse_qs(back.partition("?")[2])) == {"code", "state", "iss"}


class TestTheClock:
    @pytest.mark.parametrize(
        ("text", "seconds"),
        [("55m", 3300), ("1h30m", 5400), ("0.5s", 0.5), ("-2d", -172_800), ("0s", 0)],
    )
    def test_it_is_moved_by_words(self, text: str, seconds: float) -> None:
        assert duration(text) == timedelta(seconds=seconds)

    @pytest.mark.parametrize(
        "text", ["", "55", "m", "5 m", "5m ", "5x", "--5m", "1h-5m", "٥m", "1e9s"]
    )
    def test_other_words_are_refused(self, text: str) -> None:
        with pytest.raises(ValueError, match="no duration"):
            duration(text)
