"""How keys and tokens lie in memory: a hundred thousand of them, each as small as can be.

What most keys of a program say alike is kept once, and so is what most leases say alike. What is
made of a packed form equals what was packed; nobody outside the manager sees one.
"""

from dataclasses import replace
from functools import lru_cache
from typing import Any, Final, TypeGuard

import msgspec

from mintmark.client.renewal import Lease
from mintmark.protocol.authorization_details import AuthorizationDetails
from mintmark.secret import Secret

__all__ = ["Kept", "PackedKey", "Terms", "packed_key", "terms_of"]

REMEMBERED: Final = 4096
"""Of parts that are shared. One that is forgotten costs memory when it comes again, and no more."""

MICROSECONDS: Final = 6
"""Digits of a lease's lengths: finer ones come from adding to a large number, and mean nothing."""


# gc=False: none of the three can be part of a circle, so the collector need not visit them.
class PackedKey(msgspec.Struct, frozen=True, gc=False):
    """A key: equal if and only if the keys are."""

    common: Any  # the key without its own part
    own: str | bytes | frozenset[str]  # text: a set of this one

    def whole(self) -> Any:
        """The key again."""
        own = frozenset({self.own}) if isinstance(self.own, str) else self.own
        return replace(self.common, **{self.common.told_apart_by: own})


class Terms(msgspec.Struct, frozen=True, gc=False):
    """What many tokens have in common, in seconds after they were received."""

    usable_after: float
    renew_after: float
    usable_for: float
    lasts_for: float
    fetched: bool
    details: AuthorizationDetails


class Kept(msgspec.Struct, frozen=True, gc=False):
    """A token that is held."""

    token: Secret
    received: float
    terms: Terms

    def lease(self) -> Lease:
        """Its moments."""
        received, terms = self.received, self.terms
        return Lease(
            received + terms.usable_after,
            received + terms.renew_after,
            received + terms.usable_for,
            received + terms.lasts_for,
        )


def packed_key(key: Any) -> PackedKey:
    """Of a key, which is a dataclass and names the field that tells it from the others."""
    own = getattr(key, key.told_apart_by)
    common = _common(replace(key, **{key.told_apart_by: type(own)()}))
    return PackedKey(common, next(iter(own)) if _is_single(own) else own)


def terms_of(
    received: float, lease: Lease, *, fetched: bool, details: AuthorizationDetails
) -> Terms:
    """Of a token that came at that moment."""
    parts = (
        round(lease.usable_from - received, MICROSECONDS),
        round(lease.renew_from - received, MICROSECONDS),
        round(lease.usable_until - received, MICROSECONDS),
        round(lease.expires_at - received, MICROSECONDS),
        fetched,
    )
    # Details hold what has no hash.
    return Terms(*parts, details) if details else _terms(*parts, details)


def _is_single(own: object) -> TypeGuard[frozenset[str]]:
    return isinstance(own, frozenset) and len(own) == 1


@lru_cache(REMEMBERED)
def _common(key: Any) -> Any:
    return key


@lru_cache(REMEMBERED)
def _terms(*parts: Any) -> Terms:
    return Terms(*parts)
