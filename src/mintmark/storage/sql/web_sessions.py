"""Web sessions and their tokens on SQLite: the store behind `mintmark.webapp.WebLogin`."""

import contextlib
import sqlite3
import threading
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Self, final

import msgspec
from sqlalchemy import (
    BigInteger,
    BindParameter,
    Column,
    Index,
    LargeBinary,
    MetaData,
    Table,
    bindparam,
    delete,
    insert,
    select,
    update,
)
from sqlalchemy.dialects import sqlite
from sqlalchemy.schema import CreateIndex, CreateTable

from mintmark.client.stores import UserTokens
from mintmark.secret import Secret
from mintmark.storage.sql.rows import moment, stamp
from mintmark.storage.sql.sqlite import connect
from mintmark.storage.sql.statements import Statement
from mintmark.webapp.sessions import AttemptRecord, SessionRecord, User
from mintmark.webapp.vault import Unreadable, Vault

__all__ = ["SqliteSessions"]

metadata = MetaData()

sessions = Table(
    "web_sessions",
    metadata,
    Column("digest", LargeBinary(32), primary_key=True),
    Column("person", LargeBinary, nullable=False),
    Column("tokens", LargeBinary),
    Column("version", BigInteger, nullable=False),
    Column("began", BigInteger, nullable=False),
    Column("last_seen", BigInteger, nullable=False),
    Column("expires", BigInteger, nullable=False),
    Index("web_sessions_expires", "expires"),
)

