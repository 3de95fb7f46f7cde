# The template's own commands. `make` lists them.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
BIN := .venv/bin
# Tests of one file share what they made: they run in one process.
WORKERS ?= 2
# Files of live tests. Those with the mark `cluster` share one: let no two processes run them.
LIVE ?= tests/live
# Folders and files of the tests of the runtime.
RUNTIME ?= tests/runtime
IN_PROCESSES := --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder
SOURCES := answers.py relock.py $(wildcard docs/*.py) examples hooks runtime tests

.PHONY: help
help:
	@awk 'BEGIN {FS = ":.*## "} /^[a-z.-]+:.*## / {printf "  %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: test
test: lint type-check .venv/.installed  ## Run every test; those that need an engine or a cluster are skipped without one
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pytest $(ARGS)

.PHONY: test.fast
test.fast: .venv/.installed  ## Run the tests that need neither engine nor cluster
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pytest --ignore tests/live $(IN_PROCESSES) $(ARGS)

.PHONY: test.runtime
test.runtime: .venv/.installed  ## Of these, run those of the runtime, in one process
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pytest $(RUNTIME) $(ARGS)

.PHONY: test.projects
test.projects: .venv/.installed  ## Of these, run those of the template and its projects, in one process
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pytest --ignore tests/live --ignore tests/runtime $(ARGS)

.PHONY: test.live
test.live: .venv/.installed  ## Run the tests that need an engine or a cluster
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pytest $(LIVE) $(ARGS)

.PHONY: lint
lint: .venv/.installed  ## Check style and format (ruff), import directions (import-linter), declared packages (deptry)
	@$(BIN)/python -m ruff check --quiet $(SOURCES)
	@$(BIN)/python -m ruff format --check --quiet $(SOURCES)
	@PYTHONPATH=runtime $(BIN)/lint-imports --no-cache >.venv/imports.log || { cat .venv/imports.log >&2; exit 1; }
	@cd runtime && ../$(BIN)/deptry . >../.venv/deptry.log 2>&1 || { cat ../.venv/deptry.log >&2; exit 1; }

.PHONY: type-check
type-check: .venv/.installed  ## Check the types (mypy, strict)
	@$(BIN)/python -m mypy --no-error-summary

# The packages of the runtime, but not the runtime: its tests read the source. A build would leave files in it.
define RUNTIME_REQUIREMENTS
import tomllib
project = tomllib.load(open("runtime/pyproject.toml", "rb"))["project"]
print(*project["dependencies"], *sum(project["optional-dependencies"].values(), []), sep="\n")
endef
export RUNTIME_REQUIREMENTS

# Dependency groups need pip 25.1, and some Python versions come with an older one.
.venv/.installed: pyproject.toml runtime/pyproject.toml
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	@$(BIN)/python -c "$$RUNTIME_REQUIREMENTS" >.venv/runtime.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --group test --group docs --requirement .venv/runtime.txt
	@touch $@

.PHONY: docs
docs: .venv/.installed  ## Build the site of the documentation in build/site; a warning is an error
	@rm -rf build/docs
	@$(BIN)/python docs/build.py build/docs
	@$(BIN)/zensical build --strict --clean

.PHONY: pictures
pictures: .venv/.installed  ## Take the pictures of the README that are older than the code, with Chromium
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python docs/pictures.py

.PHONY: relock
relock: .venv/.installed  ## Lock the packages of a project anew, for each answer, or of a KIND alone
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python relock.py $(KIND)

.PHONY: clean
clean:  ## Remove what the other commands made
	@rm -rf .venv build/docs build/site .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
