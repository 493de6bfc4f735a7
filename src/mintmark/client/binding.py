"""What a token is bound to, so that whoever steals it cannot use it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from mintmark.secret import Secret

__all__ = ["Proof", "Sender"]


@dataclass(frozen=True, slots=True)
class Proof:
    """What goes with one request beside its token; for one attempt, and no other."""

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    nonce: str | None = None  # of the server's, that is in it


class Sender(Protocol):
    """Who alone can use a token: the holder of a key, or of a certificate."""

    @property
    def scheme(self) -> str:
        """Of `Authorization`, and the `token_type` that a bound token must come with."""
        ...

    @property
    def at_once(self) -> bool:
        """Whether the methods answer without waiting for a store at this moment."""
        ...

    def thumbprint(self) -> str:
        """Names the key in the name of a held token. Raises `TokenUnavailable`."""
        ...

    def prove(self, method: str, url: str, token: Secret | None) -> Proof:
        """For one attempt of one request; `token` is None where a token is asked for.

        Raises:
            TokenUnavailable: there is nothing to prove it with.
            OriginNotAllowed: nothing can be proved to this address.
        """
        ...

    def learn(self, url: str, value: str | None) -> str | None:
        """What an answer said in `DPoP-Nonce`: kept for the next proof to this origin."""
        ...

    def look_again(self) -> None:
        """An API refused the token: what is remembered of a session's key may be of the one before."""
        ...
