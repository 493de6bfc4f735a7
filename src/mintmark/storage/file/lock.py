"""A lock among processes that the operating system takes back when its holder dies."""

import errno
import os
import secrets
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from mintmark.clock import monotonic

__all__ = ["locked"]

_FLAGS: Final = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
_TAKEN: Final = {errno.EACCES, errno.EAGAIN, errno.EDEADLK}

if sys.platform == "win32":
    import msvcrt

    def _take(handle: int) -> None:
        os.lseek(handle, 0, os.SEEK_SET)
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)

    def _give_back(handle: int) -> None:
        os.lseek(handle, 0, os.SEEK_SET)
        msvcrt.locking(handle, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _take(handle: int) -> None:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _give_back(handle: int) -> None:
        # In words: a child forked meanwhile has the handle too, and would keep the lock.
        fcntl.flock(handle, fcntl.LOCK_UN)


@contextmanager
def locked(path: Path, limit: float) -> Iterator[None]:
    """Alone among all threads and processes. The file stays: one that is deleted locks nobody out.

    Raises:
        TimeoutError: others had it for all of `limit` seconds.
        OSError: the file cannot be opened.
    """
    handle = _taken(path, monotonic() + limit)
    try:
        yield
    finally:
        try:
            _give_back(handle)
        finally:
            os.close(handle)


def _taken(path: Path, until: float) -> int:
    while True:
        handle = os.open(path, _FLAGS, 0o600)
        try:
            _wait_for(handle, until)
            # While we waited, somebody may have tidied up: the next one locks another file.
            if _is_there(path, handle):
                return handle
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)


def _is_there(path: Path, handle: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(handle))
    except FileNotFoundError:
        return False


def _wait_for(handle: int, until: float) -> None:
    while True:
        try:
            return _take(handle)
        except OSError as failure:
            if failure.errno not in _TAKEN:
                raise
        if monotonic() >= until:
            raise TimeoutError("others have the lock")
        # Everybody at a moment of their own, or the same ones would always come too late.
        time.sleep(0.0005 + secrets.randbelow(2000) / 1_000_000)
