"""Whose tokens are taken, and what they must look like."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal

from mintmark.api.claim_map import ClaimMap
from mintmark.api.dialects import RFC9068, Dialect
from mintmark.fetch import FetchPolicy, FetchRefused, require_safe_url
from mintmark.jose.algorithms import ALL_ALGORITHMS, Algorithm

__all__ = ["TrustedIssuer"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedIssuer:
    """One issuer, and everything that belongs to it.

    Issuer, audience and algorithms are one object, and its keys are fetched for it alone: unions
    over several issuers let the keys of one sign tokens of another.
    """

    issuer: str
    audience: str
    algorithms: frozenset[Algorithm] = ALL_ALGORITHMS
    skew: timedelta = timedelta(seconds=30)
    max_lifetime: timedelta | None = None
    dialect: Dialect = RFC9068
    """How its tokens are written. Anything but the standard is chosen by name."""

    claims: ClaimMap | None = None
    """Where it puts things that are not where its dialect says; see `map_claims`."""

    encryption: Literal["forbid", "accept", "require"] = "accept"
    """Of its access tokens, to this API's keys. With `require` a token that anybody on its way
    could read is refused."""

    policy: FetchPolicy = field(default_factory=FetchPolicy)

    def __post_init__(self) -> None:
        if not self.audience:
            raise ValueError("audience: an API without a name of its own takes everybody's tokens")
        if not self.algorithms:
            raise ValueError("algorithms: at least one is needed")
        if not timedelta(0) <= self.skew <= timedelta(minutes=5):
            raise ValueError(f"skew ({self.skew}) must be between 0 and 5 minutes")
        try:
            require_safe_url(self.issuer, self.policy)
        except FetchRefused as refusal:
            raise ValueError(f"issuer: {refusal.reason}") from None
