"""Group I of the attack list, as far as it can be said without OAuth words (RFC 7516, RFC 7518)."""

import json
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from tests.jose.forge import ES256, compact, signed
from tests.jose.jwe_forge import (
    DIR,
    EC,
    NOW,
    RSA,
    RSA_256,
    X25519,
    altered,
    forged,
    opened,
    sealed,
    with_broken_padding,
)

from mintmark.jose import content_encryption as content_encryption_module
from mintmark.jose.base64url import decode, encode
from mintmark.jose.content_encryption import ContentEncryption
from mintmark.jose.decryption_keys import DecryptionKey, DecryptionKeys
from mintmark.jose.errors import (
    AlgorithmRefused,
    ClaimRefused,
    DecryptionFailed,
    HeaderRefused,
    JoseError,
    KeyNotFound,
    KeyRetired,
    Malformed,
)
from mintmark.jose.jwe import require_nested_jws, require_replicated
from mintmark.jose.jws import parse, require_typ
from mintmark.jose.key_management import OAEP, Curve, KeyManagement
from mintmark.jose.key_set import KeySet

GCM = ContentEncryption.A256GCM
CBC = ContentEncryption.A128CBC_HS256
INNER = signed(b'{"sub":"alice"}')
HONEST = forged()


def resized(length: int) -> Callable[[bytes], bytes]:
    """The same octets, cut or repeated to this length."""
    return lambda octets: (octets * 3)[:length]


