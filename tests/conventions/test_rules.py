"""Rules of the house that a program can check."""

import ast
import dataclasses
import importlib
import pkgutil
import re
import statistics
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

import mintmark
from mintmark.secret import Secret

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "src" / "mintmark").rglob("*.py"))
PYTHON = [*SOURCES, *sorted((ROOT / "tests").rglob("*.py")), *sorted((ROOT / "tools").glob("*.py"))]
TEXTS = [
    path
    for path in (*ROOT.glob("*.*"), *(ROOT / "docs").rglob("*.md"), *PYTHON, ROOT / "Makefile",
                 *(ROOT / "bench").glob("*.py"), *(ROOT / "changelog.d").glob("*.md"))
    if path.is_file() and path.suffix != ".sqlite3"
]  # fmt: skip
DRAWERS = {"utils", "util", "helpers", "common", "core", "base", "misc"}
EXCUSE = re.compile(r"#\s*(type: ignore|noqa)(.*)")
EXPLAINED = re.compile(r"(\[[a-z-]+\]  # -- \S|: [A-Z]+\d+ -- \S)")


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def test_files_stay_below_350_lines() -> None:
    lengths = {path: len(path.read_text().splitlines()) for path in SOURCES}

    assert [path for path, length in lengths.items() if length > 350] == []
    assert statistics.median(lengths.values()) < 120


def test_functions_are_short() -> None:
    lengths = sorted(
        (node.end_lineno or 0) - node.lineno + 1 for path in SOURCES for node in functions(path)
    )

    assert statistics.median(lengths) <= 10
    assert lengths[int(len(lengths) * 0.95)] <= 35


def test_there_are_no_drawers() -> None:
    assert [path for path in PYTHON if DRAWERS & {path.stem, path.parent.name}] == []


def test_every_exception_to_a_check_names_its_code_and_its_reason() -> None:
    bare = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in PYTHON
        if path.name != "test_rules.py"
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if (found := EXCUSE.search(line)) and not EXPLAINED.match(found.group(2))
    ]
    assert bare == []


def test_time_comes_from_the_clock() -> None:
    raw = re.compile(r"\bdatetime\.now\(|\btime\.(time|monotonic|perf_counter)\(|\.utcnow\(")
    found = [path.name for path in SOURCES if raw.search(path.read_text())]

    assert found == ["clock.py"]


def test_randomness_comes_from_the_operating_system() -> None:
    """`random` spreads load in three places; nothing that must not be guessed comes from it."""
    users = {
        path.name
        for path in SOURCES
        if re.search(r"^import random", path.read_text(), re.MULTILINE)
    }

    assert users == {"issuer_keys.py", "renewal.py"}


def test_no_event_can_carry_a_secret() -> None:
    names = set()
    for module in pkgutil.walk_packages(mintmark.__path__, "mintmark."):
        if module.name.endswith(".events"):
            for event in vars(importlib.import_module(module.name)).values():
                if dataclasses.is_dataclass(event) and hasattr(event, "level"):
                    for field in dataclasses.fields(event):
                        assert field.type in {str, int, bool, float, timedelta}, (event, field.name)
                        assert field.type is not Secret
                    names.add(vars(event)["name"])
    assert len(names) > 20


@pytest.mark.parametrize(
    "word", ["/" + "work/", "/" + "home/", "/" + "root/", "/" + "tmp/", "pypi" + ".org",
             "npmjs" + ".org"]
)  # fmt: skip
def test_nothing_speaks_of_one_machine(word: str) -> None:
    assert [path.relative_to(ROOT) for path in TEXTS if word in path.read_text()] == []


def test_security_decisions_are_not_bools() -> None:
    """`require_x` raises; a function that says yes or no can be forgotten by its caller."""
    named = [
        f"{path.name}:{node.name}"
        for path in SOURCES
        for node in functions(path)
        if node.name.startswith(("require_", "check_", "verify_"))
        and isinstance(node.returns, ast.Name)
        and node.returns.id == "bool"
    ]
    assert named == []
