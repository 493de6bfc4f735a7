"""Policies about how sure the token makes us: how the person signed in, and whose hands hold it."""

from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar, Final, final

from mintmark.api.caller import Binding, Caller, CallerKind
from mintmark.api.policy.part import Leaf, Policy
from mintmark.api.policy.verdict import Forbidden, StepUp, Verdict

__all__ = ["LoginLeaf", "bound", "login"]

AHEAD: Final = 30.0
"""Seconds by which an issuer's clock may be ahead of ours; a later sign-in has not happened yet."""


@final
@dataclass(frozen=True, slots=True, repr=False)
class LoginLeaf(Leaf):
    """See `login`."""

    acr_values: tuple[str, ...]
    max_age: int | None

    def decide(self, caller: Caller, now: float) -> Verdict:
        # An application has no person who could sign in again: no challenge would end well.
        if caller.kind is CallerKind.APPLICATION:
            return Forbidden("no_person", trace=self.step("no_person"))
        if self.acr_values and caller.acr not in self.acr_values:
            return self._again("acr")
        if self.max_age is not None and not self._is_fresh(caller.auth_time, now):
            return self._again("age")
        return self.yes

    def _is_fresh(self, auth_time: float | None, now: float) -> bool:
        if auth_time is None or self.max_age is None:
            return False
        return -AHEAD <= now - auth_time <= self.max_age

    def _again(self, why: str) -> StepUp:
        # RFC 9470 §3. Both are said whichever failed: one new token has to satisfy both.
        return StepUp(self.acr_values, self.max_age, trace=self.step(f"step_up ({why})"))

    def __repr__(self) -> str:
        said = [f"acr={' '.join(self.acr_values)!r}"] if self.acr_values else []
        if self.max_age is not None:
            said.append(f"within={self.max_age}s")
        return f"login({', '.join(said)})"


def login(acr: str | tuple[str, ...] = (), within: timedelta | None = None) -> Policy:
    """Only if the person signed in so well, and so recently (RFC 9470 §3).

    Args:
        acr: one of these, the preferred one first.
        within: whole seconds between signing in and now; exactly that long ago still counts.
    """
    values = (acr,) if isinstance(acr, str) else tuple(acr)
    # A blank in one of them would be two in the challenge.
    if any(not one or not one.isascii() or not one.isprintable() or " " in one for one in values):
        raise ValueError("login: an acr is a word of printable ASCII")
    if any(mark in one for one in values for mark in '"\\'):
        raise ValueError("login: an acr holds neither quote nor backslash")
    if not values and within is None:
        raise ValueError("login: say acr, within, or both")
    if within is not None and (within < timedelta(seconds=1) or within.microseconds):
        raise ValueError("login: within is whole seconds, one at least")
    return LoginLeaf(values, None if within is None else int(within.total_seconds()))


@final
@dataclass(frozen=True, slots=True, repr=False)
class _Bound(Leaf):
    reason: ClassVar[str] = "not_bound"
    wanted: Binding | None

    def decide(self, caller: Caller, now: float) -> Verdict:  # noqa: ARG002 -- no matter when
        if self.wanted is None:
            return self.no if caller.binding is Binding.NONE else self.yes
        return self.yes if caller.binding.includes(self.wanted) else self.no

    def __repr__(self) -> str:
        return f"bound({self.wanted or ''})"


def bound(wanted: Binding | None = None) -> Policy:
    """Only tokens that are of no use to a thief: bound to a key (RFC 9449) or certificate (RFC 8705).

    Args:
        wanted: which of the two, or both; any unless said.
    """
    if wanted is Binding.NONE:
        raise ValueError("bound: NONE is not bound; say ~bound()")
    return _Bound(wanted)
