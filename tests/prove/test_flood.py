"""Memory at its real bounds, under 60,000 valid tokens and 240,000 others, no two of them alike."""

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.api.conftest import API
from tests.api.flood import flood

from mintmark.api import Gate, TrustedIssuer
from mintmark.api.validate import MAX_REMEMBERED
from mintmark.testing import FakeAuthority, FrozenClock

STATM = Path("/proc/self/statm")


@pytest.fixture
def gate(authority: FakeAuthority, clock: FrozenClock) -> Iterator[Gate]:
    authority.clock = clock
    trusted = TrustedIssuer(issuer=authority.issuer, audience=API, policy=authority.policy)
    made = Gate(API, issuers=[trusted], clock=clock)
    yield made
    made.close()


def resident() -> int:
    """Octets of this process, those of libraries in C among them."""
    gc.collect()
    return int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.prove
@pytest.mark.timeout(1800)
@pytest.mark.skipif(not STATM.exists(), reason="this system does not say how much memory it gave")
async def test_memory_is_flat_once_it_is_full(
    gate: Gate, authority: FakeAuthority, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("CRITICAL", "mintmark")  # pytest keeps every line that is logged
    await flood(gate, authority, MAX_REMEMBERED + 5_000)
    full = resident()
    await flood(gate, authority, 60_000)

    assert len(gate.admission.validator._seen) == MAX_REMEMBERED
    # Kept, they would be 120 MB.
    assert resident() - full < 12_000_000
