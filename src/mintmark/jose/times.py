"""Date claims against a given moment (RFC 7519 §4.1.4-4.1.6)."""

from typing import Final

from mintmark.jose.errors import ClaimRefused

__all__ = ["LAST_MOMENT", "require_current"]

LAST_MOMENT: Final = 253402300799.0
"""The last second of the year 9999. A later date is no date but an attack on a calendar."""

IAT_AHEAD: Final = 60.0
"""Seconds an issuer's clock may run ahead of ours."""


def require_current(
    exp: float, nbf: float | None, iat: float | None, *, now: float, skew: float
) -> None:
    """Refuse what is over, not yet valid, or from the future.

    Args:
        exp, nbf, iat: seconds since 1970, as the token says.
        now: the moment of this request, in the same unit.
        skew: how far two honest clocks may differ, in seconds.

    Raises:
        ClaimRefused: naming the claim.
    """
    # RFC 7519 §4.1.4: on or after the moment it says, it is over.
    if not now < exp + skew:
        raise ClaimRefused("exp", "has passed")
    if not 0 <= exp <= LAST_MOMENT:
        raise ClaimRefused("exp", "is no date")
    # RFC 7519 §4.1.5
    if nbf is not None and not (nbf <= now + skew and nbf < exp):
        raise ClaimRefused("nbf", "has not come")
    # RFC 7519 §4.1.6
    if iat is not None and not (0 <= iat <= now + IAT_AHEAD and iat < exp):
        raise ClaimRefused("iat", "is in the future")
