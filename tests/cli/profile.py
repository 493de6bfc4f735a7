"""A project's folder, a user's profile beside it, and `mintmark` run there."""

import io
import subprocess
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from mintmark.cli.__main__ import main

__all__ = ["API", "STATUS_REFUSED", "STATUS_TOKEN", "Profile", "one_line"]

API = "https://api.example"
STATUS_TOKEN, STATUS_REFUSED = 9, 10

Done = subprocess.CompletedProcess[str]


class Profile:
    """Where `mintmark token` runs: everything of it is under one temporary folder.

    It runs in this process, which is a hundred times as quick, and where the scan for secrets
    knows every token that it makes.
    """

    def __init__(self, path: Path) -> None:
        self.project = path / "orders"
        self.project.mkdir()
        self.state = path / "state"
        self.environment = {"XDG_STATE_HOME": str(self.state), "HOME": str(path / "home")}

    def run(self, *arguments: str, text: str | bytes = "") -> Done:
        """Run a command to its end."""
        octets = text if isinstance(text, bytes) else text.encode()
        output, errors, status = io.StringIO(), io.StringIO(), 0
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(self.project)
            patch.delenv("MINTMARK_ENVIRONMENT", raising=False)
            for name, value in self.environment.items():
                patch.setenv(name, value)
            patch.setattr("sys.argv", ["mintmark", *arguments])
            patch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(octets)))
            with redirect_stdout(output), redirect_stderr(errors):
                try:
                    main()
                except SystemExit as end:
                    status = int(end.code or 0)
        return Done(arguments, status, output.getvalue(), errors.getvalue())

    def good(self, *arguments: str, text: str | bytes = "") -> str:
        """What it prints when all goes well."""
        done = self.run(*arguments, text=text)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def token(self, *arguments: str) -> str:
        """A fresh token, of Alice unless it is said."""
        who = () if {"--application", "--subject"} & set(arguments) else ("--subject", "alice")
        return self.good("token", "create", *who, "--audience", API, *arguments)


def one_line(done: Done, status: int, *words: str) -> None:
    """One `error:` line, perhaps one hint, nothing of a traceback, and the status."""
    lines = [
        line
        for line in done.stderr.splitlines()
        if not line.startswith(("note: ", "WARNING ", "INFO "))
    ]
    assert done.returncode == status, done.stderr
    assert len(lines) in {1, 2}, done.stderr
    assert lines[0].startswith("error: ")
    assert all(line.startswith("hint: ") for line in lines[1:])
    assert all(word in lines[0] for word in words), lines[0]
