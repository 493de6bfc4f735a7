"""DPoP proofs: each of the twelve checks on both sides (RFC 9449 §4.3).

Beside each hostile proof stands the honest one it was made from.
"""

import hashlib
import hmac
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st
from tests.jose.forge import ES256, RS256, compact, segment

from mintmark.jose import jws
from mintmark.jose.algorithms import ALL_ALGORITHMS, Algorithm
from mintmark.jose.base64url import decode, encode
from mintmark.jose.keys import SigningKey
from mintmark.protocol.dpop import (
    MAX_LENGTH,
    DPoPProof,
    KeyMismatch,
    ProofRefused,
    access_token_hash,
    make_proof,
    read_proof,
    require_for_token,
    require_fresh,
    require_made_for,
    require_not_over,
)
from mintmark.protocol.errors import ErrorCode, OAuthError
from mintmark.secret import Secret

NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
NOON = NOW.timestamp()
URI = "https://api.example/orders"
TOKEN = Secret("an.access.token-0123456789")

# RFC 9449 §4.1 and §7.1: one key, a proof for the token endpoint and one for an API.
RFC_HEADER = (
    "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUkl"
    "DUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2"
    "R2R1JEQSIsImNydiI6IlAtMjU2In19"
)
RFC_TOKEN_REQUEST = (
    f"{RFC_HEADER}.eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLm"
    "V4YW1wbGUuY29tL3Rva2VuIiwiaWF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4P"
    "tFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg"
)
RFC_API_REQUEST = (
    f"{RFC_HEADER}.eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS"
    "5leGFtcGxlLm9yZy9wcm90ZWN0ZWRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc0"
    "5yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9.2oW9RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yq"
    "yVnmcw6Fy1dqd-jfxSYoMxhAJpLjA"
)
RFC_TOKEN = b"Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU"
RFC_JKT = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"


def jwk_of(key: SigningKey, **members: Any) -> dict[str, Any]:
    public = key.public.to_jwk()
    return {n: v for n, v in public.items() if n not in {"kid", "use", "alg"}} | members


def forged(
    claims: dict[str, Any] | None = None,
    header: dict[str, Any] | None = None,
    key: SigningKey = ES256,
) -> str:
    """A proof with members replaced, added, or left out where None; its signature holds."""
    payload = {"jti": "one", "htm": "GET", "htu": URI, "iat": int(NOON)} | (claims or {})
    head = {"typ": "dpop+jwt", "alg": key.algorithm.value, "jwk": jwk_of(key)} | (header or {})
    return compact(
        {n: v for n, v in head.items() if v is not None},
        json.dumps({n: v for n, v in payload.items() if v is not None}).encode(),
        key,
    )


def read(*fields: str | bytes, algorithms: frozenset[Algorithm] = ALL_ALGORITHMS) -> DPoPProof:
    return read_proof(fields, algorithms=algorithms)


def refused(*fields: str | bytes, algorithms: frozenset[Algorithm] = ALL_ALGORITHMS) -> str:
    with pytest.raises(ProofRefused) as refusal:
        read(*fields, algorithms=algorithms)
    return refusal.value.reason


def proof_for(htu: str, htm: str = "GET") -> DPoPProof:
    return read(forged({"htu": htu, "htm": htm}))


# --- What is honest -----------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", sorted(ALL_ALGORITHMS))
def test_what_is_made_is_accepted_with_every_algorithm(algorithm: Algorithm) -> None:
    key = SigningKey.generate(algorithm)
    made = make_proof(
        key, htm="GET", htu=URI + "?page=2#top", now=NOW, access_token=TOKEN, nonce="n"
    )

    proof = read(made.reveal().encode())

    assert proof.htu == URI
    assert proof.nonce == "n"
    require_made_for(proof, method="GET", uri=URI)
    require_fresh(proof, now=NOON)
    require_not_over(proof, now=NOON)
    require_for_token(proof, token=TOKEN.reveal().encode(), jkt=key.public.thumbprint())


