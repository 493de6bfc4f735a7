"""What a route asks of its caller: policies as values, and what they say.

`&`, `|` and `~` put them together. A `Verdict` says which one answer is right, and its trace says
how it came about, by the names of the parts alone.
"""

from mintmark.api.policy.assurance import bound, login
from mintmark.api.policy.claims import claim
from mintmark.api.policy.combined import hide_as_404
from mintmark.api.policy.details import detail
from mintmark.api.policy.leaves import (
    AUTHENTICATED,
    PUBLIC,
    actor,
    client,
    group,
    issuer,
    kind,
    role,
    scope,
)
from mintmark.api.policy.needs import acr_of, details_of, scope_sets_of, scopes_of
from mintmark.api.policy.part import Policy
from mintmark.api.policy.rule import CannotDecide, rule
from mintmark.api.policy.verdict import (
    Allowed,
    Forbidden,
    Hidden,
    MissingDetails,
    MissingScopes,
    Step,
    StepUp,
    Undecided,
    Verdict,
)

__all__ = [
    "AUTHENTICATED",
    "PUBLIC",
    "Allowed",
    "CannotDecide",
    "Forbidden",
    "Hidden",
    "MissingDetails",
    "MissingScopes",
    "Policy",
    "Step",
    "StepUp",
    "Undecided",
    "Verdict",
    "acr_of",
    "actor",
    "bound",
    "claim",
    "client",
    "detail",
    "details_of",
    "group",
    "hide_as_404",
    "issuer",
    "kind",
    "login",
    "role",
    "rule",
    "scope",
    "scope_sets_of",
    "scopes_of",
]
