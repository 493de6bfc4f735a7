"""Signing in on a device without a browser (RFC 8628)."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import final

from mintmark.client.approval_flow import ApprovalFlow
from mintmark.client.authority import require_page
from mintmark.client.errors import LoginFailed
from mintmark.fetch import FetchRefused
from mintmark.protocol.device import (
    DeviceAuthorizationRequest,
    DeviceAuthorizationResponse,
    DeviceCodeRequest,
)
from mintmark.secret import Secret

__all__ = ["DeviceCode", "DeviceFlow"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceCode:
    """What to show: the address, the code, and (as a picture) the address with the code in it."""

    user_code: str
    verification_uri: str
    verification_uri_complete: str | None
    expires_at: datetime
    interval: timedelta
    device_code: Secret  # for the server alone
    proof_key: Secret | None = None  # the tokens will be bound to it


@final
class DeviceFlow(ApprovalFlow[DeviceCode]):
    """See `ApprovalFlow`. Show the code, then wait."""

    def begin(self) -> DeviceCode:
        """A fresh code.

        Raises:
            AuthorityUnavailable: the server cannot be reached, or has no such endpoint.
            LoginFailed: it refused, or answered what must not be shown to anybody.
        """
        response = self._authorize()
        for uri in (response.verification_uri, response.verification_uri_complete):
            self._require_showable(uri)
        return DeviceCode(
            user_code=response.user_code,
            verification_uri=response.verification_uri,
            verification_uri_complete=response.verification_uri_complete,
            expires_at=self._clock.now() + response.expires_in,
            interval=response.interval,
            device_code=response.device_code,
            proof_key=self._new_proof_key(),
        )

    def _authorize(self) -> DeviceAuthorizationResponse:
        request = DeviceAuthorizationRequest(
            scope=self._scope or None, resource=tuple(sorted(self._resource))
        )
        return self._posted(
            "device_authorization_endpoint",
            request.parameters(),
            DeviceAuthorizationResponse.parse,
        )

    def _request(self, begun: DeviceCode) -> DeviceCodeRequest:
        return DeviceCodeRequest(device_code=begun.device_code)

    def _require_showable(self, uri: str | None) -> None:
        # It is opened in somebody's browser: nothing but a web address, and encrypted.
        try:
            if uri is not None:
                require_page(uri, self._authority.fetcher.policy)
        except FetchRefused:
            raise LoginFailed("the address to enter the code at is not a safe one") from None