def test_the_examples_of_rfc_9449() -> None:
    """RFC 9449 §4.1, §7.1, and the `jkt` of §6.1."""
    first, second = read(RFC_TOKEN_REQUEST), read(RFC_API_REQUEST)

    require_made_for(first, method="POST", uri="https://server.example.com/token")
    require_fresh(first, now=1562262616)
    require_made_for(second, method="GET", uri="https://resource.example.org/protectedresource")
    require_for_token(second, token=RFC_TOKEN, jkt=RFC_JKT)
    with pytest.raises(ProofRefused):
        require_for_token(second, token=RFC_TOKEN + b"x", jkt=RFC_JKT)


def test_each_proof_has_a_jti_of_its_own() -> None:
    made = [read(make_proof(ES256, htm="GET", htu=URI, now=NOW).reveal()) for _ in range(50)]

    assert len({proof.jti for proof in made}) == 50
    assert all(len(proof.jti) >= 16 for proof in made)  # RFC 9449 §4.2: 96 bits or more


def test_a_proof_carries_the_public_key_and_nothing_else_of_it() -> None:
    made = make_proof(ES256, htm="GET", htu=URI, now=NOW).reveal()

    header = json.loads(decode(made.split(".")[0]))

    assert header == {"typ": "dpop+jwt", "alg": "ES256", "jwk": jwk_of(ES256)}


def test_headers_of_proofs_do_not_fill_the_memory_for_headers() -> None:
    before = dict(jws._headers)

    read(forged(key=SigningKey.generate(Algorithm.ES256)))

    assert jws._headers == before


def test_a_proof_is_shown_by_nobody() -> None:
    made = make_proof(ES256, htm="GET", htu=URI, now=NOW)

    assert made.reveal() not in repr(made)


def test_the_error_codes_of_proofs_are_those_of_the_wire() -> None:
    """RFC 9449 §5, §8: 400 at the token endpoint."""
    assert ErrorCode("invalid_dpop_proof") is ErrorCode.INVALID_DPOP_PROOF
    assert ErrorCode("use_dpop_nonce") is ErrorCode.USE_DPOP_NONCE
    assert OAuthError(ErrorCode.INVALID_DPOP_PROOF, "the proof is not valid").status == 400
    assert OAuthError(ErrorCode.USE_DPOP_NONCE, "a nonce is needed").status == 400


# --- Checks 1 to 7 ------------------------------------------------------------------------------


def test_j03_a_missing_proof_is_a_refused_proof() -> None:
    assert refused() == "there is no proof"


def test_w84_a_missing_proof_fails_nothing_else() -> None:
    for fields in ((), ("",), (b"",)):
        refused(*fields)


def test_j04_two_proofs_or_a_list_are_refused_and_one_is_not() -> None:
    one, other = forged(), forged({"jti": "two"})

    assert refused(one, other) == "there are several proofs"
    assert refused(one, one) == "there are several proofs"
    assert refused(f"{one}, {other}") == "the proof is a list"
    assert refused(f"{one},".encode()) == "the proof is a list"
    assert read(one).jti == "one"


def test_w86_of_several_proofs_none_is_taken() -> None:
    refused(forged(), forged())


@pytest.mark.parametrize(
    "field",
    [
        pytest.param("x" * 1_000_000, id="1 MB"),
        pytest.param(forged().rpartition(".")[0], id="two segments"),
        pytest.param(forged() + ".", id="four segments"),
        pytest.param(forged() + "=", id="padding"),
        pytest.param(" " + forged(), id="blank"),
        pytest.param("ü", id="not ASCII"),
        pytest.param(b"\xff\x00", id="octets"),
        pytest.param(json.dumps({"payload": "e30", "signatures": []}), id="JSON serialization"),
        pytest.param(compact({"typ": "dpop+jwt", "alg": "ES256", "jwk": jwk_of(ES256)}, b"[]"),
                     id="a list of claims"),
        pytest.param(compact({"typ": "dpop+jwt", "alg": "ES256", "jwk": jwk_of(ES256)},
                             b'{"jti":"a","jti":"b"}'), id="a claim twice"),
    ],
)  # fmt: skip
def test_j05_what_is_no_compact_jwt_is_refused(field: str | bytes) -> None:
    refused(field)


