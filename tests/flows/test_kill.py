"""The short version of `tests/prove/test_kill.py`: forty refreshes, three deaths."""

from pathlib import Path

from tests.flows.kill_server import refresh_while_it_dies, require_nothing_lost
from tests.serving import Folder


def test_a_killed_server_has_kept_what_it_answered(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    try:
        outcome = refresh_while_it_dies(folder, refreshes=60, kills=3, users=4)
        require_nothing_lost(folder, outcome)
    finally:
        folder.kill()

    assert outcome.kills == 3
    assert outcome.refreshes >= 60
