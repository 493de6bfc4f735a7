"""I: encrypted tokens (RFC 7516, RFC 7518 §4, §5)."""

import json
import secrets
import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.serialization import load_der_private_key

from mintmark.jose.base64url import decode, encode
from mintmark.jose.content_encryption import ContentEncryption
from mintmark.jose.key_management import KeyManagement
from mintmark.testing.attacks.forging import raw_json
from mintmark.testing.attacks.key_sets import COOLDOWN
from mintmark.testing.attacks.model import (
    ACCEPTED,
    R1,
    R2,
    Answer,
    Fetches,
    Group,
    Send,
    Setting,
    Variant,
)
from mintmark.testing.attacks.trying import honest, wait, with_token
from mintmark.testing.sealing import reader_keys, seal, seal_with, with_broken_padding

if TYPE_CHECKING:
    from mintmark.testing.mint import Mint, Token

__all__ = ["ENCRYPTED"]

ENCRYPTED = Group("I")
_CBC: Final = ContentEncryption.A128CBC_HS256


def _sealed(
    mint: "Mint", name: str, text: str, expected: Answer | None = None, **rest: Any
) -> Variant:
    """A token at an API that decrypts; its twin is encrypted, and honest."""
    twin = (Send(lambda: mint.ask(mint.delegated().encrypted(seal))),)
    rest.setdefault("setting", Setting.ENCRYPTED)
    return with_token(mint, name, text, expected, twin=twin, **rest)


def _changed(text: str, place: int, octets: bytes) -> str:
    parts = text.split(".")
    parts[place] = encode(octets)
    return ".".join(parts)


@ENCRYPTED.attack("I1", "claims that nobody signed, encrypted to us", R1)
def unsigned_inside(mint: "Mint") -> Iterator[Variant]:
    claims = raw_json(mint.delegated().payload)
    keys = reader_keys()
    for name, key in (("RSA", keys.rsa), ("ECDH-ES", keys.ec), ("X25519", keys.x25519)):
        yield _sealed(mint, f"{name}, cty JWT", seal(claims, key))
        yield _sealed(mint, f"{name}, no cty", seal(claims, key, cty=None))
        yield _sealed(mint, f"{name}, typed", seal(claims, key, cty=None, typ="at+jwt"))


@ENCRYPTED.attack("I2", "encrypted where that is forbidden, plain where it is required", R1)
def wrong_wrapping(mint: "Mint") -> Iterator[Variant]:
    yield with_token(mint, "encrypted", mint.delegated().encrypted(seal))
    plain = mint.delegated().text
    yield _sealed(mint, "plain", plain, setting=Setting.ENCRYPTED_ONLY)


@ENCRYPTED.attack("I3", "a small text that unpacks to a huge one", R1, within=2)
def bomb(mint: "Mint") -> Iterator[Variant]:
    for name, size in (("8 MB in 8 KB", 8_000_000), ("60 MB in 60 KB", 60_000_000)):
        packer = zlib.compressobj(9, zlib.DEFLATED, -15)
        packed = packer.compress(b" " * size) + packer.flush()
        yield _sealed(mint, name, seal(packed, zip="DEF"))
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    small = packer.compress(mint.delegated().text.encode()) + packer.flush()
    yield _sealed(mint, "an honest token, packed", seal(small, zip="DEF"))
    yield _sealed(mint, "not even packed", seal(mint.delegated().text, zip="DEF"))


@ENCRYPTED.attack("I4", "a key from a password", R1, within=0.5)
def password(mint: "Mint") -> Iterator[Variant]:
    for p2c in (1_000_000_000, 2**63, -1, 0, "5", 1.5, None, 1000):
        for alg in ("PBES2-HS256+A128KW", "PBES2-HS512+A256KW"):
            header = {"alg": alg, "enc": "A256GCM", "cty": "JWT", "p2s": encode(bytes(16)),
                      "p2c": p2c}  # fmt: skip
            text = seal_with(header, secrets.token_bytes(32), bytes(40), mint.delegated().text)
            yield _sealed(mint, f"{alg}, {p2c!r} times", text)


@ENCRYPTED.attack("I5", "RSA with the old padding", R1)
def old_padding(mint: "Mint") -> Iterator[Variant]:
    key = reader_keys().rsa
    public = load_der_private_key(key.to_pkcs8(), None).public_key()
    cek, text = secrets.token_bytes(32), mint.delegated().text
    header = {"alg": "RSA1_5", "enc": "A256GCM", "kid": key.kid, "cty": "JWT"}
    wrapped = public.encrypt(cek, padding.PKCS1v15())  # type: ignore[union-attr]  # -- it is RSA
    sends = (
        Send(mint.carry(seal_with(header, cek, wrapped, text)), name="a good padding"),
        Send(mint.carry(seal_with(header, cek, secrets.token_bytes(256), text)), name="noise"),
        Send(mint.carry(seal_with({**header, "alg": "RSA-OAEP-256"}, cek, wrapped, text)),
             name="called OAEP"),
        Send(mint.carry(_changed(seal(text), 1, secrets.token_bytes(256))), name="OAEP of noise"),
    )  # fmt: skip
    # All alike: a difference would tell whoever asks a million times what is inside.
    twin = (Send(lambda: mint.ask(mint.delegated().encrypted(seal))),)
    yield Variant(name="RSA1_5", steps=sends, twin=twin, alike=True, setting=Setting.ENCRYPTED)


