"""Which ways there are to bring the key of one token's content to its reader (RFC 7518 §4)."""

from enum import StrEnum
from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from mintmark.jose.errors import AlgorithmRefused

__all__ = [
    "AGREEMENTS",
    "ALL_KEY_MANAGEMENTS",
    "OAEP",
    "Curve",
    "KeyManagement",
    "parse_key_management",
]


class KeyManagement(StrEnum):
    """Key management by its wire name (RFC 7518 §4.1).

    `RSA1_5` is missing because its padding is an oracle (RFC 8725 §3.2), the password ones because
    the token would choose how long we work.
    """

    RSA_OAEP = "RSA-OAEP"
    RSA_OAEP_256 = "RSA-OAEP-256"
    ECDH_ES = "ECDH-ES"
    ECDH_ES_A128KW = "ECDH-ES+A128KW"
    ECDH_ES_A256KW = "ECDH-ES+A256KW"
    DIR = "dir"

    # As in `Algorithm`: the hash of Enum is Python code.
    __hash__ = str.__hash__


class Curve(StrEnum):
    """The curves of ECDH-ES by their wire name."""

    P256 = "P-256"
    P384 = "P-384"
    P521 = "P-521"
    X25519 = "X25519"


ALL_KEY_MANAGEMENTS: Final = frozenset(KeyManagement)
AGREEMENTS: Final = frozenset(
    {KeyManagement.ECDH_ES, KeyManagement.ECDH_ES_A128KW, KeyManagement.ECDH_ES_A256KW}
)

# RFC 7518 §4.3: the plain name means SHA-1, which is sound within OAEP and nowhere else.
OAEP: Final = {
    KeyManagement.RSA_OAEP: padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None),  # noqa: S303 -- what the name says
    KeyManagement.RSA_OAEP_256: padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None),
}
_BY_NAME: Final = {algorithm.value: algorithm for algorithm in KeyManagement}


def parse_key_management(name: object) -> KeyManagement:
    """Raises `AlgorithmRefused` for everything that is not ours."""
    algorithm = _BY_NAME.get(name) if isinstance(name, str) else None
    if algorithm is None:
        raise AlgorithmRefused("alg is not a key management we use")
    return algorithm
