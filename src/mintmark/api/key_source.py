"""Where the keys of one issuer come from, as the checks of a token see it."""

from concurrent.futures import Future
from typing import Protocol

from mintmark.jose.key_set import KeySet
from mintmark.protocol.metadata import ServerMetadata

__all__ = ["KeySource", "KeysMissing"]


class KeysMissing(Exception):
    """No key is there and none could be had: nothing can be said about any token."""


class KeySource(Protocol):
    """The keys of one issuer, kept up to date. A moment is in seconds since 1970."""

    @property
    def generation(self) -> int:
        """Grows whenever the keys change: what was proved with older ones is proved no more."""
        ...

    @property
    def metadata(self) -> ServerMetadata | None:
        """What the issuer says of itself, if it has been asked and does."""
        ...

    def usable(self, now: float) -> KeySet | None:
        """The keys, if there are any to go by."""
        ...

    def may_fetch(self, now: float) -> Future[None] | None:
        """Another look, which may be waited for; None when there is nothing to wait for."""
        ...

    def fetch(self, now: float) -> object:
        """Start looking, so that the first request need not wait."""
        ...

    def failing(self) -> bool:
        """Whether the last look brought nothing: an unknown `kid` proves nothing then."""
        ...

    def require(self) -> KeySet:
        """Raises `KeysMissing`."""
        ...

    def close(self) -> None: ...
