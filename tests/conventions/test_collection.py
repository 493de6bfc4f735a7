"""Two processes that share the tests must see the same ones, under the same names."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def collected(seed: str) -> list[str]:
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:randomly",
               "-p", "no:cacheprovider", "tests"]  # fmt: skip
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-1000:]
    return [line for line in done.stdout.splitlines() if "::" in line]


def test_a_tests_name_is_the_same_in_every_process() -> None:
    """A fresh key, or the order of a set, in a name: the run would end before it began."""
    first, second = collected("1"), collected("2")

    assert len(first) > 1000
    assert [pair for pair in zip(first, second, strict=True) if pair[0] != pair[1]] == []
