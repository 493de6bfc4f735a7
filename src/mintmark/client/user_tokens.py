"""People's tokens in a store that all processes share: sealed, and replaced in one step."""

from datetime import UTC, datetime
from typing import Protocol, final, runtime_checkable

import msgspec

from mintmark.client.events import SharedEntryUnreadable
from mintmark.client.outage import Guarded
from mintmark.client.sealed import KeyRing, Unreadable
from mintmark.client.shared import SharedTokens
from mintmark.client.stores import StoredToken, UserTokens
from mintmark.events import Events, LogEvents
from mintmark.secret import Secret

__all__ = ["Prepares", "SharedUserTokens", "decode_user_tokens", "encode_user_tokens"]

KEPT_SECONDS = 90 * 24 * 3600.0


@runtime_checkable
class Prepares(Protocol):
    """A `UserTokenStore` that can say beforehand whether it would take a successor."""

    def prepare(self, session: Secret) -> None:
        """Raises what `replace` would raise."""
        ...


@final
class SharedUserTokens:
    """A `UserTokenStore` in any `SharedTokens`.

    Nothing in it can be read without the key ring, and one person's entry is of no use under
    another's name. Make it once for a process.

    Args:
        keep_for: seconds after the last change until a session's tokens are gone.
    """

    def __init__(
        self,
        shared: SharedTokens,
        key_ring: KeyRing,
        *,
        keep_for: float = KEPT_SECONDS,
        events: Events | None = None,
    ) -> None:
        self._events = events or LogEvents()
        self._store = Guarded(shared, self._events)
        self._ring = key_ring
        self._keep_for = keep_for

    def begin(self, session: Secret, tokens: UserTokens) -> None:
        """A new sign-in; older tokens of this session are gone. Raises `StoreUnavailable`."""
        name = _name(session)
        sealed = self._ring.seal(encode_user_tokens(tokens), name)
        # An older entry may be one that nobody can read any more: what is there does not matter.
        there = self._store.load(name)
        while (now := self._store.swap(name, there, sealed, seconds=self._keep_for)) != sealed:
            there = now

    def load(self, session: Secret) -> UserTokens | None:
        """Raises `StoreUnavailable`."""
        return self._read(_name(session))[1]

    def replace(self, session: Secret, tokens: UserTokens) -> UserTokens:
        """See `UserTokenStore`. Raises `StoreUnavailable` as well."""
        name = _name(session)
        sealed = self._ring.seal(encode_user_tokens(tokens), name)
        while True:
            there, stored = self._read(name)
            if there is None or stored is None:
                raise KeyError("session")
            if stored.version + 1 != tokens.version:
                return stored
            if self._store.swap(name, there, sealed, seconds=self._keep_for) == sealed:
                return tokens

    def prepare(self, session: Secret) -> None:
        """See `Prepares`: write what is there once more. Raises `StoreUnavailable`."""
        name = _name(session)
        there = self._store.load(name)
        if there is not None:
            self._store.swap(name, there, there, seconds=self._keep_for)

    def forget(self, session: Secret) -> None:
        """Raises `StoreUnavailable`."""
        self._store.forget(_name(session))

    def _read(self, name: str) -> tuple[bytes | None, UserTokens | None]:
        sealed = self._store.load(name)
        if sealed is None:
            return None, None
        try:
            return sealed, decode_user_tokens(self._ring.open(sealed, name))
        except Unreadable:
            self._events.emit(SharedEntryUnreadable(entry=name, kind="delegated", client_id=""))
            return sealed, None

    def __repr__(self) -> str:
        return f"<SharedUserTokens in {self._store.store!r}>"


def _name(session: Secret) -> str:
    # Digested twice: the single digest is what a manager knows a session by, in this process.
    return Secret("people " + session.digest().hex()).digest().hex()


class _Stored(msgspec.Struct, omit_defaults=True):
    access_token: str
    received: float
    expires_at: float | None
    scope: list[str]
    resource: list[str]
    renew_at: float | None = None
    jkt: str = ""


class _Tokens(msgspec.Struct):
    version: int
    subject: str
    refresh_token: str | None
    id_token: str | None
    access_tokens: list[_Stored]
    proof_key: str | None = None


def encode_user_tokens(tokens: UserTokens) -> bytes:
    """All of it in plain octets, to be sealed at once."""
    plain = _Tokens(
        tokens.version,
        tokens.subject,
        tokens.refresh_token.reveal() if tokens.refresh_token else None,
        tokens.id_token.reveal() if tokens.id_token else None,
        [_written(one) for one in tokens.access_tokens],
        tokens.proof_key.reveal() if tokens.proof_key else None,
    )
    return msgspec.json.encode(plain)


def decode_user_tokens(octets: bytes) -> UserTokens:
    """What `encode_user_tokens` wrote. Raises `Unreadable`."""
    try:
        plain = msgspec.json.decode(octets, type=_Tokens)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise Unreadable("the stored tokens are of another version") from None
    return UserTokens(
        version=plain.version,
        subject=plain.subject,
        refresh_token=Secret(plain.refresh_token) if plain.refresh_token else None,
        id_token=Secret(plain.id_token) if plain.id_token else None,
        access_tokens=tuple(_read(one) for one in plain.access_tokens),
        proof_key=Secret(plain.proof_key) if plain.proof_key else None,
    )


def _written(token: StoredToken) -> _Stored:
    return _Stored(
        token.access_token.reveal(),
        token.received.timestamp(),
        token.expires_at.timestamp() if token.expires_at else None,
        sorted(token.scope),
        sorted(token.resource),
        token.renew_at.timestamp() if token.renew_at else None,
        token.jkt,
    )


def _read(token: _Stored) -> StoredToken:
    return StoredToken(
        access_token=Secret(token.access_token),
        received=datetime.fromtimestamp(token.received, UTC),
        expires_at=_moment(token.expires_at),
        scope=frozenset(token.scope),
        resource=frozenset(token.resource),
        renew_at=_moment(token.renew_at),
        jkt=token.jkt,
    )


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
