"""Certificates of a test: an authority of its own, a server's, and clients'."""

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

__all__ = ["Certificates", "Pair"]


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its key, as files and as they are."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    certificate_file: Path
    key_file: Path


class Certificates:
    """Makes them, in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.authority = self._made("authority", None)
        self.server = self._made("localhost", self.authority)

    @property
    def trust(self) -> ssl.SSLContext:
        """What a client needs that trusts this authority and nobody else."""
        return ssl.create_default_context(cafile=str(self.authority.certificate_file))

    def client(self, name: str) -> Pair:
        """One that the authority signed."""
        return self._made(name, self.authority)

    def self_signed(self, name: str) -> Pair:
        return self._made(name, None)

    def _made(self, name: str, issuer: Pair | None) -> Pair:
        key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        is_authority = issuer is None and name == "authority"
        signing = issuer.key if issuer else key
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer.certificate.subject if issuer else subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(hours=1))
            .add_extension(x509.BasicConstraints(is_authority, None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(signing.public_key()), False
            )
        )
        if is_authority:
            builder = builder.add_extension(_SIGNS_CERTIFICATES, critical=True)
        return self._written(name, builder.sign(signing, hashes.SHA256()), key)

    def _written(
        self, name: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey
    ) -> Pair:
        made = Pair(certificate, key, self._folder / f"{name}.pem", self._folder / f"{name}.key")
        made.certificate_file.write_bytes(certificate.public_bytes(Encoding.PEM))
        made.key_file.write_bytes(
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        )
        return made


_SIGNS_CERTIFICATES = x509.KeyUsage(
    digital_signature=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)
