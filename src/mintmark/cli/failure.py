"""How a command ends when it cannot do what it was asked."""

import errno
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path

from mintmark.api.development import DevelopmentRefused
from mintmark.app.settings import SettingsRefused
from mintmark.server.signing_keys import WrongMasterKey
from mintmark.server.stores import StoreUnavailable
from mintmark.storage.sql.migrations import DatabaseNotCurrent

__all__ = ["ExitStatus", "Failure", "failures_in_one_line", "naming"]


class ExitStatus(IntEnum):
    """What a script can tell apart. 1 and 2 are Python's and typer's own."""

    SETTINGS = 3
    DATABASE = 4
    PORT = 5
    MASTER_KEY = 6
    CHECK = 7
    ISSUER = 8
    TOKEN = 9
    REFUSED = 10


class Failure(Exception):
    """One line, perhaps one hint, and a status."""

    def __init__(self, line: str, status: ExitStatus, hint: str = "") -> None:
        super().__init__(line)
        self.line = line
        self.status = status
        self.hint = hint


@contextmanager
def failures_in_one_line() -> Iterator[None]:
    """Turns every foreseen failure into its line on standard error and its exit status."""
    try:
        yield
    except Failure as failure:
        _leave(failure.line, failure.status, failure.hint)
    except SettingsRefused as refusal:
        _leave(str(refusal), ExitStatus.SETTINGS)
    except DevelopmentRefused as refusal:
        _leave(str(refusal), ExitStatus.TOKEN)
    except (DatabaseNotCurrent, StoreUnavailable) as failure:
        _leave(str(failure), ExitStatus.DATABASE)
    except WrongMasterKey as failure:
        hint = "give the master key that this database was made with, or start with a new database"
        _leave(str(failure), ExitStatus.MASTER_KEY, hint)
    except OSError as failure:
        if failure.errno not in {errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EDQUOT}:
            raise
        _leave(f"{failure.filename or 'disk'}: {failure.strerror}", ExitStatus.DATABASE)


@contextmanager
def naming(config: Path) -> Iterator[None]:
    """Puts the settings file in front of what is wrong with it."""
    try:
        yield
    except SettingsRefused as refusal:
        line = str(refusal)
        raise SettingsRefused(
            line if line.startswith(f"{config}: ") else f"{config}: {line}"
        ) from None


def _leave(line: str, status: ExitStatus, hint: str = "") -> None:
    print(f"error: {line}", file=sys.stderr)
    if hint:
        print(f"hint: {hint}", file=sys.stderr)
    raise SystemExit(status)
