"""Where a client's certificate comes from: the TLS layer, or a header of a trusted proxy.

Nothing here runs for a request whose token is not bound to a certificate.
"""

import binascii
import re
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Final, Self, final
from urllib.parse import unquote_to_bytes

from cryptography import x509

from mintmark.api.proxy import FixedOrigin, PublicOrigin
from mintmark.protocol.mtls import CertificateRefused

__all__ = [
    "CertificateForm",
    "ClientCertificate",
    "TlsExtensionMissing",
    "require_capable_server",
    "require_tls_extension",
]

Scope = Mapping[str, Any]

MAX_CERTIFICATE: Final = 16 * 1024
"""As a header or PEM text: several times what a real certificate needs."""

SKEW: Final = 60.0  # seconds between the clocks of whoever made the certificate and of ours

_SERVERS: Final = frozenset({"daphne", "hypercorn", "uvicorn"})
_HEADER_NAME: Final = re.compile(r"[a-z0-9!#$%&'*+\-.^_`|~]+")
# RFC 9440 §2.2: one byte sequence of RFC 8941 §3.3.5, and no parameters.
_BYTE_SEQUENCE: Final = re.compile(rb":([A-Za-z0-9+/]*={0,2}):")
_PEM: Final = re.compile(
    rb"\s*-----BEGIN CERTIFICATE-----\s([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----\s*"
)
# A value is quoted whenever it holds a comma, a semicolon or a quotation mark.
_XFCC_PAIR: Final = re.compile(rb'([A-Za-z]+)=("(?:[^"\\]|\\.)*"|[^",;]*)(;|\Z)')


class TlsExtensionMissing(RuntimeError):
    """The ASGI server does not say which certificate a connection has: our own configuration."""


class CertificateForm(Enum):
    """How a proxy writes the certificate into its header."""

    CLIENT_CERT = "Client-Cert"
    """RFC 9440 §2.2: the DER in base64, between colons."""

    XFCC = "X-Forwarded-Client-Cert"
    """Envoy's: `Cert="..."` among other keys. Set Envoy to `SANITIZE_SET`: of several elements
    one cannot be chosen."""

    ESCAPED_PEM = "escaped PEM"
    """nginx's `$ssl_client_escaped_cert`."""


@final
@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """Where to look for the certificate of a connection; made by one of the two functions."""

    header: bytes | None
    form: CertificateForm | None

    @classmethod
    def from_tls(cls) -> Self:
        """The server itself ends TLS, and has the ASGI TLS extension."""
        return cls(None, None)

    @classmethod
    def from_header(cls, name: str, form: CertificateForm) -> Self:
        """A trusted proxy ends TLS, and puts the certificate into this header.

        The proxy must overwrite or drop the header when a client sends it himself.
        """
        if _HEADER_NAME.fullmatch(name.lower()) is None:
            raise ValueError("name: not the name of a header")
        return cls(name.lower().encode("ascii"), form)

    def require_possible_with(self, origin: PublicOrigin) -> None:
        """At start-up: a header needs somebody who may write it.

        Raises:
            ValueError
        """
        if self.header is not None and isinstance(origin, FixedOrigin):
            raise ValueError(
                "certificate: a header is believed from a TrustedProxy alone, and there is none"
            )

    def der_of(self, scope: Scope, origin: PublicOrigin, now: float) -> bytes | None:
        """The certificate of a request, or `None` when its client showed none.

        Args:
            now: seconds since 1970.

        Raises:
            CertificateRefused: there is something, and it is not one certificate valid now.
            TlsExtensionMissing: the server never says.
        """
        if self.header is None or self.form is None:
            written = _from_tls(scope)
        else:
            written = _from_header(self.header, self.form, scope, origin)
        return None if written is None else _require_current(written, now)


def require_tls_extension(scope: Scope) -> Mapping[str, Any]:
    """The ASGI TLS extension of a connection.

    A server without it would make every bound token look stolen, so it is not served with at all.

    Raises:
        TlsExtensionMissing
    """
    tls = (scope.get("extensions") or {}).get("tls")
    if isinstance(tls, Mapping):
        return tls
    raise TlsExtensionMissing(
        "certificates are to come from the TLS layer, but this connection is without the ASGI"
        ' "tls" extension: either the server does not have it, or a proxy ends TLS before it. Use'
        " a server that has it, or ClientCertificate.from_header with a TrustedProxy."
    )


def require_capable_server(receive: object) -> None:
    """At start-up: refuse a server that is known and has no ASGI TLS extension.

    Of a server that is not known nothing is said here; its first bound token will tell.

    Args:
        receive: the server's own callable of the lifespan: the scope does not name the server.

    Raises:
        TlsExtensionMissing: to be sent as `lifespan.startup.failed`, for a server may take an
            exception here as a sign that there is no lifespan, and start.
    """
    server = _server_of(receive)
    if server is not None and not _mentions_client_certificates(server):
        raise TlsExtensionMissing(
            f"certificates are to come from the TLS layer, but this {server} does not pass them on:"
            " use a server with the ASGI TLS extension, or ClientCertificate.from_header"
        )


