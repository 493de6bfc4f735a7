"""The keys that sign, and the ones that are still published (RFC 7517)."""

from datetime import datetime, timedelta
from typing import Self, final

from mintmark.jose.algorithms import Algorithm
from mintmark.jose.errors import KeyRefused
from mintmark.jose.key_set import KeySet
from mintmark.jose.keys import SigningKey
from mintmark.server.sealing import Sealer, Unsealable
from mintmark.server.stores import KeyRecord, KeyStore

__all__ = ["SigningKeys", "WrongMasterKey"]

LABEL = "signing key"
LIFETIME = timedelta(days=90)


class WrongMasterKey(Exception):
    """The stored signing keys were sealed under another master key."""


@final
class SigningKeys:
    """All keys of one server, opened once at start: loading an RSA key takes 30 ms."""

    __slots__ = ("_current", "key_set")

    def __init__(self, current: SigningKey, key_set: KeySet) -> None:
        self._current = current
        self.key_set = key_set

    @classmethod
    async def load(
        cls, store: KeyStore, sealer: Sealer, *, now: datetime, algorithm: Algorithm
    ) -> Self:
        """Open the stored keys; make the first one if there is none for this algorithm.

        Raises:
            WrongMasterKey: the stored keys cannot be opened with this master key.
        """
        records = await store.all()
        if not any(record.algorithm == algorithm for record in records):
            fresh = SigningKey.generate(algorithm)
            records = await store.add_first(_record(fresh, sealer, now))
        keys = {record.kid: _open(record, sealer) for record in records}
        ours = sorted(
            (record for record in records if record.algorithm == algorithm),
            key=lambda record: (record.signs_from, record.kid),
        )
        # A clock that was set back since the first key was made leaves that one to sign with.
        newest = [ours[0], *(record for record in ours if record.signs_from <= now)][-1]
        return cls(keys[newest.kid], KeySet(key.public for key in keys.values()))

    def current(self) -> SigningKey:
        """The key that signs now."""
        return self._current


def _record(key: SigningKey, sealer: Sealer, now: datetime) -> KeyRecord:
    return KeyRecord(
        kid=key.kid,
        algorithm=key.algorithm.value,
        sealed_private_key=sealer.seal(LABEL, key.to_pkcs8(), key.kid.encode()),
        created=now,
        signs_from=now,
        retires=now + LIFETIME,
    )


def _open(record: KeyRecord, sealer: Sealer) -> SigningKey:
    try:
        der = sealer.open(LABEL, record.sealed_private_key, record.kid.encode())
        return SigningKey.from_pkcs8(der, Algorithm(record.algorithm), record.kid)
    except (Unsealable, KeyRefused):
        raise WrongMasterKey(
            "the signing keys in the database were sealed under another master key"
        ) from None
