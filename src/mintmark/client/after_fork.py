"""Threads and connections do not survive a fork; whoever has some makes new ones in the child.

The API side has the same few lines (`api/after_fork.py`): roles do not import each other.
"""

import os
import weakref
from typing import Protocol

__all__ = ["begin_again_after_fork"]


class _Begins(Protocol):
    def begin(self) -> None: ...


_everybody: "weakref.WeakSet[_Begins]" = weakref.WeakSet()


def begin_again_after_fork(one: _Begins) -> None:
    """Call its `begin` in every child of this process, for as long as it lives."""
    _everybody.add(one)


def _begin_again() -> None:
    for one in list(_everybody):
        one.begin()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_again)
