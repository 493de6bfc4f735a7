"""Signing in on a device without a browser (RFC 8628)."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import final

from mintmark.client.approval import (
    Approved,
    Asking,
    Cancel,
    Pace,
    await_approval,
    wait_for_approval,
)
from mintmark.client.authority import Authority, require_page
from mintmark.client.errors import AuthorityUnavailable, LoginFailed
from mintmark.client.token_endpoint import ClientIdentity, refusal_of
from mintmark.clock import Clock
from mintmark.fetch import FetchRefused
from mintmark.protocol.device import (
    DeviceAuthorizationRequest,
    DeviceAuthorizationResponse,
    DeviceCodeRequest,
)
from mintmark.protocol.polling import UnreadableAnswer
from mintmark.protocol.scope import Scope
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


@final
class DeviceFlow:
    """Begins and finishes sign-ins of one client; it remembers nothing between the two."""

    def __init__(
        self,
        authority: Authority,
        identity: ClientIdentity,
        clock: Clock,
        *,
        scope: Scope,
        resource: frozenset[str],
    ) -> None:
        self._authority = authority
        self._identity = identity
        self._clock = clock
        self._scope = scope
        self._resource = resource

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
        )

    def wait(self, code: DeviceCode, *, cancelled: Cancel | None = None) -> Approved:
        """Until somebody has approved, refused, or let the time pass.

        Args:
            cancelled: a `threading.Event`; once it is set, the wait is over.

        Raises:
            LoginFailed: `ApprovalDenied`, `ApprovalExpired`, `ApprovalCancelled`, or a refusal.
        """
        return wait_for_approval(self._asking(code), self._pace(code), cancelled)

    async def await_(
        self, code: DeviceCode, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> Approved:
        """The same for a coroutine; cancel its task to give up."""
        return await await_approval(self._asking(code), self._pace(code), sleep)

    def _authorize(self) -> DeviceAuthorizationResponse:
        request = DeviceAuthorizationRequest(
            scope=self._scope or None, resource=tuple(sorted(self._resource))
        )
        fetched = self._identity.post(
            self._authority, "device_authorization_endpoint", request.parameters()
        )
        if fetched.status != 200:
            refusal = refusal_of(fetched)
            if isinstance(refusal, AuthorityUnavailable):
                raise refusal
            raise LoginFailed(f"the server refused: {refusal.error}", refusal.error)
        try:
            return DeviceAuthorizationResponse.parse(fetched.body)
        except UnreadableAnswer as failure:
            raise LoginFailed(str(failure)) from None

    def _require_showable(self, uri: str | None) -> None:
        # It is opened in somebody's browser: nothing but a web address, and encrypted.
        try:
            if uri is not None:
                require_page(uri, self._authority.fetcher.policy)
        except FetchRefused:
            raise LoginFailed("the address to enter the code at is not a safe one") from None

    def _pace(self, code: DeviceCode) -> Pace:
        now = self._clock.now()
        return Pace(interval=code.interval, expires_in=code.expires_at - now, now=now.timestamp())

    def _asking(self, code: DeviceCode) -> Asking:
        return Asking(
            authority=self._authority,
            identity=self._identity,
            clock=self._clock,
            request=DeviceCodeRequest(device_code=code.device_code),
            scope=self._scope,
            resource=self._resource,
        )