@ENCRYPTED.attack("I6", "another way to wrap the key than the one agreed", R1)
def other_wrapping(mint: "Mint") -> Iterator[Variant]:
    text, keys = mint.delegated().text, reader_keys()
    for alg, wrapped in (("dir", b""), ("A256KW", bytes(40)), ("A256GCMKW", bytes(32))):
        for kid in (keys.rsa.kid, "symmetric"):
            header = {"alg": alg, "enc": "A256GCM", "kid": kid, "cty": "JWT"}
            for name, cek in (("zeros", bytes(32)), ("a guess", b"0123456789abcdef" * 2)):
                sealed = seal_with(header, cek, wrapped, text)
                yield _sealed(mint, f"{alg}, {kid}, {name}", sealed)
    names: tuple[Any, ...] = ("RSA-OAEP", "RSA-OAEP-384", "RSA-OAEP-512", "none", None, 5)
    for name in names:
        yield _sealed(mint, f"{name}", seal(text, alg=name))
    yield _sealed(mint, "ECDH-ES+A256KW", seal(text, keys.ec, alg="ECDH-ES+A256KW"))
    yield _sealed(mint, "the other key's kid", seal(text, keys.ec, kid=keys.rsa.kid))
    for enc in ("A256CBC", "none", None, 5, "A128GCM"):
        yield _sealed(mint, f"enc {enc}", _renamed(text, enc))


def _renamed(text: str, enc: Any) -> str:
    key = reader_keys().rsa
    gcm = ContentEncryption.A256GCM
    cek, wrapped, _ = key.public.seal_content_key(KeyManagement.RSA_OAEP_256, gcm, (b"", b""))
    header: dict[str, Any] = {"alg": "RSA-OAEP-256", "kid": key.kid, "cty": "JWT"}
    if enc is not None:
        header["enc"] = enc
    return seal_with(header, cek, wrapped, text)


@ENCRYPTED.attack("I7", "a point that is not on the curve, or of small order", R1)
def bad_points(mint: "Mint") -> Iterator[Variant]:
    text, keys = mint.delegated().text, reader_keys()
    far = encode(b"\x01" * 32)
    points: dict[str, Any] = {
        "off the curve": {"kty": "EC", "crv": "P-256", "x": far, "y": far},
        "another curve": {
            "kty": "EC",
            "crv": "P-384",
            "x": encode(bytes(48)),
            "y": encode(bytes(48)),
        },
        "the origin": {"kty": "EC", "crv": "P-256", "x": encode(bytes(32)), "y": encode(bytes(32))},
        "short": {"kty": "EC", "crv": "P-256", "x": encode(b"\x01"), "y": encode(b"\x01")},
        "missing": None,
        "a text": "AAAA",
        "OKP for EC": {"kty": "OKP", "crv": "X25519", "x": far},
        "no y": {"kty": "EC", "crv": "P-256", "x": far},
    }
    for name, epk in points.items():
        yield _sealed(mint, f"P-256, {name}", seal(text, keys.ec, epk=epk))
    small = ("00" * 32, "01" + "00" * 31, "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
             "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800")  # fmt: skip
    for number, point in enumerate(small):
        epk = {"kty": "OKP", "crv": "X25519", "x": encode(bytes.fromhex(point))}
        yield _sealed(mint, f"X25519, small order {number}", seal(text, keys.x25519, epk=epk))


@ENCRYPTED.attack("I8", "a tag or nonce of another length", R1)
def other_lengths(mint: "Mint") -> Iterator[Variant]:
    text = seal(mint.delegated().text)
    iv, tag = (decode(text.split(".")[place]) for place in (2, 4))
    for length in (0, 4, 8, 12, 15):
        yield _sealed(mint, f"tag of {length}", _changed(text, 4, tag[:length]))
    yield _sealed(mint, "tag of 17", _changed(text, 4, tag + b"\x00"))
    for length in (0, 1, 8, 11, 13, 16):
        changed = _changed(text, 2, (iv + bytes(4))[:length])
        yield _sealed(mint, f"nonce of {length}", changed)
    yield _sealed(mint, "no content", _changed(text, 3, b""))
    yield _sealed(mint, "no key", _changed(text, 1, b""))


