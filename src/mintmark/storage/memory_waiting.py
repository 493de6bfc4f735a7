"""Pushed requests and waiting devices in memory."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import final

from mintmark.server.waiting import (
    SLOWER,
    Approval,
    CodeTaken,
    Decision,
    DeviceRecord,
    Poll,
    PushedRequestRecord,
)

__all__ = ["MemoryDevices", "MemoryPushedRequests"]


@final
class MemoryPushedRequests:
    """`PushedRequestStore` in memory."""

    def __init__(self) -> None:
        self._requests: dict[bytes, PushedRequestRecord] = {}

    async def add(self, record: PushedRequestRecord) -> None:
        self._requests[record.digest] = record

    async def find(self, digest: bytes, *, now: datetime) -> PushedRequestRecord | None:
        record = self._requests.get(digest)
        return record if record is not None and now < record.expires else None

    async def remove(self, digest: bytes) -> None:
        self._requests.pop(digest, None)


@dataclass(slots=True)
class _Device:
    record: DeviceRecord
    interval: timedelta
    polled: datetime | None = None


@final
class MemoryDevices:
    """`DeviceStore` in memory."""

    def __init__(self) -> None:
        self._devices: dict[bytes, _Device] = {}

    async def add(self, record: DeviceRecord, *, interval: timedelta) -> None:
        if any(one.record.user_code == record.user_code for one in self._devices.values()):
            raise CodeTaken
        self._devices[record.digest] = _Device(record, interval)

    async def find_by_user_code(self, user_code: bytes, *, now: datetime) -> DeviceRecord | None:
        for device in self._devices.values():
            record = device.record
            if record.user_code == user_code and _waits(record, now):
                return record
        return None

    async def decide(
        self, digest: bytes, decision: Decision, approval: Approval | None, *, now: datetime
    ) -> DeviceRecord | None:
        device = self._devices.get(digest)
        if device is None or not _waits(device.record, now):
            return None
        device.record = replace(device.record, decision=decision, approval=approval)
        return device.record

    async def poll(self, digest: bytes, client_id: str, *, now: datetime) -> Poll | None:
        device = self._devices.get(digest)
        if device is None or device.record.client_id != client_id:
            return None
        record, before = device.record, device.polled
        if now >= record.expires:
            return Poll(record, too_soon=False)
        device.polled = now
        if record.decision is Decision.APPROVED:
            device.record = replace(record, decision=Decision.REDEEMED)
        too_soon = before is not None and timedelta(0) <= now - before < device.interval
        if too_soon:
            device.interval += SLOWER
        return Poll(record, too_soon)


def _waits(record: DeviceRecord, now: datetime) -> bool:
    return record.decision is Decision.PENDING and now < record.expires
