"""Opening an encrypted token beside the bare primitives that it takes, and beside joserfc.

The primitives get everything ready-made: decoded octets and loaded keys. What is above them is
taking the token apart, choosing the key, and every check.
"""

import hmac
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from cryptography.hazmat.primitives import hashes, padding, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import aes_key_unwrap
from joserfc import jwe
from joserfc.jwk import ECKey, RSAKey, import_key

from bench.measure import interleaved, ratio
from mintmark.jose.base64url import decode
from mintmark.jose.content_encryption import ContentEncryption
from mintmark.jose.decryption_keys import DecryptionKey, DecryptionKeys
from mintmark.jose.jwe import decrypt, encrypt
from mintmark.jose.key_management import KeyManagement

__all__ = ["main"]

ROUNDS, CALLS = 31, 150
TARGET: Final = 1.15
PAYLOAD: Final = b"eyJ" + b"s" * 600  # about as long as a signed token with a few claims

FORMS: Final = (
    (KeyManagement.ECDH_ES, ContentEncryption.A256GCM),
    (KeyManagement.RSA_OAEP_256, ContentEncryption.A256GCM),
    (KeyManagement.ECDH_ES_A128KW, ContentEncryption.A128CBC_HS256),
)


@dataclass(frozen=True, slots=True)
class Parts:
    """A token's octets as the primitives want them."""

    wrapped: bytes
    iv: bytes
    ciphertext: bytes
    tag: bytes
    aad: bytes
    point: bytes  # the sender's, for an agreement


def main() -> int:
    for algorithm, enc in FORMS:
        key = DecryptionKey.generate(algorithm)
        token = encrypt(PAYLOAD, key.public, enc=enc).encode()
        cases = {
            "bare primitives": bare(algorithm, enc, key, taken_apart(token)),
            "mintmark": with_mintmark(algorithm, enc, key, token),
            "joserfc": with_joserfc(algorithm, enc, key, token),
        }
        for name, case in cases.items():
            if case() != PAYLOAD:
                raise RuntimeError(f"{name} reads something else")
        timings = interleaved(cases, rounds=ROUNDS, calls=CALLS, clock=time.process_time_ns)
        print(f"open an encrypted token, {algorithm}, {enc}")
        for name, timing in timings.items():
            aim = f"  (aim: {TARGET} x)" if name == "mintmark" else ""
            print(f"  {name:16} {timing}  {ratio(timing, timings['bare primitives'])}{aim}")
    return 0


def with_mintmark(
    algorithm: KeyManagement, enc: ContentEncryption, key: DecryptionKey, token: bytes
) -> Callable[[], bytes]:
    keys, now = DecryptionKeys.of(key), time.time()
    allowed, encs = frozenset({algorithm}), frozenset({enc})
    return lambda: (
        decrypt(token, keys, now=now, key_management=allowed, content_encryption=encs).plaintext
    )


def with_joserfc(
    algorithm: KeyManagement, enc: ContentEncryption, key: DecryptionKey, token: bytes
) -> Callable[[], bytes]:
    der = key.to_pkcs8()
    theirs: RSAKey | ECKey
    if algorithm is KeyManagement.RSA_OAEP_256:
        theirs = import_key(der, "RSA")
    else:
        theirs = import_key(der, "EC")
    names = [algorithm.value, enc.value]
    return lambda: jwe.decrypt_compact(token, theirs, algorithms=names).plaintext or b""


def taken_apart(token: bytes) -> Parts:
    head, wrapped, iv, ciphertext, tag = token.split(b".")
    epk = json.loads(decode(head)).get("epk")
    point = b"" if epk is None else b"\x04" + decode(epk["x"]) + decode(epk["y"])
    return Parts(decode(wrapped), decode(iv), decode(ciphertext), decode(tag), head, point)


def bare(
    algorithm: KeyManagement, enc: ContentEncryption, key: DecryptionKey, parts: Parts
) -> Callable[[], bytes]:
    private = serialization.load_der_private_key(key.to_pkcs8(), password=None)
    if isinstance(private, rsa.RSAPrivateKey):
        return bare_rsa(private, parts)
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    if algorithm is KeyManagement.ECDH_ES:
        return bare_agreement(private, enc, parts)
    return bare_wrapping(private, algorithm, parts)


def bare_rsa(private: rsa.RSAPrivateKey, parts: Parts) -> Callable[[], bytes]:
    oaep = OAEP(MGF1(hashes.SHA256()), hashes.SHA256(), None)
    sealed = parts.ciphertext + parts.tag
    return lambda: AESGCM(private.decrypt(parts.wrapped, oaep)).decrypt(parts.iv, sealed, parts.aad)


def bare_agreement(
    private: ec.EllipticCurvePrivateKey, enc: ContentEncryption, parts: Parts
) -> Callable[[], bytes]:
    agree = agreed(private, enc.value, 32, parts.point)
    sealed = parts.ciphertext + parts.tag
    return lambda: AESGCM(agree()).decrypt(parts.iv, sealed, parts.aad)


def bare_wrapping(
    private: ec.EllipticCurvePrivateKey, algorithm: KeyManagement, parts: Parts
) -> Callable[[], bytes]:
    agree = agreed(private, algorithm.value, 16, parts.point)
    bits = (8 * len(parts.aad)).to_bytes(8, "big")
    authenticated = parts.aad + parts.iv + parts.ciphertext + bits

    def opened() -> bytes:
        cek = aes_key_unwrap(agree(), parts.wrapped)
        if not hmac.compare_digest(hmac.digest(cek[:16], authenticated, "sha256")[:16], parts.tag):
            raise ValueError("the tag is wrong")
        decryptor = Cipher(algorithms.AES(cek[16:]), modes.CBC(parts.iv)).decryptor()
        padded = decryptor.update(parts.ciphertext) + decryptor.finalize()
        unpadder = padding.PKCS7(128).unpadder()
        return unpadder.update(padded) + unpadder.finalize()

    return opened


def agreed(
    private: ec.EllipticCurvePrivateKey, name: str, length: int, point: bytes
) -> Callable[[], bytes]:
    """The derivation of RFC 7518 §4.6.2 with its fixed part put together beforehand."""
    fields = (name.encode(), b"", b"")
    info = b"".join(len(one).to_bytes(4, "big") + one for one in fields)
    info += (8 * length).to_bytes(4, "big")
    ecdh, curve = ec.ECDH(), private.curve
    read = ec.EllipticCurvePublicKey.from_encoded_point
    return lambda: sha256(b"\0\0\0\1" + private.exchange(ecdh, read(curve, point)) + info).digest()[
        :length
    ]


if __name__ == "__main__":
    raise SystemExit(main())
