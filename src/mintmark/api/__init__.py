"""Code that accepts tokens: a guard in front of an API, closed by default.

A `Gate` knows whose tokens it takes (`TrustedIssuer`: issuer, audience, keys and algorithms as one
thing), proves each token once, and hands the handler a `Caller`. Policies are values; one renderer
makes every refusal. It never asks anybody for a token, and it never takes an address from one.
"""

from mintmark.api.caller import Caller, CallerKind
from mintmark.api.config import TrustedIssuer
from mintmark.api.gate import Gate
from mintmark.api.policy import (
    AUTHENTICATED,
    PUBLIC,
    Allowed,
    Forbidden,
    MissingScopes,
    Policy,
    Verdict,
    client,
    kind,
    rule,
    scope,
)

__all__ = [
    "AUTHENTICATED",
    "PUBLIC",
    "Allowed",
    "Caller",
    "CallerKind",
    "Forbidden",
    "Gate",
    "MissingScopes",
    "Policy",
    "TrustedIssuer",
    "Verdict",
    "client",
    "kind",
    "rule",
    "scope",
]
