"""Which sections of which specifications are cited where."""

import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Place", "collect", "pages", "untested"]

ROOT = Path(__file__).parent.parent

CITATION = re.compile(
    r"(?P<spec>RFC \d{4}|OIDC (?:Core|Discovery|RP-Initiated Logout))\s+"
    r"(?P<sections>§[\dA-Z.]+(?:\s\(\d+\))?(?:(?:,\s|-|\sand\s)(?:§[\dA-Z.]+|\(\d+\)))*)"
)
SECTION = re.compile(r"§([\dA-Z]+(?:\.\d+)*)")


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A line of a file, named from the project's root."""

    file: str
    line: int


def collect(folder: str) -> dict[tuple[str, str], list[Place]]:
    """Places by specification and section, for all Python files below a folder."""
    found: dict[tuple[str, str], list[Place]] = defaultdict(list)
    for path in sorted((ROOT / folder).rglob("*.py")):
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
            for match in CITATION.finditer(line):
                for section in SECTION.findall(match["sections"]):
                    place = Place(str(path.relative_to(ROOT)), number)
                    found[match["spec"], section].append(place)
    return found


def untested() -> list[str]:
    """Sections that the source cites and no test names."""
    tested = collect("tests")
    return [
        f"{spec} §{section}: {places[0].file}:{places[0].line}"
        for (spec, section), places in sorted(collect("src").items())
        if (spec, section) not in tested
    ]


def pages() -> dict[str, str]:
    """`docs/specs/*.md`: for each specification its sections, where they are obeyed and tested."""
    source, tests = collect("src"), collect("tests")
    written: dict[str, str] = {}
    for spec in sorted({spec for spec, _ in source}):
        sections = sorted((s for name, s in source if name == spec), key=_order)
        rows = [
            f"| §{section} | {_files(source[spec, section])} | {_files(tests.get((spec, section), []))} |"
            for section in sections
        ]
        head = f"# {spec}\n\nMade by `make spec` from the citations in the code.\n\n"
        table = "| section | obeyed in | tested in |\n|---|---|---|\n" + "\n".join(rows) + "\n"
        name = spec.lower().replace(" ", "-")
        written[f"docs/specs/{name}.md"] = head + table
    return written


def _files(places: list[Place]) -> str:
    return ", ".join(f"`{file}`" for file in sorted({place.file for place in places}))


def _order(section: str) -> tuple[tuple[int, str], ...]:
    return tuple((int(p), "") if p.isdigit() else (999, p) for p in section.split("."))
