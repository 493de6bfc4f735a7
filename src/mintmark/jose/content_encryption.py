"""Which content encryptions exist here, and what each does with bytes (RFC 7518 §5)."""

import hmac
import secrets
from enum import StrEnum
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from mintmark.jose.errors import AlgorithmRefused, DecryptionFailed, Malformed

__all__ = [
    "ALL_CONTENT_ENCRYPTIONS",
    "ContentEncryption",
    "decrypt_content",
    "encrypt_content",
    "parse_content_encryption",
    "require_lengths",
]


class ContentEncryption(StrEnum):
    """Authenticated encryption by its wire name (RFC 7518 §5.1). There is no compression."""

    A128GCM = "A128GCM"
    A192GCM = "A192GCM"
    A256GCM = "A256GCM"
    A128CBC_HS256 = "A128CBC-HS256"
    A192CBC_HS384 = "A192CBC-HS384"
    A256CBC_HS512 = "A256CBC-HS512"

    # As in `Algorithm`: the hash of Enum is Python code.
    __hash__ = str.__hash__

    @property
    def key_length(self) -> int:
        """Octets of its content encryption key."""
        return _KEY_LENGTHS[self]


ALL_CONTENT_ENCRYPTIONS: Final = frozenset(ContentEncryption)

# RFC 7518 §5.2.3 to RFC 7518 §5.2.5: half of a CBC-HS key is for the MAC, which is cut to a half.
_HMAC_HASHES: Final = {
    ContentEncryption.A128CBC_HS256: "sha256",
    ContentEncryption.A192CBC_HS384: "sha384",
    ContentEncryption.A256CBC_HS512: "sha512",
}
_KEY_LENGTHS: Final = {
    ContentEncryption.A128GCM: 16,
    ContentEncryption.A192GCM: 24,
    ContentEncryption.A256GCM: 32,
    ContentEncryption.A128CBC_HS256: 32,
    ContentEncryption.A192CBC_HS384: 48,
    ContentEncryption.A256CBC_HS512: 64,
}
# Initialization vector and tag: RFC 7518 §5.3 for GCM, RFC 7518 §5.2.2.1 for CBC.
_LENGTHS: Final = {
    enc: (16, _KEY_LENGTHS[enc] // 2) if enc in _HMAC_HASHES else (12, 16)
    for enc in ContentEncryption
}
_BY_NAME: Final = {enc.value: enc for enc in ContentEncryption}


def parse_content_encryption(name: object) -> ContentEncryption:
    """Raises `AlgorithmRefused` for everything that is not ours."""
    enc = _BY_NAME.get(name) if isinstance(name, str) else None
    if enc is None:
        raise AlgorithmRefused("enc is not a content encryption we use")
    return enc


def require_lengths(enc: ContentEncryption, iv: bytes, tag: bytes) -> None:
    """Refuse a tag that was cut, which is easier to guess, and any other length than the one.

    Both lengths can be seen by everybody, so this may be said before a key is touched.

    Raises:
        Malformed: either is shorter or longer than this encryption makes it.
    """
    if (len(iv), len(tag)) != _LENGTHS[enc]:
        raise Malformed("the initialization vector or the tag has the wrong length")


def encrypt_content(
    enc: ContentEncryption, cek: bytes, plaintext: bytes, aad: bytes
) -> tuple[bytes, bytes, bytes]:
    """A fresh initialization vector, the ciphertext, and the tag."""
    iv_length, tag_length = _LENGTHS[enc]
    iv = secrets.token_bytes(iv_length)
    if enc not in _HMAC_HASHES:
        sealed = AESGCM(cek).encrypt(iv, plaintext, aad)
        return iv, sealed[:-tag_length], sealed[-tag_length:]
    padder = padding.PKCS7(128).padder()
    encryptor = _cbc(cek, iv).encryptor()
    padded = padder.update(plaintext) + padder.finalize()
    ciphertext = encryptor.update(padded) + encryptor.finalize()
    return iv, ciphertext, _mac(enc, cek, iv, ciphertext, aad)


def decrypt_content(
    enc: ContentEncryption, cek: bytes, iv: bytes, ciphertext: bytes, tag: bytes, aad: bytes
) -> bytes:
    """The plaintext, once the tag has proved that it was made with this key.

    Raises:
        DecryptionFailed: for every cause with the same words, or the padding would be an oracle.
    """
    try:
        if enc not in _HMAC_HASHES:
            return AESGCM(cek).decrypt(iv, ciphertext + tag, aad)
        # RFC 7518 §5.2.2.2: the MAC first. What has no right MAC is never decrypted.
        if hmac.compare_digest(_mac(enc, cek, iv, ciphertext, aad), tag):
            return _decrypt_cbc(cek, iv, ciphertext)
    except (InvalidTag, ValueError):
        pass
    raise DecryptionFailed


def _decrypt_cbc(cek: bytes, iv: bytes, ciphertext: bytes) -> bytes:
    decryptor = _cbc(cek, iv).decryptor()
    unpadder = padding.PKCS7(128).unpadder()
    padded = decryptor.update(ciphertext) + decryptor.finalize()
    return unpadder.update(padded) + unpadder.finalize()


def _cbc(cek: bytes, iv: bytes) -> Cipher[Any]:
    return Cipher(algorithms.AES(cek[len(cek) // 2 :]), modes.CBC(iv))


def _mac(enc: ContentEncryption, cek: bytes, iv: bytes, ciphertext: bytes, aad: bytes) -> bytes:
    # RFC 7518 §5.2.2.1: the length of the additional data, in bits, closes the input; without it
    # an octet could be moved from the header into the initialization vector.
    content = b"".join((aad, iv, ciphertext, (8 * len(aad)).to_bytes(8, "big")))
    half = len(cek) // 2
    return hmac.digest(cek[:half], content, _HMAC_HASHES[enc])[:half]
