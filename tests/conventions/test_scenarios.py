"""The numbers in tests' names: explained, and the promised ones really there."""

import re
from pathlib import Path

from mintmark.demo.check import STEPS

ROOT = Path(__file__).parents[2]
NUMBER = re.compile(r"\b([SW])-(\d{2,3})\b")
IN_NAME = re.compile(r"(?<=_)([sw])(\d{2,3})(?=_)")
WEAKNESSES = (
    *range(1, 29), 35, 46, 48, *range(54, 74), 79, *range(82, 91), 97, 101, 102,
)  # fmt: skip
SCENARIOS = (*range(1, 13), 14, 15, *range(19, 42), 43, 47)
PROMISED = {f"W-{number:02}" for number in WEAKNESSES} | {f"S-{number:02}" for number in SCENARIOS}


def all_tests() -> str:
    return "\n".join(path.read_text() for path in (ROOT / "tests").rglob("*.py"))


def names() -> set[str]:
    """Every number that the name of a test carries."""
    found = re.findall(r"def (test_\w+)", all_tests())
    steps = [f"test_{step.__name__}" for step in STEPS]
    return {f"{m[1].upper()}-{m[2]}" for name in [*found, *steps] for m in IN_NAME.finditer(name)}


def explained() -> set[str]:
    text = (ROOT / "docs" / "scenarios.md").read_text()
    return {
        f"{kind}-{number}"
        for kind, number in re.findall(r"^\| ([SW])-(\d+) \|", text, re.MULTILINE)
    }


def test_every_number_that_is_used_is_explained() -> None:
    used = {f"{m[1]}-{m[2]}" for m in NUMBER.finditer(all_tests())} | names()

    assert used - explained() == set()


def test_every_promised_number_has_a_test_that_names_it() -> None:
    assert PROMISED - names() == set()