class TestAttacks:
    """Group I of the attack list, as far as it can be said without OAuth words."""

    def test_i01_claims_without_a_signature_are_refused(self) -> None:
        claims = forged(plaintext=b'{"iss":"https://id.example","sub":"mallory"}')

        with pytest.raises(Malformed):
            require_nested_jws(opened(claims))

    def test_i01_the_honest_twin_is_signed_inside(self) -> None:
        jws = parse(require_nested_jws(opened(forged(plaintext=INNER.encode()))))

        jws.require_signature(KeySet.of(ES256.public), {ES256.algorithm})
        assert jws.payload == b'{"sub":"alice"}'

    def test_i02_neither_reader_takes_the_others_token(self) -> None:
        with pytest.raises(Malformed):
            opened(INNER)
        with pytest.raises(JoseError):
            parse(HONEST)

    def test_i03_nothing_is_ever_inflated(self) -> None:
        packer = zlib.compressobj(9, zlib.DEFLATED, -15)
        bomb = packer.compress(b"a" * 5_000_000) + packer.flush()

        with pytest.raises(HeaderRefused):
            opened(forged(plaintext=bomb, zip="DEF"))
        assert opened(forged(plaintext=bomb)).plaintext == bomb

    @pytest.mark.parametrize("p2c", [10**9, -1, 0, "5"])
    def test_i04_a_password_is_no_key(self, p2c: Any) -> None:
        token = forged(DIR, alg="PBES2-HS256+A128KW", p2s="AAAAAAAAAAA", p2c=p2c)

        with pytest.raises(HeaderRefused):
            opened(token)
        with pytest.raises(AlgorithmRefused):
            opened(forged(DIR, alg="PBES2-HS256+A128KW"))

    def test_i05_rsa1_5_is_refused_before_a_key_is_touched(self) -> None:
        with pytest.raises(AlgorithmRefused):
            opened(forged(alg="RSA1_5"), DecryptionKeys.of())

    @pytest.mark.parametrize(
        "token",
        [
            pytest.param(forged(DIR, kid=RSA.kid), id="dir-with-the-name-of-RSA"),
            pytest.param(forged(EC, kid=RSA.kid), id="ECDH-with-the-name-of-RSA"),
            pytest.param(forged(RSA, kid=RSA_256.kid), id="the-other-OAEP"),
            pytest.param(forged(RSA, alg="RSA-OAEP-256"), id="alg-changed"),
            pytest.param(forged(EC, alg="ECDH-ES+A128KW"), id="wrapping-not-configured"),
        ],
    )
    def test_i06_a_key_is_used_with_its_own_algorithm_only(self, token: str) -> None:
        with pytest.raises(AlgorithmRefused):
            opened(token)

    @pytest.mark.parametrize("enc", ["A128CBC-HS256", "A128GCM", "A256CBC-HS512"])
    def test_i06_a_shared_key_is_for_one_content_encryption(self, enc: str) -> None:
        """RFC 7518 §4.5."""
        chosen = ContentEncryption(enc)
        head = json.dumps({"alg": "dir", "enc": enc, "kid": DIR.kid}).encode()
        cek = (DIR._private if isinstance(DIR._private, bytes) else b"").ljust(64, b"\0")

        with pytest.raises(AlgorithmRefused):
            opened(sealed(head, chosen, cek[: chosen.key_length], b"", b"a.b.c"))

    @pytest.mark.parametrize("key", [DIR, EC], ids=["dir", "ECDH-ES"])
    def test_i06_where_no_key_is_sent_none_may_stand(self, key: DecryptionKey) -> None:
        assert opened(forged(key)).plaintext == b"a.b.c"
        with pytest.raises(Malformed):
            opened(altered(forged(key), 1, lambda _: b"\0" * 40))

    @pytest.mark.parametrize("key", [RSA, EC], ids=["RSA", "EC"])
    def test_i08_a_cut_or_grown_tag_is_refused(self, key: DecryptionKey) -> None:
        for length in (0, 8, 12, 15, 17, 32):
            with pytest.raises(Malformed):
                opened(altered(forged(key), 4, resized(length)))

    @pytest.mark.parametrize(
        ("enc", "right"), [(enc, 12 if "GCM" in enc else 16) for enc in sorted(ContentEncryption)]
    )
    def test_i08_the_initialization_vector_has_one_length(
        self, enc: ContentEncryption, right: int
    ) -> None:
        for length in {0, 8, 12, 13, 15, 16, 17} - {right}:
            with pytest.raises(Malformed):
                opened(altered(forged(EC, enc=enc), 2, resized(length)))

    @pytest.mark.parametrize(
        ("enc", "right"),
        [(ContentEncryption.A192CBC_HS384, 24), (ContentEncryption.A256CBC_HS512, 32)],
    )
    def test_i08_a_longer_mac_is_not_cut(self, enc: ContentEncryption, right: int) -> None:
        for length in (16, right - 1, right + 1):
            with pytest.raises(Malformed):
                opened(altered(forged(EC, enc=enc), 4, resized(length)))

    def test_i10_a_token_inside_a_token_inside_a_token_is_refused(self) -> None:
        twice = forged(plaintext=forged(plaintext=INNER.encode()).encode())

        with pytest.raises(Malformed):
            require_nested_jws(opened(twice))

    @pytest.mark.parametrize("cty", [None, "", "json", "JWE", "at+jwt"])
    def test_i10_the_header_says_that_a_token_is_inside(self, cty: str | None) -> None:
        """RFC 7519 §5.2."""
        with pytest.raises(HeaderRefused):
            require_nested_jws(opened(forged(plaintext=INNER.encode(), cty=cty)))
        for honest in ("JWT", "jwt", "application/jwt"):
            token = forged(plaintext=INNER.encode(), cty=honest)
            assert require_nested_jws(opened(token)) == INNER.encode()

    def test_i11_what_is_inside_is_checked_like_any_token(self) -> None:
        unsigned = compact({"alg": "none"}, b"{}").rpartition(".")[0] + "."
        other_kind = signed(b"{}", typ="logout+jwt")

        with pytest.raises(AlgorithmRefused):
            parse(require_nested_jws(opened(forged(plaintext=unsigned.encode()))))
        with pytest.raises(HeaderRefused):
            inner = parse(require_nested_jws(opened(forged(plaintext=other_kind.encode()))))
            require_typ(inner.header, "at+jwt")

    def test_i12_an_unknown_kid_is_refused(self) -> None:
        for kid in ("another", "", "../../etc/passwd"):
            with pytest.raises(KeyNotFound):
                opened(forged(kid=kid))

    @pytest.mark.parametrize(
        ("name", "outside", "inside"),
        [
            ("iss", "https://id.example", {"iss": "https://evil.example"}),
            ("sub", "alice", {"sub": "mallory"}),
            ("sub", "alice", {}),
            ("sub", None, {}),
            ("aud", "https://api.example", {"aud": ["https://api.example", "https://b.example"]}),
        ],
    )
    def test_i14_a_header_that_says_otherwise_than_the_claims_is_refused(
        self, name: str, outside: Any, inside: dict[str, Any]
    ) -> None:
        """RFC 7519 §5.3."""
        honest = {"alg": "RSA-OAEP", "enc": GCM, "kid": RSA.kid, name: outside}
        cek, encrypted_key, _ = RSA.public.seal_content_key(KeyManagement.RSA_OAEP, GCM, (b"", b""))
        token = sealed(json.dumps(honest).encode(), GCM, cek, encrypted_key, b"a.b.c")
        header = opened(token).header

        with pytest.raises(ClaimRefused) as refusal:
            require_replicated(header, inside)
        assert refusal.value.claim == name
        require_replicated(header, {name: outside, "exp": 5})
        require_replicated(opened(HONEST).header, inside)

    @pytest.mark.parametrize(("after", "fits"), [(-0.001, True), (0.0, False), (86_400.0, False)])
    def test_i15_an_old_key_is_accepted_until_its_overlap_is_over(
        self, after: float, *, fits: bool
    ) -> None:
        fresh = DecryptionKey.generate(KeyManagement.RSA_OAEP)
        keys = DecryptionKeys.of(RSA).rotated(fresh, until=NOW)
        if fits:
            assert opened(HONEST, keys, now=NOW + after).plaintext == b"a.b.c"
        else:
            with pytest.raises(KeyRetired):
                opened(HONEST, keys, now=NOW + after)
        assert opened(forged(fresh), keys, now=NOW + after).plaintext == b"a.b.c"


