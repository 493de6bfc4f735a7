"""`kill -9` of processes that write to a folder of tokens, 1,000 times."""

from pathlib import Path

import pytest
from tests.stores.dying import kill_writers


@pytest.mark.prove
@pytest.mark.timeout(1800)
def test_a_thousand_deaths_leave_whole_entries(tmp_path: Path) -> None:
    kill_writers(tmp_path / "tokens", kills=1_000)
