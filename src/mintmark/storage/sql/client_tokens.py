"""The one table of a client's shared tokens, and every statement on it, for both databases.

It has a `metadata` of its own: a program that only asks for tokens needs none of a token server's
tables. `SqliteTokens` makes it by itself; for PostgreSQL call `PostgresTokens.create()` once, or
put `metadata` among those that your own migrations look at.

Moments are microseconds since 1970. A row outlives its lease by a day, for its fence refuses what
comes late, and is pruned by somebody else's write.
"""

import hashlib
from dataclasses import dataclass
from typing import Any, Final, final

from sqlalchemy import (
    BigInteger,
    BindParameter,
    ClauseElement,
    Column,
    ColumnElement,
    Index,
    LargeBinary,
    MetaData,
    Table,
    and_,
    bindparam,
    case,
    delete,
    literal_column,
    null,
    select,
    update,
)
from sqlalchemy.dialects import sqlite
from sqlalchemy.dialects.postgresql import asyncpg
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.engine import Dialect
from sqlalchemy.schema import CreateIndex, CreateTable

from mintmark.client.lease_rules import FENCES_KEPT
from mintmark.storage.sql.statements import Statement

__all__ = ["POSTGRES", "SQLITE", "TokenStatements", "digest_of", "metadata"]

metadata = MetaData()

tokens = Table(
    "mintmark_client_tokens",
    metadata,
    Column("digest", LargeBinary(32), primary_key=True),
    Column("entry", LargeBinary),
    Column("entry_ends", BigInteger, nullable=False),
    Column("owner", LargeBinary(32), nullable=False),
    Column("lease_began", BigInteger, nullable=False),
    Column("lease_ends", BigInteger, nullable=False),
    Column("fence", BigInteger, nullable=False),
    Column("kept_until", BigInteger, nullable=False),
    Index("mintmark_client_tokens_kept_until", "kept_until"),
)

_SET_BACK: Final = 1_000_000
_PRUNED_AT_ONCE: Final = 50
_NOBODY: Final = b""


def digest_of(name: str) -> bytes:
    """Names and owners may be of any length and content, a column may not."""
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()


@final
@dataclass(frozen=True)
class TokenStatements:
    """Each is atomic by itself, and what it gives back says whether it found what it asks for."""

    create: tuple[str, ...]
    load: Statement
    held: Statement
    lease: Statement
    renew: Statement
    release: Statement
    write: Statement
    put_if_none: Statement
    put_if: Statement
    forget: Statement
    forget_if: Statement
    prune: Statement


Now = ColumnElement[int]
_mine: Final = tokens.c.digest == bindparam("by_digest")
_by_owner: Final = tokens.c.owner == bindparam("by_owner")
_by_entry: Final = tokens.c.entry == bindparam("by_entry")


def _number(name: str) -> BindParameter[int]:
    return bindparam(name, type_=BigInteger())


def _later(one: ColumnElement[int], other: ColumnElement[int]) -> ColumnElement[int]:
    return case((one > other, one), else_=other)


def _holds(now: Now) -> ColumnElement[bool]:
    # Where the clock was set back, it would hold for as long as that was, and the others wait.
    return and_(tokens.c.lease_ends > now, tokens.c.lease_began - _SET_BACK <= now)


def _row(now: Now, **values: Any) -> dict[str, Any]:
    """A new row: nothing in it but what is given."""
    nothing = {"entry": null(), "entry_ends": 0, "owner": _NOBODY, "lease_began": 0}
    empty = {"digest": bindparam("by_digest"), **nothing, "lease_ends": 0, "fence": 0}
    return empty | {"kept_until": now + _number("lasting") + FENCES_KEPT} | values


def _lease(insert: Any, now: Now) -> ClauseElement:
    ends = now + _number("lasting")
    put = insert(tokens).values(
        _row(now, owner=bindparam("by_owner"), lease_began=now, lease_ends=ends, fence=now)
    )
    given = put.excluded
    changed = {name: given[name] for name in ("owner", "lease_began", "lease_ends")} | {
        # The time as well, so that it grows although the last one was lost.
        "fence": _later(tokens.c.fence + 1, given.fence),
        "kept_until": _later(tokens.c.kept_until, given.kept_until),
    }
    free = ~_holds(now) | (tokens.c.owner == given.owner)
    return put.on_conflict_do_update(  # type: ignore[no-any-return]  # -- of one dialect or other
        index_elements=["digest"], set_=changed, where=free
    ).returning(tokens.c.fence)


