"""The real parts that the tests run on."""

import asyncio
import socket
import subprocess
from urllib.parse import urlsplit

import pytest
from sqlalchemy import inspect
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from mintmark.storage.sql import schema
from mintmark.storage.sql.migrations import migrate_connection


@pytest.mark.service
class TestServices:
    """Each really starts and answers."""

    def test_postgresql_takes_the_same_schema_through_the_same_migrations(
        self, postgresql_url: str
    ) -> None:
        async def migrated() -> dict[str, set[str]]:
            engine = create_async_engine(
                postgresql_url.replace("postgresql://", "postgresql+asyncpg://"),
                poolclass=NullPool,
            )
            async with engine.begin() as connection:
                await connection.run_sync(migrate_connection)
                return await connection.run_sync(
                    lambda sync: {
                        table: {column["name"] for column in inspect(sync).get_columns(table)}
                        for table in schema.metadata.tables
                    }
                )

        assert asyncio.run(migrated()) == {
            name: {column.name for column in table.columns}
            for name, table in schema.metadata.tables.items()
        }

    def test_redis_answers(self, redis_url: str) -> None:
        parts = urlsplit(redis_url)
        with socket.create_connection((parts.hostname or "", parts.port or 0)) as connection:
            connection.sendall(b"PING\r\n")
            assert connection.recv(64) == b"+PONG\r\n"

    @pytest.mark.browser
    def test_chromium_says_who_it_is(self, chromium: str) -> None:
        said = subprocess.run([chromium, "--version"], capture_output=True, text=True, check=True)
        assert "Chromium" in said.stdout
