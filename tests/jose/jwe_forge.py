"""Encrypted tokens as an attacker, or a careless issuer, would make them."""

import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from mintmark.jose.base64url import decode, encode
from mintmark.jose.content_encryption import (
    ALL_CONTENT_ENCRYPTIONS,
    ContentEncryption,
    encrypt_content,
)
from mintmark.jose.decryption_keys import DecryptionKey, DecryptionKeys
from mintmark.jose.jwe import Decrypted, decrypt
from mintmark.jose.key_management import ALL_KEY_MANAGEMENTS, Curve, KeyManagement

__all__ = [
    "DIR",
    "EC",
    "KEYS",
    "NOW",
    "RSA",
    "RSA_256",
    "X25519",
    "altered",
    "forged",
    "opened",
    "sealed",
    "with_broken_padding",
]

NOW: Final = 1_800_000_000.0
A256GCM: Final = ContentEncryption.A256GCM

RSA: Final = DecryptionKey.generate(KeyManagement.RSA_OAEP)
RSA_256: Final = DecryptionKey.generate(KeyManagement.RSA_OAEP_256)
EC: Final = DecryptionKey.generate(KeyManagement.ECDH_ES)
X25519: Final = DecryptionKey.generate(KeyManagement.ECDH_ES, curve=Curve.X25519)
DIR: Final = DecryptionKey.generate(KeyManagement.DIR, content_encryption=A256GCM)
KEYS: Final = DecryptionKeys.of(RSA, RSA_256, EC, X25519, DIR)


def opened(token: str | bytes, keys: DecryptionKeys = KEYS, *, now: float = NOW) -> Decrypted:
    """With everything allowed that exists."""
    return decrypt(
        token,
        keys,
        now=now,
        key_management=ALL_KEY_MANAGEMENTS,
        content_encryption=ALL_CONTENT_ENCRYPTIONS,
    )


def sealed(
    head: bytes, enc: ContentEncryption, cek: bytes, encrypted_key: bytes, plaintext: bytes
) -> str:
    """Exactly this header, with a tag that holds."""
    first = encode(head)
    parts = encrypt_content(enc, cek, plaintext, first.encode())
    return ".".join((first, encode(encrypted_key), *map(encode, parts)))


def forged(
    key: DecryptionKey = RSA,
    plaintext: bytes = b"a.b.c",
    *,
    enc: ContentEncryption = A256GCM,
    algorithm: KeyManagement | None = None,
    **members: Any,
) -> str:
    """An honest token, its header's members replaced, added, or left out where None."""
    chosen = algorithm or next(iter(key.key_management))
    cek, encrypted_key, epk = key.public.seal_content_key(chosen, enc, (b"", b""))
    honest = {"alg": chosen, "enc": enc, "kid": key.kid, "cty": "JWT", "epk": epk}
    header = {k: v for k, v in (honest | members).items() if v is not None}
    return sealed(json.dumps(header).encode(), enc, cek, encrypted_key, plaintext)


def altered(token: str, segment: int, change: Callable[[bytes], bytes]) -> str:
    """The same token with one of its five segments changed."""
    segments = token.split(".")
    segments[segment] = encode(change(decode(segments[segment])))
    return ".".join(segments)


def with_broken_padding(cek: bytes, header: Mapping[str, Any], padded: bytes) -> str:
    """A128CBC-HS256 with a MAC that holds, over blocks that end in no padding."""
    head, iv = encode(json.dumps(header).encode()), b"\1" * 16
    encryptor = Cipher(algorithms.AES(cek[16:]), modes.CBC(iv)).encryptor()
    ciphertext = encryptor.update(padded) + encryptor.finalize()
    content = head.encode() + iv + ciphertext + (8 * len(head)).to_bytes(8, "big")
    tag = hmac.digest(cek[:16], content, hashlib.sha256)[:16]
    return ".".join((head, "", encode(iv), encode(ciphertext), encode(tag)))
