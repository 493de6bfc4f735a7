"""What processes share: one suite for every store of sealed tokens and leases."""

import asyncio
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.stores.shared_stores import AMONG_PROCESSES, SERVICES, STORES, is_whole, others, whole

from mintmark.client.shared import LeaseLost, SharedTokens, StaleFence, StoreUnavailable
from mintmark.storage.sql.postgres_tokens import PostgresTokens

LONG = 60.0


@dataclass
class Shared:
    """One store, opened as often as the test wants it."""

    kind: str
    where: str
    opened: list[SharedTokens] = field(default_factory=list)

    def open(self) -> SharedTokens:
        if self.kind == "memory" and self.opened:
            return self.opened[0]
        self.opened.append(STORES[self.kind](self.where))
        return self.opened[-1]


def marked(kinds: Iterable[str]) -> list[object]:
    return [
        pytest.param(kind, marks=pytest.mark.service) if kind in SERVICES else kind
        for kind in kinds
    ]


among_processes = pytest.mark.parametrize("shared", marked(AMONG_PROCESSES), indirect=True)


@pytest.fixture(params=marked(STORES))
def shared(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shared]:
    kind: str = request.param
    where = str(tmp_path / "tokens")
    if kind in SERVICES:
        where = request.getfixturevalue(SERVICES[kind])
    if kind == "postgresql":
        made = PostgresTokens(where, limit=20)
        made.create()
        made.close()
    one = Shared(kind, where)
    yield one
    for store in one.opened:
        store.close()


@pytest.fixture
def store(shared: Shared) -> SharedTokens:
    return shared.open()


@pytest.fixture
def name() -> str:
    return secrets.token_hex(16)


@dataclass
class Deadline:
    """Up to it something holds. A machine that is too busy to ask in time proves nothing by that."""

    seconds: float
    began: float = field(default_factory=time.monotonic)

    @property
    def over(self) -> bool:
        return time.monotonic() >= self.began + self.seconds


def lease(store: SharedTokens, name: str, owner: str = "one", seconds: float = LONG) -> int:
    fence = store.lease(name, owner=owner, seconds=seconds)
    assert fence is not None
    return fence


# Entries


def test_what_was_never_written_is_not_there(store: SharedTokens, name: str) -> None:
    assert store.load(name) is None


def test_what_one_writes_another_reads(shared: Shared, name: str) -> None:
    writer, reader = shared.open(), shared.open()
    writer.write(name, b"entry", fence=lease(writer, name), seconds=LONG)

    assert reader.load(name) == b"entry"
    assert reader.load(name + "x") is None


def test_a_later_write_replaces_an_earlier_one(store: SharedTokens, name: str) -> None:
    fence = lease(store, name)
    store.write(name, b"first", fence=fence, seconds=LONG)
    store.write(name, b"second", fence=fence, seconds=LONG)

    assert store.load(name) == b"second"


def test_an_entry_ends_by_itself(store: SharedTokens, name: str) -> None:
    fence, until = lease(store, name), Deadline(0.3)
    store.write(name, b"entry", fence=fence, seconds=until.seconds)
    assert store.load(name) == b"entry" or until.over
    time.sleep(0.35)

    assert store.load(name) is None
    assert store.swap(name, b"entry", b"late", seconds=LONG) is None
    assert store.swap(name, None, b"new", seconds=LONG) == b"new"


