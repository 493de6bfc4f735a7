"""Shared tokens in a folder: what nobody else may do there, and what a kill may not leave."""

import os
import stat
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from tests.stores.dying import kill_writers
from tests.stores.shared_stores import others, python

from mintmark.client.memory_tokens import MemoryTokens
from mintmark.client.shared import LeaseLost, SharedTokens, StoreUnavailable
from mintmark.clock import Clock
from mintmark.secret import Secret
from mintmark.storage.file.key import KeyFileUnusable, key_file
from mintmark.storage.file.lock import locked
from mintmark.storage.file.private import NotPrivate
from mintmark.storage.file.tokens import FileTokens
from mintmark.storage.sql.sqlite_tokens import SqliteTokens
from mintmark.testing import FrozenClock

ENTRY = b"sealed, so it may be looked at"


def filled(folder: Path, clock: Clock | None = None) -> FileTokens:
    store = FileTokens(folder, clock=clock)
    fence = store.lease("name", owner="one", seconds=60)
    assert fence is not None
    store.write("name", ENTRY, fence=fence, seconds=60)
    return store


def the_entry(folder: Path) -> Path:
    (found,) = folder.glob("*.entry")
    return found


# Whose folder it is


def test_the_folder_and_its_files_are_for_this_user_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        filled(tmp_path / "tokens").swap("another", None, ENTRY, seconds=60)
    finally:
        os.umask(before)
    modes = {
        path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "tokens").iterdir()
    }

    assert stat.S_IMODE((tmp_path / "tokens").stat().st_mode) == 0o700
    assert len(modes) == 4  # the lock, a lease, two entries
    assert set(modes.values()) == {0o600}


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o720, 0o702, 0o1777])
def test_a_folder_that_others_can_write_to_is_refused(tmp_path: Path, mode: int) -> None:
    tmp_path.joinpath("tokens").mkdir()
    tmp_path.joinpath("tokens").chmod(mode)
    with pytest.raises(NotPrivate):
        FileTokens(tmp_path / "tokens")


@pytest.mark.parametrize("mode", [0o700, 0o750, 0o755])
def test_a_folder_that_others_can_look_into_is_not(tmp_path: Path, mode: int) -> None:
    tmp_path.joinpath("tokens").mkdir()
    tmp_path.joinpath("tokens").chmod(mode)

    assert filled(tmp_path / "tokens").load("name") == ENTRY


def test_a_link_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    tmp_path.joinpath("real").mkdir(mode=0o700)
    tmp_path.joinpath("tokens").symlink_to(tmp_path / "real")
    with pytest.raises(NotPrivate):
        FileTokens(tmp_path / "tokens")


def test_a_folder_below_one_that_is_open_to_everybody_is_refused(tmp_path: Path) -> None:
    """Anybody could put another in its place; in a sticky one they cannot."""
    tmp_path.joinpath("open").mkdir()
    tmp_path.joinpath("open").chmod(0o777)
    with pytest.raises(NotPrivate):
        FileTokens(tmp_path / "open" / "tokens")
    tmp_path.joinpath("open").chmod(0o1777)

    assert filled(tmp_path / "open" / "tokens").load("name") == ENTRY


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_the_folder_of_somebody_else_is_refused(tmp_path: Path) -> None:
    tmp_path.joinpath("tokens").mkdir(mode=0o700)
    os.chown(tmp_path / "tokens", 12345, 12345)
    with pytest.raises(NotPrivate):
        FileTokens(tmp_path / "tokens")


def test_a_folder_that_was_opened_to_others_later_is_not_written_to(tmp_path: Path) -> None:
    store = filled(tmp_path / "tokens")
    tmp_path.joinpath("tokens").chmod(0o777)
    with pytest.raises(StoreUnavailable):
        store.swap("name", ENTRY, b"new", seconds=60)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_an_entry_that_was_opened_to_others_is_not_believed(tmp_path: Path, mode: int) -> None:
    store = filled(tmp_path / "tokens")
    the_entry(tmp_path / "tokens").chmod(mode)
    with pytest.raises(StoreUnavailable):
        store.load("name")


