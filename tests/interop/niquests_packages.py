"""niquests and what it stands on, in a folder of their own that git ignores."""

import hashlib
import os
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
    uv = Path(sys.executable).with_name("uv")
    if not uv.exists():
        missing("uv")
    done = subprocess.run(
        [str(uv), "pip", "install", "--quiet", "--python", sys.executable, "--target", str(folder),
         "--only-binary", ":all:", "--require-hashes", "-r", str(WANTED)],
        env=os.environ | {"UV_LINK_MODE": "copy"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        print(done.stderr[-500:])  # noqa: T201 -- shown beside the failure
        missing("niquests", "it is fetched from the package index by the first test that needs it")
