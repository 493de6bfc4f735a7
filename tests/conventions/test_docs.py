"""Every block of code in the README and the guides runs, as it stands there."""

import re
import secrets
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.invented_hosts import invented_hosts
from tests.serving import Folder

from mintmark.app import Settings, require_usable
from mintmark.secret import Secret
from mintmark.server.accounts import hash_password

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs" / "guides").glob("*.md"))]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#]+)[^)]*\)")
LANGUAGES = {"python", "sh", "toml", "text"}


@dataclass(frozen=True)
class Block:
    language: str
    line: int
    code: str


def blocks(page: Path, language: str) -> Iterator[Block]:
    text = page.read_text()
    for found in FENCE.finditer(text):
        if found.group(1) == language:
            yield Block(language, text.count("\n", 0, found.start()) + 1, found.group(2))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_python_of_a_page_runs_from_top_to_bottom(page: Path, tmp_path: Path) -> None:
    """In one process, warnings as errors; a traceback shows the page's own line numbers."""
    lines: list[str] = []
    for block in blocks(page, "python"):
        lines += [""] * (block.line - len(lines)) + block.code.splitlines()
    script = tmp_path / f"{page.stem}.py"
    script.write_text("\n".join(lines) + "\n")
    with invented_hosts(tmp_path / "hosts") as environment:
        done = subprocess.run(
            [sys.executable, "-W", "error", script.name], env=environment,
            cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_has_no_block_that_nobody_runs(page: Path) -> None:
    languages = {found.group(1) for found in FENCE.finditer(page.read_text())}

    assert languages <= LANGUAGES
    assert languages & {"python", "sh", "toml"}


@pytest.fixture
def settings(tmp_path: Path) -> tuple[Path, dict[str, str]]:
    """The settings of the server's guide, and an environment that goes with them."""
    block, *_ = blocks(ROOT / "docs" / "guides" / "run-a-server.md", "toml")
    config = tmp_path / "mintmark.toml"
    config.write_text(block.code)
    names = ("MINTMARK_MASTER_KEY", "SHOP_SECRET", "REPORTS_SECRET")
    environment = {name: secrets.token_urlsafe(32) for name in names}
    environment["XDG_STATE_HOME"] = str(tmp_path / "state")
    environment["ALICE_HASH"] = hash_password(Secret("wonderland"))
    return config, environment


def test_what_the_guide_adds_to_them_goes_with_them(
    settings: tuple[Path, dict[str, str]],
) -> None:
    config, environment = settings
    parts = blocks(ROOT / "docs" / "guides" / "run-a-server.md", "toml")
    config.write_text("\n".join(block.code for block in parts))
    for name in ("BASKETS_SECRET", "PARTNER_SECRET", "BANK_SECRET"):
        environment[name] = secrets.token_urlsafe(32)
    made = require_usable(Settings.load(config), config.parent, environment)

    assert set(made.clients.clients) == {
        "shop", "reports", "baskets-api", "partner-job", "bank", "tv",
    }  # fmt: skip
    assert set(made.issuers) == {"https://partner.example"}


def test_the_settings_of_the_guide_are_usable(settings: tuple[Path, dict[str, str]]) -> None:
    config, environment = settings
    parts = require_usable(Settings.load(config), config.parent, environment)

    assert set(parts.clients.clients) == {"shop", "reports"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_commands_of_a_page_work(page: Path, settings: tuple[Path, dict[str, str]]) -> None:
    """`make` targets exist; `mintmark` commands end well, or serve until they are stopped."""
    config, environment = settings
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for block in blocks(page, "sh"):
        for line in block.code.splitlines():
            words = line.partition("#")[0].split()
            if words[:1] == ["make"]:
                assert words[1] in targets
            elif words[:2] == ["mintmark", "serve"]:
                with Folder(config.parent, environment).running():
                    pass
            else:
                said = ""
                for command in line.partition("#")[0].split(" | "):
                    program, *arguments = command.split()
                    assert program == "mintmark"
                    done = Folder(config.parent, environment).run(*arguments, input=said)
                    assert done.returncode == 0, done.stderr
                    said = done.stdout


@pytest.mark.parametrize(
    "page", [*PAGES, *sorted((ROOT / "docs" / "decisions").glob("*.md")),
             ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", ROOT / "docs" / "scenarios.md"],
    ids=lambda page: page.name,
)  # fmt: skip
def test_no_link_leads_nowhere(page: Path) -> None:
    for target in LINK.findall(page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_the_readme_leads_to_every_guide() -> None:
    linked = set(LINK.findall((ROOT / "README.md").read_text()))

    assert {f"docs/guides/{page.name}" for page in PAGES[1:]} - linked == set()
