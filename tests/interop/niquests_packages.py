"""niquests and what it stands on, in a folder of their own that git ignores."""

import hashlib
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from tests.services import missing

__all__ = ["packages"]

ROOT: Final = Path(__file__).parents[2]
WANTED: Final = Path(__file__).parent / "niquests" / "requirements.txt"
INSTALLED: Final = ROOT / ".niquests"


def packages() -> Path:
    """For `PYTHONPATH`. Installed when what belongs into it has changed."""
    stamp = INSTALLED / ".ready"
    this = f"{sys.version}{platform.machine()}".encode()
    digest = hashlib.sha256(WANTED.read_bytes() + this).hexdigest()
    if not stamp.exists() or stamp.read_text() != digest:
        # Beside it first: whoever is interrupted leaves no half of it.
        made = Path(tempfile.mkdtemp(prefix=".niquests-", dir=ROOT))
        try:
            _install(made)
            (made / ".ready").write_text(digest)
            shutil.rmtree(INSTALLED, ignore_errors=True)
            made.rename(INSTALLED)
        finally:
            shutil.rmtree(made, ignore_errors=True)
    return INSTALLED


def _install(folder: Path) -> None:
    # With pip, as `make` installs all the rest: whoever can do that can do this.
    done = subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
         "--target", str(folder), "--only-binary", ":all:", "--require-hashes", "-r", str(WANTED)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        print(done.stderr[-500:])  # noqa: T201 -- shown beside the failure
        missing("niquests", "it is fetched from the package index by the first test that needs it")
