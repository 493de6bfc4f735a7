"""Keys that decrypt, old ones among them for a while, and the choice of one (RFC 7518 §4)."""

import hashlib
import secrets
from collections.abc import Callable, Iterable, Mapping
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
    write_public_key,
)
from mintmark.jose.encryption_keys import EncryptionKey, require_own
from mintmark.jose.errors import (
    HeaderRefused,
    KeyAmbiguous,
    KeyNotFound,
    KeyRefused,
    KeyRetired,
    Malformed,
)
from mintmark.jose.key_agreement import Agreement, agree_with, unwrap_agreed
from mintmark.jose.key_management import OAEP, Curve, KeyManagement

__all__ = ["DecryptionKey", "DecryptionKeys"]

RSA_BITS: Final = 2048

_FOR_EVER: Final = float("inf")
_CURVES: Final = {
    Curve.P256: ec.SECP256R1(),
    Curve.P384: ec.SECP384R1(),
    Curve.P521: ec.SECP521R1(),
}


@final
class DecryptionKey:
    """What decrypts, and what it may be used with. Its `repr` shows the name alone."""

    __slots__ = ("_private", "_unwrap", "content_encryption", "key_management", "kid", "public")

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
        # Before the thumbprint, for it refuses a foreign curve; and once, for telling the key's
        # class apart costs more than some of what is done with it.
        self._unwrap = _unwrap_with(private)
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
        require_own(self.public, algorithm, enc)
        substitute = secrets.token_bytes(enc.key_length)
        try:
            cek = self._unwrap(algorithm, enc, encrypted_key, agreement)
        except (ValueError, InvalidUnwrap):
            return substitute
        return cek if len(cek) == enc.key_length else substitute

    def __repr__(self) -> str:
        return f"<DecryptionKey kid={self.kid!r}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"{self!r} is not pickled")


@final
class DecryptionKeys:
    """One reader's keys, the newest first. It never changes."""

    __slots__ = ("_by_kid", "_until", "keys")

    def __init__(
        self, keys: Iterable[DecryptionKey], until: Mapping[str, float] | None = None
    ) -> None:
        """
        Args:
            until: by `kid`, the moment from which a key is refused, in seconds since 1970.

        Raises:
            KeyRefused: two keys have one name, or a moment names none of them.
        """
        self.keys = tuple(keys)
        self._by_kid = {key.kid: key for key in self.keys}
        self._until = dict(until or {})
        if len(self._by_kid) != len(self.keys):
            raise KeyRefused("two keys have the same kid")
        # Otherwise a slip of the pen would keep an old key for ever.
        if not self._until.keys() <= self._by_kid.keys():
            raise KeyRefused("a key that is not here has an end")

    @classmethod
    def of(cls, *keys: DecryptionKey) -> Self:
        return cls(keys)

    def rotated(self, fresh: DecryptionKey, *, until: float) -> Self:
        """The same with a fresh key before all others, which are refused from `until` on."""
        ends = {key.kid: min(until, self._until.get(key.kid, until)) for key in self.keys}
        return type(self)((fresh, *self.keys), ends)

    def select(self, kid: str | None, algorithm: KeyManagement, *, now: float) -> DecryptionKey:
        """The one key of this name; whether it is for this algorithm, it says itself.

        A token without `kid` is accepted where only one key can be meant.

        Raises:
            KeyNotFound: none suits. KeyRetired: its time is over. KeyAmbiguous: several suit.
        """
        if kid is None:
            return self._select_unnamed(algorithm, now)
        key = self._by_kid.get(kid)
        if key is None:
            raise KeyNotFound("no decryption key has this kid")
        if not now < self._until.get(kid, _FOR_EVER):
            raise KeyRetired("the decryption key of this kid is retired")
        return key

    def _select_unnamed(self, algorithm: KeyManagement, now: float) -> DecryptionKey:
        suiting = [key for key in self._current(now) if algorithm in key.key_management]
        if not suiting:
            raise KeyNotFound("no decryption key is for this alg")
        if len(suiting) > 1:
            raise KeyAmbiguous("several decryption keys would suit")
        return suiting[0]

    def _current(self, now: float) -> list[DecryptionKey]:
        return [key for key in self.keys if now < self._until.get(key.kid, _FOR_EVER)]

    def published(self) -> list[dict[str, str]]:
        """The JWKs for those who encrypt: of no key that has an end, and of no symmetric one."""
        return [
            key.public.to_jwk()
            for key in self.keys
            if key.kid not in self._until and KeyManagement.DIR not in key.key_management
        ]


_Unwrap = Callable[[KeyManagement, ContentEncryption, bytes, Agreement | None], bytes]


def _unwrap_with(private: PrivateKey) -> _Unwrap:
    if isinstance(private, bytes):
        return lambda _algorithm, _enc, encrypted_key, _: _shared(private, encrypted_key)
    if isinstance(private, rsa.RSAPrivateKey):
        decrypt = private.decrypt
        return lambda algorithm, _enc, encrypted_key, _: decrypt(encrypted_key, OAEP[algorithm])
    agree = agree_with(private)

    def unwrap(
        algorithm: KeyManagement,
        enc: ContentEncryption,
        encrypted_key: bytes,
        agreement: Agreement | None,
    ) -> bytes:
        if agreement is None:
            raise HeaderRefused("epk is missing")
        parties = (agreement.apu, agreement.apv)
        return unwrap_agreed(agree(agreement), algorithm, enc, encrypted_key, parties)

    return unwrap


def _shared(key: bytes, encrypted_key: bytes) -> bytes:
    # RFC 7516 §5.2: with a shared key this segment is empty.
    if encrypted_key:
        raise Malformed("there is an encrypted key beside the shared one")
    return key


def _thumbprint(public: PublicKey | bytes) -> str:
    # A digest of a shared key would be a hint at it (RFC 7638 §7).
    if isinstance(public, bytes):
        raise KeyRefused("a symmetric key needs a kid")
    canonical = msgspec.json.encode(write_public_key(public))
    return encode(hashlib.sha256(canonical).digest())
