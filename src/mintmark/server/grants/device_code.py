"""Tokens for a device, once somebody has let it in (RFC 8628 §3.4)."""

import secrets
from dataclasses import dataclass

from mintmark.protocol.device import DeviceCodeRequest
from mintmark.protocol.errors import ErrorCode, OAuthError
from mintmark.protocol.token import TokenResponse
from mintmark.server.asker import Asker
from mintmark.server.first_tokens import FirstTokens
from mintmark.server.stores import FamilyRevoked, Grant, RefreshTokenStore
from mintmark.server.waiting import Approval, Decision, DeviceRecord, DeviceStore, Poll

__all__ = ["DeviceCodeGrant"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceCodeGrant:
    """Answers a device that asks again and again, and gives out tokens once."""

    devices: DeviceStore
    refresh_tokens: RefreshTokenStore
    first: FirstTokens

    async def tokens_for(self, request: DeviceCodeRequest, asker: Asker) -> TokenResponse:
        digest, client_id = request.device_code.digest(), asker.client.client_id
        polled = await self.devices.poll(digest, client_id, now=asker.now)
        record, approval = require_approved(polled, asker)
        family = secrets.token_hex(16)
        try:
            # Somebody may have said yes and signed out before the device asked.
            await self.refresh_tokens.require_alive(family, approval.session)
        except FamilyRevoked:
            raise refused("the session is over") from None
        grant = Grant(
            family=family,
            client_id=client_id,
            subject=approval.subject,
            scope=record.scope,
            resource=record.resource,
            session=approval.session,
            auth_time=approval.auth_time,
            nonce=None,
            amr=approval.amr,
        )
        return await self.first.tokens_for(grant, asker, request.resource, refused)


def require_approved(polled: Poll | None, asker: Asker) -> tuple[DeviceRecord, Approval]:
    """The record and who approved; each other state is an answer of its own (RFC 8628 §3.5)."""
    if polled is None:
        raise refused("unknown, or another client's")
    record = polled.record
    if asker.now >= record.expires:
        raise OAuthError(ErrorCode.EXPIRED_TOKEN, "the device code has expired")
    match record.decision:
        case Decision.APPROVED if record.approval is not None:
            return record, record.approval
        case Decision.DENIED:
            raise OAuthError(ErrorCode.ACCESS_DENIED, "the person refused")
        case Decision.PENDING if polled.too_soon:
            raise OAuthError(ErrorCode.SLOW_DOWN, "wait five seconds longer from now on")
        case Decision.PENDING:
            raise OAuthError(ErrorCode.AUTHORIZATION_PENDING, "nobody has decided yet")
        case _:
            raise refused("redeemed before")


def refused(reason: str) -> OAuthError:
    """One answer for every dead code; only our log learns which kind it was."""
    return OAuthError(ErrorCode.INVALID_GRANT, "the device code is not valid", reason=reason)
