"""What happens too often to be an event, for whoever counts it.

An `Events` that has these methods too is told; for any other nothing is called, so that a request
costs what it cost before. `mintmark.telemetry` has one.
"""

from typing import Protocol, runtime_checkable

__all__ = ["Measures"]


@runtime_checkable
class Measures(Protocol):
    """Like an `Events` it never raises and never waits. Issuers are trusted ones, by their name."""

    def request_admitted(self, issuer: str, kind: str) -> None:
        """A request was handed on to the application. `kind`: see `CallerKind`."""
        ...

    def token_proved(self, issuer: str, seconds_left: float) -> None:
        """A JWT was proved that was not remembered, with so much of its life left."""
        ...

    def proof_taken(self, offset: float) -> None:
        """A proof was taken whose maker's clock is `offset` seconds ahead of ours, or less."""
        ...
