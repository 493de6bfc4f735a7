"""Policies about who the caller is and what the token grants."""

from dataclasses import dataclass
from typing import ClassVar, Final, final

from mintmark.api.caller import MAX_ACTORS, Caller, CallerKind
from mintmark.api.policy.part import Leaf, Policy
from mintmark.api.policy.verdict import MissingScopes, Verdict
from mintmark.protocol.scope import Scope, format_scope, parse_scope

__all__ = [
    "AUTHENTICATED",
    "PUBLIC",
    "ScopeLeaf",
    "actor",
    "client",
    "group",
    "issuer",
    "kind",
    "role",
    "scope",
]


@final
@dataclass(frozen=True, slots=True, repr=False)
class _Public(Leaf):
    def decide(self, caller: Caller, now: float) -> Verdict:  # noqa: ARG002 -- nobody is asked
        return self.yes

    def __repr__(self) -> str:
        return "PUBLIC"


@final
@dataclass(frozen=True, slots=True, repr=False)
class _Authenticated(Leaf):
    def decide(self, caller: Caller, now: float) -> Verdict:  # noqa: ARG002 -- any caller will do
        return self.yes

    def __repr__(self) -> str:
        return "AUTHENTICATED"


PUBLIC: Final[Policy] = _Public()
"""No token is looked at, not even a bad one. Say it where it is meant, and alone."""

AUTHENTICATED: Final[Policy] = _Authenticated()
"""Any valid token. Nearly always a scope is the better question."""


@final
@dataclass(frozen=True, slots=True, repr=False)
class ScopeLeaf(Leaf):
    """See `scope`."""

    wanted: Scope

    def decide(self, caller: Caller, now: float) -> Verdict:  # noqa: ARG002 -- no matter when
        # Whole values: `readx` and `xread` are other words than `read`.
        if self.wanted <= caller.scopes:
            return self.yes
        return MissingScopes(self.wanted - caller.scopes, trace=self.step("missing_scope"))

    def __repr__(self) -> str:
        return f"scope({format_scope(self.wanted)!r})"


def scope(text: str) -> Policy:
    """All of these scope values, separated by blanks."""
    return ScopeLeaf(parse_scope(text))


@final
@dataclass(frozen=True, slots=True, repr=False)
class _Role(Leaf):
    reason: ClassVar[str] = "missing_role"
    wanted: str

    def decide(self, caller: Caller, now: float) -> Verdict:  # noqa: ARG002 -- no matter when
        return self.yes if self.wanted in caller.roles else self.no

    def __repr__(self) -> str:
        return f"role({self.wanted!r})"


def role(name: str) -> Policy:
    """Only callers with this role."""
    return _Role(_named(name, "role"))


@final
@dataclass(frozen=True, slots=True, repr=False)
class _Group(Leaf):
    reason: ClassVar[str] = "missing_group"
    wanted: str

    def decide(self, caller: Caller, now: float) -> Verdict:  # noqa: ARG002 -- no matter when
        return self.yes if self.wanted in caller.groups else self.no

    def __repr__(self) -> str:
        return f"group({self.wanted!r})"


def group(name: str) -> Policy:
    """Only callers in this group."""
    return _Group(_named(name, "group"))


@final
@dataclass(frozen=True, slots=True, repr=False)
class _Kind(Leaf):
    reason: ClassVar[str] = "wrong_kind"
    wanted: frozenset[CallerKind]

    def decide(self, caller: Caller, now: float) -> Verdict:  # noqa: ARG002 -- no matter when
        return self.yes if caller.kind in self.wanted else self.no

    def __repr__(self) -> str:
        return f"kind({', '.join(sorted(self.wanted))})"


def kind(*wanted: CallerKind) -> Policy:
    """Only callers of these kinds: who speaks for a person is nobody who speaks for itself."""
    if not wanted:
        raise ValueError("kind: none is named, so nobody could come in")
    return _Kind(frozenset(CallerKind(one) for one in wanted))


@final
@dataclass(frozen=True, slots=True, repr=False)
class _Client(Leaf):
    reason: ClassVar[str] = "other_client"
    wanted: frozenset[str]
    issuer: str | None

    def decide(self, caller: Caller, now: float) -> Verdict:  # noqa: ARG002 -- no matter when
        if caller.client_id not in self.wanted:
            return self.no
        return self.yes if self.issuer in (None, caller.issuer) else self.no

    def __repr__(self) -> str:
        of = f", issuer={self.issuer!r}" if self.issuer is not None else ""
        return f"client({', '.join(sorted(self.wanted))}{of})"


def client(*client_ids: str, issuer: str | None = None) -> Policy:
    """Only these clients.

    Args:
        issuer: whose clients. An API that trusts several issuers must say it: two of them can
            have a client of the same name.
    """
    if not client_ids:
        raise ValueError("client: none is named, so nobody could come in")
    return _Client(frozenset(_named(one, "client") for one in client_ids), issuer)


@final
@dataclass(frozen=True, slots=True, repr=False)
class _Issuer(Leaf):
    reason: ClassVar[str] = "other_issuer"
    wanted: frozenset[str]

    def decide(self, caller: Caller, now: float) -> Verdict:  # noqa: ARG002 -- no matter when
        return self.yes if caller.issuer in self.wanted else self.no

    def __repr__(self) -> str:
        return f"issuer({', '.join(sorted(self.wanted))})"


def issuer(*issuers: str) -> Policy:
    """Only tokens of these issuers, of those that the API trusts."""
    if not issuers:
        raise ValueError("issuer: none is named, so nobody could come in")
    return _Issuer(frozenset(_named(one, "issuer") for one in issuers))


@final
@dataclass(frozen=True, slots=True, repr=False)
class _Actor(Leaf):
    reason: ClassVar[str] = "actor_refused"
    wanted: frozenset[str]
    issuer: str | None
    depth: int

    def decide(self, caller: Caller, now: float) -> Verdict:  # noqa: ARG002 -- no matter when
        if len(caller.actor_chain) > self.depth:
            return self.no
        return self.yes if not self.wanted or self._is_named(caller) else self.no

    def _is_named(self, caller: Caller) -> bool:
        # RFC 8693 §4.1: the current actor alone; the ones before it are history.
        acting = caller.actor
        if acting is None or (acting.issuer or caller.issuer) != (self.issuer or caller.issuer):
            return False
        return acting.subject in self.wanted or acting.client_id in self.wanted

    def __repr__(self) -> str:
        of = f", issuer={self.issuer!r}" if self.issuer is not None else ""
        return f"actor({', '.join([*sorted(self.wanted), f'depth={self.depth}'])}{of})"


def actor(*names: str, issuer: str | None = None, depth: int = MAX_ACTORS) -> Policy:
    """Only if one of these acts, and through no more than `depth` parties.

    Args:
        names: subjects or client ids of those who may act; none: whoever acts, or nobody.
        issuer: who named them; the token's own issuer unless said.
    """
    if not 0 <= depth <= MAX_ACTORS:
        raise ValueError(f"actor: depth ({depth}) must be between 0 and {MAX_ACTORS}")
    if names and depth == 0:
        raise ValueError("actor: somebody is to act, and nobody may")
    return _Actor(frozenset(_named(one, "actor") for one in names), issuer, depth)


def _named(name: str, what: str) -> str:
    # An empty name would be found in tokens of which nobody thought.
    if not name or not name.isprintable():
        raise ValueError(f"{what}: a name is needed")
    return name