def test_j05_a_proof_is_read_up_to_its_greatest_length() -> None:
    room = MAX_LENGTH - len(forged({"pad": ""}))
    padding = room // 4 * 3  # base64url makes four characters of three

    fits, too_long = (forged({"pad": "x" * length}) for length in (padding, padding + 3))

    assert MAX_LENGTH - 4 < len(fits) <= MAX_LENGTH < len(too_long)
    assert read(fits).jti == "one"
    assert refused(too_long) == "the proof is too long"


@pytest.mark.parametrize("typ", [None, "jwt", "at+jwt", "dpop", 1, "dpop+jwt "])
def test_j06_another_kind_of_token_is_no_proof(typ: Any) -> None:
    refused(forged(header={"typ": typ}))


@pytest.mark.parametrize("typ", ["dpop+jwt", "DPOP+JWT", "application/dpop+jwt"])
def test_j06_typ_is_a_media_type(typ: str) -> None:
    """RFC 7515 §4.1.9: without case, and with "application/" or without."""
    assert read(forged(header={"typ": typ})).jti == "one"


def test_j07_only_an_asymmetric_algorithm_that_is_allowed_here_counts() -> None:
    unsigned = forged(header={"alg": "none"}).rpartition(".")[0] + "."
    content = forged(header={"alg": "HS256"}).rpartition(".")[0]
    mac = encode(hmac.digest(json.dumps(jwk_of(ES256)).encode(), content.encode(), hashlib.sha256))

    refused(unsigned)
    refused(f"{content}.{mac}")
    refused(forged(key=RS256), algorithms=frozenset({Algorithm.ES256}))
    assert read(forged(), algorithms=frozenset({Algorithm.ES256})).jti == "one"
    assert read(forged(key=RS256), algorithms=frozenset({Algorithm.RS256})).jti == "one"


PRIVATE = {"d": encode(b"\1" * 32)}
SHORT_RSA = rsa.generate_private_key(65537, 1024).public_key().public_numbers()  # noqa: S505 -- the weak key is the input


@pytest.mark.parametrize(
    "jwk",
    [
        pytest.param(None, id="missing"),
        pytest.param("a key", id="text"),
        pytest.param([], id="list"),
        pytest.param({}, id="empty"),
        pytest.param(jwk_of(ES256, **PRIVATE), id="private"),
        pytest.param({"kty": "oct", "k": "c2VjcmV0"}, id="symmetric"),
        pytest.param({"kty": "RSA", "n": encode(SHORT_RSA.n.to_bytes(128, "big")), "e": "AQAB"},
                     id="RSA 1024"),
        pytest.param(jwk_of(ES256, x=encode(b"\1" * 32)), id="off its curve"),
        pytest.param(jwk_of(ES256, alg="ES384"), id="another alg"),
        pytest.param(jwk_of(ES256, use="enc"), id="for encryption"),
        pytest.param(jwk_of(RS256), id="another kind than alg"),
    ],
)  # fmt: skip
def test_j08_an_unsound_key_proves_nothing(jwk: Any) -> None:
    refused(forged(header={"jwk": jwk}))


def test_j08_a_sound_key_may_say_what_it_is_for() -> None:
    assert read(forged(header={"jwk": jwk_of(ES256, alg="ES256", use="sig", kid="a")})).jti == "one"


def rsa_key(bits: int) -> SigningKey:
    der = rsa.generate_private_key(65537, bits).private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return SigningKey.from_pkcs8(der, Algorithm.RS256)


def test_j08_rsa_keys_of_proofs_have_2048_to_4096_bits() -> None:
    largest = rsa_key(4096)
    modulus = jwk_of(largest)["n"]
    larger = encode(b"\1" + decode(modulus))

    assert read(forged(key=RS256)).jkt == RS256.public.thumbprint()
    assert read(forged(key=largest)).jkt == largest.public.thumbprint()
    assert "too long" in refused(forged(header={"jwk": jwk_of(largest, n=larger)}, key=largest))


def test_j09_a_signature_by_another_key_is_refused() -> None:
    other = SigningKey.generate(Algorithm.ES256)
    refused(forged(header={"jwk": jwk_of(other)}))

    assert read(forged()).jkt == ES256.public.thumbprint()
    assert read(forged(key=other)).jkt == other.public.thumbprint()


