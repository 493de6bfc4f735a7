"""What this client registered about the JWTs that a server writes for it, and reading them."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from mintmark.jose.algorithms import ALL_ALGORITHMS, Algorithm, parse_algorithm
from mintmark.jose.content_encryption import ContentEncryption
from mintmark.jose.decryption_keys import DecryptionKeys
from mintmark.jose.errors import AlgorithmRefused, HeaderRefused
from mintmark.jose.jwe import decrypt, require_nested_jws
from mintmark.jose.key_management import KeyManagement

__all__ = ["RegisteredResponses", "acceptable", "opened"]

ALL_CONTENT: Final = frozenset(ContentEncryption)


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredResponses:
    """How ID tokens, UserInfo and authorization responses come to this client.

    The names are those of its registration. What is not said here may come in every way that
    this library knows and the server's metadata names; what is said comes in that way or is
    refused. An `..._encrypted_response_alg` refuses what is not encrypted, too.

    Args:
        decryption_keys: this client's own. Without them nothing encrypted can be read.
    """

    id_token_signed_response_alg: Algorithm | None = None
    id_token_encrypted_response_alg: KeyManagement | None = None
    userinfo_signed_response_alg: Algorithm | None = None
    userinfo_encrypted_response_alg: KeyManagement | None = None
    authorization_signed_response_alg: Algorithm | None = None
    authorization_encrypted_response_alg: KeyManagement | None = None
    decryption_keys: DecryptionKeys | None = None

    def __post_init__(self) -> None:
        encrypted = (
            self.id_token_encrypted_response_alg,
            self.userinfo_encrypted_response_alg,
            self.authorization_encrypted_response_alg,
        )
        offered = self.decryption_keys.keys if self.decryption_keys else ()
        for one in encrypted:
            if one is not None and all(one not in key.key_management for key in offered):
                raise ValueError(f"there is no decryption key for {one}")


def acceptable(registered: Algorithm | None, supported: Iterable[str]) -> frozenset[Algorithm]:
    """The algorithms that a signature may have (RFC 8725 §3.1, OIDC Core §3.1.3.7 (7)).

    Args:
        supported: what the server's metadata says; nothing, if it does not say.
    """
    if registered is not None:
        return frozenset({registered})
    names = tuple(supported)
    return frozenset(filter(None, map(_known, names))) if names else ALL_ALGORITHMS


def _known(name: str) -> Algorithm | None:
    try:
        return parse_algorithm(name)
    except AlgorithmRefused:
        return None


def opened(
    token: str, keys: DecryptionKeys | None, registered: KeyManagement | None, *, now: float
) -> str:
    """The signed token: this one, or the one that is encrypted in it.

    Args:
        registered: the only way it may be encrypted; it must be, then.
        now: seconds since 1970.

    Raises:
        JoseError: it cannot be opened, or should have been encrypted.
    """
    if token.count(".") != 4:
        # OIDC Core §3.1.3.7 (1)
        if registered is not None:
            raise HeaderRefused("it is not encrypted")
        return token
    if keys is None:
        raise HeaderRefused("it is encrypted, and there is no key to open it")
    offered = frozenset[KeyManagement]().union(*(key.key_management for key in keys.keys))
    decrypted = decrypt(
        token,
        keys,
        now=now,
        key_management=offered if registered is None else {registered},
        content_encryption=ALL_CONTENT,
    )
    return require_nested_jws(decrypted).decode("ascii", errors="replace")
