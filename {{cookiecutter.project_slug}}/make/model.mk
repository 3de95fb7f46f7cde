# From the table to a model that can be installed.

# Uncommitted changes show in the version, with a hash of their own: two states are two versions.
DIRTY := $(if $(shell git status --porcelain 2>/dev/null),-dirty-$(shell { git diff HEAD; git status --porcelain; } 2>/dev/null | sha256sum | cut -c1-8))
ifndef VERSION
VERSION := $(subst /,-,$(shell git describe --tags --always 2>/dev/null || echo unversioned)$(DIRTY))
endif
ifndef COMMIT
COMMIT := $(shell git rev-parse HEAD 2>/dev/null || echo none)
endif
export VERSION COMMIT

##@ Model

.PHONY: train
train: build/trained  ## Train, evaluate and gate a model; report in build/report.html

build/trained: $(DATA) $(MODEL_SOURCES) $(TRAINER_SOURCES) Pipfile.lock project.mk $(ENV)
	@$(PYTHON) -m trainer
	@touch $@

.PHONY: datamodel
datamodel: $(ENV)  ## Compare datamodel.py with the table; FORCE=1 updates it
	@$(PYTHON) -m mlops_runtime.profiling --data $(DATA) --output src/$(PACKAGE)/datamodel.py $(if $(FORCE),--force)

.PHONY: serve
serve: build/trained  ## Serve the model at http://HOST:PORT (stop with Ctrl-C)
	@exec $(PYTHON) -m webservice

.PHONY: predict
predict: build/trained  ## Start the service, ask it for one prediction, show it, stop the service
	@$(PYTHON) -m mlops_runtime.operations.predict

.PHONY: package.model
package.model: build/wheel/built  ## Build two wheels: the model, and the runtime that it needs

build/wheel/built: build/trained pyproject.toml
	@rm -rf build/wheel build/lib vendor/build
	@for source in . $(wildcard vendor); do \
	  $(PYTHON) -m build --wheel --no-isolation --outdir build/wheel $$source >build/wheel.log 2>&1 || { cat build/wheel.log >&2; exit 1; }; \
	done; rm -rf vendor/build vendor/*.egg-info
	@ls build/wheel/*.whl
	@touch $@
