"""Which algorithms exist here, and what a key must be to use one (RFC 7518 §3, RFC 8037 §3.1)."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from mintmark.jose.errors import AlgorithmRefused

__all__ = ["ALL_ALGORITHMS", "Algorithm", "parse_algorithm"]


class Algorithm(StrEnum):
    """Signature algorithms by their wire name. Asymmetric only: RFC 8725 §3.1, §3.2."""

    RS256 = "RS256"
    RS384 = "RS384"
    RS512 = "RS512"
    PS256 = "PS256"
    PS384 = "PS384"
    PS512 = "PS512"
    ES256 = "ES256"
    ES384 = "ES384"
    ES512 = "ES512"
    EDDSA = "EdDSA"

    # The one of Enum is Python code and costs more than all lookups of a token together.
    __hash__ = str.__hash__

    @property
    def key_type(self) -> str:
        """The `kty` of its keys."""
        return {"R": "RSA", "P": "RSA", "E": "EC"}[self.value[0]] if self != "EdDSA" else "OKP"


ALL_ALGORITHMS: Final = frozenset(Algorithm)

_BY_NAME: Final = {algorithm.value: algorithm for algorithm in Algorithm} | {
    "Ed25519": Algorithm.EDDSA  # RFC 9864 §2.2: the fully-specified name of the same thing
}


def parse_algorithm(name: object) -> Algorithm:
    """Raises `AlgorithmRefused` for `none`, HMAC, and everything else that is not ours."""
    algorithm = _BY_NAME.get(name) if isinstance(name, str) else None
    if algorithm is None:
        raise AlgorithmRefused("alg is not an algorithm we use")
    return algorithm


@dataclass(frozen=True, slots=True)
class EllipticCurve:
    """What an `ES...` algorithm fixes: RFC 7518 §3.4 binds curve, hash and length to it."""

    crv: str
    curve: ec.EllipticCurve
    hash: hashes.HashAlgorithm
    coordinate_length: int


CURVES: Final = {
    Algorithm.ES256: EllipticCurve("P-256", ec.SECP256R1(), hashes.SHA256(), 32),
    Algorithm.ES384: EllipticCurve("P-384", ec.SECP384R1(), hashes.SHA384(), 48),
    Algorithm.ES512: EllipticCurve("P-521", ec.SECP521R1(), hashes.SHA512(), 66),
}

RSA_HASHES: Final[dict[str, hashes.HashAlgorithm]] = {
    "256": hashes.SHA256(),
    "384": hashes.SHA384(),
    "512": hashes.SHA512(),
}
