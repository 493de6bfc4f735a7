"""Writes the generated pages, or with `--check` says which of them are old."""

import sys
from pathlib import Path

from tools import citations, events, names

ROOT = Path(__file__).parent.parent


def main() -> int:
    pages = citations.pages() | {
        "docs/public-names.txt": names.page(),
        "docs/events.md": events.page(),
    }
    wrong = [f"{line}: cited, but no test names it" for line in citations.untested()]
    if "--check" in sys.argv:
        old = [name for name, text in pages.items() if _read(ROOT / name) != text]
        wrong += [f"{name}: old; run make spec and look at the difference" for name in old]
    else:
        for name, text in pages.items():
            (ROOT / name).parent.mkdir(parents=True, exist_ok=True)
            (ROOT / name).write_text(text, "utf-8")
    print("\n".join(wrong))
    return 1 if wrong else 0


def _read(path: Path) -> str:
    return path.read_text("utf-8") if path.exists() else ""


if __name__ == "__main__":
    sys.exit(main())
