"""One request at the gate, for every face: authenticated, judged, and its refusal logged."""

from collections.abc import Coroutine, Mapping, Sequence
from functools import reduce
from operator import and_
from typing import TYPE_CHECKING, Any, Final, TypeVar

from mintmark.api.admission import Admitted
from mintmark.api.answers import Scheme, forbidden, unavailable
from mintmark.api.caller import Caller
from mintmark.api.events import GuardFailed
from mintmark.api.policy import Policy
from mintmark.api.private_loop import LIMIT, TooLong, run
from mintmark.api.refusal import Refused

if TYPE_CHECKING:
    from mintmark.api.gate import Gate

__all__ = ["NOT_INSTALLED", "NO_POLICY", "Entrance", "all_of"]

T = TypeVar("T")

NO_POLICY: Final = forbidden("no policy for this route")
NOT_INSTALLED: Final = forbidden("the gate is not installed")


def all_of(policies: Sequence[Policy]) -> Policy | None:
    """What several said about one route; all of it counts. None: nobody said anything."""
    return reduce(and_, policies) if policies else None


class Entrance:
    """What a face needs of its gate, for code that can await and for code that cannot.

    Every refusal is in the log when it is raised.
    """

    def __init__(self, gate: "Gate", *, limit: float = LIMIT) -> None:
        self.gate = gate
        self._limit = limit

    async def require_let_in(
        self, scope: Mapping[str, Any], policy: Policy | None, *, closed: bool = True
    ) -> Admitted:
        """Whoever sent this request, if the policy of its path lets them.

        Args:
            closed: whether a path without a policy is refused here; otherwise somebody who knows
                its route still has to ask.

        Raises:
            Refused: with the one right answer.
        """
        caller = None
        try:
            now = self.gate.clock.timestamp()
            admitted = await self.gate.require_admitted(scope, now, policy)
            caller = admitted.caller
            if policy is not None:
                await self.gate.require_allowed(policy, caller, now=now, scheme=admitted.scheme)
            elif closed:
                raise Refused(NO_POLICY)
        except Refused as refused:
            self.gate.refused(refused.answer, caller)
            raise
        return admitted

    async def require_allowed(
        self,
        policy: Policy | None,
        caller: Caller | None,
        scheme: Scheme = Scheme.BEARER,
        subject: object = None,
    ) -> Caller:
        """The caller, if the route's own policy lets them; without one, or a caller, it does not.

        Raises:
            Refused
        """
        try:
            known, wanted = _require_both(policy, caller)
            return await self.gate.require_allowed(wanted, known, subject, scheme=scheme)
        except Refused as refused:
            self.gate.refused(refused.answer, caller)
            raise

    def require_let_in_now(
        self, scope: Mapping[str, Any], policy: Policy | None, *, closed: bool = True
    ) -> Admitted:
        """`require_let_in`, for a thread: it waits, but never for ever."""
        now = self.gate.clock.timestamp()
        admitted = self.gate.admission.admitted_at_once(scope, now, prove=False)
        if admitted is None or (policy is not None and policy.asks):
            return self._run(self.require_let_in(scope, policy, closed=closed))
        if policy is not None or closed:
            self.require_allowed_now(policy, admitted.caller, admitted.scheme)
        return admitted

    def require_allowed_now(
        self,
        policy: Policy | None,
        caller: Caller | None,
        scheme: Scheme = Scheme.BEARER,
        subject: object = None,
    ) -> Caller:
        """`require_allowed`, for a thread."""
        if policy is not None and policy.asks:
            return self._run(self.require_allowed(policy, caller, scheme, subject))
        try:
            known, wanted = _require_both(policy, caller)
            verdict = wanted.decide(known, self.gate.clock.timestamp())
            return self.gate.require_verdict(verdict, known, scheme)
        except Refused as refused:
            self.gate.refused(refused.answer, caller)
            raise

    def seconds_left_now(self, admitted: Admitted) -> float:
        """`Gate.seconds_left`, for a thread; whoever cannot say has not said that it may go on."""
        try:
            return run(self.gate.seconds_left(admitted), self._limit)
        except TooLong:
            return 0.0

    def _run(self, judging: Coroutine[Any, Any, T]) -> T:
        try:
            return run(judging, self._limit)
        except TooLong as late:
            self.gate.events.emit(GuardFailed(kind=type(late).__name__))
            answer = unavailable(str(late))
            self.gate.refused(answer, None)
            raise Refused(answer) from None


def _require_both(policy: Policy | None, caller: Caller | None) -> tuple[Caller, Policy]:
    # Without the guard in front nobody was authenticated, whatever the headers say.
    if caller is None:
        raise Refused(NOT_INSTALLED)
    if policy is None:
        raise Refused(NO_POLICY)
    return caller, policy
