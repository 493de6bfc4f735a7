"""Writers to a folder that are killed in the middle of what they do."""

import os
import secrets
import signal
import time
from pathlib import Path

from tests.stores.shared_stores import is_whole, others, whole

from mintmark.storage.file.tokens import FileTokens

__all__ = ["kill_writers"]


def kill_writers(folder: Path, *, kills: int) -> None:
    """Four write on four names, and one of them at random is killed and another one begins."""
    names = [f"name {number}" for number in range(4)]
    store = FileTokens(folder, limit=20)
    at_work: list[int] = []
    with others(1, "file", str(folder), "breed", "30000") as (breeder,):
        try:
            for round_number in range(kills):
                while len(at_work) < 4:
                    breeder.go(secrets.choice(names))
                    at_work.append(int(str(breeder.says())))
                time.sleep(secrets.randbelow(80) / 1000)
                os.kill(at_work.pop(round_number % 4), signal.SIGKILL)
                for entry in (store.load(name) for name in names):
                    assert entry is None or is_whole(entry)
        finally:
            for one in at_work:
                os.kill(one, signal.SIGKILL)
    _require_nothing_left(store, folder, names)


def _require_nothing_left(store: FileTokens, folder: Path, names: list[str]) -> None:
    assert [entry for name in names if (entry := store.load(name)) is not None]
    for path in folder.glob("*.entry"):
        assert path.stat().st_size > 30000
    began = time.monotonic()
    for name in names:
        new = whole(10)
        assert store.swap(name, store.load(name), new, seconds=60) == new
    assert time.monotonic() - began < 10
    # Of those who were killed in the middle of a write, at most one file is left, and goes.
    assert {path.suffix for path in folder.iterdir()} <= {"", ".entry", ".lease"}
    assert not (folder / "new").exists()
