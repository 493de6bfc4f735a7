#!/usr/bin/env bash
# Makes .fuzz: an environment with atheris, which sees the project's own environment behind it.
# Of its own, for atheris has wheels for some machines only and nothing else needs it.
set -u
[ -e .fuzz/.ready ] && exit 0
project=$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))') || exit 1
if .venv/bin/python -m venv .fuzz \
  && .fuzz/bin/pip install --quiet --disable-pip-version-check --only-binary :all: --require-hashes -r requirements/fuzz.txt \
  && echo "$project" > "$(.fuzz/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/project.pth" \
  && .fuzz/bin/python -c 'import atheris, hypothesis'; then
  touch .fuzz/.ready
  exit 0
fi
echo "missing: atheris (the fuzzing that follows branches is skipped, and fails in CI)"