def _server_of(receive: object, depth: int = 8) -> str | None:
    """The known server whose callable this is, also where middleware has wrapped it."""
    module = type(getattr(receive, "__self__", None)).__module__.partition(".")[0]
    if module in _SERVERS:
        return module
    if depth == 0:
        return None
    inner = [getattr(receive, "__wrapped__", None), getattr(receive, "__self__", None)]
    for cell in getattr(receive, "__closure__", None) or ():
        with suppress(ValueError):  # a variable that was not set yet
            inner.append(cell.cell_contents)
    found = (_server_of(one, depth - 1) for one in inner if callable(one))
    return next((server for server in found if server is not None), None)


def _mentions_client_certificates(server: str) -> bool:
    # Its version would need a list of versions; its source says it for those to come as well.
    folder = Path(sys.modules[server].__file__ or "").parent
    return any(b"client_cert_chain" in source.read_bytes() for source in folder.rglob("*.py"))


def _from_tls(scope: Scope) -> bytes | None:
    tls = require_tls_extension(scope)
    # Some servers let a certificate through that they could not verify, and say so here only.
    if tls.get("client_cert_error"):
        raise CertificateRefused("the server could not verify the certificate")
    # The chain's first one is the client's; what follows are those that signed it.
    pem = next(iter(tls.get("client_cert_chain") or ()), None)
    if pem is None:
        return None
    if not isinstance(pem, str) or not pem.isascii():
        raise CertificateRefused("the server's certificate is no PEM text")
    return _of_pem(_require_size(pem.encode("ascii")))


def _from_header(
    name: bytes, form: CertificateForm, scope: Scope, origin: PublicOrigin
) -> bytes | None:
    # Anybody can write a header: only a trusted proxy's is looked at.
    values = [value for key, value in origin.vouched_headers(scope) if key == name]
    if len(values) > 1:
        raise CertificateRefused("the certificate's header came twice")
    value = _require_size(values[0]).strip(b" \t") if values else b""
    if not value:
        return None
    match form:
        case CertificateForm.CLIENT_CERT:
            return _of_byte_sequence(value)
        case CertificateForm.XFCC:
            return _of_pem(unquote_to_bytes(_cert_of_xfcc(value)))
        case CertificateForm.ESCAPED_PEM:
            return _of_pem(unquote_to_bytes(value))


def _require_size(written: bytes) -> bytes:
    if len(written) > MAX_CERTIFICATE:
        raise CertificateRefused("the certificate is too long")
    return written


def _of_byte_sequence(value: bytes) -> bytes:
    match = _BYTE_SEQUENCE.fullmatch(value)
    if match is None:
        raise CertificateRefused("the header is not one byte sequence")
    # RFC 8941 §4.2.7: padding may be left out.
    text = match[1].rstrip(b"=")
    return _of_base64(text + b"=" * (-len(text) % 4))


def _of_pem(pem: bytes) -> bytes:
    match = _PEM.fullmatch(pem)
    if match is None:
        raise CertificateRefused("not one certificate in PEM")
    return _of_base64(b"".join(match[1].split()))


def _of_base64(text: bytes) -> bytes:
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except binascii.Error:
        raise CertificateRefused("the certificate is not base64") from None


def _cert_of_xfcc(value: bytes) -> bytes:
    at, found = 0, None
    while at < len(value):
        pair = _XFCC_PAIR.match(value, at)
        # A comma starts another proxy's element. The last one is the nearest proxy's, but the
        # certificate in it may be that of the proxy before it: there is no right one to take.
        if pair is None:
            raise CertificateRefused("XFCC cannot be read, or has several elements")
        if pair[1].lower() == b"cert":
            if found is not None:
                raise CertificateRefused("XFCC has several certificates")
            found = pair[2].strip(b'"')
        at = pair.end()
    if found is None:
        raise CertificateRefused("XFCC has no Cert: the proxy is not set up to pass it on")
    return found


def _require_current(der: bytes, now: float) -> bytes:
    """One X.509 certificate, within its time; its chain is the business of whoever ended TLS."""
    try:
        certificate = x509.load_der_x509_certificate(der)
        begins = certificate.not_valid_before_utc.timestamp()
        ends = certificate.not_valid_after_utc.timestamp()
        # RFC 5280 §4.1.2.2: positive. The library only warns, and where a warning is an error it
        # raises one: refused in both cases.
        positive = certificate.serial_number > 0
    except (ValueError, x509.InvalidVersion, Warning):
        raise CertificateRefused("not an X.509 certificate") from None
    if not positive:
        raise CertificateRefused("the certificate's serial number is not positive")
    if not begins - SKEW <= now <= ends + SKEW:
        raise CertificateRefused("the certificate is not valid now")
    return der
