"""Backchannel authentication at the fake authority (OIDC CIBA Core)."""

from datetime import timedelta
from typing import final

import msgspec

from mintmark.protocol.ciba import (
    BackchannelRequest,
    BackchannelResponse,
    BackchannelTokenRequest,
)
from mintmark.protocol.errors import ErrorCode, OAuthError
from mintmark.protocol.token import TokenResponse
from mintmark.secret import Secret
from mintmark.testing.asked import Asked
from mintmark.testing.authority import FakeAuthority
from mintmark.testing.fake_approval import CLOSING, FakeApproval
from mintmark.testing.faults import Fault

__all__ = ["FakeBackchannel"]


@final
class FakeBackchannel:
    """Teaches a fake authority to ask people on their own device.

    Attributes:
        request: the newest one.
        last: its approval; set its `answers` and `always`.
        known: whom it can ask, by `login_hint`.
        interval: what it asks for.
        lifetime: of requests.
    """

    def __init__(self, authority: FakeAuthority) -> None:
        self.request: BackchannelRequest | None = None
        self.last: FakeApproval | None = None
        self.known = frozenset({"alice"})
        self.interval = timedelta(seconds=5)
        self.lifetime = timedelta(minutes=2)
        self._authority = authority
        self._approvals: dict[str, FakeApproval] = {}
        endpoint = f"{authority.issuer}/backchannel"
        authority.metadata_changes["backchannel_authentication_endpoint"] = endpoint
        authority.endpoints["/backchannel"] = self._begin
        authority.grants[BackchannelTokenRequest.grant_type] = self._poll

    def _begin(self, asked: Asked) -> Fault:
        try:
            request = BackchannelRequest.parse(asked.form)
        except OAuthError as refusal:
            return Fault(
                status=400,
                body=msgspec.json.encode({"error": refusal.code.value}),
                headers=CLOSING,
            )
        if request.login_hint is not None and request.login_hint not in self.known:
            # OIDC CIBA Core §13
            return Fault(status=400, body=b'{"error":"unknown_user_id"}', headers=CLOSING)
        self.request = request
        identifier = Secret.generate()
        self.last = FakeApproval(request.scope, request.resource, self.interval)
        self._approvals[identifier.reveal()] = self.last
        response = BackchannelResponse(
            auth_req_id=identifier,
            expires_in=request.requested_expiry or self.lifetime,
            interval=self.interval,
        )
        return Fault(status=200, body=response.to_json(), headers=CLOSING)

    def _poll(self, asked: Asked) -> TokenResponse:
        request = BackchannelTokenRequest.parse(asked.form)
        approval = self._approvals.get(request.auth_req_id.reveal())
        if approval is None:
            raise OAuthError(ErrorCode.INVALID_GRANT, "there is no such request")
        return approval.poll(self._authority)
