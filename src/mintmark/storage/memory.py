"""All stores of one token server in memory, for tests and demos: gone with the process.

Every method runs to its end without waiting, so on one event loop each is atomic as it stands.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import final

from mintmark.protocol.scope import Scope
from mintmark.server.stores import (
    AccountRecord,
    AlreadyClaimed,
    AlreadyRedeemed,
    AlreadySpent,
    CodeRecord,
    FamilyRevoked,
    KeyRecord,
    Redeemed,
    RefreshTokenRecord,
    Replayed,
    Rotated,
    SessionRecord,
    Unknown,
)
from mintmark.storage.memory_waiting import MemoryDevices, MemoryPushedRequests

__all__ = ["MemoryStores"]


@dataclass(slots=True)
class _Token:
    record: RefreshTokenRecord
    spent: datetime | None = None
    successor: bytes | None = None
    sealed_successor: bytes = b""


@dataclass(slots=True)
class _Code:
    record: CodeRecord
    redeemed: bool = False


@final
class _Codes:
    def __init__(self) -> None:
        self.codes: dict[bytes, _Code] = {}

    async def add(self, record: CodeRecord) -> None:
        self.codes[record.digest] = _Code(record)

    async def redeem(self, digest: bytes, *, now: datetime) -> Redeemed | AlreadyRedeemed | Unknown:
        code = self.codes.get(digest)
        if code is None:
            return Unknown()
        if code.redeemed:
            return AlreadyRedeemed(code.record)
        code.redeemed = True
        return Redeemed(code.record)


@final
class _RefreshTokens:
    def __init__(self, codes: dict[bytes, _Code]) -> None:
        self._codes = codes
        self._tokens: dict[bytes, _Token] = {}
        self._revoked: set[str] = set()

    async def add(self, record: RefreshTokenRecord) -> None:
        if record.grant.family in self._revoked:
            raise FamilyRevoked
        self._tokens[record.digest] = _Token(record)

    async def find(self, digest: bytes) -> RefreshTokenRecord | None:
        token = self._tokens.get(digest)
        return None if token is None else token.record

    async def find_unspent(self, digest: bytes) -> RefreshTokenRecord | None:
        token = self._tokens.get(digest)
        return None if token is None or token.spent is not None else token.record

    async def rotate(
        self,
        digest: bytes,
        successor: RefreshTokenRecord,
        sealed_successor: bytes,
        *,
        now: datetime,
        replay_since: datetime,
    ) -> Rotated | Replayed | AlreadySpent | Unknown:
        token = self._tokens.get(digest)
        if token is None:
            return Unknown()
        if token.spent is None:
            token.spent, token.successor = now, successor.digest
            token.sealed_successor = sealed_successor
            self._tokens[successor.digest] = _Token(successor)
            return Rotated()
        after = self._tokens.get(token.successor or b"")
        if token.spent >= replay_since and after is not None and after.spent is None:
            return Replayed(token.sealed_successor)
        return AlreadySpent(token.spent)

    async def revoke_family(self, family: str, *, now: datetime) -> None:
        self._revoked.add(family)
        for digest in [d for d, t in self._tokens.items() if t.record.grant.family == family]:
            del self._tokens[digest]
        for digest in [d for d, c in self._codes.items() if c.record.grant.family == family]:
            del self._codes[digest]

    async def revoke_session(self, session: str, *, now: datetime) -> None:
        grants = [token.record.grant for token in self._tokens.values()]
        grants += [code.record.grant for code in self._codes.values()]
        for family in {grant.family for grant in grants if grant.session == session}:
            await self.revoke_family(family, now=now)
        self._revoked.add(session)

    async def require_alive(self, family: str, session: str) -> None:
        if not self._revoked.isdisjoint((family, session)):
            raise FamilyRevoked


@final
class _Sessions:
    def __init__(self) -> None:
        self._sessions: dict[bytes, SessionRecord] = {}

    async def add(self, record: SessionRecord) -> None:
        self._sessions[record.digest] = record

    async def find(self, digest: bytes, *, now: datetime) -> SessionRecord | None:
        record = self._sessions.get(digest)
        return record if record is not None and now < record.expires else None

    async def end(self, digest: bytes, *, now: datetime) -> SessionRecord | None:
        record = self._sessions.pop(digest, None)
        return record if record is not None and now < record.expires else None


@final
class _Consents:
    def __init__(self) -> None:
        self._given: dict[tuple[str, str], Scope] = {}

    async def find(self, subject: str, client_id: str) -> Scope:
        return self._given.get((subject, client_id), frozenset())

    async def remember(self, subject: str, client_id: str, scope: Scope, *, now: datetime) -> None:
        self._given[(subject, client_id)] = await self.find(subject, client_id) | scope


@final
class _Accounts:
    def __init__(self) -> None:
        self._accounts: dict[str, AccountRecord] = {}

    async def find_by_username(self, username: str) -> AccountRecord | None:
        folded = username.casefold()
        found = (a for a in self._accounts.values() if a.username.casefold() == folded)
        return next(found, None)

    async def find(self, subject: str) -> AccountRecord | None:
        return self._accounts.get(subject)

    async def put(self, record: AccountRecord) -> None:
        self._accounts[record.subject] = record

    async def subjects(self) -> Sequence[str]:
        return sorted(self._accounts)


@final
class _Assertions:
    def __init__(self) -> None:
        self._ends: dict[bytes, datetime] = {}

    async def claim(self, digest: bytes, *, ends: datetime, now: datetime) -> None:
        for over in [kept for kept, until in self._ends.items() if until < now]:
            del self._ends[over]
        if digest in self._ends:
            raise AlreadyClaimed
        self._ends[digest] = ends


@final
class _Keys:
    def __init__(self) -> None:
        self._keys: dict[str, KeyRecord] = {}

    async def all(self) -> Sequence[KeyRecord]:
        return sorted(self._keys.values(), key=lambda record: record.kid)

    async def add_first(self, record: KeyRecord) -> Sequence[KeyRecord]:
        if all(kept.algorithm != record.algorithm for kept in self._keys.values()):
            self._keys[record.kid] = record
        return await self.all()


@final
class MemoryStores:
    """The bundle, empty."""

    def __init__(self) -> None:
        self.codes = _Codes()
        self.refresh_tokens = _RefreshTokens(self.codes.codes)
        self.sessions = _Sessions()
        self.consents = _Consents()
        self.accounts = _Accounts()
        self.assertions = _Assertions()
        self.keys = _Keys()
        self.pushed_requests = MemoryPushedRequests()
        self.devices = MemoryDevices()

    def close(self) -> None:
        """Nothing to close."""
