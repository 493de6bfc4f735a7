"""Ten minutes of octets that follow the branches of our code, shared among all readers.

atheris runs in an environment of its own and in a process for each reader (`fuzz_readers.py`), with
the same readers as the fuzzing by hypothesis. What is compiled, as msgspec, it sees from outside.
"""

import os
import re
import subprocess
from pathlib import Path

import pytest
from tests.api.readers import READERS, Reader

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".fuzz" / "bin" / "python"
SECONDS = max(1, round(600 / len(READERS)))


@pytest.mark.prove
@pytest.mark.timeout(120)
@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
def test_no_branch_of_a_reader_lets_out_a_foreign_exception(reader: Reader, tmp_path: Path) -> None:
    if not PYTHON.exists():
        assert "CI" not in os.environ, "tools/fuzzing.sh could not install atheris"
        pytest.skip("atheris is not installed: tools/fuzzing.sh")
    found = tmp_path / "found"
    found.mkdir()
    done = subprocess.run(
        [PYTHON, "-W", "ignore", "-m", "tests.prove.fuzz_readers", reader.name, found,
         f"-max_total_time={SECONDS}", f"-artifact_prefix={tmp_path}/"],
        cwd=ROOT, capture_output=True, text=True, timeout=100, check=False,
        env=os.environ | {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"},
    )  # fmt: skip

    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-2000:]
    units = re.search(r"number_of_executed_units: (\d+)", done.stderr)
    assert units is not None
    assert int(units.group(1)) >= 1_000
