"""The keys that decrypt, old ones among them for a while, and the choice of one."""

from collections.abc import Iterable, Mapping
from typing import Final, Self, final

from mintmark.jose.encryption_keys import DecryptionKey
from mintmark.jose.errors import KeyAmbiguous, KeyNotFound, KeyRefused, KeyRetired
from mintmark.jose.key_management import KeyManagement

__all__ = ["DecryptionKeys"]

_FOR_EVER: Final = float("inf")


@final
class DecryptionKeys:
    """One reader's keys, the newest first. It never changes."""

    __slots__ = ("_by_kid", "_until", "keys")

    def __init__(
        self, keys: Iterable[DecryptionKey], until: Mapping[str, float] | None = None
    ) -> None:
        """
        Args:
            until: by `kid`, the moment from which a key is refused, in seconds since 1970.

        Raises:
            KeyRefused: two keys have one name, or a moment names none of them.
        """
        self.keys = tuple(keys)
        self._by_kid = {key.kid: key for key in self.keys}
        self._until = dict(until or {})
        if len(self._by_kid) != len(self.keys):
            raise KeyRefused("two keys have the same kid")
        # Otherwise a slip of the pen would keep an old key for ever.
        if not self._until.keys() <= self._by_kid.keys():
            raise KeyRefused("a key that is not here has an end")

    @classmethod
    def of(cls, *keys: DecryptionKey) -> Self:
        return cls(keys)

    def rotated(self, fresh: DecryptionKey, *, until: float) -> Self:
        """The same with a fresh key before all others, which are refused from `until` on."""
        ends = {key.kid: min(until, self._until.get(key.kid, until)) for key in self.keys}
        return type(self)((fresh, *self.keys), ends)

    def select(self, kid: str | None, algorithm: KeyManagement, *, now: float) -> DecryptionKey:
        """The one key of this name; whether it is for this algorithm, it says itself.

        A token without `kid` is accepted where only one key can be meant.

        Raises:
            KeyNotFound: none suits. KeyRetired: its time is over. KeyAmbiguous: several suit.
        """
        if kid is None:
            return self._select_unnamed(algorithm, now)
        key = self._by_kid.get(kid)
        if key is None:
            raise KeyNotFound("no decryption key has this kid")
        if not now < self._until.get(kid, _FOR_EVER):
            raise KeyRetired("the decryption key of this kid is retired")
        return key

    def _select_unnamed(self, algorithm: KeyManagement, now: float) -> DecryptionKey:
        suiting = [key for key in self._current(now) if algorithm in key.key_management]
        if not suiting:
            raise KeyNotFound("no decryption key is for this alg")
        if len(suiting) > 1:
            raise KeyAmbiguous("several decryption keys would suit")
        return suiting[0]

    def _current(self, now: float) -> list[DecryptionKey]:
        return [key for key in self.keys if now < self._until.get(key.kid, _FOR_EVER)]

    def published(self) -> list[dict[str, str]]:
        """The JWKs for those who encrypt: of no key that has an end, and of no symmetric one."""
        return [
            key.public.to_jwk()
            for key in self.keys
            if key.kid not in self._until and KeyManagement.DIR not in key.key_management
        ]
