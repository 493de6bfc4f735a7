"""Policies put together from others: all of them, any of them, not that one, and hidden.

The application's own rules come last, whatever order they are written in: they cost most, and they
are not run for callers whom the rest turns away.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from operator import is_
from typing import Final, final

from mintmark.api.caller import Caller
from mintmark.api.policy.part import Leaf, Policy
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

__all__ = ["All", "AnyOf", "Hide", "Not", "all_of", "any_of", "hide_as_404", "negation"]


@dataclass(frozen=True, slots=True, repr=False)
class _Several(Policy):
    parts: tuple[Policy, ...]
    plain: tuple[Policy, ...] = field(init=False, compare=False)
    asking: tuple[Policy, ...] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "plain", tuple(p for p in self.parts if not p.asks))
        object.__setattr__(self, "asking", tuple(p for p in self.parts if p.asks))

    @property
    def asks(self) -> bool:
        return bool(self.asking)

    @property
    def needs_object(self) -> bool:
        return any(part.needs_object for part in self.parts)

    def decide(self, caller: Caller, now: float) -> Verdict:
        if self.asking:
            raise TypeError(f"{self!r} has to be asked: use judge")
        return self.together(self.decided(caller, now))

    async def judge(self, caller: Caller, subject: object = None, *, now: float) -> Verdict:
        said = self.decided(caller, now)
        for part in self.asking:
            if self.is_settled(said):
                break
            said.append(await part.judge(caller, subject, now=now))
        return self.together(said)

    def decided(self, caller: Caller, now: float) -> list[Verdict]:
        """What the parts say that need not be asked."""
        return [part.decide(caller, now) for part in self.plain]

    def together(self, said: Sequence[Verdict]) -> Verdict:
        raise NotImplementedError

    def is_settled(self, said: Sequence[Verdict]) -> bool:
        """Whether there is no need to ask any further."""
        raise NotImplementedError


@final
@dataclass(frozen=True, slots=True, repr=False)
class All(_Several):
    """Every part."""

    yeses: tuple[Allowed, ...] = field(init=False, compare=False)
    agreed: Allowed | None = field(init=False, compare=False)

    def __post_init__(self) -> None:
        _Several.__post_init__(self)
        order = (*self.plain, *self.asking)
        yeses = tuple(part.yes for part in order if isinstance(part, Leaf))
        agreed = Allowed(trace=_history(yeses)[0]) if len(yeses) == len(order) else None
        object.__setattr__(self, "yeses", yeses)
        object.__setattr__(self, "agreed", agreed)

    def is_settled(self, said: Sequence[Verdict]) -> bool:
        # What is undecided may yet be refused for good.
        return any(type(one) is not Allowed and type(one) is not Undecided for one in said)

    def together(self, said: Sequence[Verdict]) -> Verdict:
        # Nearly always everybody agrees, and says so by the one verdict they have for it.
        if (
            len(said) == len(self.yeses)
            and all(map(is_, said, self.yeses))
            and self.agreed is not None
        ):
            return self.agreed
        trace, failures = _history(said)
        for one in said:
            if type(one) is not Allowed:
                return _refusal(said, trace, failures)
        return Allowed(trace=trace, failures=failures)

    def __repr__(self) -> str:
        return " & ".join(f"({p!r})" if isinstance(p, AnyOf) else repr(p) for p in self.parts)


@final
@dataclass(frozen=True, slots=True, repr=False)
class AnyOf(_Several):
    """One of the parts."""

    def decided(self, caller: Caller, now: float) -> list[Verdict]:
        said: list[Verdict] = []
        for part in self.plain:
            said.append(part.decide(caller, now))
            if type(said[-1]) is Allowed:
                break
        return said

    def is_settled(self, said: Sequence[Verdict]) -> bool:
        return any(type(one) is Allowed for one in said)

    def together(self, said: Sequence[Verdict]) -> Verdict:
        if len(said) == 1:
            return said[0]
        trace, failures = _history(said)
        return _with(min(said, key=_distance), trace, failures)

    def __repr__(self) -> str:
        return " | ".join(repr(part) for part in self.parts)


@final
@dataclass(frozen=True, slots=True, repr=False)
class Not(Policy):
    """Whoever the part refuses. What failed or is undecided is so for its negation, too."""

    part: Policy

    @property
    def asks(self) -> bool:
        return self.part.asks

    @property
    def needs_object(self) -> bool:
        return self.part.needs_object

    def decide(self, caller: Caller, now: float) -> Verdict:
        return self._turned(self.part.decide(caller, now))

    async def judge(self, caller: Caller, subject: object = None, *, now: float) -> Verdict:
        return self._turned(await self.part.judge(caller, subject, now=now))

    def _turned(self, said: Verdict) -> Verdict:
        if said.failures:
            return _with(Forbidden("rule_failed"), said.trace, said.failures)
        match said:
            case Undecided():
                return said
            case Allowed():
                # Never "get more scope": it is too much of something, and not too little.
                trace = (*said.trace, Step(repr(self), "negated"))
                return Forbidden("negated", trace=trace)
            case _:
                return Allowed(trace=(*said.trace, Step(repr(self), "allowed")))

    def __repr__(self) -> str:
        return f"~({self.part!r})" if isinstance(self.part, _Several) else f"~{self.part!r}"


@final
@dataclass(frozen=True, slots=True, repr=False)
class Hide(Policy):
    """See `hide_as_404`."""

    part: Policy

    @property
    def asks(self) -> bool:
        return self.part.asks

    @property
    def needs_object(self) -> bool:
        return self.part.needs_object

    def decide(self, caller: Caller, now: float) -> Verdict:
        return self._hidden(self.part.decide(caller, now))

    async def judge(self, caller: Caller, subject: object = None, *, now: float) -> Verdict:
        return self._hidden(await self.part.judge(caller, subject, now=now))

    def _hidden(self, said: Verdict) -> Verdict:
        if isinstance(said, Allowed | Undecided):
            return said
        trace = (*said.trace, Step("hide_as_404", "hidden"))
        return Hidden(said.reason, trace=trace, failures=said.failures)

    def __repr__(self) -> str:
        return f"hide_as_404({self.part!r})"


def all_of(*policies: Policy) -> Policy:
    return All(_flat(All, policies))


def any_of(*policies: Policy) -> Policy:
    return AnyOf(_flat(AnyOf, policies))


def negation(policy: Policy) -> Policy:
    _require_judging(policy)
    return Not(policy)


def hide_as_404(policy: Policy) -> Policy:
    """As this policy, but whoever it refuses is told that there is nothing.

    For objects whose being there is a secret. The answer is 404 even where another scope would
    help, for saying so would say that something is there.
    """
    _require_judging(policy)
    return policy if isinstance(policy, Hide) else Hide(policy)


def _flat(several: type[_Several], policies: Sequence[Policy]) -> tuple[Policy, ...]:
    parts: list[Policy] = []
    for one in policies:
        _require_judging(one)
        parts.extend(one.parts if isinstance(one, several) else (one,))
    return tuple(parts)


def _require_judging(policy: Policy) -> None:
    from mintmark.api.policy.leaves import PUBLIC

    # `PUBLIC | x` reads as if nobody needed a token, and everybody would.
    if policy is PUBLIC:
        raise ValueError("PUBLIC stands alone: there is no caller to ask anything of")
    if not isinstance(policy, Policy):
        raise TypeError("only policies can be put together")


def _history(said: Sequence[Verdict]) -> tuple[tuple[Step, ...], tuple[str, ...]]:
    trace = tuple([step for one in said for step in one.trace])
    return trace, tuple([kind for one in said for kind in one.failures])


# What a refusal weighs where every part must agree: the last word first. Undecided comes last, for
# whatever it would be, the caller has to do the other thing as well.
_WEIGHT: Final[dict[type, int]] = {
    Hidden: 0, Forbidden: 1, StepUp: 2, MissingDetails: 3, MissingScopes: 4, Undecided: 5,
    Allowed: 6,
}  # fmt: skip


def _refusal(
    said: Sequence[Verdict], trace: tuple[Step, ...], failures: tuple[str, ...]
) -> Verdict:
    heaviest = min(said, key=lambda one: _WEIGHT[type(one)])
    scopes = frozenset().union(*(_scopes(one) for one in said))
    match heaviest:
        case StepUp():
            # One challenge for everything: the new token carries the scope as well.
            return _step_up(
                [one for one in said if isinstance(one, StepUp)], scopes, trace, failures
            )
        case MissingDetails():
            wanted = [one.types for one in said if isinstance(one, MissingDetails)]
            types = frozenset().union(*wanted)
            return MissingDetails(types, scopes, trace=trace, failures=failures)
        case MissingScopes():
            return MissingScopes(scopes, trace=trace, failures=failures)
        case _:
            return _with(heaviest, trace, failures)


def _step_up(
    steps: Sequence[StepUp],
    scopes: frozenset[str],
    trace: tuple[Step, ...],
    failures: tuple[str, ...],
) -> Verdict:
    values: tuple[str, ...] = ()
    for one in steps:
        if values and one.acr_values:
            values = tuple(value for value in values if value in one.acr_values)
            if not values:
                return Forbidden("no_acr_for_all", trace=trace, failures=failures)
        values = values or one.acr_values
    ages = [one.max_age for one in steps if one.max_age is not None]
    return StepUp(values, min(ages, default=None), scopes, trace=trace, failures=failures)


def _scopes(said: Verdict) -> frozenset[str]:
    return said.scopes if isinstance(said, MissingScopes | MissingDetails | StepUp) else frozenset()


def _distance(said: Verdict) -> tuple[int, int]:
    """How far from being allowed. The nearest of several refusals is the one to name."""
    match said:
        case Allowed():
            return 0, 0
        # It may be allowed already, so nobody should be sent for another token.
        case Undecided():
            return 1, 0
        case MissingScopes(scopes=scopes):
            return 2, len(scopes)
        case MissingDetails(scopes=scopes):
            return 3, len(scopes)
        case StepUp(scopes=scopes):
            return 4, len(scopes)
        case Forbidden():
            return 5, 0
        case Hidden():
            return 6, 0


def _with(said: Verdict, trace: tuple[Step, ...], failures: tuple[str, ...]) -> Verdict:
    return replace(said, trace=trace, failures=failures)
