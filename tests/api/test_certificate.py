"""A certificate-bound token at the API: which certificate it is, and who may say so."""

import base64
import logging
import re
import warnings
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import pytest
import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st
from uvicorn.config import Config
from uvicorn.lifespan.on import LifespanOn

from mintmark.api.certificate import (
    CertificateForm,
    ClientCertificate,
    TlsExtensionMissing,
    require_capable_server,
    require_tls_extension,
)
from mintmark.api.proxy import FixedOrigin, Forwarding, PublicOrigin, TrustedProxy
from mintmark.protocol.mtls import CertificateRefused, certificate_thumbprint, require_bound_to

API = "https://api.example"
PROXY = ("10.0.0.7", 41000)
STRANGER = ("203.0.113.9", 41000)
BEGINS = datetime(2026, 3, 1, 12, tzinfo=UTC)
ENDS = BEGINS + timedelta(days=30)
NOW = (BEGINS + timedelta(days=1)).timestamp()

TRUSTED = TrustedProxy(["10.0.0.0/24"], origin=API)
FIXED = FixedOrigin(API)


def made(key: ec.EllipticCurvePrivateKey, subject: str = "client", padding: int = 0) -> bytes:
    """A self-signed certificate as DER, with so many octets in an extension of no meaning."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(BEGINS)
        .not_valid_after(ENDS)
    )
    if padding:
        oid = x509.ObjectIdentifier("1.3.6.1.4.1.55555.1")
        extension = x509.UnrecognizedExtension(oid, b"\x04\x82" + padding.to_bytes(2, "big")
                                               + b"\0" * padding)  # fmt: skip
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


KEY = ec.generate_private_key(ec.SECP256R1())
MINE = made(KEY)
RENEWED = made(KEY)
OTHERS = made(ec.generate_private_key(ec.SECP256R1()))


def pem(der: bytes) -> str:
    certificate = x509.load_der_x509_certificate(der)
    return certificate.public_bytes(Encoding.PEM).decode()


def client_cert(der: bytes) -> str:
    return f":{base64.b64encode(der).decode()}:"


def escaped(der: bytes) -> str:
    return quote(pem(der), safe="")


def xfcc(der: bytes) -> str:
    """In the order and spelling in which Envoy writes it."""
    return (
        f'By=spiffe://mesh/api;Hash={"a" * 64};Cert="{escaped(der)}";'
        'Subject="CN=client,O=\\"A; B\\"";URI=spiffe://mesh/client?a=b;DNS=a.example;DNS=b.example'
    )


WRITTEN: list[tuple[CertificateForm, Callable[[bytes], str]]] = [
    (CertificateForm.CLIENT_CERT, client_cert),
    (CertificateForm.XFCC, xfcc),
    (CertificateForm.ESCAPED_PEM, escaped),
]
IN_EVERY_FORM = pytest.mark.parametrize(
    ("form", "write"), WRITTEN, ids=[form.name for form, _ in WRITTEN]
)


def request(*values: str | bytes, client: tuple[str, int] | None = PROXY) -> dict[str, Any]:
    octets = [value if isinstance(value, bytes) else value.encode("latin-1") for value in values]
    return {"type": "http", "scheme": "http", "client": client,
            "headers": [(b"host", b"api.example"), *((b"client-cert", one) for one in octets)],
            "extensions": {}}  # fmt: skip


def over_tls(chain: Iterable[str] | None, **more: Any) -> dict[str, Any]:
    """A scope with the ASGI TLS extension 0.2, every entry in its specified type."""
    tls = {
        "server_cert": pem(OTHERS), "client_cert_chain": chain, "client_cert_name": "CN=client",
        "client_cert_error": None, "tls_version": 0x0304, "cipher_suite": 0x1301, **more,
    }  # fmt: skip
    if chain is None:
        del tls["client_cert_chain"]
    return {"type": "http", "scheme": "https", "client": STRANGER, "headers": [],
            "extensions": {"tls": tls}}  # fmt: skip


def in_header(form: CertificateForm) -> ClientCertificate:
    return ClientCertificate.from_header("Client-Cert", form)


def proven(
    source: ClientCertificate, scope: dict[str, Any], origin: PublicOrigin, bound_to: bytes
) -> str:
    """What the guard does with a bound token: look for the certificate, and compare."""
    der = source.der_of(scope, origin, NOW)
    return require_bound_to(der, certificate_thumbprint(bound_to))


def refusal(source: ClientCertificate, scope: dict[str, Any]) -> str:
    with pytest.raises(CertificateRefused) as refused:
        source.der_of(scope, TRUSTED, NOW)
    return refused.value.reason


class TestTls:
    """The ASGI TLS extension: the chain's first certificate is the client's."""

    tls = ClientCertificate.from_tls()

    @pytest.mark.parametrize("chain", [list, tuple, iter])
    def test_the_first_of_the_chain_is_the_certificate(
        self, chain: Callable[[list[str]], Iterable[str]]
    ) -> None:
        scope = over_tls(chain([pem(MINE), pem(OTHERS)]))

        assert self.tls.der_of(scope, FIXED, NOW) == MINE

    @pytest.mark.parametrize("chain", [[], (), None])
    def test_k01_a_client_that_showed_none_has_none(self, chain: Iterable[str] | None) -> None:
        scope = over_tls(chain, client_cert_name=None)

        assert self.tls.der_of(scope, FIXED, NOW) is None
        with pytest.raises(CertificateRefused, match="none came along"):
            proven(self.tls, scope, FIXED, MINE)

    def test_w79_a_certificate_that_the_server_could_not_verify_is_refused(self) -> None:
        scope = over_tls([pem(MINE)], client_cert_error="self-signed certificate")

        assert refusal(self.tls, scope) == "the server could not verify the certificate"
        assert self.tls.der_of(over_tls([pem(MINE)]), FIXED, NOW) == MINE

    def test_s41_a_header_does_not_stand_in_for_the_connection(self) -> None:
        scope = over_tls([pem(OTHERS)])
        scope["headers"] = [(b"client-cert", client_cert(MINE).encode())]

        with pytest.raises(CertificateRefused, match="another certificate"):
            proven(self.tls, scope, TRUSTED, MINE)

    @pytest.mark.parametrize(
        "first",
        [
            pytest.param("", id="empty"),
            pytest.param("no PEM", id="words"),
            pytest.param(b"bytes", id="octets"),
            pytest.param(1, id="number"),
            pytest.param("é", id="not ascii"),
            pytest.param(pem(MINE) + pem(OTHERS), id="k04 two in one"),
            pytest.param(pem(MINE).ljust(16 * 1024 + 1), id="k04 too long"),
        ],
    )
    def test_what_is_no_pem_text_is_refused(self, first: Any) -> None:
        refusal(self.tls, over_tls([first]))

    @pytest.mark.parametrize("extensions", [None, {}, {"http.response.push": {}}, {"tls": None}])
    def test_k08_a_server_without_the_extension_is_our_own_mistake(self, extensions: Any) -> None:
        """Not the caller's: every honest one would be told that his token is bad."""
        scope = {**over_tls([]), "extensions": extensions}

        with pytest.raises(TlsExtensionMissing, match="from_header"):
            require_tls_extension(scope)
        with pytest.raises(TlsExtensionMissing):
            self.tls.der_of(scope, FIXED, NOW)

    def test_k08_a_server_with_the_extension_is_served_with(self) -> None:
        assert require_tls_extension(over_tls([]))["tls_version"] == 0x0304

    def test_k08_a_scope_without_extensions_is_without_this_one_too(self) -> None:
        with pytest.raises(TlsExtensionMissing):
            require_tls_extension({"type": "http", "headers": []})


