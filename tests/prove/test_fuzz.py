"""Ten minutes of hostile octets, shared among all readers.

By hypothesis, which knows what a token is made of. `test_fuzz_branches.py` has another ten
minutes of atheris, which follows the branches of the code.
"""

import time
from collections import Counter

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from tests.api.readers import READERS, Reader

SECONDS = 600 / len(READERS)


@pytest.mark.prove
@pytest.mark.timeout(300)
@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
def test_a_reader_for_its_share_of_ten_minutes(reader: Reader) -> None:
    outcomes: Counter[str] = Counter()

    @settings(
        max_examples=2_000,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(reader.inputs)
    def a_round(value: bytes) -> None:
        started = time.perf_counter()
        try:
            reader.read(value)
            outcomes["read"] += 1
        except reader.ours:
            outcomes["refused"] += 1
        # Bounded time: a pattern that runs away is as good as an outage.
        assert time.perf_counter() - started < 5

    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        a_round()

    assert outcomes.total() >= 2_000
    assert outcomes["read"]
    assert outcomes["refused"] or not reader.ours
