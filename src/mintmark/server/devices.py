"""Devices that ask to be let in, and the people who decide (RFC 8628)."""

import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from mintmark.events import Events
from mintmark.jose.base64url import decode, encode
from mintmark.jose.errors import JoseError
from mintmark.protocol.device import DeviceAuthorizationRequest, DeviceAuthorizationResponse
from mintmark.protocol.errors import ErrorCode, OAuthError
from mintmark.protocol.scope import Scope
from mintmark.secret import Secret
from mintmark.server.authorize.interaction import InteractionLost
from mintmark.server.clients import Client, ClientRegistry
from mintmark.server.config import ServerConfig
from mintmark.server.events import DeviceDecided, UserCodeRefused
from mintmark.server.sealing import Sealer, Unsealable
from mintmark.server.stores import SessionRecord
from mintmark.server.throttle import Throttle, TooManyAttempts
from mintmark.server.waiting import Approval, CodeTaken, Decision, DeviceRecord, DeviceStore

__all__ = ["AskDevice", "Devices", "UnknownUserCode", "shown"]

ALPHABET: Final = "BCDFGHJKLMNPQRSTVWXZ"
"""RFC 8628 §6.1: no vowels, so that no words come of it, and nothing that looks like a digit."""

LENGTH: Final = 8
LABEL: Final = "device"
MAX_INTERACTION: Final = 2048


class UnknownUserCode(Exception):
    """No device waits under this code: mistyped, over, or decided already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AskDevice:
    """Who asks for what. The person compares the code with the one on the device."""

    interaction: str = field(repr=False)
    client: Client
    scope: Scope
    user_code: str


class _Sealed(msgspec.Struct):
    digest: bytes
    sid: str
    began: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Devices:
    """Gives out codes, finds who waits under one, and keeps the decision."""

    config: ServerConfig
    clients: ClientRegistry
    store: DeviceStore
    sealer: Sealer
    events: Events
    # A right code counts like a wrong one: with a device of one's own one could otherwise buy
    # oneself new guesses.
    by_account: Throttle = field(
        default_factory=lambda: Throttle(limit=10, window=timedelta(minutes=10))
    )
    # An address gets many more: it may be a company's, or the proxy's in front of us.
    by_address: Throttle = field(
        default_factory=lambda: Throttle(limit=300, window=timedelta(minutes=10))
    )

    async def begin(
        self, request: DeviceAuthorizationRequest, client: Client, *, now: datetime
    ) -> DeviceAuthorizationResponse:
        """Raises `OAuthError`."""
        scope = self._require_allowed(request, client)
        device_code = Secret.generate()
        user_code = await self._add(device_code, scope, request.resource, client, now)
        address = self.config.url("/device")
        return DeviceAuthorizationResponse(
            device_code=device_code,
            user_code=shown(user_code),
            verification_uri=address,
            verification_uri_complete=f"{address}?user_code={shown(user_code)}",
            expires_in=self.config.device_code_lifetime,
            interval=self.config.device_interval,
        )

    async def find(
        self, typed: str, session: SessionRecord, *, client_address: str, now: datetime
    ) -> AskDevice:
        """Who waits under what somebody typed.

        Raises:
            UnknownUserCode, TooManyAttempts.
        """
        try:
            self._count(session.subject, client_address, now)
        except TooManyAttempts:
            self.events.emit(UserCodeRefused(reason="throttled", client_address=client_address))
            raise
        # The same work for what cannot be a code: one keyed hash, one look.
        user_code = "".join(one for one in typed[:64].upper() if one in ALPHABET)
        record = await self.store.find_by_user_code(self._digest(user_code), now=now)
        client = self.clients.find(record.client_id) if record is not None else None
        if record is None or client is None:
            self.events.emit(UserCodeRefused(reason="unknown", client_address=client_address))
            raise UnknownUserCode
        content = _Sealed(record.digest, session.sid, now.timestamp())
        sealed = self.sealer.seal(LABEL, msgspec.msgpack.encode(content), b"")
        return AskDevice(
            interaction=encode(sealed),
            client=client,
            scope=record.scope,
            user_code=shown(user_code),
        )

    async def decide(
        self, interaction: str, session: SessionRecord, *, agreed: bool, now: datetime
    ) -> DeviceRecord:
        """Keep what somebody decided on the page that they saw.

        Raises:
            InteractionLost: another person's page, or one that was open for too long.
            UnknownUserCode: it is over, or was decided meanwhile.
        """
        sealed = self._opened(interaction, now)
        if sealed.sid != session.sid:
            raise InteractionLost("another session")
        approval = Approval(
            subject=session.subject,
            session=session.sid,
            auth_time=session.auth_time,
            amr=session.amr,
        )
        record = await self.store.decide(
            sealed.digest,
            Decision.APPROVED if agreed else Decision.DENIED,
            approval if agreed else None,
            now=now,
        )
        if record is None:
            raise UnknownUserCode
        self.events.emit(
            DeviceDecided(
                client_id=record.client_id, subject=session.subject, decision=record.decision.value
            )
        )
        return record

    async def _add(
        self,
        device_code: Secret,
        scope: Scope,
        resource: tuple[str, ...],
        client: Client,
        now: datetime,
    ) -> str:
        while True:
            user_code = "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))
            record = DeviceRecord(
                digest=device_code.digest(),
                user_code=self._digest(user_code),
                client_id=client.client_id,
                scope=scope,
                resource=resource,
                expires=now + self.config.device_code_lifetime,
            )
            try:
                await self.store.add(record, interval=self.config.device_interval)
            except CodeTaken:
                continue
            return user_code

    def _require_allowed(self, request: DeviceAuthorizationRequest, client: Client) -> Scope:
        scope = client.scope if request.scope is None else request.scope
        if not scope or not scope <= client.scope:
            raise OAuthError(ErrorCode.INVALID_SCOPE, "the scope is not one this client may have")
        # RFC 8707 §2.1
        if not set(request.resource) <= set(self.clients.audience_of(scope)):
            raise OAuthError(ErrorCode.INVALID_TARGET, "resource does not go with the scope")
        return scope

    def _count(self, subject: str, client_address: str, now: datetime) -> None:
        for throttle, name in ((self.by_account, subject), (self.by_address, client_address)):
            throttle.require_allowed(name, now=now)
            throttle.failed(name, now=now)

    def _digest(self, user_code: str) -> bytes:
        # Keyed: there are so few codes that a plain hash could be turned back.
        return hmac.digest(self.sealer.key("user code"), user_code.encode(), hashlib.sha256)

    def _opened(self, interaction: str, now: datetime) -> _Sealed:
        if len(interaction) > MAX_INTERACTION:
            raise InteractionLost("too long")
        try:
            content = self.sealer.open(LABEL, decode(interaction), b"")
            sealed = msgspec.msgpack.decode(content, type=_Sealed)
        except (JoseError, Unsealable, msgspec.MsgspecError):
            raise InteractionLost("it cannot be opened") from None
        began = datetime.fromtimestamp(sealed.began, UTC)
        if not began <= now < began + self.config.interaction_lifetime:
            raise InteractionLost("it took too long")
        return sealed


def shown(user_code: str) -> str:
    """In two halves, as people read it out."""
    return f"{user_code[:4]}-{user_code[4:]}"
