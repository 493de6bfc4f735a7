"""Why a token was taken or refused, for the people who run an API. Nobody else is shown it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mintmark.api.caller import token_digest
from mintmark.api.deny_list import Denied
from mintmark.api.policy import Policy
from mintmark.jose.errors import JoseError
from mintmark.secret import Secret

if TYPE_CHECKING:
    from mintmark.api.gate import Gate

__all__ = ["Explanation", "explain"]


@dataclass(frozen=True, slots=True)
class Explanation:
    """What was looked at, in order, and what came of it. It has nothing of the token in it."""

    token_ref: str  # what the log calls this token
    steps: tuple[str, ...]
    outcome: str

    def __str__(self) -> str:
        lines = (f"token {self.token_ref}", *(f"  {step}" for step in self.steps))
        return "\n".join((*lines, f"  => {self.outcome}"))


async def explain(gate: "Gate", token: Secret, policy: Policy | None) -> Explanation:
    """See `Gate.explain`."""
    octets = token.reveal().encode("ascii", "replace")
    steps: list[str] = []
    outcome = await _outcome(gate, octets, policy, steps)
    return Explanation(token_digest(octets)[:8].hex(), tuple(steps), outcome)


async def _outcome(gate: "Gate", token: bytes, policy: Policy | None, steps: list[str]) -> str:
    from mintmark.api.introspect import TokenInactive

    now = gate.clock.timestamp()
    scope: dict[str, Any] = {"type": "http", "headers": []}
    try:
        proven = await gate.admission.validator.require(token, scope, now, steps)
        await gate.admission.require_not_denied(proven, now)
    except (JoseError, TokenInactive, Denied) as refusal:
        return f"refused, 401 invalid_token: {refusal.reason}"
    except Exception as failure:  # noqa: BLE001 -- an explanation of a failure is one, too
        return f"nothing can be said now, 503: {type(failure).__name__}: {failure}"
    caller = proven.caller
    steps.append(f"caller: {caller.kind}, client {caller.client_id}, bound: {caller.binding}")
    if proven.cnf:
        steps.append(f"cnf: each request has to show {' and '.join(sorted(proven.cnf))}")
    if policy is None:
        return "accepted, as far as the token goes"
    verdict = await policy.judge(caller, now=now)
    steps.extend(str(step) for step in verdict.trace)
    return f"policy {policy!r}: {verdict.reason}"
