"""What is kept but must not be read by whoever has the database alone."""

import os
from typing import NoReturn, final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from mintmark.secret import Secret

__all__ = ["Sealer", "Unsealable", "open_successor", "seal_successor"]

NONCE_LENGTH = 12


class Unsealable(Exception):
    """It was sealed under another key, for another purpose, or somebody changed it."""


@final
class Sealer:
    """Keys for every purpose, derived from the one master key (32 bytes).

    A label belongs to one purpose, so that nothing sealed for one can be opened for another.
    """

    __slots__ = ("_aeads", "_master_key")

    def __init__(self, master_key: bytes) -> None:
        if len(master_key) != 32:
            raise ValueError("the master key must be 32 bytes")
        self._master_key = master_key
        self._aeads: dict[str, AESGCM] = {}

    def key(self, label: str) -> bytes:
        """32 bytes for this purpose alone."""
        return _derive(self._master_key, label)

    def seal(self, label: str, content: bytes, associated: bytes) -> bytes:
        return _seal(self._aead(label), content, associated)

    def open(self, label: str, sealed: bytes, associated: bytes) -> bytes:
        """Raises `Unsealable`."""
        return _open(self._aead(label), sealed, associated)

    def _aead(self, label: str) -> AESGCM:
        aead = self._aeads.get(label)
        if aead is None:
            aead = self._aeads[label] = AESGCM(self.key(label))
        return aead

    def __repr__(self) -> str:
        return "<Sealer>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Sealer is not pickled")


def seal_successor(parent: Secret, successor: Secret) -> bytes:
    """A refresh token, sealed so that only its predecessor opens it.

    The grace has to give the same successor out again, and the database keeps no tokens. Whoever
    holds the predecessor may have it; the database and the master key together may not.
    """
    return _seal(_successor_aead(parent), successor.reveal().encode(), b"")


def open_successor(parent: Secret, sealed: bytes) -> Secret:
    """Raises `Unsealable`."""
    return Secret(_open(_successor_aead(parent), sealed, b"").decode())


def _successor_aead(parent: Secret) -> AESGCM:
    return AESGCM(_derive(parent.reveal().encode(), "refresh token successor"))


def _derive(key: bytes, label: str) -> bytes:
    return HKDF(SHA256(), 32, salt=None, info=b"mintmark " + label.encode()).derive(key)


def _seal(aead: AESGCM, content: bytes, associated: bytes) -> bytes:
    nonce = os.urandom(NONCE_LENGTH)
    return nonce + aead.encrypt(nonce, content, associated)


def _open(aead: AESGCM, sealed: bytes, associated: bytes) -> bytes:
    try:
        return aead.decrypt(sealed[:NONCE_LENGTH], sealed[NONCE_LENGTH:], associated)
    except (InvalidTag, ValueError):
        raise Unsealable("what was sealed cannot be opened") from None
