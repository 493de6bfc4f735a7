"""K: tokens bound to a certificate (RFC 8705 §3, RFC 9440 §2.2)."""

import base64
import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from mintmark.jose.algorithms import Algorithm
from mintmark.jose.base64url import encode
from mintmark.jose.keys import SigningKey
from mintmark.testing.attacks.certificates import self_made
from mintmark.testing.attacks.dpop import KEY
from mintmark.testing.attacks.forging import padded
from mintmark.testing.attacks.model import (
    R1,
    R1_DPOP,
    REFUSES_TO_START,
    Answer,
    Group,
    Request,
    Send,
    Setting,
    Variant,
)
from mintmark.testing.attacks.trying import tried

if TYPE_CHECKING:
    from mintmark.testing.mint import Mint

__all__ = ["MUTUAL_TLS", "UNTRUSTED_PEER"]

MUTUAL_TLS = Group("K")
UNTRUSTED_PEER: Final = "203.0.113.9"
_KEY: Final = SigningKey.generate(Algorithm.ES256)
_DER: Final = self_made(_KEY)
_OTHER: Final = self_made(SigningKey.generate(Algorithm.ES256))


def _field(der: bytes) -> bytes:
    return b":" + base64.b64encode(der) + b":"


def _shown(mint: "Mint", text: str, *fields: bytes, **rest: Any) -> Request:
    """A token with these values in `Client-Cert`, from the trusted proxy unless said."""
    headers = tuple((b"client-cert", value) for value in fields)
    return Request(headers=(*mint.carry(text).headers, *headers), **rest)


def _tried(mint: "Mint", name: str, request: Request, expected: Answer | None = None) -> Variant:
    twin = (Send(lambda: mint.ask(mint.delegated().cert(_DER))),)
    return tried(name, request, expected, setting=Setting.MTLS, twin=twin)


def _bound(mint: "Mint") -> str:
    return mint.delegated().cert(_DER).text


@MUTUAL_TLS.attack("K1", "no certificate", R1)
def no_certificate(mint: "Mint") -> Iterator[Variant]:
    yield _tried(mint, "no header", mint.carry(_bound(mint)))
    yield _tried(mint, "an empty one", _shown(mint, _bound(mint), b""))
    yield _tried(mint, "empty between the colons", _shown(mint, _bound(mint), b"::"))


@MUTUAL_TLS.attack("K2", "another certificate of the same name", R1)
def other_certificate(mint: "Mint") -> Iterator[Variant]:
    yield _tried(mint, "another key", _shown(mint, _bound(mint), _field(_OTHER)))


@MUTUAL_TLS.attack("K3", "the certificate's header from anybody", R1)
def untrusted_peer(mint: "Mint") -> Iterator[Variant]:
    request = _shown(mint, _bound(mint), _field(_DER), peer=UNTRUSTED_PEER)
    yield _tried(mint, "a stranger", request)


@MUTUAL_TLS.attack("K4", "a certificate's header that cannot be read", R1)
def unreadable(mint: "Mint") -> Iterator[Variant]:
    good = _field(_DER)
    pem = base64.encodebytes(_DER).replace(b"\n", b"%0A")
    for name, fields in {
        "twice": (good, good),
        "twice, another first": (_field(_OTHER), good),
        "a list": (good + b", " + good,),
        "no colons": (good.strip(b":"),),
        "broken base64": (b":" + good[5:],),
        "foreign characters": (good[:40] + b"%" + good[40:],),
        "cut": (_field(_DER[:-5]),),
        "something behind": (_field(_DER + b"\x00"),),
        "no certificate": (_field(b"not one"),),
        "1 MB": (_field(bytes(1_048_576)),),
        "two in one": (_field(_DER + _DER),),
        "escaped PEM": (
            b"-----BEGIN%20CERTIFICATE-----%0A" + pem + b"-----END%20CERTIFICATE-----",
        ),
        "parameters": (good + b";a=1",),
    }.items():
        yield _tried(mint, name, _shown(mint, _bound(mint), *fields))


@MUTUAL_TLS.attack("K5", "a thumbprint in another spelling", R1)
def other_spelling(mint: "Mint") -> Iterator[Variant]:
    digest = hashlib.sha256(_DER).digest()
    own = encode(digest)
    for name, thumbprint in {
        "padded": padded(own),
        "standard alphabet": base64.b64encode(digest).decode().rstrip("="),
        "standard alphabet, padded": base64.b64encode(digest).decode(),
        "SHA-1": encode(hashlib.sha1(_DER).digest()),  # noqa: S324 -- the attack
        "hexadecimal": digest.hex(),
        "cut": own[:-1],
        "another case": own.swapcase(),
        "empty": "",
        "a list": [own],
    }.items():
        # Where the digest has no such letter, the two alphabets spell it alike.
        if thumbprint != own:
            text = mint.delegated().claims(cnf={"x5t#S256": thumbprint}).text
            yield _tried(mint, name, _shown(mint, text, _field(_DER)))


@MUTUAL_TLS.attack("K6", "bound to a certificate and a key, and only one is shown", R1)
def one_of_two(mint: "Mint") -> Iterator[Variant]:
    both = mint.delegated().cert(_DER).dpop(KEY)
    certificate_alone = _shown(mint, both.text, _field(_DER))
    yield _tried(mint, "the certificate", certificate_alone)
    proof = KEY.proof("GET", mint.url(), now=mint.now, token=both.text)
    headers = ((b"authorization", b"DPoP " + both.text.encode()), (b"dpop", proof.encode()))
    yield _tried(mint, "the key", Request(headers=headers), R1_DPOP)


@MUTUAL_TLS.attack("K7", "the certificate was renewed", R1)
def renewed(mint: "Mint") -> Iterator[Variant]:
    fresh = self_made(_KEY, serial=2)
    yield _tried(mint, "same key and name", _shown(mint, _bound(mint), _field(fresh)))


@MUTUAL_TLS.attack("K8", "a server that says nothing of certificates", REFUSES_TO_START)
def silent_server(mint: "Mint") -> Iterator[Variant]:
    del mint
    yield Variant(name="no TLS extension", steps=(), setting=Setting.MTLS_BY_TLS, starts=False)