def test_an_entry_that_is_a_link_or_a_pipe_is_not_read(tmp_path: Path) -> None:
    store = filled(tmp_path / "tokens")
    entry = the_entry(tmp_path / "tokens")
    entry.rename(tmp_path / "elsewhere")
    entry.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreUnavailable):
        store.load("name")
    entry.unlink()
    os.mkfifo(entry, 0o600)
    with pytest.raises(StoreUnavailable):
        store.load("name")


# What is in it


def test_half_an_entry_is_none(tmp_path: Path) -> None:
    """A disk may lose the end of a file when the power goes out."""
    store = filled(tmp_path / "tokens")
    entry = the_entry(tmp_path / "tokens")
    content = entry.read_bytes()
    for broken in (
        b"",
        content[:5],
        content[:-1],
        content + b"x",
        content[:60] + b"x" + content[61:],
    ):
        entry.write_bytes(broken)
        assert store.load("name") is None
    assert store.swap("name", None, b"new", seconds=60) == b"new"


def test_an_entry_in_the_place_of_another_is_none(tmp_path: Path) -> None:
    store = filled(tmp_path / "tokens")
    content = the_entry(tmp_path / "tokens").read_bytes()
    store.forget("name")
    store.swap("another", None, b"other", seconds=60)
    the_entry(tmp_path / "tokens").write_bytes(content)

    assert store.load("another") is None


def test_a_broken_lease_holds_nobody_up(tmp_path: Path) -> None:
    store = filled(tmp_path / "tokens")
    (lease,) = (tmp_path / "tokens").glob("*.lease")
    lease.write_bytes(lease.read_bytes()[:-3])

    assert store.lease("name", owner="another", seconds=60) is not None


def test_what_is_over_goes_a_little_at_a_time_and_what_is_not_ours_stays(tmp_path: Path) -> None:
    clock, folder = FrozenClock(), tmp_path / "tokens"
    store = FileTokens(folder, clock=clock)
    (folder / "notes.txt").write_text("mine")
    for number in range(40):
        store.swap(f"name {number}", None, ENTRY, seconds=60)
    store.lease("name 0", owner="one", seconds=60)
    clock.advance(timedelta(seconds=61))
    store.swap("new", None, ENTRY, seconds=10**6)

    assert 20 < len(list(folder.glob("*.entry"))) < 41
    for _ in range(20):
        store.swap("new", ENTRY, ENTRY, seconds=10**6)
    assert len(list(folder.glob("*.entry"))) == 1
    assert len(list(folder.glob("*.lease"))) == 1  # its fence still refuses what comes late
    clock.advance(timedelta(days=1, seconds=1))
    for _ in range(20):
        store.swap("new", ENTRY, ENTRY, seconds=10**6)
    assert {path.name for path in folder.iterdir()} == {"lock", "notes.txt", the_entry(folder).name}


def test_no_name_owner_or_path_is_in_what_a_store_says(tmp_path: Path) -> None:
    store = filled(tmp_path / "tokens")
    the_entry(tmp_path / "tokens").chmod(0o644)
    with pytest.raises(StoreUnavailable) as raised:
        store.load("name")

    assert str(tmp_path) not in str(raised.value)
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__


# A clock that is set back


@pytest.fixture(params=["memory", "file", "sqlite"])
def with_clock(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Clock], SharedTokens]:
    stores: dict[str, Callable[[Clock], SharedTokens]] = {
        "memory": lambda clock: MemoryTokens(clock=clock),
        "file": lambda clock: FileTokens(tmp_path / "tokens", clock=clock),
        "sqlite": lambda clock: SqliteTokens(tmp_path / "tokens", clock=clock),
    }

    def opened(clock: Clock) -> SharedTokens:
        store = stores[request.param](clock)
        request.addfinalizer(store.close)
        return store

    return opened


