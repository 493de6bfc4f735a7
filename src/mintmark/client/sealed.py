"""What lies in a shared store: readable with the key ring alone, and in its own place alone."""

import base64
import dataclasses
import hashlib
import os
import re
from collections.abc import Mapping
from typing import Any, NoReturn, Self, final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from mintmark.client.held import Acquired
from mintmark.client.renewal import EARLIER, Lease
from mintmark.secret import Secret

__all__ = ["KeyRing", "Unreadable", "name_of", "open_acquired", "seal_acquired"]

KEY = re.compile("[A-Za-z0-9_-]{43}")  # 32 bytes
NONCE_LENGTH = 12
VERSION = b"\x01"
VARIABLE = "MINTMARK_TOKEN_KEYS"


class Unreadable(Exception):
    """It was sealed under a key that is gone, under another name, or somebody changed it."""


@final
class KeyRing:
    """Seals with the first of its keys, and opens with any of them.

    To change a key, give every process the new one behind the old one first, then put it in
    front, and take the old one away when the entries of its time are over. A key is 32 random
    bytes in base64url, the same in every process.
    """

    __slots__ = ("_aeads",)

    def __init__(self, *keys: Secret) -> None:
        if not keys:
            raise ValueError("a key ring needs at least one key")
        self._aeads = tuple(AESGCM(_octets(key)) for key in keys)

    @classmethod
    def from_env(
        cls, variable: str = VARIABLE, environment: Mapping[str, str] | None = None
    ) -> Self:
        """Keys out of an environment variable, newest first, with commas or blanks between.

        Raises:
            ValueError: it is empty, or something in it is no key.
        """
        found = (os.environ if environment is None else environment).get(variable, "")
        keys = [Secret(one) for one in found.replace(",", " ").split()]
        if not keys:
            raise ValueError(f"{variable} holds no key: 32 random bytes in base64url")
        return cls(*keys)

    @staticmethod
    def generate_key() -> Secret:
        """A new key, to be put where the processes read theirs from."""
        return Secret.generate()

    def seal(self, content: bytes, name: str) -> bytes:
        nonce = os.urandom(NONCE_LENGTH)
        return VERSION + nonce + self._aeads[0].encrypt(nonce, content, VERSION + name.encode())

    def open(self, sealed: bytes, name: str) -> bytes:
        """Raises `Unreadable`."""
        nonce, rest = sealed[1 : 1 + NONCE_LENGTH], sealed[1 + NONCE_LENGTH :]
        for aead in self._aeads if sealed[:1] == VERSION else ():
            try:
                return aead.decrypt(nonce, rest, VERSION + name.encode())
            except (InvalidTag, ValueError):
                continue
        raise Unreadable("the entry cannot be opened")

    def __repr__(self) -> str:
        return f"<KeyRing of {len(self._aeads)} keys>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a KeyRing is not pickled")


def _octets(key: Secret) -> bytes:
    text = key.reveal().rstrip("=")
    if KEY.fullmatch(text) is None:
        raise ValueError("a key of a key ring is 32 bytes in base64url")
    return base64.urlsafe_b64decode(text + "=")


def name_of(key: Any, purpose: str = "token") -> str:
    """The name of a key's entry: the SHA-256 of everything the key says, in canonical octets.

    Every field takes part, those too that are added later: two requests that differ in anything
    have two names. Nobody who reads the store learns what is asked for, or for whom.
    """
    fields = [[one.name, _canonical(getattr(key, one.name))] for one in dataclasses.fields(key)]
    whole = ["mintmark", 1, purpose, type(key).__name__, sorted(fields)]
    return hashlib.sha256(msgspec.json.encode(whole)).hexdigest()


def _canonical(value: object) -> object:
    """The same for equal values, in every process; another for values of another type."""
    match value:
        case None | bool() | int() | str():
            return value
        case bytes():
            return {"octets": value.hex()}
        case Secret():
            return {"digest": value.digest().hex()}
        case frozenset():
            return {"set": sorted((_canonical(one) for one in value), key=msgspec.json.encode)}
        case tuple():
            return [_canonical(one) for one in value]
        case _:
            raise TypeError(f"a token key holds no {type(value).__name__}")


class _Entry(msgspec.Struct):
    token: str
    received: float
    renew_from: float
    usable_until: float
    expires_at: float
    details: tuple[dict[str, Any], ...] = ()


def seal_acquired(ring: KeyRing, name: str, acquired: Acquired) -> bytes:
    """An entry of this name."""
    lease = acquired.lease
    entry = _Entry(
        acquired.token.reveal(),
        acquired.received,
        lease.renew_from,
        lease.usable_until,
        lease.expires_at,
        tuple(dict(one) for one in acquired.details),
    )
    return ring.seal(msgspec.json.encode(entry), name)


def open_acquired(ring: KeyRing, name: str, sealed: bytes) -> Acquired:
    """What `seal_acquired` sealed under this name. Raises `Unreadable`."""
    try:
        entry = msgspec.json.decode(ring.open(sealed, name), type=_Entry)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise Unreadable("the entry is of another version") from None
    lease = Lease(entry.received - EARLIER, entry.renew_from, entry.usable_until, entry.expires_at)
    return Acquired(
        Secret(entry.token), entry.received, lease, fetched=False, details=entry.details
    )
