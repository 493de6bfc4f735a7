"""Processes for the tests that begin at once: forked from one that has imported everything."""

import multiprocessing

__all__ = ["CONTEXT"]

CONTEXT = multiprocessing.get_context("forkserver")
# There is one server for a test run, and one list: the last one that was given would count.
CONTEXT.set_forkserver_preload(
    [
        "tests.client.processes",
        "tests.stores.shared_stores",
        "mintmark.storage.file.tokens",
        "mintmark.storage.redis.tokens",
        "mintmark.storage.sql.postgres_tokens",
        "mintmark.storage.sql.sqlite_tokens",
    ]
)