class TestServer:
    """A server that never says which certificate a connection has is refused at the start."""

    @staticmethod
    async def started(app: Any) -> bool:
        lifespan = LifespanOn(Config(app, lifespan="auto", log_config=None))
        await lifespan.startup()
        return not lifespan.should_exit

    async def test_k08_uvicorn_does_not_start(self) -> None:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            await receive()
            try:
                require_capable_server(receive)
            except TlsExtensionMissing as missing:
                await send({"type": "lifespan.startup.failed", "message": str(missing)})
            else:
                await send({"type": "lifespan.startup.complete"})

        assert not await self.started(app)

    async def test_k08_without_the_question_it_starts(self) -> None:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            await receive()
            await send({"type": "lifespan.startup.complete"})

        assert await self.started(app)

    async def test_k08_one_that_passes_certificates_on_is_served_with(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "http.py").write_text('tls["client_cert_chain"] = chain')
        monkeypatch.setattr(uvicorn, "__file__", str(tmp_path / "__init__.py"))

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await receive()
            require_capable_server(receive)
            await send({"type": "lifespan.startup.complete"})

        assert await self.started(app)

    @pytest.mark.parametrize("receive", [None, print, lambda: None, Path().exists])
    def test_of_an_unknown_server_nothing_is_said(self, receive: object) -> None:
        require_capable_server(receive)