@pytest.mark.parametrize("part", [0, 1, 2])
def test_s39_one_altered_byte_is_refused(part: int) -> None:
    segments = forged().split(".")
    octets = bytearray(decode(segments[part]))
    octets[len(octets) // 2] ^= 1
    segments[part] = segment(bytes(octets))

    refused(".".join(segments))


def test_j27_an_extension_that_nobody_knows_is_refused() -> None:
    refused(forged(header={"crit": ["exp"], "exp": 1}))
    refused(forged(header={"crit": []}))
    refused(forged(header={"b64": False}))

    assert read(forged(header={"unknown": True})).jti == "one"


@pytest.mark.parametrize("jti", [None, "", [], ["a"], 1, True, {"a": 1}, "x" * 257])
def test_j18_jti_is_a_short_text(jti: Any) -> None:
    refused(forged({"jti": jti}))


def test_j18_a_jti_of_a_megabyte_is_not_even_parsed() -> None:
    assert refused(forged({"jti": "x" * 1_000_000})) == "the proof is too long"


@pytest.mark.parametrize("jti", ["x", "x" * 256, "ü", "a b\n"])
def test_j18_any_text_of_1_to_256_characters_is_a_jti(jti: str) -> None:
    assert read(forged({"jti": jti})).jti == jti


@pytest.mark.parametrize("name", ["htm", "htu", "ath", "nonce"])
@pytest.mark.parametrize("value", [1, True, [], {"a": "b"}])
def test_s39_claims_have_their_types(name: str, value: Any) -> None:
    refused(forged({name: value}))


@pytest.mark.parametrize("name", ["jti", "htm", "htu", "iat"])
def test_s39_required_claims_are_required(name: str) -> None:
    assert name in refused(forged({name: None}))


# --- Checks 8 and 9 -----------------------------------------------------------------------------


def test_j12_a_proof_is_for_one_method() -> None:
    """RFC 9110 §9.1: methods have a case."""
    require_made_for(proof_for(URI, "GET"), method="GET", uri=URI)
    for htm in ("POST", "get", "GET ", "*"):
        with pytest.raises(ProofRefused, match="htm"):
            require_made_for(proof_for(URI, htm), method="GET", uri=URI)
    refused(forged({"htm": 1}))


@pytest.mark.parametrize(
    "htu",
    [
        "https://other.example/orders",
        "https://api.example.evil/orders",
        "https://api.example:8443/orders",
        "https://api.example:80/orders",
        "http://api.example/orders",
        "https://api.example/",
        "https://api.example",
        "https://api.example/orders/",
        "https://api.example//orders",
        "https://api.example/orders/1",
        "https://user@api.example/orders",
        "https://api.example@evil.example/orders",
        "https://api.example\\@evil.example/orders",
        "/orders",
        "orders",
        "//api.example/orders",
        "urn:orders",
        "https:///orders",
        "https://api.example/orders\n",
        " https://api.example/orders",
        "https://api.example/örders",
        "https://api.example:99999999/orders",
        "https://api.example:999999999999999999999/orders",
        "https://api.example:0/orders",
        "https://api.example:00/orders",
        "http\u017f://api.example/orders",  # a long s, which is an "s" without case
        "https://\u1d00pi.example/orders",
        "https://api.example\u3002evil/orders",
        "https://a%70i.example.evil/orders",
    ],
)
def test_j13_a_proof_for_another_uri_is_refused(htu: str) -> None:
    with pytest.raises(ProofRefused):
        require_made_for(proof_for(htu), method="GET", uri=URI)


SPELLINGS = [
    ("https://api.example/orders", "https://api.example/orders?page=2"),
    ("https://api.example/orders?page=2#top", "https://api.example/orders"),
    ("https://api.example:443/orders", "https://api.example/orders"),
    ("https://api.example:0443/orders", "https://api.example/orders"),
    ("https://api.example:/orders", "https://api.example/orders"),
    ("http://api.example:80/orders", "http://api.example/orders"),
    ("HTTPS://API.Example/orders", "https://api.example/orders"),
    ("https://[2001:DB8::1]/orders", "https://[2001:db8::1]:443/orders"),
    ("https://api.example/%7ealice", "https://api.example/~alice"),
    ("https://api.example/%7Ealice", "https://api.example/~alice"),
    ("https://api.example/a%2fb", "https://api.example/a%2Fb"),
    ("https://api.example/%61bc", "https://api.example/abc"),
    ("https://api.example", "https://api.example/"),
    ("https://api.example?a=/b", "https://api.example/"),
    ("https://api.example/a|b[1]", "https://api.example/a|b[1]"),
    ("https://api.example/100%", "https://api.example/100%"),
]


@pytest.mark.parametrize(("htu", "uri"), SPELLINGS)
def test_j14_two_spellings_of_one_uri_are_one(htu: str, uri: str) -> None:
    """RFC 3986 §6.2.2, §6.2.2.1, §6.2.2.2, §6.2.3."""
    require_made_for(proof_for(htu), method="GET", uri=uri)
    require_made_for(proof_for(uri), method="GET", uri=htu)


@pytest.mark.parametrize(("htu", "uri"), SPELLINGS[2:8])
def test_w88_uris_are_not_compared_as_texts(htu: str, uri: str) -> None:
    assert htu != uri
    require_made_for(proof_for(htu), method="GET", uri=uri)


@pytest.mark.parametrize(
    ("htu", "uri"),
    [
        ("https://api.example/a/../b", "https://api.example/b"),
        ("https://api.example/./b", "https://api.example/b"),
        ("https://api.example/a/%2e%2e/b", "https://api.example/b"),
        ("https://api.example/a%2fb", "https://api.example/a/b"),
        ("https://api.example/a%3fb", "https://api.example/a"),
        ("https://api.example/%2561", "https://api.example/a"),
        ("https://api.example/%2561", "https://api.example/%61"),
    ],
)
def test_j13_two_paths_that_a_router_may_tell_apart_are_two(htu: str, uri: str) -> None:
    require_made_for(proof_for(htu), method="GET", uri=htu)
    with pytest.raises(ProofRefused, match="htu"):
        require_made_for(proof_for(htu), method="GET", uri=uri)


def test_j13_letters_that_only_look_alike_are_others() -> None:
    """A Kelvin sign is a "k" without case."""
    with pytest.raises(ProofRefused):
        require_made_for(
            proof_for("https://\u212a.example/"), method="GET", uri="https://k.example/"
        )
    require_made_for(proof_for("https://K.example/"), method="GET", uri="https://k.example/")


def test_j15_a_path_has_a_case() -> None:
    with pytest.raises(ProofRefused, match="htu"):
        require_made_for(proof_for("https://api.example/Orders"), method="GET", uri=URI)
    require_made_for(proof_for(URI), method="GET", uri=URI)


# --- Check 11 -----------------------------------------------------------------------------------


@pytest.mark.parametrize("iat", [None, "1767268800", True, [], {"a": 1}, 1e300, -1e300, "now"])
def test_j17_iat_is_a_date(iat: Any) -> None:
    """RFC 7519 §2: a number."""
    refused(forged({"iat": iat}))


@pytest.mark.parametrize(("age", "fresh"), [
    (0, True), (60, True), (61, False), (600, False), (-10, True), (-11, False), (-600, False),
    (59.5, True), (60.5, False),
])  # fmt: skip
def test_j17_a_proof_is_good_from_60_seconds_back_to_10_ahead(age: float, fresh: bool) -> None:
    """RFC 9449 §11.1."""
    proof = read(forged({"iat": NOON - age}))

    if fresh:
        require_fresh(proof, now=NOON)
    else:
        with pytest.raises(ProofRefused, match="iat"):
            require_fresh(proof, now=NOON)


def test_w87_a_proof_that_travelled_for_seconds_is_fresh() -> None:
    for age in (-5, -1, 1, 2, 5, 30):
        require_fresh(read(forged({"iat": NOON - age})), now=NOON)


def test_j28_a_proof_that_is_over_is_refused_though_its_iat_is_fresh() -> None:
    """RFC 7519 §4.1.4, §4.1.5."""
    for over in (NOON, NOON - 1, 0):
        with pytest.raises(ProofRefused, match="exp"):
            require_not_over(read(forged({"exp": over})), now=NOON)
    require_not_over(read(forged({"exp": NOON + 1})), now=NOON)
    refused(forged({"exp": "soon"}))
    refused(forged({"nbf": True}))


def test_j28_a_proof_whose_time_has_not_come_is_refused() -> None:
    with pytest.raises(ProofRefused, match="nbf"):
        require_not_over(read(forged({"nbf": NOON + 11})), now=NOON)
    require_not_over(read(forged({"nbf": NOON + 10})), now=NOON)


# --- Check 12 -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "ath",
    [
        pytest.param(None, id="missing"),
        pytest.param("", id="empty"),
        pytest.param(access_token_hash(b"another token"), id="of another token"),
        pytest.param(access_token_hash(TOKEN.reveal().encode()) + "=", id="padded"),
        pytest.param(TOKEN.digest().hex(), id="hexadecimal"),
        pytest.param("ü", id="not ASCII"),
    ],
)
def test_j11_a_proof_for_another_token_is_refused(ath: str | None) -> None:
    token, jkt = TOKEN.reveal().encode(), ES256.public.thumbprint()
    with pytest.raises(ProofRefused, match="ath") as refusal:
        require_for_token(read(forged({"ath": ath})), token=token, jkt=jkt)

    assert not isinstance(refusal.value, KeyMismatch)
    require_for_token(read(forged({"ath": access_token_hash(token)})), token=token, jkt=jkt)