def test_a_lease_does_not_last_for_as_long_as_the_clock_was_set_back(
    with_clock: Callable[[Clock], SharedTokens],
) -> None:
    clock = FrozenClock()
    store = with_clock(clock)
    first = store.lease("name", owner="one", seconds=10)
    clock.advance(timedelta(seconds=-0.9))
    assert store.lease("name", owner="another", seconds=10) is None
    clock.advance(timedelta(hours=-1))
    with pytest.raises(LeaseLost):
        store.renew("name", owner="one", seconds=10)
    second = store.lease("name", owner="another", seconds=10)

    assert first is not None
    assert second is not None
    assert second > first


def test_a_lease_lasts_to_its_end_and_not_beyond(
    with_clock: Callable[[Clock], SharedTokens],
) -> None:
    clock = FrozenClock()
    store = with_clock(clock)
    store.lease("name", owner="one", seconds=10)
    clock.advance(timedelta(seconds=10, microseconds=-1))
    assert store.lease("name", owner="another", seconds=10) is None
    clock.advance(timedelta(microseconds=1))
    assert store.lease("name", owner="another", seconds=10) is not None


def test_an_entry_lasts_to_its_end_and_not_beyond(
    with_clock: Callable[[Clock], SharedTokens],
) -> None:
    clock = FrozenClock()
    store = with_clock(clock)
    store.swap("name", None, ENTRY, seconds=10)
    clock.advance(timedelta(seconds=10, microseconds=-1))
    assert store.load("name") == ENTRY
    clock.advance(timedelta(microseconds=1))
    assert store.load("name") is None


# Disks and other processes


def test_nobody_waits_longer_than_the_limit(tmp_path: Path) -> None:
    store = FileTokens(tmp_path / "tokens", limit=0.3)
    store.swap("name", None, ENTRY, seconds=60)
    with locked(tmp_path / "tokens" / "lock", 5):
        began = time.monotonic()
        with pytest.raises(StoreUnavailable):
            store.lease("name", owner="one", seconds=60)
        assert 0.25 < time.monotonic() - began < 5
        assert store.load("name") == ENTRY

    assert store.lease("name", owner="one", seconds=60) is not None


def test_a_lock_that_was_deleted_under_its_holder_lets_one_in_at_a_time(tmp_path: Path) -> None:
    """Programs that tidy up delete what has not changed for long; who waits must not go on with it."""
    path = tmp_path / "lock"
    inside: list[int] = []

    def enter(number: int) -> None:
        with locked(path, 20):
            inside.append(number)
            time.sleep(0.3)
            assert inside == [number]
            inside.remove(number)

    with ThreadPoolExecutor(2) as threads:
        with locked(path, 20):
            early = threads.submit(enter, 1)  # it waits for the file that is deleted
            time.sleep(0.2)
            path.unlink()
            late = threads.submit(enter, 2)
            time.sleep(0.1)
        for one in (early, late):
            one.result(30)


