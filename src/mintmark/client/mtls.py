"""A client certificate: shown to the token server and to APIs, read again when it changes.

Source: RFC 8705.
"""

import hashlib
import secrets
import ssl
import tempfile
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NoReturn, Protocol, Self, final, runtime_checkable

import httpx2
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

from mintmark.client.binding import Proof
from mintmark.client.errors import OriginNotAllowed, ProofUnavailable
from mintmark.fetch import ClientTls
from mintmark.protocol.mtls import certificate_thumbprint
from mintmark.secret import Secret

__all__ = ["CertificateSender", "ClientCertificate", "MutualTls", "Pem", "ShowsCertificate"]

MAX_FILE: Final = 256 * 1024
"""Bytes. A longer file is another file."""


@dataclass(frozen=True, slots=True)
class Pem:
    """A certificate, with those between it and its authority behind it, and its key."""

    certificate: bytes
    key: Secret = field(repr=False)
    password: Secret | None = None


@dataclass(frozen=True, slots=True)
class _Held:
    mark: bytes  # of what it was read from
    name: str
    load_into: Callable[[ssl.SSLContext], None]

    def context(self, trust: ssl.SSLContext | None) -> ssl.SSLContext:
        context = _trusting(trust)
        self.load_into(context)
        return context


@final
class ClientCertificate:
    """A certificate and its key, used from the next connection on when they are replaced.

    Args:
        source: gives both as they are now. It is asked for every token, so it should keep what
            it fetched; `from_files` makes one that reads files.
    """

    def __init__(self, source: Callable[[], Pem]) -> None:
        self._source = source
        self._lock = threading.Lock()
        self._held: _Held | None = None
        self._contexts: weakref.WeakSet[ssl.SSLContext] = weakref.WeakSet()

    @classmethod
    def from_files(cls, certificate: Path, key: Path, *, password: Secret | None = None) -> Self:
        """Files are looked at for every token, and read again when they changed."""
        return cls(_Files(certificate, key, password))

    def current(self) -> ClientTls:
        """The pair of this moment.

        While a pair is being replaced its halves do not fit; the one before serves till they do.

        Raises:
            ProofUnavailable: there is none, and none was before.
        """
        with self._lock:
            try:
                pem = self._source()
                if not isinstance(pem, Pem):
                    raise ProofUnavailable("the client certificate: the callable gave no Pem")
                mark = _mark(pem)
                if self._held is None or self._held.mark != mark:
                    self._take(_loaded(pem, mark))
            except Exception as failure:  # noqa: BLE001 -- a vault's own exceptions are of any type
                if self._held is None:
                    raise _unavailable(failure) from None
            held = self._held
            assert held is not None
        return ClientTls(held.name, held.context)

    def thumbprint(self) -> str:
        """Its `x5t#S256` (RFC 8705 §3.1). Raises `ProofUnavailable`."""
        return self.current().name

    def ssl_context(self, trust: ssl.SSLContext | None = None) -> ssl.SSLContext:
        """For your own HTTP client: its connections show this certificate, a replaced one as well.

        Connections that are open when the certificate is replaced go on with the old one; let
        your client close idle ones after seconds.

        Args:
            trust: whose authorities are believed; the machine's own unless given.

        Raises:
            ProofUnavailable: there is no certificate.
        """
        context = self.current().context(trust)
        with self._lock:
            # A change in between has not reached it yet.
            assert self._held is not None
            self._held.load_into(context)
            self._contexts.add(context)
        return context

    def _take(self, held: _Held) -> None:
        self._held = held
        for context in list(self._contexts):
            held.load_into(context)

    def __repr__(self) -> str:
        return "<ClientCertificate>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a ClientCertificate is not pickled")


@final
class _Files:
    def __init__(self, certificate: Path, key: Path, password: Secret | None) -> None:
        self._paths, self._password = (certificate, key), password
        self._seen: tuple[object, Pem] | None = None

    def __call__(self) -> Pem:
        seen = tuple(_state(path) for path in self._paths)
        if self._seen is None or self._seen[0] != seen:
            certificate, key = (_read(path) for path in self._paths)
            pem = Pem(certificate, Secret(key.decode("latin-1")), self._password)
            self._seen = (seen, pem)
        return self._seen[1]


