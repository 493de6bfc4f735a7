"""One reader, fuzzed by atheris, which follows the branches of our code.

Run in an environment that has it (`tools/fuzzing.sh`), by `make prove`:

    .fuzz/bin/python -m tests.prove.fuzz_readers READER FOLDER -max_total_time=20

FOLDER is where inputs are collected that reached something new; the rest are libFuzzer's own
arguments. It ends with another code than 0 at the first exception that is not the reader's own.
"""

import sys
from pathlib import Path

import atheris  # type: ignore[import-untyped]  # -- in an environment of its own

with atheris.instrument_imports(include=["mintmark"]):
    from tests.api.readers import READERS


def main(name: str, folder: Path, *arguments: str) -> None:
    (reader,) = (one for one in READERS if one.name == name)
    (folder / "honest").write_bytes(reader.honest)

    def once(value: bytes) -> None:
        refusal: Exception | None = None
        try:
            reader.read(value)
        except reader.ours as ours:
            refusal = ours
        # What is hidden behind it could quote the input.
        assert refusal is None or refusal.__cause__ is None

    # A second's pause is as good as an outage, and memory without end as well.
    limits = ("-timeout=5", "-rss_limit_mb=2048", "-max_len=20000", "-print_final_stats=1")
    atheris.Setup([sys.argv[0], str(folder), *limits, *arguments], once)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:])