def _put(insert: Any, now: Now, where: ColumnElement[bool]) -> ClauseElement:
    """The entry, whether there is a row or not, where the row allows it."""
    ends = now + _number("lasting")
    put = insert(tokens).values(_row(now, entry=bindparam("new_entry"), entry_ends=ends))
    given = put.excluded
    changed = {name: given[name] for name in ("entry", "entry_ends")}
    changed["kept_until"] = _later(tokens.c.kept_until, given.kept_until)
    return put.on_conflict_do_update(  # type: ignore[no-any-return]  # -- of one dialect or other
        index_elements=["digest"], set_=changed, where=where
    ).returning(tokens.c.digest)


def _prune(now: Now, dialect: Dialect) -> ClauseElement:
    over = select(tokens.c.digest).where(tokens.c.kept_until <= now).limit(_PRUNED_AT_ONCE)
    if dialect.name == "postgresql":
        # Two that prune the same rows in another order would wait for each other.
        over = over.with_for_update(skip_locked=True)
    return delete(tokens).where(tokens.c.digest.in_(over.scalar_subquery()))


def _clauses(insert: Any, now: Now, dialect: Dialect) -> dict[str, ClauseElement]:
    lasting, there = (
        _number("lasting"),
        and_(tokens.c.entry.is_not(None), tokens.c.entry_ends > now),
    )
    own = update(tokens).where(_mine, _by_owner, _holds(now))
    entry = update(tokens).where(_mine).values(entry=null(), entry_ends=0)
    until = _later(tokens.c.kept_until, now + lasting + FENCES_KEPT)
    return {
        "load": select(tokens.c.entry).where(_mine, there),
        "held": select(tokens.c.fence).where(_mine, _holds(now)),
        "lease": _lease(insert, now),
        "renew": own.values(lease_began=now, lease_ends=now + lasting, kept_until=until).returning(
            tokens.c.fence
        ),
        "release": own.values(lease_ends=0),
        "write": _put(
            insert, now, tokens.c.fence.in_([_number("by_fence"), 0])
        ),
        "put_if_none": _put(insert, now, ~there),
        "put_if": update(tokens)
        .where(_mine, there, _by_entry)
        .values(entry=bindparam("new_entry"), entry_ends=now + lasting, kept_until=until)
        .returning(tokens.c.digest),
        "forget": entry,
        "forget_if": entry.where(_by_entry),
        "prune": _prune(now, dialect),
    }  # fmt: skip


def _compile(insert: Any, now: Now, dialect: Dialect) -> TokenStatements:
    table = CreateTable(tokens, if_not_exists=True).compile(dialect=dialect)
    indexes = [
        CreateIndex(one, if_not_exists=True).compile(dialect=dialect) for one in tokens.indexes
    ]
    compiled = {
        name: _statement(clause, dialect) for name, clause in _clauses(insert, now, dialect).items()
    }
    return TokenStatements(create=(str(table), *map(str, indexes)), **compiled)


def _statement(clause: ClauseElement, dialect: Dialect) -> Statement:
    compiled: Any = clause.compile(dialect=dialect, compile_kwargs={"render_postcompile": True})
    names = tuple(compiled.positiontup or ())
    ours = ("by_", "new_", "lasting", "now")
    constants = {
        name: value for name, value in compiled.params.items() if not name.startswith(ours)
    }
    return Statement(str(compiled), names, constants)


# The machine's clock is every process's; a database elsewhere has a clock of its own, and all who
# ask it go by that.
SQLITE: Final = _compile(sqlite_insert, _number("now"), sqlite.dialect(paramstyle="qmark"))
POSTGRES: Final = _compile(
    postgres_insert,
    literal_column("CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)", BigInteger()),
    asyncpg.dialect(),  # type: ignore[no-untyped-call]  # -- SQLAlchemy left it so
)
