"""What every policy is, whether it stands alone or is put together from others."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import ClassVar

from mintmark.api.caller import Caller
from mintmark.api.policy.verdict import Allowed, Forbidden, Step, Verdict

__all__ = ["Leaf", "Policy"]


class Policy(ABC):
    """A rule about callers. It has a readable `repr`, for the report of routes.

    Attributes:
        asks: whether judging runs the application's own code, which may wait. If not, `decide`
            says at once what `judge` would.
        needs_object: whether it judges what is asked for, too, and not the caller alone.
    """

    __slots__ = ()

    @property
    def asks(self) -> bool:
        return False

    @property
    def needs_object(self) -> bool:
        return False

    @abstractmethod
    def decide(self, caller: Caller, now: float) -> Verdict:
        """What it says without asking anybody.

        Args:
            now: seconds since 1970.

        Raises:
            TypeError: this policy `asks`.
        """

    async def judge(self, caller: Caller, subject: object = None, *, now: float) -> Verdict:
        """What it says about this caller, and about `subject` where an object is judged.

        It never raises: a rule that fails denies, and the verdict's `failures` name what it raised.
        """
        del subject
        return self.decide(caller, now)

    def __and__(self, other: "Policy") -> "Policy":
        from mintmark.api.policy.combined import all_of

        return all_of(self, other)

    def __or__(self, other: "Policy") -> "Policy":
        from mintmark.api.policy.combined import any_of

        return any_of(self, other)

    def __invert__(self) -> "Policy":
        from mintmark.api.policy.combined import negation

        return negation(self)


@dataclass(frozen=True, slots=True, repr=False)
class Leaf(Policy):
    """A policy that asks one thing. What it can say is made once, for it is said often."""

    reason: ClassVar[str] = "forbidden"
    asks: ClassVar[bool] = False

    yes: Allowed = field(init=False, compare=False)
    no: Forbidden = field(init=False, compare=False)

    def __post_init__(self) -> None:
        name = repr(self)
        object.__setattr__(self, "yes", Allowed(trace=(Step(name, "allowed"),)))
        object.__setattr__(self, "no", Forbidden(self.reason, trace=self.step(self.reason)))

    def step(self, outcome: str) -> tuple[Step, ...]:
        return (Step(repr(self), outcome),)
