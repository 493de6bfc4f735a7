"""Every reader of what strangers send, with inputs that nobody would have thought of.

A reader is given an honest input, changed here and there, and may answer in two ways: it reads it,
or it raises one of the exceptions that its own documentation names. Octets are changed as octets;
what is signed or encrypted is changed inside and signed or encrypted again, for behind a broken
signature nothing is ever read.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from hypothesis import strategies as st
from tests.api import test_certificate as certificates
from tests.jose import jwe_forge
from tests.jose.forge import ES256, RS256, compact, signed
from tests.protocol import test_dpop as proofs
from tests.protocol import test_introspection as introspections

from mintmark.api.certificate import CertificateForm
from mintmark.api.clock_drift import ClockComparison
from mintmark.api.credentials import (
    HeaderTooLong,
    MalformedCredentials,
    NoCredentials,
    read_credentials,
)
from mintmark.api.forwarded import OriginRefused
from mintmark.api.proxy import Forwarding, TrustedProxy
from mintmark.api.unwrap import Unwrapper
from mintmark.events import LogEvents
from mintmark.jose.algorithms import ALL_ALGORITHMS
from mintmark.jose.errors import JoseError
from mintmark.jose.jwe import parse as parse_jwe
from mintmark.jose.jws import parse as parse_jws
from mintmark.jose.key_management import KeyManagement
from mintmark.jose.key_set import KeySet
from mintmark.protocol.access_token import check_access_token
from mintmark.protocol.challenge import parse_challenges
from mintmark.protocol.dpop import ProofRefused
from mintmark.protocol.dpop_nonce import NonceRefused, Nonces
from mintmark.protocol.errors import OAuthError
from mintmark.protocol.form import Form
from mintmark.protocol.introspection import TYP
from mintmark.protocol.metadata import ServerMetadata, UnusableMetadata
from mintmark.protocol.mtls import CertificateRefused
from mintmark.protocol.token import TokenResponse, UnreadableTokenResponse

__all__ = ["READERS", "Reader"]

Octets = st.SearchStrategy[bytes]
NOW: Final = 1_800_000_000
ISSUER, API = "https://id.example", "https://api.example"


@dataclass(frozen=True)
class Reader:
    """One way in.

    Attributes:
        read: raises one of `ours`, or nothing.
        honest: what it reads without a word.
        inputs: honest ones, changed.
    """

    name: str
    read: Callable[[bytes], object]
    ours: tuple[type[Exception], ...]
    honest: bytes
    inputs: Octets


# --- Inputs --------------------------------------------------------------------------------------


@st.composite
def altered(draw: st.DrawFn, honest: bytes) -> bytes:
    """Cut, doubled, changed and added to, at up to four places."""
    value = bytearray(honest)
    for _ in range(draw(st.integers(0, 4))):
        at, length = draw(st.integers(0, len(value))), draw(st.integers(1, 8))
        match draw(st.sampled_from(["cut", "double", "change", "add", "end"])):
            case "cut":
                del value[at : at + length]
            case "double":
                value[at:at] = value[at : at + length]
            case "change":
                value[at : at + 1] = draw(st.binary(min_size=1, max_size=1))
            case "add":
                value[at:at] = draw(PIECES)
            case _:
                del value[at:]
    return bytes(value)


# What readers trip over: ends of structures, signs of other alphabets, numbers without end.
PIECES: Final = st.binary(min_size=1, max_size=8) | st.sampled_from(
    [b".", b"=", b'"', b"\\", b"\\ud800", b"\0", b"\n", b",", b";", b"%", b"%00", b"%ff", b"{", b"[",
     b"}" * 9, b"[" * 99, b"9" * 400, b"1e999", b"NaN", b"-", b"\xef\xbb\xbf", b"\xc3\x28", b"null",
     "\u0661\u212a\u017f".encode()]
)  # fmt: skip

VALUES: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12)
    | st.integers(-(10**30), 10**30) | st.text(st.characters(categories=["Cs", "Cc", "Lo"]), max_size=4)
    | st.sampled_from(["A" * 9_000, 10**400, "\ud800", "\0", "", ISSUER, API, NOW, NOW + 0.5]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
GONE: Final = object()


@st.composite
def members(draw: st.DrawFn, honest: dict[str, Any]) -> bytes:
    """The same JSON object, with members of any type, fewer of them, or more."""
    names = st.sampled_from(sorted(honest)) | st.text(max_size=5)
    changes = draw(st.dictionaries(names, VALUES | st.just(GONE), max_size=3))
    changed = {name: value for name, value in (honest | changes).items() if value is not GONE}
    text = json.dumps(changed).encode()
    return draw(altered(text)) if draw(st.booleans()) else text


def octets(honest: bytes) -> Octets:
    return altered(honest) | st.binary(max_size=200)


def as_octets(
    name: str, read: Callable[[bytes], object], honest: str | bytes, *ours: type[Exception]
) -> Reader:
    seed = honest.encode() if isinstance(honest, str) else honest
    return Reader(name, read, ours, seed, octets(seed))


def as_members(
    name: str, read: Callable[[bytes], object], honest: dict[str, Any], *ours: type[Exception]
) -> Reader:
    return Reader(name, read, ours, json.dumps(honest).encode(), members(honest))


# --- Readers -------------------------------------------------------------------------------------


def check(token: str | bytes) -> object:
    return check_access_token(
        token,
        issuer=ISSUER,
        audience=API,
        keys=KeySet.of(ES256.public, RS256.public),
        algorithms=ALL_ALGORITHMS,
        now=NOW,
    )


CLAIMS: Final[dict[str, Any]] = {
    "iss": ISSUER, "aud": [API], "sub": "alice", "client_id": "web", "jti": "1", "iat": NOW,
    "exp": NOW + 600, "scope": "a b", "cnf": {"jkt": "a" * 43}, "nbf": NOW,
}  # fmt: skip
HEADER: Final = {"alg": "ES256", "typ": "at+jwt", "kid": ES256.kid}
UNWRAPPER: Final = Unwrapper(jwe_forge.KEYS)
NESTED: Final = signed(CLAIMS)


CEK, ENCRYPTED_KEY, EPK = jwe_forge.EC.public.seal_content_key(
    KeyManagement.ECDH_ES, jwe_forge.A256GCM, (b"", b"")
)


def read_outer_header(header: bytes) -> object:
    token = jwe_forge.sealed(header, jwe_forge.A256GCM, CEK, ENCRYPTED_KEY, b"a.b.c")
    return jwe_forge.opened(token)


def read_date(value: bytes) -> None:
    ClockComparison(ISSUER, timedelta(seconds=30), LogEvents()).answered(
        {"date": value.decode("latin-1")}, NOW, NOW
    )


def read_form(body: bytes) -> object:
    form = Form.parse(body)
    return form.optional("scope", str), form.every("resource")


def behind(forwarding: Forwarding, *names: bytes) -> Callable[[bytes], object]:
    proxy = TrustedProxy(["10.0.0.0/24"], forwarding=forwarding)

    def read(value: bytes) -> object:
        values = value.split(b"|") if len(names) > 1 else [value]
        headers = [(b"host", b"api.example"), *zip(names, values, strict=False)]
        scope = {"type": "http", "scheme": "http", "client": ("10.0.0.1", 1), "headers": headers}
        proxy.client_address(scope)
        return proxy.origin_of(scope)

    return read


def proof_with(header: bytes) -> object:
    payload = json.dumps({"jti": "1", "htm": "GET", "htu": proofs.URI, "iat": NOW}).encode()
    return proofs.read(compact(header, payload))


def certificate_in(form: CertificateForm) -> Callable[[bytes], object]:
    source = certificates.in_header(form)
    return lambda value: source.der_of(
        certificates.request(value), certificates.TRUSTED, certificates.NOW
    )


NONCES: Final = Nonces(b"k" * 32)

READERS: Final = (
    as_octets(
        "Authorization header",
        lambda value: read_credentials([(b"authorization", value)], dpop=True),
        f"Bearer {NESTED}",
        NoCredentials, MalformedCredentials, HeaderTooLong,
    ),
    as_octets("access token", check, NESTED, JoseError),
    as_members("access token's header", lambda head: check(compact(head, json.dumps(CLAIMS).encode())),
               HEADER, JoseError),
    as_members("access token's claims", lambda body: check(signed(body)), CLAIMS, JoseError),
    as_octets("JWS", lambda value: parse_jws(value).require_signature(
        KeySet.of(ES256.public), ALL_ALGORITHMS), NESTED, JoseError),
    as_octets("JWE", parse_jwe, jwe_forge.forged(), JoseError),
    as_octets("JWE, opened", jwe_forge.opened, jwe_forge.forged(jwe_forge.EC), JoseError),
    as_members("JWE's header", read_outer_header,
               {"alg": "ECDH-ES", "enc": "A256GCM", "kid": jwe_forge.EC.kid, "cty": "JWT",
                "epk": EPK}, JoseError),
    as_octets("encrypted token, inside",
              lambda inner: UNWRAPPER.read(jwe_forge.forged(plaintext=inner).encode(), NOW),
              NESTED, JoseError),
    as_members("key set", KeySet.parse,
               {"keys": [ES256.public.to_jwk(), RS256.public.to_jwk()]}, JoseError),
    as_members("one key of a set", lambda key: KeySet.parse(b'{"keys":[' + key + b"]}"),
               ES256.public.to_jwk(), JoseError),
    as_members("one RSA key of a set", lambda key: KeySet.parse(b'{"keys":[' + key + b"]}"),
               RS256.public.to_jwk(), JoseError),
    as_octets("proof", proofs.read, proofs.forged(), ProofRefused),
    as_members("proof's header", proof_with,
               {"typ": "dpop+jwt", "alg": "ES256", "jwk": proofs.jwk_of(ES256)}, ProofRefused),
    as_octets("proof's nonce", lambda value: NONCES.require_current(value.decode("latin-1"), NOW),
              NONCES.current(NOW), NonceRefused),
    as_members("introspection answer", introspections.check, introspections.HONEST, JoseError),
    as_members("signed introspection answer",
               lambda body: introspections.read(signed(body, typ=TYP)),
               introspections.OUTER, JoseError),
    as_octets("signed introspection answer, outside",
              lambda text: introspections.read(text.decode("latin-1")),
              introspections.answer(), JoseError),
    *(as_octets(f"certificate as {form.value}", certificate_in(form), write(certificates.MINE),
                CertificateRefused) for form, write in certificates.WRITTEN),
    as_octets("Forwarded", behind(Forwarding.FORWARDED, b"forwarded"),
              'for="[2001:db8::1]:99", for=192.0.2.1;proto=https;host="api.example:8443"',
              OriginRefused),
    as_octets("X-Forwarded", behind(Forwarding.X_FORWARDED, b"x-forwarded-proto",
              b"x-forwarded-host", b"x-forwarded-for"), "https|api.example|192.0.2.1, 10.0.0.9",
              OriginRefused),
    as_octets("an answer's Date", read_date, "Fri, 15 Jan 2027 08:00:00 GMT"),
    as_octets("form", read_form, "grant_type=x&scope=a+b&resource=https%3A%2F%2Fapi.example",
              OAuthError),
    as_octets("challenges", lambda value: parse_challenges([value.decode("latin-1")]),
              f'Bearer realm="{API}", error="invalid_token", DPoP algs="ES256 RS256"'),
    as_members("server metadata", lambda body: ServerMetadata.parse(body, issuer=ISSUER),
               {"issuer": ISSUER, "jwks_uri": f"{ISSUER}/jwks", "token_endpoint": f"{ISSUER}/token",
                "response_types_supported": ["code"]}, UnusableMetadata),
    as_members("token answer", TokenResponse.parse,
               {"access_token": "a", "token_type": "Bearer", "expires_in": 60, "scope": "a b"},
               UnreadableTokenResponse),
)  # fmt: skip