class TestAgreement:
    """I7. RFC 7518 §4.6.1.1, RFC 8037 §5: the sender's point is an attacker's to choose."""

    P = 2**256 - 2**224 + 2**192 + 2**96 - 1
    HONEST_EPK = EC.public.to_jwk()

    @pytest.mark.parametrize(
        "epk",
        [
            pytest.param(None, id="missing"),
            pytest.param({}, id="empty"),
            pytest.param("AAAA", id="text"),
            pytest.param([], id="list"),
            pytest.param(HONEST_EPK | {"crv": "P-384"}, id="crv-of-another-curve"),
            pytest.param(HONEST_EPK | {"crv": "secp256k1"}, id="crv-not-ours"),
            pytest.param(HONEST_EPK | {"crv": None}, id="crv-null"),
            pytest.param(HONEST_EPK | {"crv": ["P-256"]}, id="crv-list"),
            pytest.param(HONEST_EPK | {"kty": "OKP"}, id="kty"),
            pytest.param(HONEST_EPK | {"d": "AAAA"}, id="private"),
            pytest.param(HONEST_EPK | {"y": HONEST_EPK["x"]}, id="off-the-curve"),
            pytest.param(HONEST_EPK | {"x": encode(b"\0" * 32), "y": encode(b"\0" * 32)}, id="zero"),
            pytest.param(HONEST_EPK | {"x": encode(P.to_bytes(32, "big"))}, id="not-reduced"),
            pytest.param(HONEST_EPK | {"x": encode(b"\0" + b"\1" * 32)}, id="too-long"),
            pytest.param(HONEST_EPK | {"x": HONEST_EPK["x"][:-2]}, id="too-short"),
            pytest.param(HONEST_EPK | {"x": 5}, id="number"),
            pytest.param(HONEST_EPK | {"y": None}, id="y-missing"),
            pytest.param(X25519.public.to_jwk(), id="X25519-for-P-256"),
            pytest.param(
                DecryptionKey.generate(KeyManagement.ECDH_ES, curve=Curve.P384).public.to_jwk(),
                id="P-384-for-P-256",
            ),
        ],
    )  # fmt: skip
    def test_i07_an_unsound_point_is_refused(self, epk: Any) -> None:
        with pytest.raises((HeaderRefused, Malformed)):
            opened(forged(EC, epk=epk))

    @pytest.mark.parametrize(
        "x",
        [
            "00" * 32,
            "01" + "00" * 31,
            "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
            "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
            "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "00" * 31,
            "09" + "00" * 32,
        ],
    )
    def test_i07_a_point_of_small_order_or_another_length_is_refused(self, x: str) -> None:
        epk = {"kty": "OKP", "crv": "X25519", "x": encode(bytes.fromhex(x))}

        with pytest.raises(HeaderRefused):
            opened(forged(X25519, epk=epk))

    @pytest.mark.parametrize("moved", [0, 1, -1])
    def test_i07_coordinates_have_one_length_each(self, moved: int) -> None:
        """RFC 7518 §6.2.1.2: an octet moved from one to the other leaves the same point."""
        cek, _, epk = EC.public.seal_content_key(KeyManagement.ECDH_ES, GCM, (b"", b""))
        assert epk is not None
        point = decode(epk["x"]) + decode(epk["y"])
        epk |= {"x": encode(point[: 32 + moved]), "y": encode(point[32 + moved :])}
        head = {"alg": "ECDH-ES", "enc": GCM, "kid": EC.kid, "epk": epk}
        token = sealed(json.dumps(head).encode(), GCM, cek, b"", b"payload")
        if moved == 0:
            assert opened(token).plaintext == b"payload"
        else:
            with pytest.raises(HeaderRefused):
                opened(token)

    @pytest.mark.parametrize("name", ["apu", "apv"])
    def test_a_name_that_was_changed_gives_another_key(self, name: str) -> None:
        """RFC 7518 §4.6.1.2, RFC 7518 §4.6.1.3."""
        with pytest.raises(DecryptionFailed):
            opened(forged(EC, **dict[str, Any]({name: "QWxpY2U"})))
        for unreadable in ("?", "QQ=", 5, None):
            head = {"alg": "ECDH-ES", "enc": GCM, "kid": EC.kid, "epk": EC.public.to_jwk()}
            text = json.dumps(head | {name: unreadable}).encode()
            with pytest.raises((HeaderRefused, Malformed)):
                opened(sealed(text, GCM, b"\0" * 32, b"", b""))

    def test_an_empty_name_is_no_name(self) -> None:
        assert opened(forged(EC, apu="", apv="")).plaintext == b"a.b.c"


