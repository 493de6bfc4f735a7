"""What we sign others accept, what they sign we accept, and what is broken nobody accepts."""

import json

import jwt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc import jws as joserfc_jws
from joserfc.errors import JoseError as JoserfcError
from joserfc.jwk import ECKey, OKPKey, RSAKey, import_key
from jwt import PyJWK

from mintmark.jose.algorithms import ALL_ALGORITHMS, Algorithm
from mintmark.jose.base64url import decode, encode
from mintmark.jose.errors import JoseError
from mintmark.jose.jws import parse, sign
from mintmark.jose.key_set import KeySet
from mintmark.jose.keys import SigningKey

# joserfc warns of the older name of Ed25519, which is the one that everybody still writes.
pytestmark = pytest.mark.filterwarnings("ignore:EdDSA is deprecated")

KEYS = {algorithm: SigningKey.generate(algorithm) for algorithm in sorted(ALL_ALGORITHMS)}
CLAIMS = st.dictionaries(
    st.text(max_size=8), st.text(max_size=12) | st.integers(0, 2**40) | st.booleans(), max_size=5
)
ALGORITHMS = st.sampled_from(sorted(ALL_ALGORITHMS))


def _bytes(claims: dict[str, object]) -> bytes:
    return json.dumps(claims).encode()


def _ours(token: str, key: SigningKey) -> bytes:
    jws = parse(token)
    jws.require_signature(KeySet.of(key.public), ALL_ALGORITHMS)
    return jws.payload


def _joserfc(token: str, key: SigningKey) -> bytes:
    other = import_key(dict(key.public.to_jwk()))
    return joserfc_jws.deserialize_compact(token, other, algorithms=[key.algorithm.value]).payload


def _joserfc_key(key: SigningKey) -> RSAKey | ECKey | OKPKey:
    kinds: dict[str, type[RSAKey | ECKey | OKPKey]] = {"RSA": RSAKey, "EC": ECKey, "OKP": OKPKey}
    return kinds[key.algorithm.key_type].import_key(key.to_pkcs8())


def _pyjwt(token: str, key: SigningKey) -> bytes:
    chosen = PyJWK(key.public.to_jwk()).key
    payload: bytes = jwt.PyJWS().decode(token, chosen, algorithms=[key.algorithm.value])
    return payload


@settings(deadline=None, max_examples=40)
@given(ALGORITHMS, CLAIMS)
def test_others_accept_what_we_sign(algorithm: Algorithm, claims: dict[str, object]) -> None:
    key, payload = KEYS[algorithm], _bytes(claims)
    token = sign(payload, key, typ="JWT")

    assert _ours(token, key) == _joserfc(token, key) == _pyjwt(token, key) == payload


@settings(deadline=None, max_examples=40)
@given(ALGORITHMS, CLAIMS)
def test_we_accept_what_others_sign(algorithm: Algorithm, claims: dict[str, object]) -> None:
    key, payload = KEYS[algorithm], _bytes(claims)
    header = {"alg": algorithm.value, "kid": key.kid}
    theirs = jwt.PyJWS().encode(payload, key._private, algorithm.value, headers=header)
    other = joserfc_jws.serialize_compact(
        header, payload, _joserfc_key(key), algorithms=[algorithm.value]
    )

    assert _ours(theirs, key) == _ours(other, key) == payload


@settings(deadline=None, max_examples=60)
@given(ALGORITHMS, CLAIMS, st.integers(0, 10_000), st.integers(0, 7))
def test_a_turned_bit_is_refused_by_everybody(
    algorithm: Algorithm, claims: dict[str, object], place: int, bit: int
) -> None:
    key = KEYS[algorithm]
    content, _, signature = sign(_bytes(claims), key, typ="JWT").rpartition(".")

    raw = bytearray(decode(signature))
    raw[place % len(raw)] ^= 1 << bit
    token = f"{content}.{encode(bytes(raw))}"

    with pytest.raises(JoseError):
        _ours(token, key)
    with pytest.raises((JoserfcError, ValueError)):
        _joserfc(token, key)
    with pytest.raises(jwt.InvalidTokenError):
        _pyjwt(token, key)
