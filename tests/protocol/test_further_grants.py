"""The messages of the further grants: written so that they can be read, and read strictly."""

from datetime import timedelta
from typing import Any

import pytest

from mintmark.protocol.authorization_details import format_claims, format_details, read_details
from mintmark.protocol.ciba import (
    BackchannelRequest,
    BackchannelResponse,
    BackchannelTokenRequest,
    read_notification,
)
from mintmark.protocol.device import (
    DeviceAuthorizationRequest,
    DeviceAuthorizationResponse,
    DeviceCodeRequest,
)
from mintmark.protocol.errors import ErrorCode, OAuthError
from mintmark.protocol.form import Form
from mintmark.protocol.jwt_bearer import ON_BEHALF_OF, JwtBearerRequest
from mintmark.protocol.polling import UnreadableAnswer
from mintmark.protocol.token import (
    ClientCredentialsRequest,
    TokenResponse,
    UnreadableTokenResponse,
    encode_form,
)
from mintmark.protocol.token_exchange import (
    ACCESS_TOKEN,
    ID_TOKEN,
    JWT,
    TokenExchangeRequest,
    TokenExchangeResponse,
)
from mintmark.secret import Secret

SCOPE = frozenset({"a", "b"})


def again(request: Any) -> Any:
    """What the other end reads of it."""
    return type(request).parse(Form.parse(encode_form(request.parameters())))


@pytest.mark.parametrize(
    "request_",
    [
        TokenExchangeRequest(subject_token=Secret("s")),
        TokenExchangeRequest(
            subject_token=Secret("s"),
            subject_token_type=ID_TOKEN,
            actor_token=Secret("a"),
            actor_token_type=JWT,
            requested_token_type=ACCESS_TOKEN,
            scope=SCOPE,
            resource=("https://a.example", "https://b.example"),
            audience=("one", "two"),
            authorization_details='[{"type":"x"}]',
        ),
        JwtBearerRequest(assertion=Secret("s")),
        JwtBearerRequest(
            assertion=Secret("s"),
            scope=SCOPE,
            resource=("https://a.example",),
            requested_token_use=ON_BEHALF_OF,
            claims="{}",
            authorization_details='[{"type":"x"}]',
        ),
        ClientCredentialsRequest(authorization_details='[{"type":"x"}]', claims="{}"),
        DeviceAuthorizationRequest(scope=SCOPE, resource=("https://a.example",)),
        DeviceCodeRequest(device_code=Secret("s"), resource=("https://a.example",)),
        BackchannelTokenRequest(auth_req_id=Secret("s")),
        BackchannelRequest(scope=SCOPE, login_hint="alice"),
        BackchannelRequest(
            scope=SCOPE,
            id_token_hint=Secret("s"),
            client_notification_token=Secret("n"),
            binding_message="W4SCT",
            acr_values=("high", "low"),
            user_code=Secret("1234"),
            requested_expiry=timedelta(seconds=90),
            resource=("https://a.example",),
        ),
    ],
    ids=lambda request: type(request).__name__,
)
def test_what_one_end_writes_the_other_reads(request_: Any) -> None:
    """RFC 8693 §2.1, RFC 7523 §2.1, RFC 8628 §3.1, RFC 8628 §3.4, CIBA Core §7.1, §10.1."""
    assert again(request_) == request_


class TestTokenExchange:
    @pytest.mark.parametrize("form", ["actor_token=a", "actor_token_type=b"])
    def test_an_actor_and_its_type_come_together_or_not_at_all(self, form: str) -> None:
        """RFC 8693 §2.1."""
        whole = f"subject_token=s&subject_token_type={ACCESS_TOKEN}"
        assert TokenExchangeRequest.parse(Form.parse(whole)).actor_token is None
        with pytest.raises(OAuthError, match="invalid_request"):
            TokenExchangeRequest.parse(Form.parse(f"{whole}&{form}"))

    def test_an_actor_by_halves_is_not_written_either(self) -> None:
        with pytest.raises(ValueError, match="go together"):
            TokenExchangeRequest(subject_token=Secret("s"), actor_token=Secret("a")).parameters()

    def test_the_subject_and_its_type_are_required(self) -> None:
        for form in ("subject_token=s", f"subject_token_type={JWT}"):
            with pytest.raises(OAuthError, match="invalid_request"):
                TokenExchangeRequest.parse(Form.parse(form))

    def test_an_answer_says_what_was_issued(self) -> None:
        """RFC 8693 §2.2.1: `issued_token_type` is required."""
        answer = TokenExchangeResponse(
            access_token=Secret("t"),
            token_type="Bearer",
            expires_in=timedelta(minutes=1),
            scope=SCOPE,
            issued_token_type=JWT,
        )
        assert TokenExchangeResponse.parse(answer.to_json()) == answer
        for issued in (b"", b',"issued_token_type":""', b',"issued_token_type":7'):
            body = b'{"access_token":"t","token_type":"Bearer"' + issued + b"}"
            with pytest.raises(UnreadableTokenResponse, match="issued_token_type"):
                TokenExchangeResponse.parse(body)