class TestHeader:
    """RFC 9440 §2.2, Envoy's XFCC and nginx's escaped PEM, from a trusted proxy."""

    @IN_EVERY_FORM
    def test_the_trusted_proxys_certificate_is_read(
        self, form: CertificateForm, write: Callable[[bytes], str]
    ) -> None:
        assert in_header(form).der_of(request(write(MINE)), TRUSTED, NOW) == MINE

    @IN_EVERY_FORM
    def test_k01_no_header_is_no_certificate(
        self, form: CertificateForm, write: Callable[[bytes], str]
    ) -> None:
        for nothing in (request(), request(""), request("  ")):
            assert in_header(form).der_of(nothing, TRUSTED, NOW) is None

    @IN_EVERY_FORM
    @pytest.mark.parametrize("client", [STRANGER, None, ("10.0.0.7", 0), ("10.0.1.7", 41000)])
    def test_k03_from_anybody_else_the_header_is_ignored(
        self,
        form: CertificateForm,
        write: Callable[[bytes], str],
        client: tuple[str, int] | None,
    ) -> None:
        forged = request(write(MINE), client=client)

        assert in_header(form).der_of(forged, TRUSTED, NOW) is None
        with pytest.raises(CertificateRefused, match="none came along"):
            proven(in_header(form), forged, TRUSTED, MINE)

    @IN_EVERY_FORM
    def test_k03_a_strangers_broken_header_is_ignored_as_well(
        self, form: CertificateForm, write: Callable[[bytes], str]
    ) -> None:
        for junk in (request("junk", client=STRANGER), request("a", "b", client=STRANGER)):
            assert in_header(form).der_of(junk, TRUSTED, NOW) is None

    @IN_EVERY_FORM
    def test_k04_twice_is_refused(
        self, form: CertificateForm, write: Callable[[bytes], str]
    ) -> None:
        reason = refusal(in_header(form), request(write(OTHERS), write(MINE)))

        assert reason == "the certificate's header came twice"

    @IN_EVERY_FORM
    def test_k04_a_megabyte_is_refused(
        self, form: CertificateForm, write: Callable[[bytes], str]
    ) -> None:
        assert refusal(in_header(form), request(write(MINE) + "A" * 2**20)) == (
            "the certificate is too long"
        )

    @IN_EVERY_FORM
    def test_k04_16_kib_are_read_and_not_an_octet_more(
        self, form: CertificateForm, write: Callable[[bytes], str]
    ) -> None:
        fits = write(MINE).ljust(16 * 1024)

        assert in_header(form).der_of(request(fits), TRUSTED, NOW) == MINE
        assert refusal(in_header(form), request(fits + " ")) == "the certificate is too long"

    @IN_EVERY_FORM
    def test_a_large_real_certificate_is_read(
        self, form: CertificateForm, write: Callable[[bytes], str]
    ) -> None:
        large = made(KEY, padding=10_000)

        assert in_header(form).der_of(request(write(large)), TRUSTED, NOW) == large

    @IN_EVERY_FORM
    def test_k04_octets_behind_the_certificate_are_refused(
        self, form: CertificateForm, write: Callable[[bytes], str]
    ) -> None:
        if form is CertificateForm.CLIENT_CERT:
            refusal(in_header(form), request(client_cert(MINE + b"\0")))
            refusal(in_header(form), request(client_cert(MINE + OTHERS)))
        refusal(in_header(form), request(f'{write(MINE)}"'))
        refusal(in_header(form), request(f'"{write(MINE)}'))

    def test_an_origin_beside_the_proxy_changes_nothing_about_whom_to_believe(self) -> None:
        proxy = TrustedProxy(["10.0.0.0/24"], forwarding=Forwarding.X_FORWARDED)
        source = in_header(CertificateForm.CLIENT_CERT)

        assert source.der_of(request(client_cert(MINE)), proxy, NOW) == MINE

    def test_a_header_that_nobody_may_write_is_refused_at_start_up(self) -> None:
        source = in_header(CertificateForm.CLIENT_CERT)

        with pytest.raises(ValueError, match="TrustedProxy"):
            source.require_possible_with(FIXED)
        source.require_possible_with(TRUSTED)
        ClientCertificate.from_tls().require_possible_with(FIXED)

    @pytest.mark.parametrize("name", ["", "Client Cert", "client:cert", "é", "a\n"])
    def test_what_is_no_headers_name_is_refused_at_once(self, name: str) -> None:
        with pytest.raises(ValueError, match="name"):
            ClientCertificate.from_header(name, CertificateForm.XFCC)


