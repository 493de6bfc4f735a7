"""What the server asks of a database: one narrow protocol for each kind of record.

Atomicity is in the methods: there is no `get` that is meant to be followed by a `put`. Handles
(codes, refresh tokens, session ids) are named by the SHA-256 of their value; the value itself is
never stored. Every implementation passes the one suite of `tests/stores`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from mintmark.protocol.scope import Scope
from mintmark.server.waiting import DeviceStore, PushedRequestStore

__all__ = [
    "AccountRecord",
    "AccountStore",
    "AlreadyClaimed",
    "AlreadyRedeemed",
    "AlreadySpent",
    "AssertionStore",
    "CodeRecord",
    "CodeStore",
    "ConsentStore",
    "FamilyRevoked",
    "Grant",
    "KeyRecord",
    "KeyStore",
    "Redeemed",
    "RefreshTokenRecord",
    "RefreshTokenStore",
    "Replayed",
    "Rotated",
    "SessionRecord",
    "SessionStore",
    "StoreUnavailable",
    "Stores",
    "Unknown",
]


class StoreUnavailable(Exception):
    """The database did not do what was asked: it is full, locked, gone or too old.

    Nothing was changed. The endpoints answer 503 and never 401 or 500.
    """


class FamilyRevoked(Exception):
    """Everything descended from this sign-in was ended; nothing new can be added to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What one sign-in gave one client. Codes and refresh tokens carry it along unchanged."""

    family: str  # random; names everything that descends from this sign-in at this client
    client_id: str
    subject: str
    scope: Scope
    resource: tuple[str, ...]  # asked for by RFC 8707 `resource`; empty: derived from scope
    session: str  # the `sid` of the session it came from
    auth_time: datetime
    nonce: str | None  # of the authorization request; travels into the first ID token only
    acr: str | None = None
    amr: tuple[str, ...] = ()
    jkt: str | None = None  # RFC 9449: the key that whoever spends it proves; None asks for none
    authorization_details: str = ""  # RFC 9396: one JSON text; empty for none
    id_token_claims: tuple[str, ...] = ()  # asked for by name: OIDC Core §5.5
    userinfo_claims: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeRecord:
    """An authorization code that was given out."""

    digest: bytes
    grant: Grant
    redirect_uri: str
    code_challenge: str
    expires: datetime


@dataclass(frozen=True, slots=True)
class Redeemed:
    """The code was live. It is spent now, for good."""

    record: CodeRecord


@dataclass(frozen=True, slots=True)
class AlreadyRedeemed:
    """The code was spent before: somebody has it who should not."""

    record: CodeRecord


@dataclass(frozen=True, slots=True)
class Unknown:
    """There is no such record, or its family was revoked, or it was pruned."""


class CodeStore(Protocol):
    async def add(self, record: CodeRecord) -> None: ...

    async def redeem(self, digest: bytes, *, now: datetime) -> Redeemed | AlreadyRedeemed | Unknown:
        """Spend a code. Of any number of concurrent calls exactly one returns `Redeemed`.

        Expiry is the caller's check: an expired code is spent by this all the same.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshTokenRecord:
    """A refresh token that was given out."""

    digest: bytes
    grant: Grant
    issued: datetime
    expires: datetime  # idle: this long without use and it is dead
    family_expires: datetime  # absolute: however busy it was


