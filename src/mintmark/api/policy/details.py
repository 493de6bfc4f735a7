"""Policies about `authorization_details` (RFC 9396)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, final

from mintmark.api.caller import Caller
from mintmark.api.policy.part import Leaf, Policy
from mintmark.api.policy.verdict import Allowed, MissingDetails, Verdict

__all__ = ["DetailLeaf", "detail"]

Predicate = Callable[[Mapping[str, Any]], bool]


@final
@dataclass(frozen=True, slots=True, repr=False)
class DetailLeaf(Leaf):
    """See `detail`."""

    type: str
    holds: Predicate | None

    def decide(self, caller: Caller, now: float) -> Verdict:  # noqa: ARG002 -- no matter when
        failures: list[str] = []
        for one in caller.details:
            # RFC 9396 §2: the type says what the other members mean, so it is compared first.
            if one["type"] == self.type and self._holds(one, failures):
                return Allowed(trace=self.step("allowed"), failures=tuple(failures))
        said = "failed" if failures else "missing_details"
        types = frozenset({self.type})
        return MissingDetails(types, trace=self.step(said), failures=tuple(failures))

    def _holds(self, one: Mapping[str, Any], failures: list[str]) -> bool:
        if self.holds is None:
            return True
        try:
            return self.holds(one) is True
        except Exception as failure:  # noqa: BLE001 -- a rule that fails denies, and says so
            failures.append(type(failure).__name__)
            return False

    def __repr__(self) -> str:
        name = getattr(self.holds, "__name__", "") if self.holds is not None else ""
        return f"detail({self.type!r}{', ' + name if name else ''})"


def detail(type: str, holds: Predicate | None = None) -> Policy:  # noqa: A002 -- the wire's name
    """Only with an authorization detail of this type, of which `holds` gives True.

    Two details are never added up: one of them has to do by itself.
    """
    if not type:
        raise ValueError("detail: a type is needed")
    return DetailLeaf(type, holds)
