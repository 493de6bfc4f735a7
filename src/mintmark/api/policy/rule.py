"""Rules of the application's own."""

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Final, final, overload

from mintmark.api.caller import Caller
from mintmark.api.policy.part import Leaf, Policy
from mintmark.api.policy.verdict import Forbidden, Undecided, Verdict

__all__ = ["CannotDecide", "RuleLeaf", "rule"]

Rule = Callable[..., Awaitable[bool]]
NO_OBJECT: Final = "ObjectMissing"
NO_ANSWER: Final = "NoAnswer"


class CannotDecide(Exception):
    """Raised by a rule that has to ask somebody who does not answer: 503, and not 403."""


@final
@dataclass(frozen=True, slots=True, repr=False)
class RuleLeaf(Leaf):
    """See `rule`."""

    reason: ClassVar[str] = "rule_refused"
    asks: ClassVar[bool] = True
    name: str
    holds: Rule
    takes_object: bool

    @property
    def needs_object(self) -> bool:
        return self.takes_object

    def decide(self, caller: Caller, now: float) -> Verdict:  # noqa: ARG002 -- nobody is judged
        raise TypeError(f"{self!r} has to be asked: use judge")

    async def judge(self, caller: Caller, subject: object = None, *, now: float) -> Verdict:  # noqa: ARG002 -- no matter when
        if self.takes_object and subject is None:
            return self._failed(NO_OBJECT)
        try:
            asked = self.holds(caller, subject) if self.takes_object else self.holds(caller)
            return self._said(await asked)
        except CannotDecide:
            return Undecided("rule_undecided", trace=self.step("undecided"))
        except Exception as failure:  # noqa: BLE001 -- a rule that fails denies, and says so
            return self._failed(type(failure).__name__)

    def _said(self, said: object) -> Verdict:
        if said is True:
            return self.yes
        # A rule that forgot to answer has said neither yes nor, for whoever negates it, no.
        return self.no if said is False else self._failed(NO_ANSWER)

    def _failed(self, failure: str) -> Forbidden:
        trace = self.step(f"failed ({failure})")
        return Forbidden("rule_failed", trace=trace, failures=(failure,))

    def __repr__(self) -> str:
        return f"rule({self.name!r})"


@overload
def rule(name: str) -> Callable[[Rule], Policy]: ...
@overload
def rule(name: str, holds: Rule) -> Policy: ...
def rule(name: str, holds: Rule | None = None) -> Policy | Callable[[Rule], Policy]:
    """A rule of one's own: an async function of the caller, or of the caller and an object.

    Give the function, or put `@rule("same tenant")` above it. True lets the caller pass; whatever
    else it gives, or raises, denies. `CannotDecide` is answered with 503.
    """
    if not name or not name.isprintable():
        raise ValueError("rule: a name is needed, for the report and the log")
    if holds is not None:
        return _rule(name, holds)
    return lambda function: _rule(name, function)


def _rule(name: str, holds: Rule) -> Policy:
    called: Any = holds if inspect.isroutine(holds) else getattr(holds, "__call__", holds)  # noqa: B004 -- an object's method is what is looked at
    if not (inspect.iscoroutinefunction(holds) or inspect.iscoroutinefunction(called)):
        raise TypeError(f"rule({name!r}): the function must be async")
    takes = [
        one
        for one in inspect.signature(holds).parameters.values()
        if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD) and one.default is one.empty
    ]
    if len(takes) not in (1, 2):
        raise TypeError(f"rule({name!r}): it takes the caller, or the caller and an object")
    return RuleLeaf(name, holds, len(takes) == 2)
