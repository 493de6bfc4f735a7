"""Claims that nobody can change: they are kept with their token, and serve every request with it."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, NoReturn, Self, final

__all__ = ["FrozenObject", "frozen"]


_CONTAINERS: Final = frozenset({list, dict})


@final
class FrozenObject(dict[str, Any]):
    """A JSON object to read. It is a `dict`, so that whatever writes JSON can write it."""

    __slots__ = ()

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise TypeError("claims are to be read; make a dict of them to change that")

    __setitem__ = __delitem__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse
    __ior__ = _refuse

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, _: object) -> Self:
        return self

    def __reduce__(self) -> tuple[type["FrozenObject"], tuple[dict[str, Any]]]:
        return FrozenObject, (dict(self),)


def frozen(members: Mapping[str, Any]) -> Mapping[str, Any]:
    """The same, to any depth: its lists are tuples.

    What comes back is no `dict` itself, so that nobody writes all of it into an answer by mistake.
    The reader of tokens bounds the depth, so this ends.
    """
    return MappingProxyType(_members(members))


def _members(members: Mapping[str, Any]) -> dict[str, Any]:
    # Most claims are texts and numbers, which are what they are.
    copied = dict(members)
    for name, value in members.items():
        if type(value) in _CONTAINERS:
            copied[name] = _frozen(value)
    return copied


def _frozen(value: Any) -> Any:
    if isinstance(value, dict):
        return FrozenObject(_members(value))
    return tuple(map(_frozen, value)) if isinstance(value, list) else value
