# Every command of the project. `make` alone lists them.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.PHONY: help demo test check format bench docs prove spec services lock

help: ## list these commands
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sort | sed -E 's/^([a-z]+):.*## /\1|/' | awk -F'|' '{printf "make %-9s %s\n", $$1, $$2}'

$(READY): requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps --editable .
	@touch $(READY)

demo: $(READY) ## show the whole picture in a browser, until Ctrl-C
	@exec $(BIN)/mintmark demo

test: $(READY) services ## run every test, on real parts (k=NAME for some of them)
	$(BIN)/pytest -n 2 --dist loadgroup $(if $(k),-k '$(k)')

check: $(READY) ## format, lint, types, layers, names, citations
	@$(BIN)/python -m tools.check

format: $(READY) ## put the code into its one form
	$(BIN)/ruff format . && $(BIN)/ruff check --fix .

bench: $(READY) ## measure beside peers, as ratios
	@tools/services.sh wrk
	$(BIN)/python -m bench

docs: $(READY) ## run every block of code in the README and the guides
	$(BIN)/pytest tests/conventions/test_docs.py

prove: $(READY) services ## the long proofs: kills, outages, replays, floods, fuzzing (30 minutes)
	@tools/fuzzing.sh
	$(BIN)/pytest tests/prove -m prove

spec: $(READY) ## write the generated pages anew
	$(BIN)/python -m tools.generate

services: ## install PostgreSQL, Redis, Chromium and npm where that can be done
	@tools/services.sh

lock: $(READY) ## choose the dependencies' versions anew
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --all-extras --group dev pyproject.toml \
	  --upgrade --generate-hashes --no-emit-index-url --no-annotate --custom-compile-command "make lock" -o requirements/dev.txt