class TestByteSequence:
    """RFC 9440 §2.2: one byte sequence (RFC 8941 §3.3.5), and nothing else."""

    def test_padding_may_be_left_out(self) -> None:
        """RFC 8941 §4.2.7: a reader does not insist on it."""
        source, seen = in_header(CertificateForm.CLIENT_CERT), set()
        for length in range(1, 60):  # a signature's length varies, and the remainder with it
            der = made(KEY, subject="c" * length)
            bare = client_cert(der).replace("=", "")
            seen.add(len(der) % 3)

            assert source.der_of(request(bare), TRUSTED, NOW) == der
        assert seen == {0, 1, 2}

    @pytest.mark.parametrize(
        "change",
        [
            pytest.param(lambda text: text[1:], id="no first colon"),
            pytest.param(lambda text: text[:-1], id="no last colon"),
            pytest.param(lambda text: text.strip(":"), id="no colons"),
            pytest.param(lambda text: f"{text}, {text}", id="k04 a list"),
            pytest.param(lambda text: f"({text})", id="an inner list"),
            pytest.param(lambda text: f"{text};a=1", id="a parameter"),
            pytest.param(lambda text: text.replace("M", "-", 1), id="the other alphabet"),
            pytest.param(lambda text: f"{text[:9]} {text[9:]}", id="a blank within"),
            pytest.param(lambda text: text[:50] + ":", id="cut off"),
            pytest.param(lambda _: ":A:", id="an impossible length"),
            pytest.param(lambda _: "::", id="nothing"),
            pytest.param(lambda _: ":AAAA:", id="no certificate"),
            pytest.param(lambda text: text[:-1] + "===:", id="padding without end"),
            pytest.param(lambda _: pem(MINE).replace("\n", " "), id="PEM"),
        ],
    )
    def test_another_spelling_is_refused(self, change: Callable[[str], str]) -> None:
        refusal(in_header(CertificateForm.CLIENT_CERT), request(change(client_cert(MINE))))


class TestXfcc:
    """Envoy's header: the `Cert` of its one element."""

    @pytest.mark.parametrize(
        "write",
        [
            pytest.param(lambda der: f'Cert="{escaped(der)}"', id="alone"),
            pytest.param(lambda der: f"Cert={escaped(der)}", id="without quotes"),
            pytest.param(lambda der: f'cert="{escaped(der)}";by=a', id="in small letters"),
            pytest.param(lambda der: f'Subject="";URI=;Cert="{escaped(der)}"', id="empty keys"),
            pytest.param(
                lambda der: f'Cert="{escaped(der)}";Chain="{escaped(der) + escaped(OTHERS)}"',
                id="with its chain",
            ),
            pytest.param(lambda der: f'Cert="{escaped(der)}";', id="semicolon at the end"),
        ],
    )
    def test_every_honest_spelling_is_read(self, write: Callable[[bytes], str]) -> None:
        source = in_header(CertificateForm.XFCC)

        assert source.der_of(request(write(MINE)), TRUSTED, NOW) == MINE

    @pytest.mark.parametrize(
        "value",
        [
            pytest.param(f"{xfcc(OTHERS)},{xfcc(MINE)}", id="k04 appended to the client's"),
            pytest.param(f"Hash=a,{xfcc(MINE)}", id="k04 appended to one without"),
            pytest.param(f"{xfcc(MINE)},", id="an empty element"),
            pytest.param(f'Cert="{escaped(MINE)}";Cert="{escaped(OTHERS)}"', id="k04 two"),
            pytest.param(f'Cert="{escaped(MINE) + escaped(OTHERS)}"', id="k04 two in one"),
            pytest.param(f"Hash={'a' * 64}", id="no Cert"),
            pytest.param(f'Chain="{escaped(MINE)}"', id="a chain alone"),
            pytest.param(f'Cert="{escaped(MINE)}', id="a quotation mark left open"),
            pytest.param(f'Subject="Cert={escaped(MINE)}"', id="in another's value"),
            pytest.param(f'Subject="\\";Cert={escaped(MINE)}"', id="behind an escaped mark"),
            pytest.param('Cert=""', id="empty"),
            pytest.param("Cert", id="no value"),
            pytest.param(f'Cert="{client_cert(MINE)}"', id="not PEM"),
        ],
    )
    def test_anything_else_is_refused(self, value: str) -> None:
        refusal(in_header(CertificateForm.XFCC), request(value))


