"""What the fake authority was asked, and what else it can be made to answer."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mintmark.protocol.form import Form
from mintmark.protocol.token import TokenResponse
from mintmark.testing.faults import Fault

__all__ = ["Asked", "Endpoint", "Grant"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request to the fake, read."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]  # names in lower case
    form: Form


Grant = Callable[[Asked], TokenResponse]
"""What one `grant_type` gives; raises `OAuthError`."""

Endpoint = Callable[[Asked], Fault | None]
"""Answers one path, or (None) leaves it to the fake's own."""
