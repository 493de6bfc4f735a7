"""Encrypted tokens: what is opened, and everything that is not (RFC 7516, attack group I)."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.jose.forge import signed
from tests.jose.jwe_forge import (
    DIR,
    EC,
    KEYS,
    NOW,
    RSA,
    X25519,
    altered,
    forged,
    opened,
    sealed,
)

from mintmark.jose import jwe
from mintmark.jose.base64url import encode
from mintmark.jose.content_encryption import ALL_CONTENT_ENCRYPTIONS, ContentEncryption
from mintmark.jose.decryption_keys import DecryptionKey, DecryptionKeys
from mintmark.jose.errors import (
    AlgorithmRefused,
    DecryptionFailed,
    HeaderRefused,
    JoseError,
    KeyNotFound,
    Malformed,
)
from mintmark.jose.jwe import decrypt, encrypt
from mintmark.jose.jws import MAX_LENGTH
from mintmark.jose.key_management import ALL_KEY_MANAGEMENTS, Curve, KeyManagement

GCM = ContentEncryption.A256GCM
CBC = ContentEncryption.A128CBC_HS256
INNER = signed(b'{"sub":"alice"}')
HONEST = forged()
CASES = [
    (alg, enc) for alg in sorted(ALL_KEY_MANAGEMENTS) for enc in sorted(ALL_CONTENT_ENCRYPTIONS)
]


class TestOpening:
    """RFC 7516 §5.1, RFC 7516 §5.2; RFC 7518 §4 and RFC 7518 §4.1, RFC 7518 §5 and RFC 7518 §5.1 for the names."""

    @pytest.mark.parametrize(("algorithm", "enc"), CASES)
    def test_what_is_encrypted_is_opened_in_every_way_and_by_its_key_alone(
        self, algorithm: KeyManagement, enc: ContentEncryption
    ) -> None:
        """RFC 7518 §4.3, RFC 7518 §4.5, RFC 7518 §4.6, RFC 7518 §5.3."""
        for_dir = enc if algorithm is KeyManagement.DIR else None
        key = DecryptionKey.generate(algorithm, content_encryption=for_dir)
        twin = DecryptionKey.generate(algorithm, content_encryption=for_dir, kid=key.kid)

        token = encrypt(b"payload", key.public, enc=enc)

        assert opened(token, DecryptionKeys.of(key)).plaintext == b"payload"
        with pytest.raises(DecryptionFailed):
            opened(token, DecryptionKeys.of(twin))

    @pytest.mark.parametrize("curve", sorted(Curve))
    @pytest.mark.parametrize("algorithm", sorted(a for a in KeyManagement if a.startswith("ECDH")))
    def test_every_curve_agrees(self, algorithm: KeyManagement, curve: Curve) -> None:
        """RFC 7518 §4.6.1.1, RFC 8037 §3.2, and RFC 7518 §4.6.2 with names in the key."""
        key = DecryptionKey.generate(algorithm, curve=curve)

        token = encrypt(b"payload", key.public, enc=GCM, apu=b"Alice", apv=b"Bob")

        assert opened(token, DecryptionKeys.of(key)).plaintext == b"payload"

    def test_the_same_content_is_never_the_same_token(self) -> None:
        first, second = (encrypt(b"payload", RSA.public, enc=GCM).split(".") for _ in range(2))

        assert first[0] == second[0]
        assert not set(first[1:]) & set(second[1:])

    @pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 1000])
    @pytest.mark.parametrize("enc", sorted(ContentEncryption))
    def test_content_of_every_length_comes_back(self, enc: ContentEncryption, size: int) -> None:
        """RFC 7518 §5.2.2.1: a whole block of padding where none is needed."""
        assert opened(forged(EC, b"x" * size, enc=enc)).plaintext == b"x" * size

    def test_the_header_says_what_stands_in_it(self) -> None:
        claims = {"iss": "https://id.example", "aud": ["a", "b"]}
        token = encrypt(b"", RSA.public, enc=GCM, typ="application/AT+JWT", replicated=claims)

        header = opened(token).header

        assert (header.key_management, header.content_encryption) == (KeyManagement.RSA_OAEP, GCM)
        assert (header.kid, header.typ, header.cty) == (RSA.kid, "at+jwt", "jwt")
        assert header.replicated == claims

    def test_only_claims_that_a_header_knows_are_repeated_in_it(self) -> None:
        """RFC 7519 §5.3: anything else could replace what the header says of itself."""
        for stranger in ({"alg": "dir"}, {"zip": "DEF"}, {"jti": "1"}):
            with pytest.raises(HeaderRefused):
                encrypt(b"", RSA.public, enc=GCM, replicated=stranger)

    def test_what_was_opened_shows_itself_nowhere(self) -> None:
        assert repr(opened(forged(plaintext=b"a.secret.b"))) == "<Decrypted 10 octets>"

    def test_only_what_is_allowed_is_opened(self) -> None:
        """RFC 8725 §3.1: the token does not choose."""
        for algorithms, encs in (
            ({KeyManagement.RSA_OAEP_256}, {GCM}),
            ({KeyManagement.RSA_OAEP}, {CBC}),
            (set(), {GCM}),
        ):
            with pytest.raises(AlgorithmRefused):
                decrypt(HONEST, KEYS, now=NOW, key_management=algorithms, content_encryption=encs)


class TestSerialization:
    """RFC 7516 §7.1: five segments of canonical base64url, and nothing else."""

    @pytest.mark.parametrize(
        "token",
        [
            pytest.param("", id="empty"),
            pytest.param("....", id="only-dots"),
            pytest.param(HONEST.rpartition(".")[0], id="four"),
            pytest.param(HONEST + ".", id="six"),
            pytest.param(INNER, id="I2-plain-JWS"),
            pytest.param(HONEST + "=", id="padding"),
            pytest.param(HONEST + "\n", id="newline"),
            pytest.param(" " + HONEST, id="blank"),
            pytest.param(HONEST[:60] + "ä" + HONEST[60:], id="foreign"),
            pytest.param(HONEST[:-1] + chr(ord(HONEST[-1]) + 1), id="unused-bits"),
        ],
    )
    def test_a_hostile_serialization_is_refused(self, token: str) -> None:
        with pytest.raises(Malformed):
            opened(token)

    def test_as_long_as_allowed_is_opened_and_one_more_is_not_looked_at(self) -> None:
        filled = [forged(DIR, b"x" * size) for size in range(12_000, 12_240)]
        (fits,) = {len(t): t for t in filled if len(t) == MAX_LENGTH}.values()

        assert opened(fits).plaintext
        with pytest.raises(Malformed, match="too long"):
            opened(fits + "A")

    def test_i13_the_json_serialization_is_refused(self) -> None:
        head, key, iv, ciphertext, tag = HONEST.split(".")
        body = {"iv": iv, "ciphertext": ciphertext, "tag": tag, "protected": head}
        flat = body | {"encrypted_key": key}
        general = body | {"recipients": [{"encrypted_key": key}, {"encrypted_key": key}]}

        assert opened(HONEST).plaintext == b"a.b.c"
        for form in (flat, general):
            with pytest.raises(Malformed):
                opened(json.dumps(form))

    @given(st.text(max_size=300) | st.binary(max_size=300))
    def test_nothing_foreign_leaves_the_reader(self, noise: str | bytes) -> None:
        with pytest.raises(JoseError):
            opened(noise)

    @settings(deadline=None)
    @given(
        st.sampled_from([HONEST, forged(EC), forged(X25519), forged(DIR), forged(EC, enc=CBC)]),
        st.integers(0, 100_000),
        st.integers(0, 7),
        st.integers(0, 4),
    )
    def test_a_turned_bit_is_refused(self, token: str, place: int, bit: int, part: int) -> None:
        def turn(octets: bytes) -> bytes:
            if not octets:
                return bytes([bit])
            turned = bytearray(octets)
            turned[place % len(turned)] ^= 1 << bit
            return bytes(turned)

        with pytest.raises(JoseError):
            opened(altered(token, part, turn))


class TestHeader:
    """RFC 7516 §4.1, RFC 8725 §3.10: what changes the meaning is refused, keys are not used."""

    @pytest.mark.parametrize(
        "name_and_value",
        [
            ("crit", ["exp"]), ("crit", []), ("b64", False), ("zip", "DEF"), ("zip", ""), ("p2c", 1), ("p2s", "AA"),
            ("iv", "AA"), ("tag", "AA"), ("epk", {}), ("epk", EC.public.to_jwk()), ("apu", "AA"), ("apv", "AA"),
            ("typ", 5), ("cty", 5), ("kid", 5), ("kid", "k" * 257),
        ],
        ids=lambda pair: str(pair)[:30],
    )  # fmt: skip
    def test_what_we_do_not_do_is_refused(self, name_and_value: tuple[str, Any]) -> None:
        """RFC 7516 §4.1.13, RFC 7516 §4.1.3, RFC 7516 §4.1.11, RFC 7516 §4.1.12."""
        with pytest.raises(HeaderRefused):
            opened(forged(**dict([name_and_value])))

    @pytest.mark.parametrize("enc", [None, "A128CBC", "A256GCM ", "a256gcm", 5, ["A256GCM"]])
    def test_an_enc_that_is_none_of_ours_is_refused(self, enc: Any) -> None:
        head = {"alg": "RSA-OAEP", "enc": enc, "kid": RSA.kid}
        shown = {k: v for k, v in head.items() if v is not None}

        with pytest.raises(AlgorithmRefused):
            opened(sealed(json.dumps(shown).encode(), GCM, b"\0" * 32, b"", b""))

    def test_a_null_is_no_algorithm(self) -> None:
        for head in (b'{"alg":null,"enc":"A256GCM"}', b'{"alg":"RSA-OAEP","enc":null}'):
            with pytest.raises(AlgorithmRefused):
                opened(sealed(head, GCM, b"\0" * 32, b"", b""))

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("jwk", EC.public.to_jwk()), ("jku", "http://169.254.169.254/keys"),
            ("x5u", "file:///etc/passwd"), ("x5c", ["AAAA"]), ("x5t", "AAAA"),
        ],
    )  # fmt: skip
    def test_a_key_in_the_header_is_not_used(self, name: str, value: Any) -> None:
        stranger = DecryptionKey.generate(KeyManagement.RSA_OAEP, kid=RSA.kid)

        assert opened(forged(**{name: value})).plaintext == b"a.b.c"
        with pytest.raises(DecryptionFailed):
            opened(forged(stranger, **{name: value}))

    def test_a_duplicate_member_is_refused(self) -> None:
        head = b'{"alg":"dir","enc":"A128GCM","enc":"A256GCM"}'

        with pytest.raises(Malformed):
            opened(sealed(head, GCM, b"\0" * 32, b"", b""))

    @pytest.mark.parametrize(("filler", "fits"), [(1300, True), (1700, False)])
    def test_a_header_has_a_limit(self, filler: int, *, fits: bool) -> None:
        token = forged(filler="x" * filler)
        if fits:
            assert opened(token).plaintext == b"a.b.c"
        else:
            with pytest.raises(HeaderRefused):
                opened(token)

    def test_a_flood_of_headers_does_not_grow_the_memory(self) -> None:
        for number in range(1200):
            with pytest.raises(KeyNotFound):
                opened(f"{encode(json.dumps({'alg': 'dir', 'enc': GCM, 'kid': f'k{number}'}).encode())}"
                       f"..{encode(b'i' * 12)}..{encode(b't' * 16)}")  # fmt: skip
        kept = len(jwe._headers)
        opened(forged(EC))

        assert kept <= jwe._MAX_HEADERS
        assert len(jwe._headers) == kept  # an ephemeral key comes only once

    @settings(deadline=None)
    @given(
        st.dictionaries(
            st.sampled_from(["alg", "enc", "kid", "epk", "apu", "apv", "cty", "typ", "iss", "aud"]),
            st.sampled_from([*KeyManagement, *ContentEncryption, EC.kid, RSA.kid, "AA", "?", "", 5])
            | st.none()
            | st.dictionaries(
                st.sampled_from(["kty", "crv", "x", "y", "d"]),
                st.sampled_from([*Curve, "EC", "OKP", encode(b"\1" * 32), "", 1]),
            ),
        )
    )
    def test_whatever_stands_in_a_header_nothing_foreign_leaves(self, head: dict[str, Any]) -> None:
        with pytest.raises(JoseError):
            opened(sealed(json.dumps(head).encode(), GCM, b"\0" * 32, b"", b"x"))
