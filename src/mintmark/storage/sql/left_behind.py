"""What a forked child has of its parent's connections, and must not touch."""

import ctypes
import sys

__all__ = ["leave_behind"]


def leave_behind(one: object) -> None:
    """Never finalize it, not even when this process ends.

    To close it would take the parent's locks from it, or its sockets from under its event loop:
    the two processes share what the operating system knows of them.
    """
    if one is not None and sys.implementation.name == "cpython":
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(one))
