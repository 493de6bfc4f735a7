"""Encrypted tokens, honest and otherwise, and the keys of the API that they are made for."""

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from mintmark.jose.base64url import encode
from mintmark.jose.content_encryption import ContentEncryption, encrypt_content
from mintmark.jose.decryption_keys import DecryptionKey, DecryptionKeys
from mintmark.jose.key_management import Curve, KeyManagement
from mintmark.testing.attacks.forging import raw_json

__all__ = ["ReaderKeys", "reader_keys", "seal", "seal_with", "with_broken_padding"]

A256GCM: Final = ContentEncryption.A256GCM


@dataclass(frozen=True)
class ReaderKeys:
    """What an API decrypts with in `Setting.ENCRYPTED`: these, with these algorithms, and no more."""

    rsa: DecryptionKey = field(repr=False)  # RSA-OAEP-256
    ec: DecryptionKey = field(repr=False)  # ECDH-ES on P-256
    x25519: DecryptionKey = field(repr=False)  # ECDH-ES
    old: DecryptionKey = field(repr=False)  # RSA-OAEP-256, on its way out

    def until(self, moment: float) -> DecryptionKeys:
        """The key ring; the old key ends at this moment, in seconds since 1970."""
        return DecryptionKeys((self.rsa, self.ec, self.x25519, self.old), {self.old.kid: moment})


@cache
def reader_keys() -> ReaderKeys:
    """Made once: RSA keys take their time."""
    return ReaderKeys(
        rsa=DecryptionKey.generate(KeyManagement.RSA_OAEP_256, kid="enc-rsa"),
        ec=DecryptionKey.generate(KeyManagement.ECDH_ES, kid="enc-ec"),
        x25519=DecryptionKey.generate(KeyManagement.ECDH_ES, curve=Curve.X25519, kid="enc-x"),
        old=DecryptionKey.generate(KeyManagement.RSA_OAEP_256, kid="enc-old"),
    )


def seal(
    text: str | bytes,
    key: DecryptionKey | None = None,
    enc: ContentEncryption | None = None,
    replicated: Mapping[str, Any] | None = None,
    **members: Any,
) -> str:
    """An encrypted token for this key, its header's members replaced, added, or dropped (None)."""
    enc = enc or A256GCM
    key = key or reader_keys().rsa
    several = len(key.key_management) > 1  # an EC key: with and without wrapping
    chosen = KeyManagement.ECDH_ES if several else next(iter(key.key_management))
    cek, encrypted_key, epk = key.public.seal_content_key(chosen, enc, (b"", b""))
    honest = {"alg": chosen.value, "enc": enc.value, "kid": key.kid, "cty": "JWT", "epk": epk}
    header = {
        name: value
        for name, value in (honest | members | dict(replicated or {})).items()
        if value is not None
    }
    return seal_with(header, cek, encrypted_key, text, enc)


def seal_with(
    header: dict[str, Any],
    cek: bytes,
    encrypted_key: bytes,
    text: str | bytes,
    enc: ContentEncryption = A256GCM,
) -> str:
    """Exactly this header, with a tag that holds."""
    head = encode(raw_json(header))
    plaintext = text if isinstance(text, bytes) else text.encode("ascii")
    parts = encrypt_content(enc, cek, plaintext, head.encode("ascii"))
    return ".".join((head, encode(encrypted_key), *map(encode, parts)))


def with_broken_padding(key: DecryptionKey, blocks: bytes) -> str:
    """A128CBC-HS256 with a MAC that holds, over blocks that end in no padding."""
    enc, iv = ContentEncryption.A128CBC_HS256, secrets.token_bytes(16)
    chosen = next(iter(key.key_management))
    cek, encrypted_key, _ = key.public.seal_content_key(chosen, enc, (b"", b""))
    head = encode(raw_json({"alg": chosen.value, "enc": enc.value, "kid": key.kid, "cty": "JWT"}))
    encryptor = Cipher(algorithms.AES(cek[16:]), modes.CBC(iv)).encryptor()
    ciphertext = encryptor.update(blocks) + encryptor.finalize()
    content = head.encode() + iv + ciphertext + (8 * len(head)).to_bytes(8, "big")
    tag = hmac.digest(cek[:16], content, hashlib.sha256)[:16]
    return ".".join((head, *map(encode, (encrypted_key, iv, ciphertext, tag))))
