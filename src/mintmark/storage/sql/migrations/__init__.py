"""The schema's history, forward only, and the check that a database is of this version."""

import sqlite3
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from mintmark.server.stores import StoreUnavailable

__all__ = ["DatabaseNotCurrent", "migrate", "migrate_connection", "require_current"]


class DatabaseNotCurrent(Exception):
    """The database is older or newer than this program, or something else altogether."""


def migrate(path: Path) -> None:
    """Bring a SQLite file, new or old, to this version.

    Raises:
        DatabaseNotCurrent: it comes from a newer program.
        StoreUnavailable: it is no database, cannot be opened, or the disk is full.
    """
    engine = create_engine(f"sqlite:///{path}", poolclass=NullPool)
    try:
        with engine.begin() as connection:
            migrate_connection(connection)
    except CommandError:
        raise DatabaseNotCurrent(f"{path} has the schema of a newer version") from None
    except DBAPIError as failure:
        raise StoreUnavailable(f"{path}: {failure.orig}") from None


def migrate_connection(connection: Connection) -> None:
    """The same for an open connection of any database."""
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def require_current(path: Path) -> None:
    """Refuse a SQLite file that this program would misread; a new one is made.

    Raises:
        DatabaseNotCurrent: with what to do about it, in one line.
    """
    if not path.exists() or path.stat().st_size == 0:
        migrate(path)
        return
    found, wanted = _revision(path), _head()
    if found == wanted:
        return
    known = [script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()]
    if found in known:
        raise DatabaseNotCurrent(
            f"{path} has the schema of an older version ({found}); run: mintmark migrate"
        )
    if found is None:
        raise DatabaseNotCurrent(f"{path} is not a Mintmark database")
    raise DatabaseNotCurrent(f"{path} has the schema of a newer version ({found})")


def _head() -> str | None:
    return ScriptDirectory.from_config(_config()).get_current_head()


def _revision(path: Path) -> str | None:
    try:
        connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        try:
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        finally:
            connection.close()
    except sqlite3.Error:
        return None
    return str(row[0]) if row else None


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    return config
