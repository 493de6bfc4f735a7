"""S-47: nothing that this run logs, prints, warns or raises shows a secret.

Every `Secret` made during the run is remembered, by its value and, for a signed token, by its
signature. Every log record, warning, printed line and traceback is searched for all of them when
its test ends; a finding fails that test and names the place, never the value.
"""

import logging
import re
from collections.abc import Generator
from typing import Any

import pytest

from mintmark.secret import Secret

CANDIDATE = re.compile(r"[A-Za-z0-9_\-]{16,}")
SHORTEST = 16  # shorter values are words that people chose for a test

_known: set[str] = set()
_records: list[tuple[str, str]] = []


def remember(value: str) -> None:
    """Keep what must not be seen again: each long piece of the value by itself."""
    if value.count(".") == 2 and value.startswith("ey"):
        # Header and payload of a token are no secrets of their own, and many tokens share them.
        value = value.rpartition(".")[2]
    _known.update(piece for piece in CANDIDATE.findall(value) if len(piece) >= SHORTEST)


def leaks_in(text: str) -> list[str]:
    """The lines that show a secret, with the secret taken out."""
    found = []
    for line in text.splitlines():
        shown = [piece for piece in CANDIDATE.findall(line) if piece in _known]
        if shown:
            for piece in shown:
                line = line.replace(piece, "<SECRET>")
            found.append(line[:300])
    return found


class _Recorder(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        _records.append((record.name, self.format(record)))


def pytest_configure(config: pytest.Config) -> None:
    """Watch from the start of the run, in each worker by itself."""
    original = Secret.__init__

    def remembering(self: Secret, value: str) -> None:
        original(self, value)
        remember(value)

    Secret.__init__ = remembering  # type: ignore[method-assign]  # -- the one hook there is
    logging.getLogger().addHandler(_Recorder())
    logging.getLogger().setLevel(logging.INFO)
    logging.getLogger("mintmark").setLevel(logging.DEBUG)
    # The test browser's addresses hold codes and states, as every browser's do; its HTTP library
    # logs them, and no part of the product uses it for such addresses.
    logging.getLogger("httpx2").setLevel(logging.WARNING)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[Any]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Search what this test has said."""
    report = yield
    texts = [("traceback", report.longreprtext)]
    texts += [(title, text) for title, text in report.sections]
    if report.when == "teardown":
        texts += _records
        _records.clear()
    leaks = [f"{place}: {line}" for place, text in texts for line in leaks_in(text)]
    if leaks and "planted_leak" not in item.keywords:
        report.outcome = "failed"
        report.longrepr = "a secret was shown (S-47):\n" + "\n".join(leaks[:10])
    return report
