"""The device grant at the fake authority (RFC 8628)."""

from datetime import timedelta
from typing import final

from mintmark.protocol.device import (
    DeviceAuthorizationRequest,
    DeviceAuthorizationResponse,
    DeviceCodeRequest,
)
from mintmark.protocol.errors import ErrorCode, OAuthError
from mintmark.protocol.token import TokenResponse
from mintmark.secret import Secret
from mintmark.testing.asked import Asked
from mintmark.testing.authority import FakeAuthority
from mintmark.testing.fake_approval import CLOSING, FakeApproval
from mintmark.testing.faults import Fault

__all__ = ["FakeDevice"]


@final
class FakeDevice:
    """Teaches a fake authority to sign devices in.

    Attributes:
        last: the approval of the newest code; set its `answers` and `always`.
        interval: what it asks for.
        lifetime: of codes.
        verification_uri: where it says the code is entered.
    """

    def __init__(self, authority: FakeAuthority) -> None:
        self.last: FakeApproval | None = None
        self.interval = timedelta(seconds=5)
        self.lifetime = timedelta(minutes=10)
        self.verification_uri = f"{authority.issuer}/device"
        self._authority = authority
        self._approvals: dict[str, FakeApproval] = {}
        authority.metadata_changes["device_authorization_endpoint"] = f"{authority.issuer}/begin"
        authority.endpoints["/begin"] = self._begin
        authority.grants[DeviceCodeRequest.grant_type] = self._poll

    def _begin(self, asked: Asked) -> Fault:
        request = DeviceAuthorizationRequest.parse(asked.form)
        code = Secret.generate()
        self.last = FakeApproval(request.scope or frozenset(), request.resource, self.interval)
        self._approvals[code.reveal()] = self.last
        response = DeviceAuthorizationResponse(
            device_code=code,
            user_code="WDJB-MJHT",
            verification_uri=self.verification_uri,
            verification_uri_complete=f"{self.verification_uri}?user_code=WDJB-MJHT",
            expires_in=self.lifetime,
            interval=self.interval,
        )
        return Fault(status=200, body=response.to_json(), headers=CLOSING)

    def _poll(self, asked: Asked) -> TokenResponse:
        request = DeviceCodeRequest.parse(asked.form)
        approval = self._approvals.get(request.device_code.reveal())
        if approval is None:
            raise OAuthError(ErrorCode.INVALID_GRANT, "the code is not valid")
        return approval.poll(self._authority)
