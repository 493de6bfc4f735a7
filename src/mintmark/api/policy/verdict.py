"""What a policy says about a caller."""

from dataclasses import dataclass, field
from typing import Final

from mintmark.protocol.scope import Scope

__all__ = [
    "Allowed",
    "Forbidden",
    "Hidden",
    "MissingDetails",
    "MissingScopes",
    "Step",
    "StepUp",
    "Undecided",
    "Verdict",
]

_NO_SCOPES: Final[Scope] = frozenset()


@dataclass(frozen=True, slots=True)
class Step:
    """One part of a policy and what it said: names that the application chose, no claim's value."""

    part: str
    outcome: str

    def __str__(self) -> str:
        return f"{self.part}: {self.outcome}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Said:
    # How it came to be said, and not what is said: no part of comparisons.
    trace: tuple[Step, ...] = field(default=(), compare=False, repr=False)
    # The kinds of exceptions that rules raised; each is an alarm, whatever came of it.
    failures: tuple[str, ...] = field(default=(), compare=False, repr=False)

    def explain(self) -> str:
        """Every part and what it said, in one line for the log."""
        return ", ".join(str(step) for step in self.trace)


@dataclass(frozen=True, slots=True)
class Allowed(_Said):
    """The caller may go on."""

    reason: str = "allowed"


@dataclass(frozen=True, slots=True)
class MissingScopes(_Said):
    """Another token of the same kind would do: one that has these scope values as well."""

    scopes: Scope
    reason: str = "missing_scope"


@dataclass(frozen=True, slots=True)
class MissingDetails(_Said):
    """Another token would do, with other `authorization_details` of these types (RFC 9396)."""

    types: frozenset[str]
    scopes: Scope = _NO_SCOPES
    reason: str = "missing_details"


@dataclass(frozen=True, slots=True)
class StepUp(_Said):
    """The person has to sign in again, better or more recently (RFC 9470 §3).

    `scopes` are missing as well: the token that comes of it carries both.
    """

    acr_values: tuple[str, ...] = ()
    max_age: int | None = None  # seconds
    scopes: Scope = _NO_SCOPES
    reason: str = "step_up"


@dataclass(frozen=True, slots=True)
class Forbidden(_Said):
    """No other token of this caller would help. `reason` is for the log."""

    reason: str = "forbidden"


@dataclass(frozen=True, slots=True)
class Hidden(_Said):
    """As `Forbidden`, and that there is anything at all is not said either."""

    reason: str = "hidden"


@dataclass(frozen=True, slots=True)
class Undecided(_Said):
    """Nothing can be said now: what the policy has to ask does not answer."""

    reason: str = "undecided"


Verdict = Allowed | MissingScopes | MissingDetails | StepUp | Forbidden | Hidden | Undecided
