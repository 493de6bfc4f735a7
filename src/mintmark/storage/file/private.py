"""Files and folders that are this user's alone."""

import os
import stat
from pathlib import Path
from typing import Final

__all__ = ["NotPrivate", "read_private", "require_private_folder", "write_private"]

_POSIX: Final = os.name == "posix"
_ONCE: Final = os.O_CREAT | os.O_EXCL | os.O_WRONLY
_HERE: Final = (
    getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
)


class NotPrivate(Exception):
    """Somebody else could have put it there, or could change it."""


def require_private_folder(folder: Path) -> Path:
    """A folder of this user's that nobody else can write to; it is made if it is not there.

    Raises:
        NotPrivate: it is a link, somebody else's, or open to others.
        OSError: it can be neither made nor looked at.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise NotPrivate(f"{folder} is a link: name the folder itself")
    _require_ours(folder, found, stat.S_IWGRP | stat.S_IWOTH, "chmod 700")
    for above in folder.resolve().parents if _POSIX else ():
        # In an open folder anybody can put another one in its place, unless it is sticky.
        if above.stat().st_mode & (stat.S_IWOTH | stat.S_ISVTX) == stat.S_IWOTH:
            raise NotPrivate(f"{above}, above {folder.name}, can be written to by everybody")
    return folder


def _require_ours(path: Path, found: os.stat_result, refused: int, remedy: str) -> None:
    if not _POSIX:
        return  # Windows has no such bits; a user's profile is private there
    if found.st_uid != os.geteuid():
        raise NotPrivate(f"{path} belongs to somebody else")
    if found.st_mode & refused:
        raise NotPrivate(f"{path} is open to others: {remedy}")


def read_private(path: Path) -> bytes:
    """Raises `NotPrivate` for a file that others can read or change, and `OSError`."""
    # Not to wait where somebody put a pipe.
    handle = os.open(path, os.O_RDONLY | _HERE | getattr(os, "O_NONBLOCK", 0))
    with os.fdopen(handle, "rb") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise NotPrivate(f"{path} is no file")
        _require_ours(path, found, stat.S_IRWXG | stat.S_IRWXO, "chmod 600")
        return file.read()


def write_private(path: Path, content: bytes, *, durable: bool) -> None:
    """A new file, 0600; on disk when this returns, if it is to be durable. Raises `OSError`."""
    with os.fdopen(os.open(path, _ONCE | _HERE, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        if durable:
            os.fsync(file.fileno())
