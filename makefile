# The template's own commands. `make` lists them.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
BIN := .venv/bin
SOURCES := answers.py hooks tests

.PHONY: help
help:
	@awk 'BEGIN {FS = ":.*## "} /^[a-z.-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: test
test: lint type-check .venv/.installed  ## Run every test; those that need an engine or a cluster are skipped without one
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pytest $(ARGS)

.PHONY: test.fast
test.fast: .venv/.installed  ## Run the tests that need neither engine nor cluster
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pytest --ignore tests/live $(ARGS)

.PHONY: lint
lint: .venv/.installed  ## Check style and format of hooks and tests (ruff)
	@$(BIN)/python -m ruff check --quiet $(SOURCES)
	@$(BIN)/python -m ruff format --check --quiet $(SOURCES)

.PHONY: type-check
type-check: .venv/.installed  ## Check the types of hooks and tests (mypy, strict)
	@$(BIN)/python -m mypy --no-error-summary

# pip learnt dependency groups after the release that some Python versions bring along.
.venv/.installed: pyproject.toml
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --group test
	@touch $@

.PHONY: clean
clean:  ## Remove what the other commands made
	@rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
