"""The device authorization endpoint (RFC 8628 §3.1)."""

from dataclasses import dataclass

from mintmark.clock import Clock
from mintmark.events import Events
from mintmark.protocol.device import DeviceAuthorizationRequest, DeviceCodeRequest
from mintmark.protocol.errors import ErrorCode, OAuthError
from mintmark.protocol.message import HttpRequest, HttpResponse, json_answer
from mintmark.server.client_authentication import ClientAuthentication
from mintmark.server.devices import Devices
from mintmark.server.endpoints.token import client_refusal, require_form
from mintmark.server.events import GrantRefused

__all__ = ["DeviceAuthorizationEndpoint"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceAuthorizationEndpoint:
    """Form, client, codes."""

    authentication: ClientAuthentication
    devices: Devices
    clock: Clock
    events: Events

    async def __call__(self, request: HttpRequest) -> HttpResponse:
        now = self.clock.now()
        client_id = ""
        try:
            form = require_form(request)
            client = await self.authentication.require_client(request, form, now=now)
            client_id = client.client_id
            if DeviceCodeRequest.grant_type not in client.grant_types:
                raise OAuthError(ErrorCode.UNAUTHORIZED_CLIENT, "this client may not do this")
            asked = DeviceAuthorizationRequest.parse(form)
            response = await self.devices.begin(asked, client, now=now)
        except OAuthError as refusal:
            self.events.emit(
                GrantRefused(
                    client_id=client_id,
                    grant_type=DeviceCodeRequest.grant_type,
                    error=refusal.code,
                    reason=refusal.reason,
                )
            )
            return client_refusal(refusal, request)
        return json_answer(response.to_json())
