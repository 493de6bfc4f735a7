"""What waits for a person, and how it is kept: pushed requests, and devices that ask to be let in.

Handles are named by digests, as everywhere: of a `request_uri` and a `device_code` the SHA-256,
of a code that people type (too short for that) a keyed one.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, Protocol

from mintmark.protocol.scope import Scope

__all__ = [
    "SLOWER",
    "Approval",
    "CodeTaken",
    "Decision",
    "DeviceRecord",
    "DeviceStore",
    "Poll",
    "PushedRequestRecord",
    "PushedRequestStore",
]

SLOWER: Final = timedelta(seconds=5)
"""RFC 8628 §3.5: what `slow_down` adds to the interval, for good."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PushedRequestRecord:
    """A request that a client sent ahead of the browser (RFC 9126)."""

    digest: bytes
    client_id: str
    sealed: bytes  # what it says: it names people, and is for this server alone
    expires: datetime


class PushedRequestStore(Protocol):
    async def add(self, record: PushedRequestRecord) -> None: ...

    async def find(self, digest: bytes, *, now: datetime) -> PushedRequestRecord | None:
        """Expired ones are not found."""
        ...

    async def remove(self, digest: bytes) -> None:
        """It was answered. Repeating it is harmless."""
        ...


class Decision(StrEnum):
    """How far a device has come."""

    PENDING = "pending"
    APPROVED = "approved"
    DENIED = "denied"
    REDEEMED = "redeemed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """Who said yes, in which session, since when signed in."""

    subject: str
    session: str
    auth_time: datetime
    amr: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceRecord:
    """A device that asks to be let in (RFC 8628)."""

    digest: bytes  # of the device code
    user_code: bytes  # keyed digest of what people type
    client_id: str
    scope: Scope
    resource: tuple[str, ...]
    expires: datetime
    decision: Decision = Decision.PENDING
    approval: Approval | None = None


@dataclass(frozen=True, slots=True)
class Poll:
    """What a device learns; `too_soon` says that it asked before its interval was over."""

    record: DeviceRecord
    too_soon: bool


class CodeTaken(Exception):
    """Another device has this user code: make a new one."""


class DeviceStore(Protocol):
    async def add(self, record: DeviceRecord, *, interval: timedelta) -> None:
        """Raises `CodeTaken`."""
        ...

    async def find_by_user_code(self, user_code: bytes, *, now: datetime) -> DeviceRecord | None:
        """Only what still waits for a decision and is not over."""
        ...

    async def decide(
        self, digest: bytes, decision: Decision, approval: Approval | None, *, now: datetime
    ) -> DeviceRecord | None:
        """Approve or deny; None unless it was waiting. Of concurrent calls exactly one decides."""
        ...

    async def poll(self, digest: bytes, client_id: str, *, now: datetime) -> Poll | None:
        """Look, and spend what is approved; None for a code that this client does not have.

        Of any number of concurrent calls exactly one sees `APPROVED`, and all later ones see
        `REDEEMED`. A call that comes too soon makes the interval five seconds longer.
        Expired ones are found as long as they are kept, and nothing about them changes.
        """
        ...
