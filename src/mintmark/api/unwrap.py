"""Encrypted access tokens: opened with this API's own keys, and read (RFC 9068 §4, RFC 7516 §9)."""

from collections.abc import Iterable
from typing import Final, final

from mintmark.jose.content_encryption import ContentEncryption
from mintmark.jose.decryption_keys import DecryptionKeys
from mintmark.jose.jwe import decrypt, require_nested_jws, require_replicated
from mintmark.jose.key_management import KeyManagement
from mintmark.protocol.access_token import UncheckedAccessToken, read_access_token

__all__ = ["Unwrapper"]

ALL_CONTENT: Final = frozenset(ContentEncryption)


@final
class Unwrapper:
    """Opens what was encrypted to these keys, in the ways that they are for."""

    def __init__(
        self, keys: DecryptionKeys, content_encryption: Iterable[ContentEncryption] = ALL_CONTENT
    ) -> None:
        self.keys = keys
        self._content_encryption = frozenset(content_encryption)
        # RFC 8725 §3.1: a key for one algorithm is no offer of another.
        self._key_management: frozenset[KeyManagement] = frozenset().union(
            *(key.key_management for key in keys.keys)
        )

    def read(self, token: bytes, now: float) -> UncheckedAccessToken:
        """The signed token inside. Whoever encrypted it proved nothing by that.

        Raises:
            JoseError: always with words that do not tell one failed decryption from another.
        """
        decrypted = decrypt(
            token,
            self.keys,
            now=now,
            key_management=self._key_management,
            content_encryption=self._content_encryption,
        )
        inner = read_access_token(require_nested_jws(decrypted))
        require_replicated(decrypted.header, inner.claims)
        return inner