@ENCRYPTED.attack("I9", "a broken MAC, then a broken padding", R1)
def mac_and_padding(mint: "Mint") -> Iterator[Variant]:
    key, text = reader_keys().rsa, seal(mint.delegated().text, enc=_CBC)
    tag, content = (decode(text.split(".")[place]) for place in (4, 3))
    flipped = bytes([content[0] ^ 1]) + content[1:]
    last = content[:-1] + bytes([content[-1] ^ 1])
    texts = {
        "the MAC": _changed(text, 4, bytes([tag[0] ^ 1]) + tag[1:]),
        "the first block": _changed(text, 3, flipped),
        "the last block": _changed(text, 3, last),
        "half a block": _changed(text, 3, content[:-8]),
        "a padding of zeros": with_broken_padding(key, bytes(32)),
        "a padding too long": with_broken_padding(key, b"\x11" * 32),
        "a padding that is uneven": with_broken_padding(key, b"x" * 29 + b"\x01\x02\x03"),
    }
    sends = tuple(Send(mint.carry(one), name=name) for name, one in texts.items())
    twin = (Send(lambda: mint.ask(mint.delegated().encrypted(lambda t: seal(t, enc=_CBC)))),)
    yield Variant(name="CBC", steps=sends, twin=twin, alike=True, setting=Setting.ENCRYPTED)


@ENCRYPTED.attack("I10", "encrypted inside encrypted", R1)
def twice_encrypted(mint: "Mint") -> Iterator[Variant]:
    once = seal(mint.delegated().text)
    yield _sealed(mint, "twice", seal(once))
    yield _sealed(mint, "three times", seal(seal(once)))


@ENCRYPTED.attack("I11", "something inside that would be refused outside", R1)
def bad_inside(mint: "Mint") -> Iterator[Variant]:
    for name, token in {
        "alg none": mint.delegated().broken("alg-none"),
        "another key": mint.delegated().broken("other-key"),
        "another type": mint.delegated().headed(typ="JWT"),
        "no type": mint.delegated().unheaded("typ"),
        "expired": mint.delegated().expired(),
        "another audience": mint.delegated().claims(aud="https://other.example"),
        "another issuer": mint.delegated().claims(iss="https://other.example"),
    }.items():
        yield _sealed(mint, name, seal(token.text))
    yield _sealed(mint, "nothing", seal(b""))
    yield _sealed(mint, "noise", seal(secrets.token_bytes(64)))
    yield _sealed(mint, "no cty", seal(mint.delegated().text, cty=None))


@ENCRYPTED.attack("I12", "a key of ours that does not exist", R1)
def unknown_reader_key(mint: "Mint") -> Iterator[Variant]:
    request = mint.carry(seal(mint.delegated().text, kid="unknown"))
    # Whose key that is nobody else can tell us, so nobody is asked.
    steps = (honest(mint, ACCEPTED), Fetches(2), wait(seconds=COOLDOWN), Send(request), Fetches(0))
    yield Variant(name="unknown kid", steps=steps, setting=Setting.ENCRYPTED)
    for kid in (5, "k" * 100_000, "", ["enc-rsa"]):
        yield _sealed(mint, f"kid {kid!r}"[:12], seal(mint.delegated().text, kid=kid))
    unnamed = seal(mint.delegated().text, kid=None)
    yield _sealed(mint, "no kid, and two keys that suit", unnamed)


@ENCRYPTED.attack("I13", "the JSON serialization, for several readers", R1)
def json_serialization(mint: "Mint") -> Iterator[Variant]:
    head, wrapped, iv, content, tag = seal(mint.delegated().text).split(".")
    rest = {"protected": head, "iv": iv, "ciphertext": content, "tag": tag}
    several = {**rest, "recipients": [{"encrypted_key": wrapped}, {"encrypted_key": wrapped}]}
    for name, value in (("flattened", {**rest, "encrypted_key": wrapped}), ("general", several)):
        yield _sealed(mint, f"{name}, as it is", json.dumps(value), R2)
        yield _sealed(mint, f"{name}, packed", encode(raw_json(value)))


@ENCRYPTED.attack("I14", "claims outside that are others than inside", R1)
def other_outside(mint: "Mint") -> Iterator[Variant]:
    text = mint.delegated().text
    for name, value in (("iss", "https://other.example"), ("aud", "https://other.example"),
                        ("sub", "root"), ("aud", [mint.audience, "x"]), ("iss", 5)):  # fmt: skip
        yield _sealed(mint, f"{name} {value}", seal(text, None, None, {name: value}))
    alike = {"iss": mint.issuer.issuer, "aud": mint.audience, "sub": "alice"}
    yield _sealed(mint, "the same outside", seal(text, None, None, alike), ACCEPTED)


@ENCRYPTED.attack("I15", "a key of ours that was rotated out", R1)
def rotated_out(mint: "Mint") -> Iterator[Variant]:
    old = reader_keys().old

    def with_old() -> "Token":
        return mint.delegated().encrypted(lambda text: seal(text, old))

    twin = (Send(lambda: mint.ask(mint.delegated().encrypted(seal))),)
    overlap = Send(lambda: mint.ask(with_old()), ACCEPTED, "in the overlap")
    over = Send(lambda: mint.ask(with_old()), R1, "after it")
    steps = (overlap, wait(seconds=3599), overlap, wait(seconds=1), over)
    yield Variant(name="an hour of overlap", steps=steps, twin=twin, setting=Setting.ENCRYPTED)
