"""A project's folder, a user's profile beside it, and `mintmark` run there."""

import os
import subprocess
from pathlib import Path

from tests.serving import mintmark

__all__ = ["STATUS_REFUSED", "STATUS_TOKEN", "Profile", "one_line"]

STATUS_TOKEN, STATUS_REFUSED = 9, 10


class Profile:
    """Where `mintmark token` runs: everything of it is under one temporary folder."""

    def __init__(self, path: Path) -> None:
        self.project = path / "orders"
        self.project.mkdir()
        self.state = path / "state"
        self.environment = {"XDG_STATE_HOME": str(self.state), "HOME": str(path / "home")}
        # The sources under test, where they are not the installed ones.
        self.environment["PYTHONPATH"] = os.environ.get("PYTHONPATH", "")

    def run(self, *arguments: str, text: str = "") -> "subprocess.CompletedProcess[str]":
        return mintmark(*arguments, folder=self.project, environment=self.environment, input=text)

    def good(self, *arguments: str, text: str = "") -> str:
        """What it prints when all goes well."""
        done = self.run(*arguments, text=text)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def token(self, *arguments: str) -> str:
        who = () if {"--application", "--subject"} & set(arguments) else ("--subject", "alice")
        return self.good("token", "create", *who, "--audience", "https://api.example", *arguments)


def one_line(done: "subprocess.CompletedProcess[str]", status: int, *words: str) -> None:
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
