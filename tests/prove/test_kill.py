"""`kill -9` of the token server in the middle of 1,000 refreshes."""

from pathlib import Path

import pytest
from tests.flows.kill_server import refresh_while_it_dies, require_nothing_lost
from tests.serving import Folder


@pytest.mark.prove
@pytest.mark.timeout(1800)
def test_a_thousand_refreshes_and_twenty_five_deaths(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    try:
        outcome = refresh_while_it_dies(folder, refreshes=1_000, kills=25, users=8)
        require_nothing_lost(folder, outcome)
    finally:
        folder.kill()

    assert outcome.kills == 25
    assert outcome.refreshes >= 1_000
