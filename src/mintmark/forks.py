"""Threads and connections do not survive a fork; whoever has some makes new ones in the child."""

import ctypes
import os
import sys
import weakref
from typing import Protocol

__all__ = ["begin_again_after_fork", "leave_behind"]


class _Begins(Protocol):
    def begin(self) -> None: ...


_everybody: "weakref.WeakSet[_Begins]" = weakref.WeakSet()


def begin_again_after_fork(one: _Begins) -> None:
    """Call its `begin` in every child of this process, for as long as it lives."""
    _everybody.add(one)


def leave_behind(one: object) -> None:
    """Never finalize it, not even when this process ends.

    To close it would take the parent's locks from it, or its sockets from under its event loop:
    the two processes share what the operating system knows of them.
    """
    if one is not None and sys.implementation.name == "cpython":
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(one))


def _begin_again() -> None:
    for one in list(_everybody):
        one.begin()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_again)