class TestAuthorizationDetails:
    """RFC 9396 §2, RFC 9396 §7."""

    def test_order_does_not_matter(self) -> None:
        one = format_details([{"type": "a", "x": 1, "y": [2, 3]}, {"type": "b"}])

        assert one == format_details([{"type": "b"}, {"y": [2, 3], "x": 1, "type": "a"}])
        assert one != format_details([{"type": "b"}, {"y": [3, 2], "x": 1, "type": "a"}])
        assert format_details([]) == ""

    @pytest.mark.parametrize("wrong", [{}, {"type": ""}, {"type": 1}, {"type": "a", "x": object()}])
    def test_what_has_no_type_or_is_no_json_is_refused(self, wrong: Any) -> None:
        with pytest.raises(ValueError, match="authorization detail"):
            format_details([wrong])

    @pytest.mark.parametrize("wrong", ["x", {}, [1], [{}], [{"type": 1}], [{"type": ""}]])
    def test_an_answer_with_anything_else_is_unreadable(self, wrong: Any) -> None:
        with pytest.raises(ValueError, match="details"):
            read_details(wrong)

    def test_an_answer_keeps_them(self) -> None:
        answer = TokenResponse(
            access_token=Secret("t"),
            token_type="Bearer",
            authorization_details=({"type": "a", "x": [1]},),
        )
        assert TokenResponse.parse(answer.to_json()) == answer
        with pytest.raises(UnreadableTokenResponse, match="authorization_details"):
            TokenResponse.parse(
                b'{"access_token":"t","token_type":"Bearer","authorization_details":[{}]}'
            )

    @pytest.mark.parametrize("wrong", ["x", "[]", '{"a":1,"a":2}', {"a": object()}])
    def test_claims_are_one_json_object(self, wrong: Any) -> None:
        """OIDC Core §5.5."""
        assert (
            format_claims({"b": 1, "a": 2}) == format_claims('{"b": 1, "a": 2}') == '{"a":2,"b":1}'
        )
        assert format_claims(None) == ""
        with pytest.raises(ValueError, match="claims"):
            format_claims(wrong)


class TestDeviceAnswer:
    """RFC 8628 §3.2."""

    def test_is_read_as_it_was_written(self) -> None:
        answer = DeviceAuthorizationResponse(
            device_code=Secret("d"),
            user_code="WDJB-MJHT",
            verification_uri="https://id.example/device",
            verification_uri_complete="https://id.example/device?c=1",
            expires_in=timedelta(minutes=10),
            interval=timedelta(seconds=7),
        )
        assert DeviceAuthorizationResponse.parse(answer.to_json()) == answer

    def test_five_seconds_unless_it_says_otherwise(self) -> None:
        body = b'{"device_code":"d","user_code":"u","verification_uri":"v","expires_in":1}'
        assert DeviceAuthorizationResponse.parse(body).interval == timedelta(seconds=5)

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"[]",
            b"\xff",
            b'{"device_code":"d","user_code":"u","verification_uri":"v"}',
            b'{"device_code":"d","user_code":"u","verification_uri":"v","expires_in":0}',
            b'{"device_code":"d","user_code":"u","verification_uri":"v","expires_in":true}',
            b'{"device_code":"d","user_code":"u","verification_uri":"v","expires_in":1,"interval":-1}',
            b'{"device_code":"d","user_code":"\\u001b[2J","verification_uri":"v","expires_in":1}',
            b'{"device_code":"d","user_code":"","verification_uri":"v","expires_in":1}',
            b'{"user_code":"u","verification_uri":"v","expires_in":1}',
        ],
    )
    def test_anything_else_is_unreadable(self, body: bytes) -> None:
        with pytest.raises(UnreadableAnswer):
            DeviceAuthorizationResponse.parse(body)


class TestBackchannel:
    """CIBA Core §7.1, CIBA Core §7.3, CIBA Core §10.2."""

    @pytest.mark.parametrize(
        "hints", ["", "login_hint=a&id_token_hint=b", "login_hint=a&login_hint_token=b"]
    )
    def test_exactly_one_hint(self, hints: str) -> None:
        with pytest.raises(OAuthError, match="hint"):
            BackchannelRequest.parse(Form.parse(f"scope=openid&{hints}"))

    @pytest.mark.parametrize("expiry", ["0", "-1", "x", "1" * 10, "1.5"])
    def test_a_requested_expiry_is_a_number(self, expiry: str) -> None:
        with pytest.raises(OAuthError) as refusal:
            BackchannelRequest.parse(
                Form.parse(f"scope=openid&login_hint=a&requested_expiry={expiry}")
            )
        assert refusal.value.code is ErrorCode.INVALID_REQUEST

    def test_a_notification_token_has_1024_characters_at_most(self) -> None:
        start = "scope=openid&login_hint=a&client_notification_token="
        read = BackchannelRequest.parse(Form.parse(start + "x" * 1024))
        assert read.client_notification_token is not None
        with pytest.raises(OAuthError, match="too long"):
            BackchannelRequest.parse(Form.parse(start + "x" * 1025))

    def test_an_answer_is_read_as_it_was_written(self) -> None:
        answer = BackchannelResponse(auth_req_id=Secret("i"), expires_in=timedelta(seconds=90))
        assert BackchannelResponse.parse(answer.to_json()) == answer
        for body in (b'{"expires_in":1}', b'{"auth_req_id":"i"}', b"x"):
            with pytest.raises(UnreadableAnswer):
                BackchannelResponse.parse(body)

    def test_a_notification_names_a_request(self) -> None:
        assert read_notification(b'{"auth_req_id":"i"}') == Secret("i")
        for body in (b"{}", b"x", b'{"auth_req_id":7}', b'{"auth_req_id":"' + b"i" * 4096 + b'"}'):
            with pytest.raises(UnreadableAnswer):
                read_notification(body)
