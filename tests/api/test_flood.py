"""Attack list N1 and N3: memory under tokens of which no two are alike."""

import gc
import tracemalloc
from collections.abc import Iterator

import pytest
from tests.api.flood import flood

from mintmark.api import Gate, validate
from mintmark.jose import jws
from mintmark.protocol import access_token
from mintmark.testing import FakeAuthority

FEW = 40


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memories that are full after a moment, so that what grows beyond them shows."""
    monkeypatch.setattr(validate, "MAX_REMEMBERED", FEW)
    for module, limit, memory in (
        (jws, "_MAX_HEADERS", "_headers"),
        (access_token, "_MAX_SCOPES", "_scopes_read"),
    ):
        monkeypatch.setattr(module, limit, FEW)
        monkeypatch.setattr(module, memory, {})


@pytest.fixture
def traced() -> Iterator[None]:
    tracemalloc.start()
    yield
    tracemalloc.stop()


@pytest.mark.usefixtures("small")
async def test_n1_n3_every_memory_has_its_bound(gate: Gate, authority: FakeAuthority) -> None:
    assert await flood(gate, authority, 3 * FEW) == 3 * FEW

    held = (gate.admission.validator._seen, jws._headers, access_token._scopes_read)
    assert len(held[0]) == FEW
    assert all(0 < len(memory) <= FEW for memory in held)


@pytest.mark.usefixtures("small", "traced")
async def test_n1_n3_five_hundred_more_leave_nothing_behind(
    gate: Gate, authority: FakeAuthority
) -> None:
    """Whatever is kept, and wherever: a caller, its claims and its digest alone are 2 kB."""
    await flood(gate, authority, 2 * FEW)
    gc.collect()
    before, _ = tracemalloc.get_traced_memory()
    await flood(gate, authority, 500)
    gc.collect()
    after, _ = tracemalloc.get_traced_memory()

    assert after - before < 100_000