def test_j10_a_stolen_token_with_a_key_of_the_thief_is_told_apart() -> None:
    """RFC 9449 §6; the answer is `invalid_token` (RFC 9449 §7.1)."""
    token = TOKEN.reveal().encode()
    thief = SigningKey.generate(Algorithm.ES256)
    claims = {"ath": access_token_hash(token)}

    with pytest.raises(KeyMismatch):
        require_for_token(
            read(forged(claims, key=thief)), token=token, jkt=ES256.public.thumbprint()
        )
    require_for_token(read(forged(claims)), token=token, jkt=ES256.public.thumbprint())


# --- Whatever comes -----------------------------------------------------------------------------

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
NAMES = ["jti", "htm", "htu", "iat", "ath", "nonce", "exp", "nbf"]
MEMBERS = ["typ", "alg", "jwk", "crit", "kid", "cty"]


def only_refuses(*fields: str | bytes) -> None:
    try:
        proof = read(*fields)
        require_made_for(proof, method="GET", uri=URI)
        require_fresh(proof, now=NOON)
        require_not_over(proof, now=NOON)
        require_for_token(proof, token=b"token", jkt="jkt")
    except ProofRefused:
        return
    pytest.fail("nothing of this was made for that token")


@given(st.lists(st.binary(max_size=300) | st.text(max_size=300), max_size=2))
def test_any_octets_are_read_or_refused(fields: list[bytes | str]) -> None:
    only_refuses(*fields)


@given(st.dictionaries(st.sampled_from(NAMES), anything))
def test_any_claims_are_read_or_refused(claims: dict[str, Any]) -> None:
    only_refuses(forged(claims))


@given(st.dictionaries(st.sampled_from(MEMBERS), anything))
def test_any_header_is_read_or_refused(header: dict[str, Any]) -> None:
    only_refuses(forged(header=header))


@given(st.dictionaries(st.sampled_from(["kty", "crv", "x", "y", "n", "e", "alg", "use"]), anything))
def test_any_key_is_read_or_refused(members: dict[str, Any]) -> None:
    only_refuses(forged(header={"jwk": jwk_of(ES256) | members}))


@given(st.text(), st.text())
def test_any_htu_is_compared_or_refused(htu: str, uri: str) -> None:
    proof = DPoPProof(jkt="k", jti="j", iat=NOON, htm="GET", htu=htu)
    try:
        require_made_for(proof, method="GET", uri=uri)
    except ProofRefused:
        return
    assert htu.lower().startswith("http")