class TestEscapedPem:
    """nginx's `$ssl_client_escaped_cert`."""

    def test_only_what_must_be_escaped_may_be(self) -> None:
        sparingly = quote(pem(MINE), safe="+/= -")
        source = in_header(CertificateForm.ESCAPED_PEM)

        assert source.der_of(request(sparingly), TRUSTED, NOW) == MINE

    @pytest.mark.parametrize(
        "value",
        [
            pytest.param(escaped(MINE) + escaped(OTHERS), id="k04 two certificates"),
            pytest.param(escaped(MINE).replace("%0A", "%0", 2), id="k04 a broken escape"),
            pytest.param(escaped(MINE).replace("%0A", "%ZZ", 1), id="k04 no escape at all"),
            pytest.param(quote(escaped(MINE)), id="escaped twice"),
            pytest.param(escaped(MINE)[:-30], id="cut off"),
            pytest.param(escaped(MINE).replace("M", "%3DM", 1), id="padding before the end"),
            pytest.param(escaped(MINE).replace("CERTIFICATE", "PRIVATE%20KEY"), id="another thing"),
            pytest.param(escaped(MINE).replace("M", "%00", 1), id="a null octet"),
            pytest.param(escaped(MINE).replace("M", "%C3%A9", 1), id="not ascii"),
            pytest.param("hello%20" + escaped(MINE), id="words before it"),
            pytest.param(quote("-----BEGIN CERTIFICATE-----\n\n-----END CERTIFICATE-----"), id="empty"),
            pytest.param(
                quote("-----BEGIN CERTIFICATE-----\nAAA=\n-----END CERTIFICATE-----"), id="no DER"
            ),
        ],
    )  # fmt: skip
    def test_k04_what_is_not_one_certificate_is_refused(self, value: str) -> None:
        refusal(in_header(CertificateForm.ESCAPED_PEM), request(value))


class TestBinding:
    """RFC 8705 §3: the very certificate that the token names."""

    @IN_EVERY_FORM
    def test_s41_its_own_certificate_is_accepted(
        self, form: CertificateForm, write: Callable[[bytes], str]
    ) -> None:
        found = proven(in_header(form), request(write(MINE)), TRUSTED, MINE)

        assert found == certificate_thumbprint(MINE)

    def test_s41_none_another_and_a_forged_one_are_refused(self) -> None:
        source = in_header(CertificateForm.CLIENT_CERT)
        for scope in (
            request(), request(client_cert(OTHERS)), request(client_cert(MINE), client=STRANGER)
        ):  # fmt: skip
            with pytest.raises(CertificateRefused):
                proven(source, scope, TRUSTED, MINE)

    def test_k02_another_certificate_with_the_same_subject_is_refused(self) -> None:
        mine, others = map(x509.load_der_x509_certificate, (MINE, OTHERS))
        assert mine.subject == others.subject

        with pytest.raises(CertificateRefused, match="another certificate"):
            proven(ClientCertificate.from_tls(), over_tls([pem(OTHERS)]), FIXED, MINE)

    def test_k07_a_renewed_certificate_needs_a_new_token(self) -> None:
        mine, renewed = map(x509.load_der_x509_certificate, (MINE, RENEWED))
        assert mine.public_key() == renewed.public_key()
        tls = ClientCertificate.from_tls()

        with pytest.raises(CertificateRefused, match="another certificate"):
            proven(tls, over_tls([pem(RENEWED)]), FIXED, MINE)
        assert proven(tls, over_tls([pem(RENEWED)]), FIXED, RENEWED)

    def test_k06_the_certificate_alone_says_nothing_of_a_proof_key(self) -> None:
        """A token with both is checked for both: what is proven here is the one thumbprint."""
        jkt = base64.urlsafe_b64encode(b"k" * 32).decode().rstrip("=")
        der = ClientCertificate.from_tls().der_of(over_tls([pem(MINE)]), FIXED, NOW)

        assert require_bound_to(der, certificate_thumbprint(MINE)) != jkt
        with pytest.raises(CertificateRefused):
            require_bound_to(der, jkt)

    @pytest.mark.parametrize(
        ("seconds", "valid"),
        [(0, True), (-60, True), (-61, False)],
    )
    def test_w79_before_its_time_a_certificate_is_refused(
        self, seconds: int, *, valid: bool
    ) -> None:
        self.at(BEGINS.timestamp() + seconds, valid=valid)

    @pytest.mark.parametrize(("seconds", "valid"), [(0, True), (60, True), (61, False)])
    def test_w79_after_its_time_a_certificate_is_refused(
        self, seconds: int, *, valid: bool
    ) -> None:
        self.at(ENDS.timestamp() + seconds, valid=valid)

    @staticmethod
    def at(now: float, *, valid: bool) -> None:
        scope, tls = over_tls([pem(MINE)]), ClientCertificate.from_tls()
        if valid:
            assert tls.der_of(scope, FIXED, now) == MINE
        else:
            with pytest.raises(CertificateRefused, match="not valid now"):
                tls.der_of(scope, FIXED, now)


