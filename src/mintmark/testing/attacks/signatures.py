"""E: the mathematics of signatures (RFC 7518 §3.3-3.5, RFC 8032 §5.1.7)."""

import hashlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from mintmark.jose.algorithms import Algorithm
from mintmark.jose.base64url import decode, encode
from mintmark.jose.keys import SigningKey
from mintmark.testing.attacks.forging import compact
from mintmark.testing.attacks.jose_header import rsa_key
from mintmark.testing.attacks.model import ACCEPTED, R1, Group, Send, Setting, Variant
from mintmark.testing.attacks.raw_rsa import DIGEST_INFO, RawRsa, emsa_pkcs1
from mintmark.testing.attacks.trying import honest, publish, signs_with, with_token

if TYPE_CHECKING:
    from mintmark.testing.mint import Mint

__all__ = ["SIGNATURES"]

SIGNATURES = Group("E")
N: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""The order of P-256."""
P: Final = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF
"""Its field."""
L: Final = 2**252 + 27742317777372353535851937790883648493
"""The order of Ed25519."""
_ED25519: Final = SigningKey.generate(Algorithm.EDDSA)


def _with_signature(mint: "Mint", signature: bytes) -> str:
    return f"{mint.delegated().text.rpartition('.')[0]}.{encode(signature)}"


def _halves(r: int, s: int) -> bytes:
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def _own_halves(text: str) -> tuple[int, int]:
    raw = decode(text.rpartition(".")[2])
    return int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big")


@SIGNATURES.attack("E1", "an ES256 signature of zeros", R1)
def zeros(mint: "Mint") -> Iterator[Variant]:
    for r, s in ((0, 0), (0, 1), (1, 0)):
        yield with_token(mint, f"r={r} s={s}", _with_signature(mint, _halves(r, s)))


@SIGNATURES.attack("E2", "an ES256 signature out of range", R1)
def out_of_range(mint: "Mint") -> Iterator[Variant]:
    edges = {"1": 1, "n-1": N - 1, "n": N, "n+1": N + 1, "p": P, "2^256-1": 2**256 - 1,
             "p-n": P - N}  # fmt: skip
    for r_name, r in edges.items():
        for s_name, s in edges.items():
            text = _with_signature(mint, _halves(r, s))
            yield with_token(mint, f"r={r_name} s={s_name}", text)
    text = mint.delegated().text
    r, s = _own_halves(text)
    start = text.rpartition(".")[0]
    yield with_token(mint, "r and n-r", f"{start}.{encode(_halves(N - r, s))}")


@SIGNATURES.attack("E3", "an ES256 signature in another form", R1)
def other_forms(mint: "Mint") -> Iterator[Variant]:
    text = mint.delegated().text
    start, (r, s) = text.rpartition(".")[0], _own_halves(text)
    raw = _halves(r, s)
    forms = {
        "DER": encode_dss_signature(r, s),
        "63 octets": raw[:-1],
        "65 octets": raw + b"\x00",
        "96 octets": b"\x00" * 16 + raw[:32] + b"\x00" * 16 + raw[32:],
        "padded halves": b"\x00" + raw[:32] + b"\x00" + raw[32:],
        "128 octets": raw * 2,
        "s and r": raw[32:] + raw[:32],
        "little-endian": raw[31::-1] + raw[:31:-1],
    }
    for name, signature in forms.items():
        yield with_token(mint, name, f"{start}.{encode(signature)}")


@SIGNATURES.attack("E4", "the other valid signature: r and n-s", ACCEPTED)
def malleable(mint: "Mint") -> Iterator[Variant]:
    # Anybody can make it of a valid one, so a token's text is no name to deny or count it by.
    text = mint.delegated().text
    start, (r, s) = text.rpartition(".")[0], _own_halves(text)
    twin = f"{start}.{encode(_halves(r, N - s))}"
    steps = (Send(mint.carry(text), name="the original"), Send(mint.carry(twin)))
    yield Variant(name="n-s", steps=steps)


@SIGNATURES.attack("E5", "PKCS #1 v1.5 with an altered padding", R1)
def altered_padding(mint: "Mint") -> Iterator[Variant]:
    raw, token = RawRsa.of(rsa_key()), mint.delegated().by(rsa_key())
    steps = []
    for name, alter in _alterations().items():

        def sign(content: bytes, alter: Alteration = alter) -> bytes:
            return raw.raise_padded(alter(emsa_pkcs1(content, raw.length), content))

        text = compact(token.header, token.payload, sign)
        steps.append(Send(mint.carry(text), name=name))
    yield Variant(name="altered", before=(signs_with(rsa_key()),), steps=tuple(steps))


Alteration = Callable[[bytes, bytes], bytes]


def _alterations() -> dict[str, Alteration]:
    """What is done to an honest padding, given it and the message."""
    found = {f"octet {place} changed": _changed_at(place) for place in _PLACES}
    # RFC 8017 §9.2: at least eight octets of filling, and then up to the end.
    found |= {f"{n} octets of filling, garbage behind": _short_filling(n) for n in (8, 0)}
    found |= {name: _with_info(prefix, digest) for name, prefix, digest in _INFOS}
    found["block type 2"] = lambda em, _: b"\x00\x02" + em[2:]
    found["zeros for 0xff"] = lambda em, _: em[:2] + em[2:].replace(b"\xff", b"\x00", 190)
    found["an octet behind"] = lambda em, c: _filled(
        DIGEST_INFO + hashlib.sha256(c).digest() + b"\x00", len(em)
    )
    return found


_PLACES: Final = (1, 2, 3, 50, 100, 150, 200, 203, 204, 205, 210, 219, 222, 223, 224, 255)
_INFOS: Final = (
    ("no NULL in the parameters", "302f300b06096086480165030402010420", "sha256"),
    ("the hash alone", "", "sha256"),
    ("SHA-1 inside", "3021300906052b0e03021a05000414", "sha1"),
    ("SHA-512 inside", "3051300d060960864801650304020305000440", "sha512"),
    ("long lengths in the DER", "308131300d060960864801650304020105000420", "sha256"),
)


def _changed_at(place: int) -> Alteration:
    return lambda em, _: em[:place] + bytes([em[place] ^ 1]) + em[place + 1 :]


def _short_filling(octets: int) -> Alteration:
    return lambda em, content: (
        b"\x00\x01" + b"\xff" * octets + b"\x00" + DIGEST_INFO + hashlib.sha256(content).digest()
    ).ljust(len(em), b"\x55")


def _with_info(prefix: str, digest: str) -> Alteration:
    return lambda em, content: _filled(
        bytes.fromhex(prefix) + hashlib.new(digest, content).digest(), len(em)
    )


def _filled(info: bytes, length: int) -> bytes:
    return b"\x00\x01" + b"\xff" * (length - len(info) - 3) + b"\x00" + info


@SIGNATURES.attack("E6", "PSS with another salt length or mask", R1)
def altered_pss(mint: "Mint") -> Iterator[Variant]:
    key = rsa_key(Algorithm.PS256)
    private = serialization.load_der_private_key(key.to_pkcs8(), None)
    assert isinstance(private, rsa.RSAPrivateKey)
    token, sha256 = mint.delegated().by(key), hashes.SHA256()
    schemes = {f"salt of {salt}": padding.PSS(padding.MGF1(sha256), salt)
               for salt in (0, 20, 31, 33, 222)}  # fmt: skip
    schemes["MGF1 with SHA-1"] = padding.PSS(padding.MGF1(hashes.SHA1()), 32)  # noqa: S303 -- the attack
    schemes["MGF1 with SHA-512"] = padding.PSS(padding.MGF1(hashes.SHA512()), 32)
    for name, scheme in schemes.items():

        def sign(content: bytes, scheme: padding.PSS = scheme) -> bytes:
            return private.sign(content, scheme, sha256)

        text = compact(token.header, token.payload, sign)
        yield with_token(mint, name, text, before=(signs_with(key),))


@SIGNATURES.attack("E7", "Ed25519 out of range or of small order", R1)
def ed25519(mint: "Mint") -> Iterator[Variant]:
    token, before = mint.delegated().by(_ED25519), (signs_with(_ED25519),)
    start, _, tail = token.text.rpartition(".")
    raw = decode(tail)
    big = (int.from_bytes(raw[32:], "little") + L).to_bytes(32, "little")
    forms = {"S and the order": raw[:32] + big, "S of ones": raw[:32] + b"\xff" * 32,
             "R and S of zeros": bytes(64), "R the neutral point": b"\x01" + bytes(63)}  # fmt: skip
    for name, signature in forms.items():
        yield with_token(mint, name, f"{start}.{encode(signature)}", before=before)
    for name, point in (("neutral", b"\x01" + bytes(31)), ("order 4", bytes(32))):
        # For a key of small order anybody makes a signature: R the neutral point, S zero.
        jwk = {"kty": "OKP", "crv": "Ed25519", "x": encode(point), "kid": "small"}
        header = {**token.header, "kid": "small"}
        text = compact(header, token.payload, lambda _: b"\x01" + bytes(63))
        small = (publish(_ED25519.public.to_jwk(), jwk), signs_with(_ED25519))
        yield with_token(mint, f"a {name} key", text, before=small)


@SIGNATURES.attack("E8", "one bit changed, or another token's signature", R1)
def changed(mint: "Mint") -> Iterator[Variant]:
    one, two = mint.delegated().text, mint.delegated("bob").text
    start, _, tail = one.rpartition(".")
    yield with_token(mint, "another token's signature", f"{start}.{two.rpartition('.')[2]}")
    head, body, _ = one.split(".")
    for name, part in (("header", head), ("payload", body), ("signature", tail)):
        octets = decode(part)
        for place in (0, len(octets) // 2, len(octets) - 1):
            for bit in (1, 32):
                flipped = bytearray(octets)
                flipped[place] ^= bit
                parts = [encode(bytes(flipped)) if one_ is part else one_
                         for one_ in (head, body, tail)]  # fmt: skip
                yield with_token(mint, f"{name}, octet {place}, bit {bit}", ".".join(parts))


@SIGNATURES.attack("E9", "no signature, or one octet of it", R1)
def nearly_none(mint: "Mint") -> Iterator[Variant]:
    for octets in (b"", b"\x00", b"\x01", b"\x30"):
        yield with_token(mint, f"{octets.hex()!r}", _with_signature(mint, octets))


@SIGNATURES.attack("E10", "another tenant's key of the same product", R1)
def tenants_key(mint: "Mint") -> Iterator[Variant]:
    twin = (honest(mint), Send(lambda: mint.ask(mint.of(mint.partner))))
    for name, kid in (("its kid", mint.partner.key.kid), ("ours", mint.issuer.key.kid)):
        token = mint.delegated().headed(kid=kid).signed_by(mint.partner.key)
        yield with_token(mint, name, token, setting=Setting.TWO_ISSUERS, twin=twin)
