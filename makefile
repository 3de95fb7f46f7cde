# `make` lists the commands of the template itself; the generated project has a makefile of its own.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
PYTEST := .venv/bin/python -m pytest
ENV := .venv/.installed

.PHONY: help
help:
	@awk 'BEGIN {FS = ":.*## "} /^[a-z.-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: install
install: $(ENV)  ## Make .venv with what the tests need (only when pyproject.toml changed)

# pip learnt dependency groups after the release that some Python versions bring along.
$(ENV): pyproject.toml
	@$(PYTHON) -m venv .venv
	@.venv/bin/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	@.venv/bin/python -m pip install --quiet --disable-pip-version-check --group test
	@touch $@

.PHONY: test
test: $(ENV)  ## Run all tests; those without an engine or a cluster to run on say how to get one
	@$(PYTEST) $(TESTS)

.PHONY: test.fast
test.fast: $(ENV)  ## Run the tests that need neither a container engine nor a cluster
	@$(PYTEST) -m 'not engine and not cluster' $(TESTS)

.PHONY: lint
lint: $(ENV)  ## Check style and format of hooks and tests (ruff)
	@.venv/bin/ruff check --quiet
	@.venv/bin/ruff format --check --quiet

.PHONY: type-check
type-check: $(ENV)  ## Check the types of hooks and tests (mypy, strict)
	@.venv/bin/mypy --no-error-summary

.PHONY: clean
clean:  ## Remove what the other commands made
	@rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
