"""A person's tokens at rest: sealed, and bound to the session they belong to."""

import os
from datetime import UTC, datetime
from typing import NoReturn, final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from mintmark.client.stores import StoredToken, UserTokens
from mintmark.secret import Secret

__all__ = ["Unreadable", "Vault"]

NONCE_LENGTH = 12


class Unreadable(Exception):
    """It was sealed under a key that is gone, for another session, or somebody changed it."""


class _Stored(msgspec.Struct):
    access_token: str
    received: float
    expires_at: float | None
    scope: list[str]
    resource: list[str]


class _Tokens(msgspec.Struct):
    version: int
    subject: str
    refresh_token: str | None
    id_token: str | None
    access_tokens: list[_Stored]
    proof_key: str | None = None


@final
class Vault:
    """Seals with the first of its keys, and opens with any of them.

    To change a key, put the new one first and keep the old one until the sessions of its time are
    over. Keys are 32 random bytes.
    """

    __slots__ = ("_aeads",)

    def __init__(self, *keys: bytes) -> None:
        if not keys or any(len(key) != 32 for key in keys):
            raise ValueError("a vault needs at least one key, each of 32 bytes")
        self._aeads = tuple(AESGCM(key) for key in keys)

    def seal(self, content: bytes, bound_to: bytes) -> bytes:
        nonce = os.urandom(NONCE_LENGTH)
        return nonce + self._aeads[0].encrypt(nonce, content, bound_to)

    def open(self, sealed: bytes, bound_to: bytes) -> bytes:
        """Raises `Unreadable`."""
        for aead in self._aeads:
            try:
                return aead.decrypt(sealed[:NONCE_LENGTH], sealed[NONCE_LENGTH:], bound_to)
            except (InvalidTag, ValueError):
                continue
        raise Unreadable("the stored tokens cannot be opened")

    def seal_tokens(self, tokens: UserTokens, bound_to: bytes) -> bytes:
        plain = _Tokens(
            tokens.version,
            tokens.subject,
            tokens.refresh_token.reveal() if tokens.refresh_token else None,
            tokens.id_token.reveal() if tokens.id_token else None,
            [_written(one) for one in tokens.access_tokens],
            tokens.proof_key.reveal() if tokens.proof_key else None,
        )
        return self.seal(msgspec.json.encode(plain), bound_to)

    def open_tokens(self, sealed: bytes, bound_to: bytes) -> UserTokens:
        """Raises `Unreadable`."""
        try:
            plain = msgspec.json.decode(self.open(sealed, bound_to), type=_Tokens)
        except msgspec.MsgspecError:
            raise Unreadable("the stored tokens are of another version") from None
        return UserTokens(
            version=plain.version,
            subject=plain.subject,
            refresh_token=Secret(plain.refresh_token) if plain.refresh_token else None,
            id_token=Secret(plain.id_token) if plain.id_token else None,
            access_tokens=tuple(_read(one) for one in plain.access_tokens),
            proof_key=Secret(plain.proof_key) if plain.proof_key else None,
        )

    def __repr__(self) -> str:
        return f"<Vault of {len(self._aeads)} keys>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Vault is not pickled")


def _written(token: StoredToken) -> _Stored:
    return _Stored(
        token.access_token.reveal(),
        token.received.timestamp(),
        token.expires_at.timestamp() if token.expires_at else None,
        sorted(token.scope),
        sorted(token.resource),
    )


def _read(token: _Stored) -> StoredToken:
    expires_at = token.expires_at
    return StoredToken(
        access_token=Secret(token.access_token),
        received=datetime.fromtimestamp(token.received, UTC),
        expires_at=datetime.fromtimestamp(expires_at, UTC) if expires_at is not None else None,
        scope=frozenset(token.scope),
        resource=frozenset(token.resource),
    )