def test_a_folder_that_cannot_be_made_is_a_store_that_cannot_be_had(tmp_path: Path) -> None:
    tmp_path.joinpath("file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "tokens"):
        with pytest.raises(StoreUnavailable):
            FileTokens(path).lease("name", owner="one", seconds=60)


def test_a_folder_that_was_deleted_is_made_again(tmp_path: Path) -> None:
    store = filled(tmp_path / "tokens")
    for path in (tmp_path / "tokens").iterdir():
        path.unlink()
    (tmp_path / "tokens").rmdir()

    assert store.load("name") is None
    assert store.swap("name", None, b"new", seconds=60) == b"new"


FULL_DISK = """
import resource, sys
from mintmark.client.shared import StoreUnavailable
from mintmark.storage.file.tokens import FileTokens
from mintmark.storage.sql.sqlite_tokens import SqliteTokens
store = {"file": FileTokens, "sqlite": SqliteTokens}[sys.argv[1]](sys.argv[2])
assert store.swap("name", None, b"old", seconds=60) == b"old"
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
for _ in range(3):
    try:
        store.swap("name", b"old", bytes(400_000), seconds=60)
    except StoreUnavailable:
        print("unavailable")
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
assert store.load("name") == b"old"
assert store.swap("name", b"old", b"new", seconds=60) == b"new"
store.close()
"""


@pytest.mark.parametrize("kind", ["file", "sqlite"])
def test_where_a_disk_takes_no_more_the_old_entry_stays(tmp_path: Path, kind: str) -> None:
    done = python(FULL_DISK, kind, tmp_path / "tokens")

    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["unavailable"] * 3
    assert not (tmp_path / "tokens" / "new").exists()


def test_processes_that_are_killed_at_any_moment_leave_whole_entries(tmp_path: Path) -> None:
    """Twenty deaths; `make prove` has a thousand."""
    kill_writers(tmp_path / "tokens", kills=20)


def test_it_needs_nothing_but_what_is_always_there(tmp_path: Path) -> None:
    code = """
import sys
for name in ("sqlalchemy", "redis", "asyncpg", "starlette", "argon2", "alembic", "sqlite3"):
    sys.modules[name] = None
from mintmark.storage.file.key import key_file
from mintmark.storage.file.tokens import FileTokens
key_file(sys.argv[1] + ".key")
assert FileTokens(sys.argv[1]).swap("name", None, b"entry", seconds=9) == b"entry"
"""
    done = python(code, tmp_path / "tokens")

    assert done.returncode == 0, done.stderr


# The key beside it


def test_a_key_is_made_once_and_is_for_this_user_alone(tmp_path: Path) -> None:
    path = tmp_path / "state" / "tokens.key"
    key = key_file(path)

    assert key_file(path) == key
    assert key_file(tmp_path / "state" / "another.key") != key
    assert len(key.reveal()) == 43  # 32 bytes in base64url
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert {one.name for one in path.parent.iterdir()} == {"tokens.key", "another.key"}


def test_all_who_race_for_a_key_get_the_same(tmp_path: Path) -> None:
    path, elsewhere = tmp_path / "keys" / "key", tmp_path / "keys" / "other"
    path.parent.mkdir()
    with others(4, "file", str(tmp_path / "tokens"), "key", str(path)) as racing:
        for one in racing:
            one.go()
        said = [one.says() for one in racing]
    with ThreadPoolExecutor(4) as threads:
        here = list(threads.map(lambda _: key_file(elsewhere), range(8)))

    assert said == [key_file(path).digest().hex()] * 4
    assert len(set(here)) == 1
    assert {one.name for one in path.parent.iterdir()} == {"key", "other"}


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602])
def test_a_key_that_others_could_read_or_change_is_refused(tmp_path: Path, mode: int) -> None:
    key_file(tmp_path / "key")
    (tmp_path / "key").chmod(mode)
    with pytest.raises(NotPrivate):
        key_file(tmp_path / "key")
    (tmp_path / "key").chmod(0o400)
    assert key_file(tmp_path / "key") == key_file(tmp_path / "key")


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"a" * 42, b"a" * 44, b"a" * 42 + b"=", b"\xff" * 43, b"a" * 43 + b"\n\n"]
)  # fmt: skip
def test_a_file_that_holds_no_key_is_refused_and_stays_as_it_is(
    tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "key").write_bytes(content)
    (tmp_path / "key").chmod(0o600)
    with pytest.raises(KeyFileUnusable) as raised:
        key_file(tmp_path / "key")

    assert (tmp_path / "key").read_bytes() == content
    assert len(content) < 40 or content.decode("latin-1").strip() not in str(raised.value)


@pytest.mark.parametrize("end", [b"", b"\n"])
def test_a_key_that_was_put_there_by_hand_is_taken(tmp_path: Path, end: bytes) -> None:
    made = Secret.generate()
    (tmp_path / "key").write_bytes(made.reveal().encode() + end)
    (tmp_path / "key").chmod(0o600)

    assert key_file(tmp_path / "key") == made


def test_a_key_that_is_a_link_or_a_folder_is_refused(tmp_path: Path) -> None:
    key_file(tmp_path / "real")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "folder").mkdir()
    for path in ("link", "folder"):
        with pytest.raises((KeyFileUnusable, NotPrivate)):
            key_file(tmp_path / path)
    (tmp_path / "nowhere").symlink_to(tmp_path / "missing")
    with pytest.raises(KeyFileUnusable):
        key_file(tmp_path / "nowhere")