class TestW79:
    """A forwarded certificate was believed from anyone, and printed for everyone to read."""

    def test_w79_a_forged_header_is_neither_believed_nor_shown(
        self, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
    ) -> None:
        caplog.set_level(logging.DEBUG)
        source = in_header(CertificateForm.ESCAPED_PEM)
        with pytest.raises(CertificateRefused) as stranger:
            proven(source, request(escaped(MINE), client=STRANGER), TRUSTED, MINE)
        with pytest.raises(CertificateRefused) as broken:
            proven(source, request(escaped(MINE)[:-9]), TRUSTED, MINE)
        shown = " ".join([caplog.text, *capfd.readouterr(), repr(stranger), repr(broken.value)])

        assert "MII" not in shown
        assert broken.value.__cause__ is None
        assert re.fullmatch(r"[a-z ,]+", broken.value.reason, re.IGNORECASE)

    def test_w79_from_the_proxy_the_same_header_is_believed(self) -> None:
        source = in_header(CertificateForm.ESCAPED_PEM)

        assert proven(source, request(escaped(MINE)), TRUSTED, MINE)


class TestHostileOctets:
    """Whatever comes, it is a certificate or our own refusal."""

    @staticmethod
    def read(form: CertificateForm, value: bytes) -> None:
        try:
            der = in_header(form).der_of(request(value), TRUSTED, NOW)
        except CertificateRefused:
            return
        assert der is None or x509.load_der_x509_certificate(der) is not None

    @pytest.mark.parametrize("action", ["error", "ignore"])
    def test_a_serial_number_below_zero_is_refused_whatever_a_warning_is(
        self, action: Literal["error", "ignore"]
    ) -> None:
        """RFC 5280 §4.1.2.2: it is positive."""
        length = (x509.load_der_x509_certificate(MINE).serial_number.bit_length() + 8) // 8
        header = bytes([2, length])
        at = MINE.index(header) + 2
        negative = MINE[:at] + bytes([MINE[at] | 0x80]) + MINE[at + 1 :]
        with warnings.catch_warnings():
            warnings.simplefilter(action)
            refusal(in_header(CertificateForm.CLIENT_CERT), request(client_cert(negative)))

    @given(st.sampled_from(CertificateForm), st.binary(max_size=200))
    def test_random_octets(self, form: CertificateForm, value: bytes) -> None:
        self.read(form, value)

    @given(st.text('Cert=";,\\:%0A-BEGIN', max_size=60))
    def test_the_forms_own_characters(self, value: str) -> None:
        for form in CertificateForm:
            self.read(form, value.encode())

    @given(st.integers(0, len(MINE) - 1), st.integers(0, 255), st.integers(0, 40))
    def test_a_certificate_with_changed_octets(self, at: int, octet: int, cut: int) -> None:
        """Deep in the reader of X.509, where the library has exceptions of its own."""
        changed = MINE[:at] + bytes([octet]) + MINE[at + 1 :]
        for der in (changed, MINE[:at] + MINE[at + cut :]):
            self.read(CertificateForm.CLIENT_CERT, client_cert(der).encode())
