"""A person's tokens at rest: sealed, and bound to the session they belong to."""

import os
from typing import NoReturn, final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from mintmark.client.sealed import Unreadable as UnreadableTokens
from mintmark.client.stores import UserTokens
from mintmark.client.user_tokens import decode_user_tokens, encode_user_tokens

__all__ = ["Unreadable", "Vault"]

NONCE_LENGTH = 12


class Unreadable(Exception):
    """It was sealed under a key that is gone, for another session, or somebody changed it."""


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
        return self.seal(encode_user_tokens(tokens), bound_to)

    def open_tokens(self, sealed: bytes, bound_to: bytes) -> UserTokens:
        """Raises `Unreadable`."""
        try:
            return decode_user_tokens(self.open(sealed, bound_to))
        except UnreadableTokens:
            raise Unreadable("the stored tokens are of another version") from None

    def __repr__(self) -> str:
        return f"<Vault of {len(self._aeads)} keys>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Vault is not pickled")
