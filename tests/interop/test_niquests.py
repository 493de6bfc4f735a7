"""niquests, sync and async, by the rules of every other HTTP library, in a process of its own.

Its urllib3-future takes the place of urllib3, which requests stands on. So it is installed into a
folder of its own, and only that process has the folder on its path.
"""

import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from tests.interop.niquests_packages import packages

ROOT = Path(__file__).parents[2]
FILES = ("test_attachment.py", "test_dpop.py", "niquests_alone.py")
CALLER = re.compile(r"\[.*?(niquests(?:-requests|-async)?)\b")
# At least so many tests of each, lest a rule be lost by another name.
RULES = {"niquests": 34, "niquests-requests": 34, "niquests-async": 34, "alone": 9}

pytestmark = [pytest.mark.xdist_group("niquests"), pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def passed(tmp_path_factory: pytest.TempPathFactory) -> Counter[str]:
    """How many tests passed there, if all of them did."""
    report = tmp_path_factory.mktemp("niquests") / "report.xml"
    path = os.pathsep.join(filter(None, [str(packages()), os.environ.get("PYTHONPATH")]))
    files = [str(Path("tests") / "client" / name) for name in FILES]
    options = ["-q", "-p", "no:cacheprovider", "-k", "niquests", f"--junitxml={report}"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *files],
        env=os.environ | {"PYTHONPATH": path}, cwd=ROOT,
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    # The report is written after the last test. What is found unclosed at the very end of such a
    # process, niquests' or a plugin's, would fail it now and then, and says nothing of a rule.
    assert report.exists(), done.stdout[-3000:] + done.stderr[-1000:]
    cases = list(ET.parse(report).iter("testcase"))  # noqa: S314 -- our own pytest wrote it
    ours = [case for case in cases if not len(case)]
    assert len(ours) == len(cases), done.stdout[-3000:]
    callers = (CALLER.search(case.get("name") or "") for case in ours)
    return Counter(found[1] if found else "alone" for found in callers)


@pytest.mark.parametrize(("caller", "least"), RULES.items(), ids=str)
def test_a_niquests_session_keeps_every_rule(passed: Counter[str], caller: str, least: int) -> None:
    """`requests_auth()` on a session of it, too; and what is particular about it alone."""
    assert passed[caller] >= least
