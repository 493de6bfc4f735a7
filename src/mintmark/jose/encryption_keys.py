"""The two halves of an encryption key: one encrypts, the other decrypts (RFC 7518 §4, RFC 8037)."""

import hashlib
import secrets
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any, Final, NoReturn, Self, final

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap

from mintmark.jose.base64url import encode
from mintmark.jose.content_encryption import ContentEncryption
from mintmark.jose.encryption_jwk import (
    PrivateKey,
    PublicKey,
    read_naming,
    read_private_key,
    read_public_key,
    write_public_key,
)
from mintmark.jose.errors import AlgorithmRefused, HeaderRefused, KeyRefused, Malformed
from mintmark.jose.jwk import MAX_RSA_BITS, MIN_RSA_BITS
from mintmark.jose.key_management import (
    AGREEMENTS,
    OAEP,
    Agreement,
    Curve,
    KeyManagement,
    agree,
    agree_afresh,
    curve_of,
    unwrap_agreed,
    wrap_agreed,
)

__all__ = ["DecryptionKey", "EncryptionKey"]

RSA_BITS: Final = 2048

_CURVES: Final = {
    Curve.P256: ec.SECP256R1(),
    Curve.P384: ec.SECP384R1(),
    Curve.P521: ec.SECP521R1(),
}


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
        _require_own(self, algorithm, enc)
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


@final
class DecryptionKey:
    """What decrypts, and what it may be used with. Its `repr` shows the name alone."""

    __slots__ = ("_crv", "_private", "content_encryption", "key_management", "kid", "public")

    def __init__(
        self,
        private: PrivateKey,
        *,
        kid: str | None = None,
        key_management: KeyManagement | AbstractSet[KeyManagement] | None = None,
        content_encryption: ContentEncryption | None = None,
    ) -> None:
        public = private if isinstance(private, bytes) else private.public_key()
        self._private = private
        # First of all, for it refuses a foreign curve.
        self._crv = None if isinstance(private, bytes | rsa.RSAPrivateKey) else curve_of(private)
        self.kid = kid or _thumbprint(public)
        self.public = EncryptionKey(
            public,
            kid=self.kid,
            key_management=key_management,
            content_encryption=content_encryption,
        )
        """The half that encrypts. Of a `dir` key it is the key itself, and has no JWK."""
        self.key_management = self.public.key_management
        self.content_encryption = self.public.content_encryption

    @classmethod
    def generate(
        cls,
        key_management: KeyManagement,
        *,
        curve: Curve = Curve.P256,
        content_encryption: ContentEncryption | None = None,
        kid: str | None = None,
    ) -> Self:
        """A fresh key. `curve` counts for ECDH-ES only, and `content_encryption` for `dir`."""
        private: PrivateKey
        if key_management is KeyManagement.DIR:
            if content_encryption is None:
                raise KeyRefused("a key for dir is made for one content encryption")
            private = secrets.token_bytes(content_encryption.key_length)
            kid = kid or secrets.token_urlsafe(16)
        elif key_management in OAEP:
            private = rsa.generate_private_key(65537, RSA_BITS)
        elif curve is Curve.X25519:
            private = X25519PrivateKey.generate()
        else:
            private = ec.generate_private_key(_CURVES[curve])
        return cls(
            private, kid=kid, key_management=key_management, content_encryption=content_encryption
        )

    @classmethod
    def from_pkcs8(
        cls,
        der: bytes,
        key_management: KeyManagement | AbstractSet[KeyManagement] | None = None,
        kid: str | None = None,
    ) -> Self:
        """Raises `KeyRefused` when these bytes hold no private key for this algorithm.

        An RSA key takes 30 ms to load, for its primes are checked: load once, and never in a
        request.
        """
        try:
            private = serialization.load_der_private_key(der, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise KeyRefused("not a private key") from None
        if not isinstance(
            private, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | X25519PrivateKey
        ):
            raise KeyRefused("not a key for encryption")
        return cls(private, kid=kid, key_management=key_management)

    @classmethod
    def from_jwk(
        cls, members: Mapping[str, Any], content_encryption: ContentEncryption | None = None
    ) -> Self:
        """A private JWK, or a symmetric one for `dir`.

        Args:
            content_encryption: what a symmetric key is for, where its `alg` does not say.

        Raises:
            KeyRefused: it is public, weak, for signatures, or unreadable.
        """
        naming = read_naming(members, private=True)
        return cls(
            read_private_key(members),
            kid=naming.kid,
            key_management=naming.key_management,
            content_encryption=naming.content_encryption or content_encryption,
        )

    def to_pkcs8(self) -> bytes:
        """The private key itself, unencrypted DER: to be sealed at once."""
        if isinstance(self._private, bytes):
            raise KeyRefused("a symmetric key has no PKCS#8 form")
        return self._private.private_bytes(
            serialization.Encoding.DER,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )

    def open_content_key(
        self,
        algorithm: KeyManagement,
        enc: ContentEncryption,
        encrypted_key: bytes,
        agreement: Agreement | None,
    ) -> bytes:
        """The key of the content, or a random one in its place.

        RFC 7516 §11.5: where unwrapping fails, decryption goes on and fails later for everybody
        in the same way. Who could tell the two apart would learn about the key.

        Raises:
            AlgorithmRefused: this key is for another algorithm or content encryption.
            HeaderRefused, Malformed: it fails by what everybody can see.
        """
        _require_own(self, algorithm, enc)
        substitute = secrets.token_bytes(enc.key_length)
        try:
            cek = self._unwrap(algorithm, enc, encrypted_key, agreement)
        except (ValueError, InvalidUnwrap):
            return substitute
        return cek if len(cek) == enc.key_length else substitute

    def _unwrap(
        self,
        algorithm: KeyManagement,
        enc: ContentEncryption,
        encrypted_key: bytes,
        agreement: Agreement | None,
    ) -> bytes:
        private = self._private
        if self._crv is not None and not isinstance(private, bytes | rsa.RSAPrivateKey):
            if agreement is None:
                raise HeaderRefused("epk is missing")
            secret = agree(private, self._crv, agreement)
            parties = (agreement.apu, agreement.apv)
            return unwrap_agreed(secret, algorithm, enc, encrypted_key, parties)
        if isinstance(private, rsa.RSAPrivateKey):
            return private.decrypt(encrypted_key, OAEP[algorithm])
        # RFC 7516 §5.2: with a shared key this segment is empty.
        if encrypted_key:
            raise Malformed("there is an encrypted key beside the shared one")
        assert isinstance(private, bytes)
        return private

    def __repr__(self) -> str:
        return f"<DecryptionKey kid={self.kid!r}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"{self!r} is not pickled")


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


def _require_own(
    key: EncryptionKey | DecryptionKey, algorithm: KeyManagement, enc: ContentEncryption
) -> None:
    if algorithm not in key.key_management:
        raise AlgorithmRefused("alg is not this key's")
    if key.content_encryption is not None and key.content_encryption is not enc:
        raise AlgorithmRefused("enc is not this key's")


def _thumbprint(public: PublicKey | bytes) -> str:
    # A digest of a shared key would be a hint at it (RFC 7638 §7).
    if isinstance(public, bytes):
        raise KeyRefused("a symmetric key needs a kid")
    canonical = msgspec.json.encode(write_public_key(public))
    return encode(hashlib.sha256(canonical).digest())
