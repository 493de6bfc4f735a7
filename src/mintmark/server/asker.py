"""Who asks for tokens."""

from dataclasses import dataclass
from datetime import datetime
from typing import final

from mintmark.server.clients import Client

__all__ = ["Asker"]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """Who is asking for tokens, when, and with which key of theirs."""

    client: Client  # authenticated, and registered for this grant type
    now: datetime
    jkt: str | None = None  # the thumbprint of the key that a DPoP proof of this request shows

    @property
    def cnf(self) -> dict[str, str]:
        """What the new access token is bound to (RFC 9449 §6); empty for a bearer token."""
        return {} if self.jkt is None else {"jkt": self.jkt}

    @property
    def token_type(self) -> str:
        """RFC 9449 §5: a bound token is no bearer token, and says so."""
        return "Bearer" if self.jkt is None else "DPoP"
