"""Other people's clients, installed beside the project and measured in a process of their own."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, final

__all__ = ["LIBRARIES", "Peers", "peers"]

FOLDER: Final = Path(__file__).parent / "peers"
ENVIRONMENT: Final = FOLDER / ".venv"
LIBRARIES: Final = ("msal", "httpx-auth", "Authlib", "requests-oauthlib")


@final
class Peers:
    """Does one thing at a time, and says how long it took."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def held(self, library: str, calls: int) -> float:
        """Microseconds for one hand-out of a held token."""
        return self._asked(f"held {library} {calls}")

    def cold(self, library: str, threads: int) -> float:
        """Milliseconds until so many threads have their first token."""
        return self._asked(f"cold {library} {threads}")

    def _asked(self, line: str) -> float:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the peers' process ended at {line!r}")
        return float(answer)


@contextmanager
def peers(issuer: str) -> Iterator[Peers]:
    """They ask this server for tokens for as long as the block lasts."""
    command = [str(_python()), str(FOLDER / "clients.py"), issuer]
    # Two of them refuse http unless this is set; the server is on loopback.
    environment = {"PATH": os.environ["PATH"], "OAUTHLIB_INSECURE_TRANSPORT": "1"}
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    )
    try:
        assert process.stdout is not None
        if process.stdout.readline() != "ready\n":
            raise RuntimeError("the peers' process did not start")
        yield Peers(process)
    finally:
        process.terminate()
        process.communicate(timeout=20)


def _python() -> Path:
    """The Python of their environment, which is made anew when what belongs into it has changed."""
    wanted, stamp = FOLDER / "requirements.txt", ENVIRONMENT / ".ready"
    digest = hashlib.sha256(wanted.read_bytes()).hexdigest()
    python = ENVIRONMENT / "bin" / "python"
    if not stamp.exists() or stamp.read_text() != digest:
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(ENVIRONMENT)], check=True)
        install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*install, "--require-hashes", "-r", str(wanted)], check=True)
        stamp.write_text(digest)
    return python
