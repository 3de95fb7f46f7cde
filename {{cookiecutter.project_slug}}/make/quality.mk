# The environment, and what checks the code.

export PIPENV_VENV_IN_PROJECT := 1
export PIPENV_IGNORE_VIRTUALENVS := 1
export PIPENV_VERBOSITY := -1
export PYTHONPATH := $(CURDIR)/src:$(CURDIR)/vendor

PIPENV ?= $(if $(shell command -v pipenv 2>/dev/null),pipenv,python3 -m pipenv)
PYTHON ?= .venv/bin/python
# Stamp of the environment. The commands that people try first need no dev-packages: these come with any other command.
ENV := .venv/.installed
CATEGORIES := packages trainer dev-packages
INSTALLED := all locked packages
ifeq ($(wildcard $(ENV))$(MODEL)$(filter-out predict train serve datamodel,$(MAKECMDGOALS)),)
ENV := .venv/.installed-without-dev
CATEGORIES := packages trainer
INSTALLED := the locked packages of training and service
endif
# For commands that need no environment: they work in a fresh clone.
FROM_CLONE = $(if $(wildcard vendor),PYTHONPATH=vendor PYTHONDONTWRITEBYTECODE=1 "$(needed_python)",$(PYTHON))

# The first Python on the PATH that is new enough: looked for once, when a command first needs it.
PYTHON3 ?= $(eval PYTHON3 := $(shell for python in python3 python3.14 python3.13 python3.12 python3.11 python; do \
  "$$python" -c 'import sys; sys.version_info < (3, 11) and sys.exit(1); print(sys.executable)' 2>/dev/null && break; done))$(PYTHON3)
needed_python = $(or $(PYTHON3),$(error This needs Python 3.11 or later, and there is none on the PATH: install it, \
  or set PYTHON3 in project.mk to its path))

RUNTIME_SOURCES := $(if $(wildcard vendor),$(shell find vendor/mlops_runtime -type f -not -name '*.pyc'))
MODEL_SOURCES := $(wildcard src/$(PACKAGE)/*.py) $(RUNTIME_SOURCES)
TRAINER_SOURCES := $(shell find src/trainer -type f -not -name '*.pyc')
WEBSERVICE_SOURCES := $(shell find src/webservice -type f -not -name '*.pyc')
SOURCES := $(MODEL_SOURCES) $(TRAINER_SOURCES) $(WEBSERVICE_SOURCES)
UNIT_TEST_FILES := $(shell find tests -name '*.py' -not -path 'tests/system/*')
SYSTEM_TEST_FILES := $(shell find tests/system -name '*.py')

##@ Environment

.PHONY: install
install: $(ENV)  ## Make .venv from Pipfile.lock (only when the lock changed)

# The shipped lock names no index: pip's own configuration decides. That configuration enters the
# hash that pipenv compares, so a lock made without one is compared without one.
NO_PIP_CONFIGURATION := env -u PIP_INDEX_URL -u PIP_EXTRA_INDEX_URL PIP_CONFIG_FILE=/dev/null

# Python compiles a module when it first imports it, if it may write: pip would spend most of its time on compiling all of
# them. Of this option, a value that means no is the one that switches compiling off.
$(ENV): Pipfile Pipfile.lock
	@test -n "$(needed_python)"
	@! test -x .venv/bin/python || .venv/bin/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo ".venv has a Python before 3.11: remove .venv, and run this again" >&2; exit 1; }
	@$(NO_PIP_CONFIGURATION) $(PIPENV) verify >/dev/null 2>&1 || $(PIPENV) verify >/dev/null 2>&1 \
	  || { $(PIPENV) --version >/dev/null 2>&1 && echo "Pipfile.lock does not match Pipfile: run pipenv lock" >&2 \
	  || echo "pipenv is missing: pipx install pipenv" >&2; exit 1; }
	@echo "Installing $(INSTALLED) into .venv (about a minute)"
	@mkdir -p build
	@test -n "$${PYTHONDONTWRITEBYTECODE-}" || export PIP_NO_COMPILE=no; \
	$(if $(wildcard .venv/bin/python),,PIPENV_PYTHON="$${PIPENV_PYTHON:-$(PYTHON3)}") $(PIPENV) sync --categories "$(CATEGORIES)" >build/install.log 2>&1 || { cat build/install.log >&2; exit 1; }
	@touch $@

.PHONY: doctor
doctor:  ## Report which tools and credentials are available, and how to get missing ones
	@AWS="$(AWS)" DOCKER="$(DOCKER)" KUBECTL="$(KUBECTL)" NOT_READ="$(NOT_READ)" PYTHONPATH=vendor "$(or $(PYTHON3),python3)" -m mlops_runtime.operations.doctor

.PHONY: upgrade
upgrade:  ## Replace the runtime in vendor/ by that of TEMPLATE, a folder or git address, on a branch to review
	@[ -d vendor ] || { echo "This project has no vendor/: pin a newer mlops-runtime in the Pipfile, run pipenv lock" >&2; exit 1; }
	@$(FROM_CLONE) -m mlops_runtime.operations.upgrade -- "$${TEMPLATE-}"

.PHONY: upgrade.check
upgrade.check:  ## Fail if TEMPLATE has another version of the runtime than vendor/
	@$(FROM_CLONE) -m mlops_runtime.operations.upgrade --check -- "$${TEMPLATE-}"

.PHONY: clean
clean:  ## Remove what the other commands created, except .venv
	@rm -rf build "src/$$PACKAGE/artefact" src/*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find src tests $(wildcard vendor) -name __pycache__ -type d -prune -exec rm -rf {} +

##@ Quality

.PHONY: lint
lint: $(ENV)  ## Check style and format (ruff)
	@$(PYTHON) -m ruff check --quiet
	@$(PYTHON) -m ruff format --check --quiet

.PHONY: type-check
type-check: $(ENV)  ## Check the types (mypy, strict)
	@$(PYTHON) -m mypy --no-error-summary

.PHONY: audit
audit: $(ENV)  ## Check the locked packages for known vulnerabilities (pip-audit)
	@$(PYTHON) -m mlops_runtime.operations.audit

.PHONY: unittest
unittest: build/unittest-coverage.json  ## Run the unit tests, with branch coverage above MIN_COVERAGE

build/unittest-coverage.json: $(SOURCES) $(UNIT_TEST_FILES) $(DATA) pyproject.toml build/settings/unittest $(ENV)
	@mkdir -p build
	@$(PYTHON) -m mlops_runtime.interruptible coverage run --data-file=build/unittest.coverage -m pytest tests --ignore tests/system
	@$(PYTHON) -m coverage html --data-file=build/unittest.coverage --directory=build/unittest-coverage --quiet
	@$(PYTHON) -m coverage json --data-file=build/unittest.coverage -o $@ --quiet
	@$(PYTHON) -m coverage report --data-file=build/unittest.coverage --fail-under="$$MIN_COVERAGE" --skip-covered --show-missing

.PHONY: test
test: build/test-coverage.json  ## Test the trained model and the running service

build/test-coverage.json: build/trained $(SOURCES) $(SYSTEM_TEST_FILES)
	@$(PYTHON) -m mlops_runtime.interruptible coverage run --data-file=build/test.coverage -m pytest tests/system
	@$(PYTHON) -m coverage json --data-file=build/test.coverage -o $@ --quiet
