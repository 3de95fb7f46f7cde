# From the data to a model that can be installed.

##@ Model

.PHONY: train
train: build/trained  ## Train, evaluate and gate a model, or fetch MODEL=version; report in build/report.html

# Other data that are recorded, as by git pull, are a reason to train again: training says that those here are others.
build/trained: $(DATA) $(wildcard $(DATA).sha256) $(MODEL_SOURCES) $(TRAINER_SOURCES) Pipfile.lock build/settings/model | $(ENV)
ifdef MODEL
	$(name_account)
	@rm -rf build/fetched
	@$(call get_files,trainer/$(MODEL)/,build/fetched/)
	@$(PYTHON) -m mlops_runtime.operations.artefact build/fetched
else
	@$(PYTHON) -m trainer
endif
	@touch $@

$(DATA):
	@$(if $(wildcard $(DATA).sha256),echo "there is no $@: make data.pull gets it from the bucket" >&2; exit 1)
	@echo "there is no $@: set DATA in project.mk to the training data, at a path without spaces" >&2; exit 1

# @KIND@
.PHONY: data.push
data.push: $(ENV) | account  ## Put the training data in STORAGE, and record their SHA-256 in DATA.sha256
	@$(PYTHON) -m mlops_runtime.operations.data push

.PHONY: data.pull
data.pull: $(ENV) | account  ## Get the training data that DATA.sha256 records; FORCE=1 replaces others
	@$(PYTHON) -m mlops_runtime.operations.data pull

.PHONY: serve
serve: build/trained  ## Serve the model at http://HOST:PORT (stop with Ctrl-C)
	@exec $(PYTHON) -m webservice

.PHONY: predict
predict: build/trained  ## Start the service, ask it for one prediction, show it, stop the service
	@$(PYTHON) -m mlops_runtime.operations.predict

# Keeps the held-out predictions of each model that was deployed. With a registry of one's own AWS is not asked for the
# name of a bucket: without a BUCKET they are in build/champion/.
CHAMPION_BUCKET = $(if $(filter ecr,$(LOGIN)),$(BUCKET),$(GIVEN_BUCKET))

.PHONY: compare
compare: build/trained  ## Compare the trained model with the one that was verified last
	$(call look_up,CHAMPION_BUCKET)
	@champion=$$($(RELEASES) champion); \
	cmp -s "$$champion" build/held-out.json || \
	$(PYTHON) -m mlops_runtime.operations.comparison "$$champion" build/held-out.json --margin="$$MARGIN" --overrule="$${OVERRULE:-}"

.PHONY: package.model
package.model: build/wheel/built  ## Build two wheels: the model, and the runtime that it needs

# From a folder, into a folder. The files of a wheel are dated 1980, the first year of a zip: the same model gives the
# same bytes. The environment is the locked one: whether it has what a build needs is not checked each time.
define build_wheel
@mkdir -p build && rm -rf $(2) $(1)/build/lib
@export SOURCE_DATE_EPOCH=315532800 SETUPTOOLS_SCM_PRETEND_VERSION=$$($(PYTHON) -m mlops_runtime.operations.wheel_version); \
  $(PYTHON) -m build --wheel --no-isolation --skip-dependency-check --outdir $(2) $(1) >build/wheel.log 2>&1 \
  || { cat build/wheel.log >&2; exit 1; }
endef

# The runtime has a version of its own: its wheel changes with vendor/ alone.
RUNTIME_WHEEL := $(if $(wildcard vendor),build/runtime-wheel/built)
build/runtime-wheel/built: $(RUNTIME_SOURCES) $(wildcard vendor/pyproject.toml) | $(ENV)
	$(call build_wheel,vendor,build/runtime-wheel)
	@rm -rf vendor/build vendor/*.egg-info
	@touch $@

build/wheel/built: build/trained pyproject.toml build/settings/version $(RUNTIME_WHEEL)
	$(call build_wheel,.,build/wheel)
	@$(if $(RUNTIME_WHEEL),cp build/runtime-wheel/*.whl build/wheel)
	@ls build/wheel/*.whl
	@touch $@

build/contract.json: $(MODEL_SOURCES) $(ENV)
	@mkdir -p build
	@$(PYTHON) -m mlops_runtime.operations.project >$@
