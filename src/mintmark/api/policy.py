"""What a route asks of its caller: policies as values, and what they say."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol, final

from mintmark.api.caller import Caller, CallerKind
from mintmark.protocol.scope import Scope, format_scope, parse_scope

__all__ = [
    "AUTHENTICATED",
    "PUBLIC",
    "Allowed",
    "Forbidden",
    "MissingScopes",
    "Policy",
    "Verdict",
    "client",
    "kind",
    "rule",
    "scope",
]


@dataclass(frozen=True, slots=True)
class Allowed:
    """The caller may go on."""


@dataclass(frozen=True, slots=True)
class MissingScopes:
    """Another token of the same kind would do: one that has these scope values as well."""

    scopes: Scope


@dataclass(frozen=True, slots=True)
class Forbidden:
    """No other scope would help. `reason` is for the log."""

    reason: str


Verdict = Allowed | MissingScopes | Forbidden


class Policy(Protocol):
    """A rule about callers. It has a readable `repr`, for the report of routes."""

    async def judge(self, caller: Caller) -> Verdict: ...
    def __and__(self, other: "Policy") -> "Policy": ...
    def __or__(self, other: "Policy") -> "Policy": ...


class _Combining:
    __slots__ = ()

    def __and__(self, other: Policy) -> Policy:
        return _All((self, other))  # type: ignore[arg-type]  # -- every subclass has judge

    def __or__(self, other: Policy) -> Policy:
        return _Any((self, other))  # type: ignore[arg-type]  # -- every subclass has judge


@final
@dataclass(frozen=True, slots=True, repr=False)
class _Public(_Combining):
    async def judge(self, caller: Caller) -> Verdict:  # noqa: ARG002 -- nobody is asked
        return Allowed()

    def __repr__(self) -> str:
        return "PUBLIC"


@final
@dataclass(frozen=True, slots=True, repr=False)
class _Authenticated(_Combining):
    async def judge(self, caller: Caller) -> Verdict:  # noqa: ARG002 -- any caller will do
        return Allowed()

    def __repr__(self) -> str:
        return "AUTHENTICATED"


PUBLIC: Policy = _Public()
"""No token is looked at, not even a bad one. Say it where it is meant."""

AUTHENTICATED: Policy = _Authenticated()
"""Any valid token. Nearly always a scope is the better question."""


@final
@dataclass(frozen=True, slots=True, repr=False)
class _Scope(_Combining):
    wanted: Scope

    async def judge(self, caller: Caller) -> Verdict:
        # Whole values: `readx` and `xread` are other words than `read`.
        missing = self.wanted - caller.scopes
        return MissingScopes(missing) if missing else Allowed()

    def __repr__(self) -> str:
        return f"scope({format_scope(self.wanted)!r})"


def scope(text: str) -> Policy:
    """All of these scope values, separated by blanks."""
    return _Scope(parse_scope(text))


@final
@dataclass(frozen=True, slots=True, repr=False)
class _Kind(_Combining):
    wanted: CallerKind

    async def judge(self, caller: Caller) -> Verdict:
        return Allowed() if caller.kind is self.wanted else Forbidden(f"not {self.wanted}")

    def __repr__(self) -> str:
        return f"kind({self.wanted})"


def kind(wanted: CallerKind) -> Policy:
    """Only applications that speak for themselves, or only those that speak for a person."""
    return _Kind(wanted)


@final
@dataclass(frozen=True, slots=True, repr=False)
class _Client(_Combining):
    wanted: frozenset[str]

    async def judge(self, caller: Caller) -> Verdict:
        return Allowed() if caller.client_id in self.wanted else Forbidden("another client")

    def __repr__(self) -> str:
        return f"client({', '.join(sorted(self.wanted))})"


def client(*client_ids: str) -> Policy:
    """Only these clients."""
    return _Client(frozenset(client_ids))


@final
@dataclass(frozen=True, slots=True, repr=False)
class _Rule(_Combining):
    name: str
    holds: Callable[[Caller], Awaitable[bool]]

    async def judge(self, caller: Caller) -> Verdict:
        # Compared with True: a rule that forgot to answer has not said yes.
        return Allowed() if await self.holds(caller) is True else Forbidden(self.name)

    def __repr__(self) -> str:
        return f"rule({self.name!r})"


def rule(name: str, holds: Callable[[Caller], Awaitable[bool]]) -> Policy:
    """A rule of one's own. One that raises denies."""
    return _Rule(name, holds)


@final
@dataclass(frozen=True, slots=True, repr=False)
class _All(_Combining):
    parts: tuple[Policy, ...]

    async def judge(self, caller: Caller) -> Verdict:
        missing: Scope = frozenset()
        for part in self.parts:
            match await part.judge(caller):
                case Allowed():
                    continue
                case MissingScopes(scopes):
                    missing |= scopes
                case refusal:
                    return refusal
        return MissingScopes(missing) if missing else Allowed()

    def __repr__(self) -> str:
        return " & ".join(f"({p!r})" if isinstance(p, _Any) else repr(p) for p in self.parts)


@final
@dataclass(frozen=True, slots=True, repr=False)
class _Any(_Combining):
    parts: tuple[Policy, ...]

    async def judge(self, caller: Caller) -> Verdict:
        nearest: Verdict = Forbidden("none of several policies")
        for part in self.parts:
            verdict = await part.judge(caller)
            match verdict:
                case Allowed():
                    return verdict
                case MissingScopes(scopes):
                    # The smallest step that would help is the one to name.
                    if not isinstance(nearest, MissingScopes) or len(scopes) < len(nearest.scopes):
                        nearest = verdict
                case Forbidden():
                    continue
        return nearest

    def __repr__(self) -> str:
        return " | ".join(repr(part) for part in self.parts)
