"""Issuers that depend on the request: who is trusted is asked each time, and remembered nowhere."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, final

from mintmark.api.config import TrustedIssuer
from mintmark.jose.errors import ClaimRefused

__all__ = ["Resolver", "TenantIssuers"]

Resolver = Callable[[str, Mapping[str, Any]], Awaitable[TrustedIssuer | None]]
"""Takes the unverified `iss` and the ASGI scope; gives the issuer's settings, or None.

It is asked on every request, also for tokens that were proved a moment ago, because a token of one
tenant must not pass on another's host. Answer from memory.
"""

MAX_ISS_LENGTH: Final = 512


@final
class TenantIssuers:
    """Looks up the issuer of a request among those that cannot all be listed at the start."""

    def __init__(self, resolve: Resolver) -> None:
        self._resolve = resolve

    async def require_trusted(self, iss: str | None, scope: Mapping[str, Any]) -> TrustedIssuer:
        """Raises `ClaimRefused` unless this very issuer is trusted for this request."""
        if iss is None or len(iss) > MAX_ISS_LENGTH or not iss.isprintable():
            raise ClaimRefused("iss", "names no issuer")
        trusted = await self._resolve(iss, scope)
        if trusted is None:
            raise ClaimRefused("iss", "is not an issuer that is trusted for this request")
        # A resolver that answers with a neighbour would lend one tenant's keys to another.
        if trusted.issuer != iss:
            raise ClaimRefused("iss", "was resolved to another issuer")
        return trusted
