"""Certificates that nobody vouches for."""

from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from mintmark.jose.keys import SigningKey

__all__ = ["self_made"]


def self_made(key: SigningKey, subject: str = "client.example", serial: int = 1) -> bytes:
    """A certificate, DER, that an EC key signed for itself."""
    private = serialization.load_der_private_key(key.to_pkcs8(), None)
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])
    certificate = (
        x509.CertificateBuilder(name, name, private.public_key(), serial)
        .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2040, 1, 1, tzinfo=UTC))
        .sign(private, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.DER)
