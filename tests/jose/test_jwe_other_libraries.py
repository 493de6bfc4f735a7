"""What we encrypt joserfc opens, and the other way round, in every way that both have."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc import jwe as joserfc_jwe
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey
from tests.jose.jwe_forge import opened

from mintmark.jose.content_encryption import ALL_CONTENT_ENCRYPTIONS, ContentEncryption
from mintmark.jose.decryption_keys import DecryptionKey, DecryptionKeys
from mintmark.jose.jwe import encrypt
from mintmark.jose.key_management import ALL_KEY_MANAGEMENTS, Curve, KeyManagement

ECDH = sorted(a for a in ALL_KEY_MANAGEMENTS if a.startswith("ECDH"))
ENCS = sorted(ALL_CONTENT_ENCRYPTIONS)
KEYS = (
    {(a, None): DecryptionKey.generate(a) for a in (KeyManagement.RSA_OAEP, KeyManagement.RSA_OAEP_256)}
    | {(a, curve): DecryptionKey.generate(a, curve=curve) for a in ECDH for curve in sorted(Curve)}
    | {
        (KeyManagement.DIR, enc): DecryptionKey.generate(KeyManagement.DIR, content_encryption=enc)
        for enc in ENCS
    }
)  # fmt: skip
CASES = [
    pytest.param(key, enc, id=f"{algorithm}-{kind}-{enc}")
    for (algorithm, kind), key in KEYS.items()
    for enc in ENCS
    if key.content_encryption in {None, enc}
]
KINDS: dict[str, Any] = {"RSA": RSAKey, "EC": ECKey, "OKP": OKPKey}


def other(key: DecryptionKey) -> Any:
    """The same key as joserfc has it."""
    if isinstance(key._private, bytes):
        return OctKey.import_key(key._private)
    return KINDS[key.public.to_jwk()["kty"]].import_key(key.to_pkcs8())


def only(key: DecryptionKey) -> str:
    (algorithm,) = key.key_management
    return algorithm.value


@pytest.mark.parametrize(("key", "enc"), CASES)
def test_both_open_what_either_encrypts(key: DecryptionKey, enc: ContentEncryption) -> None:
    allowed = [only(key), enc.value]
    header = {"alg": only(key), "enc": enc.value, "kid": key.kid, "cty": "JWT"}

    ours = encrypt(b"ours", key.public, enc=enc)
    theirs = joserfc_jwe.encrypt_compact(header, b"theirs", other(key), algorithms=allowed)

    read = joserfc_jwe.decrypt_compact(ours, other(key), algorithms=allowed)
    assert read.plaintext == b"ours"
    assert opened(theirs, DecryptionKeys.of(key)).plaintext == b"theirs"


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from([case.values for case in CASES]),
    st.binary(max_size=400),
    st.binary(max_size=40),
    st.binary(max_size=40),
)
def test_joserfc_opens_any_content_and_any_names(
    case: tuple[DecryptionKey, ContentEncryption], payload: bytes, apu: bytes, apv: bytes
) -> None:
    key, enc = case
    token = encrypt(payload, key.public, enc=enc, apu=apu, apv=apv)

    read = joserfc_jwe.decrypt_compact(token, other(key), algorithms=[only(key), enc.value])

    assert read.plaintext == opened(token, DecryptionKeys.of(key)).plaintext == payload