@pytest.mark.parametrize("size", [0, 1, 70_000, 1_000_000])
def test_an_entry_is_of_any_size(store: SharedTokens, name: str, size: int) -> None:
    entry = bytes(range(256)) * (size // 256) + bytes(size % 256)
    store.write(name, entry, fence=lease(store, name), seconds=LONG)

    assert store.load(name) == entry
    assert store.swap(name, entry, entry + b"!", seconds=LONG) == entry + b"!"
    store.forget(name, entry + b"!")
    assert store.load(name) is None


@pytest.mark.parametrize(
    "odd", ["", ".", "..", "../../up", "a/b", "a\x00b", "line\nline", "ünï", "x" * 5000, "A", "CON"]
)  # fmt: skip
def test_a_name_is_of_any_content(store: SharedTokens, name: str, odd: str) -> None:
    odd = odd + name[:8] if odd in {"A", "ünï"} else odd
    entry = name.encode()
    store.forget(odd)
    owner = secrets.token_hex(8) + odd
    fence = lease(store, odd, owner)
    store.write(odd, entry, fence=fence, seconds=LONG)
    store.renew(odd, owner=owner, seconds=LONG)
    store.release(odd, owner=owner)

    assert store.load(odd) == entry
    assert store.load(odd + " ") is None


def test_names_that_differ_in_case_alone_are_two(store: SharedTokens, name: str) -> None:
    store.swap("a" + name, None, b"small", seconds=LONG)
    store.swap("A" + name, None, b"large", seconds=LONG)

    assert (store.load("a" + name), store.load("A" + name)) == (b"small", b"large")


@pytest.mark.parametrize("seconds", [1e300, float("inf")])
def test_an_entry_may_be_for_ever(store: SharedTokens, name: str, seconds: float) -> None:
    store.swap(name, None, b"entry", seconds=seconds)

    assert store.load(name) == b"entry"


# Swap and forget


def test_a_swap_takes_place_for_exactly_what_was_there(store: SharedTokens, name: str) -> None:
    assert store.swap(name, b"old", b"new", seconds=LONG) is None
    assert store.swap(name, None, b"first", seconds=LONG) == b"first"
    assert store.swap(name, None, b"second", seconds=LONG) == b"first"
    assert store.swap(name, b"firs", b"second", seconds=LONG) == b"first"
    assert store.swap(name, b"first", b"second", seconds=LONG) == b"second"
    assert store.load(name) == b"second"


def test_a_swap_does_not_need_a_lease_and_does_not_take_one(store: SharedTokens, name: str) -> None:
    fence = lease(store, name)
    store.swap(name, None, b"entry", seconds=LONG)

    store.renew(name, owner="one", seconds=LONG)
    store.write(name, b"written", fence=fence, seconds=LONG)
    assert store.load(name) == b"written"


def test_forgetting_compares(store: SharedTokens, name: str) -> None:
    store.swap(name, None, b"entry", seconds=LONG)
    store.forget(name, b"another")
    assert store.load(name) == b"entry"
    store.forget(name, b"entry")
    assert store.load(name) is None
    store.forget(name, b"entry")

    store.swap(name, None, b"whatever", seconds=LONG)
    store.forget(name)
    assert store.load(name) is None


def test_one_of_many_threads_wins_each_round(shared: Shared, name: str) -> None:
    stores = [shared.open() for _ in range(4)]
    old: bytes | None = None
    with ThreadPoolExecutor(4) as threads:
        for number in range(10):
            new = [b"%d from %d" % (number, one) for one in range(4)]

            def swap(one: int, old: bytes | None = old, new: list[bytes] = new) -> bytes | None:
                return stores[one].swap(name, old, new[one], seconds=LONG)

            outcomes = list(threads.map(swap, range(4)))
            assert len(set(outcomes)) == 1, "all see the one that won"
            old = outcomes[0]
            assert old in new
            assert shared.opened[0].load(name) == old


@among_processes
def test_swaps_of_several_processes_lose_nothing(shared: Shared, name: str) -> None:
    with others(2, shared.kind, shared.where, "count_up", name, "20") as counting:
        for one in counting:
            one.go()
        assert [one.says() for one in counting] == ["done"] * 2

    assert (shared.open().load(name) or b"").split()[0] == b"40"


# Leases


def test_one_at_a_time_has_the_lease(shared: Shared, name: str) -> None:
    one, another = shared.open(), shared.open()
    lease(one, name, "one")

    assert another.lease(name, owner="another", seconds=LONG) is None
    one.release(name, owner="another")
    assert another.lease(name, owner="another", seconds=LONG) is None
    one.release(name, owner="one")
    assert another.lease(name, owner="another", seconds=LONG) is not None
    assert one.lease(name + "x", owner="one", seconds=LONG) is not None


def test_the_owner_of_a_lease_who_asks_again_gets_a_later_one(
    store: SharedTokens, name: str
) -> None:
    """Its first answer may have been lost on the way."""
    first = lease(store, name)

    assert lease(store, name) > first


def test_one_of_many_threads_gets_the_lease(shared: Shared, name: str) -> None:
    stores = [shared.open() for _ in range(3)]
    with ThreadPoolExecutor(12) as threads:
        fences = list(
            threads.map(
                lambda one: stores[one % 3].lease(name, owner=str(one), seconds=LONG), range(12)
            )
        )

    assert len([fence for fence in fences if fence is not None]) == 1


@among_processes
def test_one_of_many_processes_gets_the_lease(shared: Shared, name: str) -> None:
    with others(3, shared.kind, shared.where, "hold", name, str(LONG)) as racing:
        for one in racing:
            one.go()
        fences = [one.says() for one in racing]

    assert len([fence for fence in fences if fence is not None]) == 1


def test_a_lease_ends_by_itself_and_not_before(shared: Shared, name: str) -> None:
    one, another = shared.open(), shared.open()
    until = Deadline(0.4)
    lease(one, name, "one", seconds=until.seconds)
    time.sleep(0.2)
    assert another.lease(name, owner="another", seconds=LONG) is None or until.over
    time.sleep(0.25)
    assert another.lease(name, owner="another", seconds=LONG) is not None


def test_a_lease_that_is_renewed_goes_on(store: SharedTokens, name: str) -> None:
    lease(store, name, seconds=0.4)
    store.renew(name, owner="one", seconds=LONG)
    time.sleep(0.45)

    assert store.lease(name, owner="another", seconds=LONG) is None


def test_a_lease_that_ended_is_not_renewed(store: SharedTokens, name: str) -> None:
    with pytest.raises(LeaseLost):
        store.renew(name, owner="nobody", seconds=LONG)
    lease(store, name, seconds=0.05)
    time.sleep(0.1)
    with pytest.raises(LeaseLost):
        store.renew(name, owner="one", seconds=LONG)

    lease(store, name, "another")
    with pytest.raises(LeaseLost):
        store.renew(name, owner="one", seconds=LONG)
    store.release(name, owner="one")
    store.renew(name, owner="another", seconds=LONG)
    store.release(name, owner="another")
    with pytest.raises(LeaseLost):
        store.renew(name, owner="another", seconds=LONG)


def test_releasing_what_one_never_had_is_harmless(store: SharedTokens, name: str) -> None:
    store.release(name, owner="one")
    store.release(name, owner="one")

    assert store.load(name) is None


def test_fences_grow(shared: Shared, name: str) -> None:
    one, another = shared.open(), shared.open()
    fences = []
    for _ in range(5):
        for store, owner in ((one, "one"), (another, "another")):
            fences.append(lease(store, name, owner))
            store.release(name, owner=owner)

    assert fences == sorted(set(fences))


def test_a_write_that_comes_late_is_refused(store: SharedTokens, name: str) -> None:
    early = lease(store, name, seconds=0.05)
    time.sleep(0.1)
    late = lease(store, name, "another", seconds=0.05)
    with pytest.raises(StaleFence):
        store.write(name, b"early", fence=early, seconds=LONG)
    store.write(name, b"late", fence=late, seconds=0.1)
    with pytest.raises(StaleFence):
        store.write(name, b"early", fence=early, seconds=LONG)
    time.sleep(0.15)

    assert store.load(name) is None
    with pytest.raises(StaleFence):
        store.write(name, b"early", fence=early, seconds=LONG)
    store.forget(name)
    with pytest.raises(StaleFence):
        store.write(name, b"early", fence=early, seconds=LONG)
    store.write(name, b"late again", fence=late, seconds=LONG)
    assert store.load(name) == b"late again"


# Waiting


def waited(store: SharedTokens, name: str, seconds: float, then: Callable[[], object]) -> float:
    """How long a wait took; `then` is done a little after it began."""
    timer = threading.Timer(0.15, then)
    began = time.monotonic()
    timer.start()
    try:
        store.wait(name, seconds)
        return time.monotonic() - began
    finally:
        timer.join()


def test_a_wait_ends_when_the_lease_is_given_back(shared: Shared, name: str) -> None:
    one, another = shared.open(), shared.open()
    lease(one, name)

    assert 0.1 < waited(another, name, 20, lambda: one.release(name, owner="one")) < 10


def test_a_wait_ends_when_the_lease_does(store: SharedTokens, name: str) -> None:
    began = time.monotonic()
    lease(store, name, seconds=0.3)
    store.wait(name, 20)

    assert 0.25 < time.monotonic() - began < 10


def test_a_wait_ends_when_an_entry_is_there(shared: Shared, name: str) -> None:
    one, another = shared.open(), shared.open()
    fence = lease(one, name)

    def write() -> None:
        one.write(name, b"entry", fence=fence, seconds=LONG)

    assert 0.1 < waited(another, name, 20, write) < 10


def test_a_wait_is_no_longer_than_it_is_told(store: SharedTokens, name: str) -> None:
    lease(store, name)
    began = time.monotonic()
    store.wait(name, 0.2)

    assert 0.15 < time.monotonic() - began < 5


def test_nobody_waits_where_nobody_has_the_lease(store: SharedTokens, name: str) -> None:
    """It was given back between the look and the wait: the one who waits would miss it."""
    began = time.monotonic()
    store.wait(name, 20)

    assert time.monotonic() - began < 10


# Killed, forked, closed


@among_processes
def test_a_lease_whose_holder_was_killed_ends(shared: Shared, name: str) -> None:
    store = shared.open()
    with others(1, shared.kind, shared.where, "hold", name, "0.8") as (holder,):
        until = Deadline(0.8)
        holder.go()
        killed = holder.says()
        holder.kill()
    assert isinstance(killed, int)
    assert store.lease(name, owner="next", seconds=LONG) is None or until.over
    store.wait(name, 0.8)

    assert lease(store, name, "next") > killed


@among_processes
def test_writers_that_are_killed_leave_whole_entries_and_no_locks(
    shared: Shared, name: str
) -> None:
    store = shared.open()
    for number in range(2):
        with others(2, shared.kind, shared.where, "write_on", name, "50000") as writers:
            for one in writers:
                one.go()
            time.sleep(0.1 + 0.1 * number)
    entry = store.load(name)
    assert entry is not None
    assert is_whole(entry)
    began = time.monotonic()
    new = whole(10)

    assert store.swap(name, entry, new, seconds=LONG) in {new, store.load(name)}
    assert time.monotonic() - began < 10
    time.sleep(0.25)  # so long do their leases last
    lease(store, name, "next")


def in_child(what: Callable[[], bool]) -> int:
    child = os.fork()
    if child == 0:
        # Whatever happens, the child must not return into the parent's test run.
        try:
            os._exit(0 if what() else 1)
        finally:
            os._exit(2)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


@among_processes
def test_a_store_goes_on_in_a_forked_process(shared: Shared, name: str) -> None:
    store = shared.open()
    store.swap(name, None, b"parent", seconds=LONG)

    def child() -> bool:
        return (
            store.load(name) == b"parent"
            and store.swap(name, b"parent", b"child", seconds=LONG) == b"child"
            and store.lease(name, owner="child", seconds=LONG) is not None
        )

    assert in_child(child) == 0
    assert store.load(name) == b"child"
    assert store.lease(name, owner="parent", seconds=LONG) is None
    assert store.swap(name, b"child", b"parent again", seconds=LONG) == b"parent again"


def test_a_store_serves_several_event_loops(shared: Shared, name: str) -> None:
    store = shared.open()

    async def one() -> list[bytes | None]:
        return await asyncio.gather(*(asyncio.to_thread(store.load, name) for _ in range(5)))

    store.swap(name, None, b"entry", seconds=LONG)
    with ThreadPoolExecutor(2) as threads:
        found = list(threads.map(lambda _: asyncio.run(one()), range(2)))

    assert found == [[b"entry"] * 5] * 2


def test_a_closed_store_says_so(shared: Shared, name: str) -> None:
    store = shared.open()
    store.load(name)
    store.close()
    store.close()

    calls: list[Callable[[], object]] = [
        lambda: store.load(name),
        lambda: store.lease(name, owner="one", seconds=1),
        lambda: store.renew(name, owner="one", seconds=1),
        lambda: store.release(name, owner="one"),
        lambda: store.write(name, b"", fence=1, seconds=1),
        lambda: store.swap(name, None, b"", seconds=1),
        lambda: store.forget(name),
        lambda: store.wait(name, 1),
    ]
    for call in calls:
        with pytest.raises(StoreUnavailable):
            call()
