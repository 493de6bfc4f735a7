"""Every store, in memory and on a real SQLite file."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mintmark.server.stores import Grant, Stores
from mintmark.storage.memory import MemoryStores
from mintmark.storage.sql.migrations import migrate
from mintmark.storage.sql.stores import SqlStores

NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)


def grant(family: str = "family", session: str = "session") -> Grant:
    """What a sign-in gave; the same every time but for its names."""
    return Grant(
        family=family, client_id="web", subject="alice", scope=frozenset({"openid", "a"}),
        resource=("https://api.example",), session=session, auth_time=NOW, nonce="n", amr=("pwd",), jkt="k" * 43,
    )  # fmt: skip


@pytest.fixture(params=["memory", "sqlite"])
def stores(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stores]:
    if request.param == "memory":
        yield MemoryStores()
        return
    path = tmp_path / "stores.sqlite3"
    migrate(path)
    opened = SqlStores.open(path)
    yield opened
    opened.close()