@dataclass(frozen=True, slots=True)
class Rotated:
    """The token was live. It is spent now, and its successor is stored."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """The token was spent within the grace and its successor has not been used yet.

    `sealed_successor` is what the first call stored: the same successor is given out again.
    """

    sealed_successor: bytes


@dataclass(frozen=True, slots=True)
class AlreadySpent:
    """The token was spent, at `at`, longer ago than the grace, or its successor is in use."""

    at: datetime


class RefreshTokenStore(Protocol):
    """Refresh tokens and their families."""

    async def add(self, record: RefreshTokenRecord) -> None:
        """Store the first token of a family.

        Raises:
            FamilyRevoked: its code came twice while this was on its way.
        """
        ...

    async def find(self, digest: bytes) -> RefreshTokenRecord | None:
        """Spent tokens are found, or no replay would be recognised; revoked ones are not."""
        ...

    async def find_unspent(self, digest: bytes) -> RefreshTokenRecord | None:
        """The token, if it could still be rotated as far as its record goes."""
        ...

    async def rotate(
        self,
        digest: bytes,
        successor: RefreshTokenRecord,
        sealed_successor: bytes,
        *,
        now: datetime,
        replay_since: datetime,
    ) -> Rotated | Replayed | AlreadySpent | Unknown:
        """Spend one token and store the next, in one transaction.

        Of any number of concurrent calls with the same digest exactly one returns `Rotated`. The
        others return `Replayed` while the token was spent at or after `replay_since` and its
        successor is unspent, `AlreadySpent` otherwise. `Unknown`: revoked in the meantime.
        """
        ...

    async def revoke_family(self, family: str, *, now: datetime) -> None:
        """End every token and code descended from one sign-in. Repeating it is harmless."""
        ...

    async def revoke_session(self, session: str, *, now: datetime) -> None:
        """End every family that came from one browser session (its `sid`)."""
        ...

    async def require_alive(self, family: str, session: str) -> None:
        """Return if neither was ended. It is remembered for as long as any access token lives.

        Raises:
            FamilyRevoked: the family was revoked, or its session.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRecord:
    """A browser on which somebody signed in."""

    digest: bytes  # of the cookie's value
    sid: str  # what tokens say of it; not the cookie's value
    subject: str
    auth_time: datetime
    amr: tuple[str, ...]
    expires: datetime


class SessionStore(Protocol):
    async def add(self, record: SessionRecord) -> None: ...

    async def find(self, digest: bytes, *, now: datetime) -> SessionRecord | None:
        """Expired and ended sessions are not found."""
        ...

    async def end(self, digest: bytes, *, now: datetime) -> SessionRecord | None:
        """End a session; gives back what it was, None when there was none."""
        ...


class ConsentStore(Protocol):
    """What people have agreed to: scope values by subject and client."""

    async def find(self, subject: str, client_id: str) -> Scope: ...

    async def remember(self, subject: str, client_id: str, scope: Scope, *, now: datetime) -> None:
        """Add to what was agreed before; concurrent calls lose nothing."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountRecord:
    """A person who may sign in."""

    subject: str  # never reassigned
    username: str  # as typed at sign-in, compared without case
    password_hash: str  # Argon2id, in its own text form
    claims: dict[str, str]  # name, given_name, email, picture ...
    disabled: bool = False


class AccountStore(Protocol):
    async def find_by_username(self, username: str) -> AccountRecord | None: ...

    async def find(self, subject: str) -> AccountRecord | None: ...

    async def put(self, record: AccountRecord) -> None:
        """Create or replace the account of this subject."""
        ...

    async def subjects(self) -> Sequence[str]:
        """Of all accounts, disabled ones too."""
        ...


class AlreadyClaimed(Exception):
    """This was used before: whoever sends it now may have seen it on its way."""


class AssertionStore(Protocol):
    """Which client assertions were used, until they end by themselves."""

    async def claim(self, digest: bytes, *, ends: datetime, now: datetime) -> None:
        """Use one up. Of any number of concurrent calls with one digest exactly one returns.

        Raises:
            AlreadyClaimed: the others, until `ends` at least.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRecord:
    """A signing key at rest."""

    kid: str
    algorithm: str
    sealed_private_key: bytes  # AES-256-GCM under the master key, the kid as associated data
    created: datetime
    signs_from: datetime
    retires: datetime  # the next key signs from here; published until the last token died


class KeyStore(Protocol):
    async def all(self) -> Sequence[KeyRecord]: ...

    async def add_first(self, record: KeyRecord) -> Sequence[KeyRecord]:
        """Store a key unless there is one for its algorithm already; gives back what there is now.

        Many processes may start at once: exactly one key wins.
        """
        ...


class Stores(Protocol):
    """All stores of one server, as one backend brings them."""

    @property
    def codes(self) -> CodeStore: ...

    @property
    def refresh_tokens(self) -> RefreshTokenStore: ...

    @property
    def sessions(self) -> SessionStore: ...

    @property
    def consents(self) -> ConsentStore: ...

    @property
    def accounts(self) -> AccountStore: ...

    @property
    def assertions(self) -> AssertionStore: ...

    @property
    def keys(self) -> KeyStore: ...

    @property
    def pushed_requests(self) -> PushedRequestStore: ...

    @property
    def devices(self) -> DeviceStore: ...
