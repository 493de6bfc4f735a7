"""Asking a person on their own device (OIDC CIBA Core): polled for, or notified."""

from datetime import timedelta

import msgspec
import pytest
from tests.client.conftest import API
from tests.client.test_device import Passing

from mintmark.client import (
    ApprovalDenied,
    ApprovalExpired,
    AuthorityUnavailable,
    BackchannelFlow,
    BackchannelLogin,
    Client,
    LoginFailed,
    PingRefused,
)
from mintmark.protocol.errors import ErrorCode
from mintmark.secret import Secret
from mintmark.testing import FakeAuthority, FrozenClock
from mintmark.testing.authority import Fault
from mintmark.testing.fake_ciba import FakeBackchannel

PENDING, SLOW_DOWN = ErrorCode.AUTHORIZATION_PENDING, ErrorCode.SLOW_DOWN


@pytest.fixture
def backchannel(authority: FakeAuthority, client: Client) -> FakeBackchannel:
    assert client.client_id == "client"
    return FakeBackchannel(authority)


@pytest.fixture
def flow(client: Client) -> BackchannelFlow:
    return client.backchannel(scope="openid orders.read", resource=API)


def ping(login: BackchannelLogin) -> tuple[str, bytes]:
    """What the server sends to this client's notification endpoint."""
    assert login.client_notification_token is not None
    body = msgspec.json.encode({"auth_req_id": login.auth_req_id.reveal()})
    return f"Bearer {login.client_notification_token.reveal()}", body


class TestBegin:
    """CIBA Core §7.1."""

    def test_everything_is_said(
        self, flow: BackchannelFlow, backchannel: FakeBackchannel, clock: FrozenClock
    ) -> None:
        login = flow.begin(
            login_hint="alice",
            binding_message="W4SCT",
            acr_values=("high",),
            user_code=Secret("1234"),
            requested_expiry=timedelta(seconds=90),
        )
        request = backchannel.request
        assert request is not None
        assert (request.binding_message, request.acr_values) == ("W4SCT", ("high",))
        assert request.user_code == Secret("1234")
        assert request.resource == (API,)
        assert request.client_notification_token is None
        assert login.expires_at == clock.now() + timedelta(seconds=90)
        assert login.auth_req_id.reveal() not in repr(login)

    def test_exactly_one_hint_says_whom(
        self, flow: BackchannelFlow, backchannel: FakeBackchannel
    ) -> None:
        with pytest.raises(ValueError, match="exactly one"):
            flow.begin()
        with pytest.raises(ValueError, match="exactly one"):
            flow.begin(login_hint="alice", id_token_hint=Secret("t"))
        flow.begin(id_token_hint=Secret("t"))
        flow.begin(login_hint_token=Secret("t"))
        assert backchannel.request is not None

    @pytest.mark.parametrize("text", ["", "\ud800", "a\r\nb"], ids=["empty", "surrogate", "lines"])
    def test_what_somebody_typed_and_nobody_can_send_is_refused(
        self, flow: BackchannelFlow, backchannel: FakeBackchannel, text: str
    ) -> None:
        with pytest.raises(LoginFailed, match="hint"):
            flow.begin(login_hint=text)
        with pytest.raises(LoginFailed, match="hint"):
            flow.begin(login_hint="alice", binding_message=text)
        with pytest.raises(LoginFailed, match="hint"):
            flow.begin(login_hint="alice", user_code=Secret(text))
        assert backchannel.request is None

    def test_openid_is_needed(self, client: Client) -> None:
        with pytest.raises(ValueError, match="openid"):
            client.backchannel(scope="orders.read")

    def test_a_server_that_does_not_know_them_says_so(
        self, flow: BackchannelFlow, backchannel: FakeBackchannel
    ) -> None:
        """CIBA Core §13."""
        assert backchannel.request is None
        with pytest.raises(LoginFailed) as failure:
            flow.begin(login_hint="mallory")
        assert failure.value.error == "unknown_user_id"

    @pytest.mark.parametrize(
        ("fault", "kind"),
        [(Fault(status=503), AuthorityUnavailable), (Fault(status=200, body=b"{}"), LoginFailed)],
        ids=["down", "empty"],
    )
    def test_what_is_no_answer_is_none(
        self,
        flow: BackchannelFlow,
        authority: FakeAuthority,
        backchannel: FakeBackchannel,
        fault: Fault,
        kind: type[Exception],
    ) -> None:
        assert backchannel.request is None
        authority.lies["/backchannel"] = fault
        with pytest.raises(kind):
            flow.begin(login_hint="alice")


