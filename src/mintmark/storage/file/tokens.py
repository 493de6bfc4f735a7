"""Shared tokens in a folder: for command-line programs and cron jobs, with nothing to install."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, final

from mintmark.client.lease_rules import LeaseRecord, LockedTokens
from mintmark.client.shared import StoreUnavailable
from mintmark.clock import Clock, SystemClock
from mintmark.storage.file.lock import locked
from mintmark.storage.file.private import (
    NotPrivate,
    read_private,
    require_private_folder,
    write_private,
)

__all__ = ["FileTokens"]

_ENTRY, _LEASE, _LOCK, _NEW = ".entry", ".lease", "lock", "new"
_MAGIC: Final = b"mintmark 1\n"
_DIGEST: Final = 32
_LOOKED_AT: Final = 16


@final
class FileTokens(LockedTokens):
    """A `SharedTokens` in a folder of this user's, on a disk of this machine.

    An entry is written beside its place and put there in one step, and the lock is the operating
    system's: whenever a process is killed, each entry is the old one or the new one, and nobody
    waits for the dead. `limit` is how many seconds a call waits for other processes; a disk that
    hangs holds it up for longer.

    Raises (when it is made):
        NotPrivate: others could write to the folder.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, limit: float = 1.0, clock: Clock | None = None
    ) -> None:
        super().__init__(clock or SystemClock())
        self._folder, self._limit, self._closed = Path(path).absolute(), limit, False
        self._to_look_at: list[str] = []
        with suppress(OSError):  # a disk that is not there yet is each call's own matter
            require_private_folder(self._folder)

    def close(self) -> None:
        self._closed = True

    @contextmanager
    def _held(self) -> Iterator[None]:
        with self._answering():
            require_private_folder(self._folder)
            with locked(self._folder / _LOCK, self._limit):
                self._prune()
                yield

    @contextmanager
    def _answering(self) -> Iterator[None]:
        if self._closed:
            raise StoreUnavailable("the store is closed")
        try:
            yield
        except (OSError, NotPrivate) as failure:
            # Its text names paths, which a caller's caller need not know.
            raise StoreUnavailable(f"the folder: {type(failure).__name__}") from None

    def _entry(self, name: str) -> tuple[bytes, int] | None:
        found = self._read(_file_name(name, _ENTRY))
        return None if found is None else (found[1], found[0])

    def _put_entry(self, name: str, entry: bytes, ends: int) -> None:
        self._put(_file_name(name, _ENTRY), ends, entry, durable=True)

    def _drop_entry(self, name: str) -> None:
        (self._folder / _file_name(name, _ENTRY)).unlink(missing_ok=True)

    def _lease(self, name: str) -> LeaseRecord | None:
        return _lease_of(self._read(_file_name(name, _LEASE)))

    def _put_lease(self, name: str, lease: LeaseRecord) -> None:
        head = lease.fence.to_bytes(8, "big") + lease.began.to_bytes(8, "big")
        owner = lease.owner.encode("utf-8", "surrogatepass")
        # After a power cut nobody holds a lease any more, so nobody waits for the disk here.
        self._put(_file_name(name, _LEASE), lease.ends, head + owner, durable=False)

    def _read(self, file_name: str) -> tuple[int, bytes] | None:
        """When it is over, and what it says; None if there is nothing, or nothing whole."""
        with self._answering():
            try:
                content = read_private(self._folder / file_name)
            except FileNotFoundError:
                return None
        whole = len(_MAGIC) + _DIGEST
        digest, rest = content[len(_MAGIC) : whole], content[whole:]
        if content[: len(_MAGIC)] != _MAGIC or digest != _seal(file_name, rest):
            return None
        return int.from_bytes(rest[:8], "big"), rest[8:]

    def _put(self, file_name: str, ends: int, content: bytes, *, durable: bool) -> None:
        new = self._folder / _NEW
        new.unlink(missing_ok=True)  # of somebody who was killed: the lock is ours
        rest = ends.to_bytes(8, "big") + content
        try:
            write_private(new, _MAGIC + _seal(file_name, rest) + rest, durable=durable)
            new.replace(self._folder / file_name)
        except OSError:
            with suppress(OSError):
                new.unlink()
            raise
        if durable and os.name == "posix":
            _flush_folder(self._folder)

    def _prune(self) -> None:
        # A few at each write: nobody waits for all of them.
        with suppress(OSError, StoreUnavailable):
            if not self._to_look_at:
                self._to_look_at = [one.name for one in self._folder.iterdir()]
            for file_name in self._to_look_at[-_LOOKED_AT:]:
                if self._is_over(file_name):
                    (self._folder / file_name).unlink(missing_ok=True)
        del self._to_look_at[-_LOOKED_AT:]

    def _is_over(self, file_name: str) -> bool:
        if file_name.endswith(_LEASE):
            lease = _lease_of(self._read(file_name))
            return lease is None or lease.over(self._now())
        if file_name.endswith(_ENTRY):
            found = self._read(file_name)
            return found is None or self._now() >= found[0]
        return False

    def __repr__(self) -> str:
        return "<FileTokens>"


def _file_name(name: str, kind: str) -> str:
    # Names may be of any length and content; file names may not.
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest() + kind


def _seal(file_name: str, rest: bytes) -> bytes:
    # Against half of a file after a power cut; who may write here could compute it.
    return hashlib.sha256(file_name.encode() + b"\n" + rest).digest()


def _lease_of(found: tuple[int, bytes] | None) -> LeaseRecord | None:
    if found is None or len(found[1]) < 16:
        return None
    ends, content = found
    fence, began = int.from_bytes(content[:8], "big"), int.from_bytes(content[8:16], "big")
    try:
        return LeaseRecord(fence, content[16:].decode("utf-8", "surrogatepass"), began, ends)
    except UnicodeDecodeError:
        return None


def _flush_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
    try:
        # Some file systems know no such thing; the entry is in its place all the same.
        with suppress(OSError):
            os.fsync(handle)
    finally:
        os.close(handle)
