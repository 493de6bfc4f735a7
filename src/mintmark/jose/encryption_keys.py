"""A key that encrypts, and what it may be used with (RFC 7518 §4, RFC 8037 §2)."""

import secrets
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any, NoReturn, Self, final

from cryptography.hazmat.primitives.asymmetric import rsa

from mintmark.jose.content_encryption import ContentEncryption
from mintmark.jose.encryption_jwk import PublicKey, read_naming, read_public_key, write_public_key
from mintmark.jose.errors import AlgorithmRefused, KeyRefused
from mintmark.jose.jwk import MAX_RSA_BITS, MIN_RSA_BITS
from mintmark.jose.key_agreement import agree_afresh, curve_of, wrap_agreed
from mintmark.jose.key_management import AGREEMENTS, OAEP, KeyManagement

__all__ = ["EncryptionKey", "require_own"]


@final
class EncryptionKey:
    """What encrypts: a public key, or the shared one of `dir`. Its `repr` shows the name alone."""

    __slots__ = ("_public", "content_encryption", "key_management", "kid")

    def __init__(
        self,
        public: PublicKey | bytes,
        *,
        kid: str | None,
        key_management: KeyManagement | AbstractSet[KeyManagement] | None = None,
        content_encryption: ContentEncryption | None = None,
    ) -> None:
        self._public = public
        self.kid = kid
        self.key_management = _narrow(_fitting(public), key_management)
        """What it may be used with."""
        self.content_encryption = _of_dir(public, content_encryption)
        """The only one it may be used with, for `dir`; otherwise none."""

    @classmethod
    def from_jwk(cls, members: Mapping[str, Any]) -> Self:
        """Raises `KeyRefused` for whatever is not a sound public encryption key."""
        naming = read_naming(members, private=False)
        public = read_public_key(members)
        return cls(public, kid=naming.kid, key_management=naming.key_management)

    def to_jwk(self) -> dict[str, str]:
        """The public members, with `kid`, `use`, and `alg` where it is fixed.

        Raises:
            KeyRefused: it is a shared key, which is published nowhere.
        """
        if isinstance(self._public, bytes):
            raise KeyRefused("a symmetric key is not published")
        members = write_public_key(self._public)
        if self.kid is not None:
            members["kid"] = self.kid
        if len(self.key_management) == 1:
            members["alg"] = next(iter(self.key_management)).value
        return members | {"use": "enc"}

    def seal_content_key(
        self, algorithm: KeyManagement, enc: ContentEncryption, parties: tuple[bytes, bytes]
    ) -> tuple[bytes, bytes, dict[str, str] | None]:
        """A fresh content key, the form it is sent in, and the `epk` to send with it.

        Raises:
            AlgorithmRefused: this key is for another algorithm or content encryption.
        """
        require_own(self, algorithm, enc)
        cek = secrets.token_bytes(enc.key_length)
        if isinstance(self._public, bytes):
            return self._public, b"", None
        if isinstance(self._public, rsa.RSAPublicKey):
            return cek, self._public.encrypt(cek, OAEP[algorithm]), None
        secret, epk = agree_afresh(self._public)
        return *wrap_agreed(secret, algorithm, enc, cek, parties), epk

    def __repr__(self) -> str:
        return f"<EncryptionKey kid={self.kid!r}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"{self!r} is not pickled")


def require_own(key: EncryptionKey, algorithm: KeyManagement, enc: ContentEncryption) -> None:
    """Raises `AlgorithmRefused`: this key is for another algorithm or content encryption."""
    if algorithm not in key.key_management:
        raise AlgorithmRefused("alg is not this key's")
    if key.content_encryption is not None and key.content_encryption is not enc:
        raise AlgorithmRefused("enc is not this key's")


def _fitting(public: PublicKey | bytes) -> frozenset[KeyManagement]:
    if isinstance(public, bytes):
        return frozenset({KeyManagement.DIR})
    if isinstance(public, rsa.RSAPublicKey):
        # RFC 7518 §4.3: 2048 bits or more.
        if not MIN_RSA_BITS <= public.key_size <= MAX_RSA_BITS:
            raise KeyRefused("the RSA modulus is too short or too long")
        return frozenset(OAEP)
    curve_of(public)  # refuses a foreign one
    return AGREEMENTS


def _narrow(
    fitting: frozenset[KeyManagement],
    asked_for: KeyManagement | AbstractSet[KeyManagement] | None,
) -> frozenset[KeyManagement]:
    if asked_for is None:
        return fitting
    narrowed = frozenset({asked_for} if isinstance(asked_for, KeyManagement) else asked_for)
    # RFC 8725 §3.1: a key that names its algorithm is used with no other.
    if not narrowed or not narrowed <= fitting:
        raise KeyRefused("alg does not fit the key")
    return narrowed


def _of_dir(
    public: PublicKey | bytes, content_encryption: ContentEncryption | None
) -> ContentEncryption | None:
    if not isinstance(public, bytes):
        if content_encryption is not None:
            raise KeyRefused("only a key for dir is made for one content encryption")
        return None
    # RFC 7518 §4.5: one key with two content encryptions would answer for both.
    if content_encryption is None or len(public) != content_encryption.key_length:
        raise KeyRefused("a key for dir is made for one content encryption, and as long as its key")
    return content_encryption
