"""The cron job of the guide, run as it is printed, by one process after the other."""

import subprocess
import sys
from pathlib import Path

from tests.conventions.test_docs import ROOT, blocks
from tests.invented_hosts import ORDERS, invented_hosts

from mintmark.testing import FakeAuthority

PAGE = ROOT / "docs" / "guides" / "tokens-in-a-cron-job.md"


def test_each_run_makes_its_call_and_only_the_first_asks_for_a_token(tmp_path: Path) -> None:
    folder_and_key, the_client, *_ = blocks(PAGE, "python")
    job = tmp_path / "job.py"
    job.write_text(folder_and_key.code + the_client.code)
    authority = FakeAuthority()

    with invented_hosts(tmp_path / "hosts", authority) as environment:
        runs = [
            subprocess.run(
                [sys.executable, "-W", "error", str(job)],
                env=environment,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            for _ in range(3)
        ]

    assert [one.stderr for one in runs if one.returncode] == []
    assert [one.stdout for one in runs] == [f"{ORDERS}\n"] * 3
    authority.require_count("client_credentials", 1)
