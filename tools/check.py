"""Every check that needs no test run: one line each, and the whole output of one that fails."""

import subprocess
import sys
from pathlib import Path

BIN = Path(sys.executable).parent
STEPS: dict[str, list[str]] = {
    "format": ["ruff", "format", "--check", "."],
    "lint": ["ruff", "check", "."],
    "types": ["mypy", "src", "tests", "bench", "tools"],
    "layers": ["lint-imports"],
    "generated": ["python", "-m", "tools.generate", "--check"],
}


def main() -> int:
    failed = False
    for name, command in STEPS.items():
        finished = subprocess.run(
            [str(BIN / command[0]), *command[1:]], capture_output=True, text=True, check=False
        )
        print(f"{name:10} {'ok' if finished.returncode == 0 else 'FAILED'}", flush=True)
        if finished.returncode != 0:
            failed = True
            print(finished.stdout + finished.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