class TestOneAnswer:
    """I9. RFC 7516 §11.5, RFC 7518 §5.2.2.2: nobody learns where it failed."""

    CBC_KEY = DecryptionKey.generate(KeyManagement.DIR, content_encryption=CBC)
    WRAPPED = DecryptionKey.generate(KeyManagement.ECDH_ES_A256KW)

    @staticmethod
    def _answer(token: str, key: DecryptionKey) -> tuple[type[JoseError], str, object]:
        with pytest.raises(JoseError) as refusal:
            opened(token, DecryptionKeys.of(key))
        return type(refusal.value), refusal.value.reason, refusal.value.__cause__

    def _unpadded(self, padded: bytes) -> str:
        key, head = self.CBC_KEY, {"alg": "dir", "enc": CBC, "kid": self.CBC_KEY.kid}
        assert isinstance(key._private, bytes)
        return with_broken_padding(key._private, head, padded)

    def test_i09_a_broken_mac_and_a_broken_padding_are_answered_alike(self) -> None:
        token = forged(self.CBC_KEY, enc=CBC)
        broken = [
            altered(token, 4, lambda tag: bytes([tag[0] ^ 1]) + tag[1:]),
            altered(token, 3, lambda ciphertext: ciphertext[:-1]),
            altered(token, 3, lambda _: b""),
            self._unpadded(b"x" * 16),
            self._unpadded(b"x" * 15 + b"\0"),
            self._unpadded(b"x" * 15 + b"\x11"),
        ]

        assert len({self._answer(one, self.CBC_KEY) for one in broken}) == 1
        twin = self._unpadded(b"x" * 15 + b"\1")
        assert opened(twin, DecryptionKeys.of(self.CBC_KEY)).plaintext == b"x" * 15

    def test_i09_what_has_no_right_mac_is_never_decrypted(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked: list[bytes] = []
        real = content_encryption_module._decrypt_cbc

        def watched(cek: bytes, iv: bytes, ciphertext: bytes) -> bytes:
            asked.append(iv)
            return real(cek, iv, ciphertext)

        monkeypatch.setattr(content_encryption_module, "_decrypt_cbc", watched)
        token = forged(EC, enc=CBC)

        with pytest.raises(DecryptionFailed):
            opened(altered(token, 4, lambda tag: tag[::-1]))
        assert asked == []
        opened(token)
        assert len(asked) == 1

    @pytest.mark.parametrize("key", [RSA, RSA_256, WRAPPED], ids=["OAEP", "OAEP-256", "A256KW"])
    @pytest.mark.parametrize("enc", [GCM, CBC])
    def test_i05_a_failed_unwrapping_and_a_failed_tag_are_answered_alike(
        self, key: DecryptionKey, enc: ContentEncryption
    ) -> None:
        token = forged(key, enc=enc)
        changes = [
            (1, lambda wrapped: bytes([wrapped[0] ^ 1]) + wrapped[1:]),
            (1, lambda wrapped: wrapped[:-1]),
            (1, lambda wrapped: wrapped + b"\0"),
            (1, lambda _: b""),
            (1, lambda wrapped: b"\xff" * len(wrapped)),
            (4, lambda tag: tag[::-1]),
        ]

        assert (
            len({self._answer(altered(token, part, change), key) for part, change in changes}) == 1
        )

    @pytest.mark.parametrize("length", [0, 16, 31, 33, 64])
    def test_i05_a_content_key_of_another_length_is_answered_alike(self, length: int) -> None:
        public = RSA.public._public
        assert isinstance(public, rsa.RSAPublicKey)
        wrapped = public.encrypt(b"k" * length, OAEP[KeyManagement.RSA_OAEP])

        assert self._answer(altered(HONEST, 1, lambda _: wrapped), RSA)[0] is DecryptionFailed

    def test_i05_a_shorter_content_key_is_not_used_even_where_the_tag_holds(self) -> None:
        """RFC 7518 §5.3: otherwise A256GCM would be opened with 128 bits."""
        public, weaker = RSA.public._public, ContentEncryption.A128GCM
        assert isinstance(public, rsa.RSAPublicKey)
        cek = b"k" * 16
        wrapped = public.encrypt(cek, OAEP[KeyManagement.RSA_OAEP])
        head = {"alg": "RSA-OAEP", "kid": RSA.kid}
        honest = json.dumps(head | {"enc": weaker}).encode()
        downgraded = json.dumps(head | {"enc": GCM}).encode()

        assert opened(sealed(honest, weaker, cek, wrapped, b"payload")).plaintext == b"payload"
        with pytest.raises(DecryptionFailed):
            opened(sealed(downgraded, weaker, cek, wrapped, b"payload"))
