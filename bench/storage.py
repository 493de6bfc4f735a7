"""Durable writes to SQLite: 64 callers whose writes are committed together, beside one commit each."""

import asyncio
import sqlite3
import tempfile
import time
from pathlib import Path

from mintmark.storage.sql.migrations import migrate
from mintmark.storage.sql.sqlite import SqliteDatabase, connect
from mintmark.storage.sql.statements import Statements

CALLERS, EACH, ROUNDS = 64, 20, 5


def main() -> int:
    grouped, single = [], []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(ROUNDS):
            grouped.append(asyncio.run(_grouped(Path(folder) / f"grouped{number}.sqlite3")))
            single.append(_single(Path(folder) / f"single{number}.sqlite3"))
    ratios = sorted(a / b for a, b in zip(grouped, single, strict=True))
    print(f"durable session inserts into SQLite, {CALLERS} callers")
    for name, rates in (("committed together", grouped), ("one commit each", single)):
        print(
            f"  {name:20} {sorted(rates)[ROUNDS // 2]:8,.0f}/s ({min(rates):,.0f}-{max(rates):,.0f})"
        )
    print(f"  ratio                {ratios[ROUNDS // 2]:8.2f} x ({ratios[0]:.2f}-{ratios[-1]:.2f})")
    return 0


def _row(number: int) -> dict[str, object]:
    digest = number.to_bytes(32, "big")
    return {"digest": digest, "sid": "s", "subject": "x", "auth_time": 0, "amr": "[]", "expires": 0}


async def _grouped(path: Path) -> float:
    migrate(path)
    database = SqliteDatabase.open(path)

    async def caller(first: int) -> None:
        for number in range(first, first + EACH):
            row = _row(number)
            await database.write(lambda writer: writer.run(Statements.add_session, **row))  # noqa: B023 -- awaited before the next

    begin = time.perf_counter()
    await asyncio.gather(*(caller(one * EACH) for one in range(CALLERS)))
    elapsed = time.perf_counter() - begin
    database.close()
    return CALLERS * EACH / elapsed


def _single(path: Path) -> float:
    migrate(path)
    connection: sqlite3.Connection = connect(path)
    begin = time.perf_counter()
    for number in range(CALLERS * EACH):
        statement = Statements.add_session
        connection.execute(statement.text, statement.bind(**_row(number)))
    elapsed = time.perf_counter() - begin
    connection.close()
    return CALLERS * EACH / elapsed


if __name__ == "__main__":
    raise SystemExit(main())