class TestPoll:
    """CIBA Core §10.1, CIBA Core §11."""

    def test_until_the_person_approves(
        self, flow: BackchannelFlow, backchannel: FakeBackchannel, clock: FrozenClock
    ) -> None:
        login = flow.begin(login_hint="alice")
        assert backchannel.last is not None
        backchannel.last.answers = [PENDING, SLOW_DOWN, None]
        passing = Passing(clock)
        approved = flow.wait(login, cancelled=passing)

        assert passing.pauses == [5.0, 5.0, 10.0]
        assert approved.id_token is not None
        assert approved.id_token.sub == "alice"

    async def test_a_coroutine_too(
        self, flow: BackchannelFlow, backchannel: FakeBackchannel, clock: FrozenClock
    ) -> None:
        login = flow.begin(login_hint="alice")
        assert backchannel.last is not None
        backchannel.last.answers = [PENDING, None]
        approved = await flow.await_(login, sleep=Passing(clock).sleep)
        assert approved.tokens.subject == "alice"

    @pytest.mark.parametrize(
        ("answer", "kind"),
        [(ErrorCode.ACCESS_DENIED, ApprovalDenied), (PENDING, ApprovalExpired)],
    )
    def test_it_ends_without(
        self,
        flow: BackchannelFlow,
        backchannel: FakeBackchannel,
        clock: FrozenClock,
        answer: ErrorCode,
        kind: type[LoginFailed],
    ) -> None:
        login = flow.begin(login_hint="alice")
        assert backchannel.last is not None
        backchannel.last.always = answer
        with pytest.raises(kind):
            flow.wait(login, cancelled=Passing(clock))


class TestPing:
    """CIBA Core §10.2."""

    def test_a_notification_fetches_the_tokens(
        self,
        flow: BackchannelFlow,
        authority: FakeAuthority,
        backchannel: FakeBackchannel,
        clock: FrozenClock,
    ) -> None:
        login = flow.begin(login_hint="alice", ping=True)
        assert backchannel.request is not None
        assert backchannel.request.client_notification_token == login.client_notification_token
        assert backchannel.last is not None
        backchannel.last.always = None
        authorization, body = ping(login)

        assert flow.auth_req_id_of(body) == login.auth_req_id
        approved = flow.pinged(login, authorization=authorization, body=body)
        assert approved.tokens.subject == "alice"
        # Sent twice, it brings nothing twice.
        clock.advance(login.interval)
        with pytest.raises(LoginFailed, match="refused"):
            flow.pinged(login, authorization=authorization, body=body)
        assert authority.counts["token"] == 2

    def test_whoever_does_not_know_the_token_triggers_nothing(
        self, flow: BackchannelFlow, authority: FakeAuthority, backchannel: FakeBackchannel
    ) -> None:
        login, other = (flow.begin(login_hint="alice", ping=True) for _ in range(2))
        polled = flow.begin(login_hint="alice")
        assert backchannel.last is not None
        authorization, body = ping(login)
        others_authorization, others_body = ping(other)
        wrong: list[tuple[BackchannelLogin, str | None, bytes]] = [
            (login, None, body),
            (login, "", body),
            (login, "Bearer ", body),
            (login, authorization.replace("Bearer", "Basic"), body),
            (login, authorization + "x", body),
            (login, authorization[:-1], body),
            (login, "Bearer \udcff", body),
            (login, others_authorization, body),
            (login, authorization, others_body),
            (login, authorization, b"{}"),
            (login, authorization, b"\xff"),
            (polled, authorization, body),
        ]
        for login_, header, sent in wrong:
            with pytest.raises(PingRefused) as refusal:
                flow.pinged(login_, authorization=header, body=sent)
            assert login.auth_req_id.reveal() not in str(refusal.value)
        assert authority.counts["token"] == 0

    def test_a_notification_too_early_may_be_tried_again(
        self,
        flow: BackchannelFlow,
        authority: FakeAuthority,
        backchannel: FakeBackchannel,
        clock: FrozenClock,
    ) -> None:
        login = flow.begin(login_hint="alice", ping=True)
        authorization, body = ping(login)
        with pytest.raises(AuthorityUnavailable, match="before it was ready") as failure:
            flow.pinged(login, authorization=authorization, body=body)
        assert failure.value.retry_after == login.interval
        authority.faults.append(Fault(status=503))
        with pytest.raises(AuthorityUnavailable, match="503"):
            flow.pinged(login, authorization=authorization, body=body)
        clock.advance(login.interval)
        assert backchannel.last is not None
        backchannel.last.always = ErrorCode.ACCESS_DENIED
        with pytest.raises(ApprovalDenied):
            flow.pinged(login, authorization=authorization, body=body)