attempts = Table(
    "web_attempts",
    metadata,
    Column("digest", LargeBinary(32), primary_key=True),
    Column("browser", LargeBinary(32), nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("expires", BigInteger, nullable=False),
    Index("web_attempts_expires", "expires"),
)

_digest: BindParameter[bytes] = bindparam("by_digest")
_add = Statement.compile(insert(sessions))
_find = Statement.compile(select(sessions).where(sessions.c.digest == _digest))
_seen = Statement.compile(
    update(sessions).where(sessions.c.digest == _digest).values(last_seen=bindparam("now"))
)
_replace = Statement.compile(
    update(sessions)
    .where(sessions.c.digest == _digest, sessions.c.version == bindparam("by_version"))
    .values(tokens=bindparam("new_tokens"), version=bindparam("new_version"))
)
_forget = Statement.compile(
    update(sessions).where(sessions.c.digest == _digest).values(tokens=bindparam("nothing"))
)
_end = Statement.compile(
    delete(sessions).where(sessions.c.digest == _digest).returning(sessions.c.tokens)
)
_add_attempt = Statement.compile(insert(attempts))
_take_attempt = Statement.compile(
    delete(attempts).where(attempts.c.digest == _digest).returning(*attempts.c)
)
_prune_sessions = Statement.compile(delete(sessions).where(sessions.c.expires < bindparam("now")))
_prune_attempts = Statement.compile(delete(attempts).where(attempts.c.expires < bindparam("now")))

# A page view is worth a write once a minute, not at every picture.
SEEN_EVERY = timedelta(minutes=1)


class _Person(msgspec.Struct):
    subject: str
    name: str
    claims: dict[str, Any]
    sid: str | None


@final
class SqliteSessions:
    """Sessions in one SQLite file, sealed by a vault; several processes may share it.

    Tokens and names are unreadable without the vault's keys, and each is bound to its session:
    moved to another row it does not open. What does not open is treated as signed out.
    """

    def __init__(self, connection: sqlite3.Connection, vault: Vault) -> None:
        self._connection = connection
        self._vault = vault
        self._lock = threading.Lock()

    @classmethod
    def open(cls, path: Path, vault: Vault) -> Self:
        """Open the file, or make it. Raises `sqlite3.Error`."""
        connection = connect(path)
        dialect = sqlite.dialect()
        for table in metadata.sorted_tables:
            connection.execute(str(CreateTable(table, if_not_exists=True).compile(dialect=dialect)))
            for index in table.indexes:
                ddl = CreateIndex(index, if_not_exists=True).compile(dialect=dialect)
                connection.execute(str(ddl))
        return cls(connection, vault)

    def add_attempt(self, record: AttemptRecord, *, now: datetime) -> None:
        # Anybody can begin a sign-in and never come back: what is over goes with each new one.
        self._run(_prune_attempts, now=stamp(now))
        self._run(
            _add_attempt,
            digest=record.digest,
            browser=record.browser,
            sealed=record.sealed,
            expires=stamp(record.expires),
        )

    def take_attempt(self, digest: bytes, *, now: datetime) -> AttemptRecord | None:
        row = self._run(_take_attempt, by_digest=digest)
        if row is None or now >= moment(row["expires"]):
            return None
        return AttemptRecord(
            digest=row["digest"],
            browser=row["browser"],
            sealed=row["sealed"],
            expires=moment(row["expires"]),
        )

    def begin(self, record: SessionRecord, tokens: UserTokens) -> None:
        user = record.user
        person = _Person(user.subject, user.name, dict(user.claims), user.sid)
        self._run(
            _add,
            digest=record.digest,
            person=self._vault.seal(msgspec.json.encode(person), b"person " + record.digest),
            tokens=self._vault.seal_tokens(tokens, record.digest),
            version=tokens.version,
            began=stamp(record.began),
            last_seen=stamp(record.last_seen),
            expires=stamp(record.expires),
        )
        self._prune(record.began)

    def find(self, digest: bytes, *, now: datetime, idle_since: datetime) -> SessionRecord | None:
        row = self._run(_find, by_digest=digest)
        if row is None or now >= moment(row["expires"]) or moment(row["last_seen"]) <= idle_since:
            return None
        try:
            sealed = self._vault.open(row["person"], b"person " + digest)
            person = msgspec.json.decode(sealed, type=_Person)
        except (Unreadable, msgspec.MsgspecError):
            return None
        if now - moment(row["last_seen"]) >= SEEN_EVERY:
            # A disk that is full keeps nobody out who could be let in by reading.
            with contextlib.suppress(sqlite3.OperationalError):
                self._run(_seen, by_digest=digest, now=stamp(now))
        return SessionRecord(
            digest=digest,
            user=User(
                subject=person.subject, name=person.name, claims=person.claims, sid=person.sid
            ),
            began=moment(row["began"]),
            last_seen=now,
            expires=moment(row["expires"]),
        )

    def end(self, digest: bytes) -> UserTokens | None:
        row = self._run(_end, by_digest=digest)
        return None if row is None else self._opened(row["tokens"], digest)

    def load(self, session: Secret) -> UserTokens | None:
        digest = session.digest()
        row = self._run(_find, by_digest=digest)
        return None if row is None else self._opened(row["tokens"], digest)

    def replace(self, session: Secret, tokens: UserTokens) -> UserTokens:
        digest = session.digest()
        self._run(
            _replace,
            by_digest=digest,
            by_version=tokens.version - 1,
            new_tokens=self._vault.seal_tokens(tokens, digest),
            new_version=tokens.version,
        )
        stored = self.load(session)
        if stored is None:
            raise KeyError("the session is gone")
        return stored

    def forget(self, session: Secret) -> None:
        self._run(_forget, by_digest=session.digest(), nothing=None)

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def _opened(self, sealed: bytes | None, digest: bytes) -> UserTokens | None:
        if sealed is None:
            return None
        try:
            return self._vault.open_tokens(sealed, digest)
        except Unreadable:
            return None

    def _prune(self, now: datetime) -> None:
        self._run(_prune_sessions, now=stamp(now))

    def _run(self, statement: Statement, **values: Any) -> sqlite3.Row | None:
        # One connection, each statement its own transaction: SQLite makes it atomic.
        with self._lock:
            rows: list[sqlite3.Row] = self._connection.execute(
                statement.text, statement.bind(**values)
            ).fetchall()
        return rows[0] if rows else None
