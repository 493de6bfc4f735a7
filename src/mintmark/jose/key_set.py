"""A set of public keys, and the choice of one of them (RFC 7517 §5)."""

from collections.abc import Iterable
from typing import Any, Final, Self, final

import msgspec

from mintmark.jose.algorithms import Algorithm
from mintmark.jose.errors import KeyAmbiguous, KeyNotFound, KeyRefused, Malformed
from mintmark.jose.keys import VerificationKey
from mintmark.jose.strict_json import decode_object

__all__ = ["MAX_KEYS", "KeySet"]

MAX_KEYS: Final = 64


@final
class KeySet:
    """Public keys as one issuer published them. It never changes."""

    __slots__ = ("_chosen", "_suiting", "dropped", "keys")

    def __init__(self, keys: Iterable[VerificationKey], dropped: tuple[str, ...] = ()) -> None:
        self.keys = tuple(keys)
        self.dropped = dropped
        """Why keys were left out of the set, for the log."""
        self._suiting: dict[tuple[str | None, Algorithm], list[VerificationKey]] = {}
        for key in self.keys:
            for algorithm in key.algorithms:
                self._suiting.setdefault((None, algorithm), []).append(key)
                if key.kid is not None:
                    self._suiting.setdefault((key.kid, algorithm), []).append(key)
        self._chosen = {wanted: keys[0] for wanted, keys in self._suiting.items() if len(keys) == 1}

    @classmethod
    def of(cls, *keys: VerificationKey) -> Self:
        return cls(keys)

    @classmethod
    def parse(cls, octets: bytes) -> Self:
        """The usable keys of a published set; one bad key does not spoil the others.

        Raises:
            Malformed: this is no key set, or it has more than `MAX_KEYS` keys.
        """
        entries = decode_object(octets).get("keys")
        if not isinstance(entries, list) or len(entries) > MAX_KEYS:
            raise Malformed("not a JSON Web Key Set, or a very large one")
        keys: list[VerificationKey] = []
        dropped: list[str] = []
        for entry in entries:
            try:
                keys.append(VerificationKey.from_jwk(_members(entry)))
            except KeyRefused as refusal:
                dropped.append(refusal.reason)
        return cls(keys, tuple(dropped))

    def select(self, kid: str | None, algorithm: Algorithm) -> VerificationKey:
        """The one key of this name for this algorithm.

        A token without `kid` is accepted where only one key can be meant.

        Raises:
            KeyNotFound: none suits; a fresher set may have it.
            KeyAmbiguous: several suit.
        """
        key = self._chosen.get((kid, algorithm))
        if key is not None:
            return key
        if (kid, algorithm) in self._suiting:
            raise KeyAmbiguous("several keys would suit")
        raise KeyNotFound("no key has this kid, or it is not for this alg")

    def to_json(self) -> bytes:
        return msgspec.json.encode({"keys": [key.to_jwk() for key in self.keys]})


def _members(entry: Any) -> dict[str, Any]:
    if not isinstance(entry, dict):
        raise KeyRefused("a key is no JSON object")
    return entry
