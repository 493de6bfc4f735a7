"""Policies about claims for which there is no better word."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final, final

from mintmark.api.caller import Caller
from mintmark.api.policy.part import Leaf, Policy
from mintmark.api.policy.verdict import Verdict

__all__ = ["MISSING", "ClaimAt", "Path", "Scalar", "claim", "find", "read_path"]

Path = tuple[str, ...]
Scalar = str | int | float | bool

MISSING: Final = object()
"""What `find` gives when there is nothing; a claim that is null is there."""


def read_path(path: str | Path) -> Path:
    """`"a.b"` is member `b` of member `a`; a name with a dot or slash of its own needs a tuple."""
    names = tuple(path.split(".")) if isinstance(path, str) else tuple(path)
    if isinstance(path, str) and "/" in path:
        raise ValueError("claim: a name with a slash is one name; write it as a tuple")
    if not names or not all(type(name) is str and name for name in names):
        raise ValueError("claim: a path is names with dots between them")
    return names


def find(claims: Mapping[str, Any], path: Path) -> Any:
    """The value at this path, or MISSING; own members only, and no way through lists."""
    value: Any = claims
    for name in path:
        if not isinstance(value, Mapping) or name not in value:
            return MISSING
        value = value[name]
    return value


def same(one: Any, other: Scalar) -> bool:
    """Equal as JSON is: to Python `True` is 1, and a `1` in a token must not pass for a yes."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, int | float) and isinstance(other, int | float):
        return one == other
    return type(one) is type(other) and one == other


@final
@dataclass(frozen=True, slots=True, repr=False)
class _Claim(Leaf):
    reason: ClassVar[str] = "claim_differs"
    path: Path
    how: str
    # With their types, for to Python True and 1 are one value, and two policies must stay two.
    wanted: tuple[tuple[str, Scalar], ...]

    def decide(self, caller: Caller, now: float) -> Verdict:  # noqa: ARG002 -- no matter when
        found = find(caller.claims, self.path)
        if self.how != "contains":
            return self.yes if self._is_wanted(found) else self.no
        # A text contains nothing: half a word is another word.
        if not isinstance(found, list | tuple):
            return self.no
        return self.yes if any(self._is_wanted(one) for one in found) else self.no

    def _is_wanted(self, found: Any) -> bool:
        return any(same(found, value) for _, value in self.wanted)

    def __repr__(self) -> str:
        plain = ".".join(self.path)
        path: str | Path = plain if plain.count(".") == len(self.path) - 1 else self.path
        values = ", ".join(repr(value) for _, value in self.wanted)
        return f"claim({path!r}).{self.how}({values})"


@final
@dataclass(frozen=True, slots=True)
class ClaimAt:
    """A claim, of which something is to be said. It is no policy by itself."""

    path: Path

    def equals(self, value: Scalar) -> Policy:
        """The claim is this value, of this type."""
        return _Claim(self.path, "equals", _typed((value,)))

    def one_of(self, *values: Scalar) -> Policy:
        """The claim is one of these."""
        return _Claim(self.path, "one_of", _typed(values))

    def contains(self, value: Scalar) -> Policy:
        """The claim is a list, and this value is in it."""
        return _Claim(self.path, "contains", _typed((value,)))


def claim(path: str | Path) -> ClaimAt:
    """A claim by name (`"tenant"`), by path (`"realm_access.roles"`), or as a tuple of names."""
    return ClaimAt(read_path(path))


def _typed(values: tuple[Scalar, ...]) -> tuple[tuple[str, Scalar], ...]:
    if not values:
        raise ValueError("claim: no value is named, so nobody could come in")
    if not all(type(value) in (str, int, float, bool) for value in values):
        raise TypeError("claim: a value is a text, a number or a bool")
    return tuple((type(value).__name__, value) for value in values)