def _state(path: Path) -> tuple[int, int, int]:
    # Followed to its end: platforms replace a link to a folder, and the files in it have new inodes.
    found = path.stat()
    return found.st_mtime_ns, found.st_size, found.st_ino


def _read(path: Path) -> bytes:
    # Anything but a file (a pipe, say) could make the caller wait for ever.
    if not path.is_file():
        raise ProofUnavailable("the client certificate: there is no such file")
    with path.open("rb") as file:
        content = file.read(MAX_FILE + 1)
    if len(content) > MAX_FILE:
        raise ProofUnavailable("the client certificate: the file is too large")
    return content


def _mark(pem: Pem) -> bytes:
    password = pem.password.digest() if pem.password else b""
    return hashlib.sha256(pem.certificate).digest() + pem.key.digest() + password


def _loaded(pem: Pem, mark: bytes) -> _Held:
    password = pem.password.reveal().encode() if pem.password else None
    try:
        chain = x509.load_pem_x509_certificates(pem.certificate)
        key = serialization.load_pem_private_key(pem.key.reveal().encode("latin-1"), password)
        form = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        fits = key.public_key().public_bytes(*form) == chain[0].public_key().public_bytes(*form)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ProofUnavailable("the client certificate: it cannot be read") from None
    if not fits:
        raise ProofUnavailable("the client certificate: the key is another one's")
    der = chain[0].public_bytes(serialization.Encoding.DER)
    return _Held(mark, certificate_thumbprint(der), _loader(pem.certificate, key))


def _loader(certificate: bytes, key: PrivateKeyTypes) -> Callable[[ssl.SSLContext], None]:
    def load(context: ssl.SSLContext) -> None:
        # Python's ssl reads files alone. The key lies in one for a moment, and only encrypted,
        # under a password that nobody keeps.
        password = secrets.token_bytes(32).hex()
        sealed = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(password.encode()),
        )
        with tempfile.NamedTemporaryFile("wb", suffix=".pem") as file:
            file.write(certificate + b"\n" + sealed)
            file.flush()
            context.load_cert_chain(file.name, password=password)

    return load


def _trusting(trust: ssl.SSLContext | None) -> ssl.SSLContext:
    """A context of its own that believes the same authorities (None: the machine's own).

    A context cannot be copied, and a certificate that is loaded into a shared one would be shown
    by everybody who shares it.
    """
    if trust is None:
        return httpx2.create_ssl_context(trust_env=False)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.verify_flags = trust.verify_flags
    context.minimum_version = trust.minimum_version
    context.maximum_version = trust.maximum_version
    for authority in trust.get_ca_certs(binary_form=True):
        context.load_verify_locations(cadata=authority)
    return context


def _unavailable(failure: Exception) -> ProofUnavailable:
    if isinstance(failure, ProofUnavailable):
        return failure
    # The type alone: the message may quote a path, or what was being fetched.
    return ProofUnavailable(f"the client certificate: {type(failure).__name__}")


@runtime_checkable
class ShowsCertificate(Protocol):
    """A client authentication that is made by the connection itself."""

    @property
    def certificate(self) -> ClientCertificate: ...


@final
@dataclass(frozen=True, slots=True)
class MutualTls:
    """Bind tokens to a certificate: the server puts its thumbprint into them (RFC 8705 §3).

    Your own HTTP client has to show it too: `certificate.ssl_context()`.
    """

    certificate: ClientCertificate


@final
@dataclass(frozen=True, slots=True)
class CertificateSender:
    """Whoever shows this certificate. The connection proves it; no header says anything."""

    certificate: ClientCertificate
    scheme = "Bearer"  # RFC 8705 §3: the type does not tell; the API looks into the token
    at_once = True

    def thumbprint(self) -> str:
        return "x5t#S256=" + self.certificate.thumbprint()

    def prove(self, method: str, url: str, token: Secret | None) -> Proof:  # noqa: ARG002 -- the connection proves it
        if not url.startswith("https://"):
            raise OriginNotAllowed("a token that is bound to a certificate goes over TLS alone")
        return Proof()

    def learn(self, url: str, value: str | None) -> str | None:  # noqa: ARG002 -- it needs no nonce
        return None

    def look_again(self) -> None:
        return
