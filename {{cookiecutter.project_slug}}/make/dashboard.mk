# The dashboard, a client of the service. docs/dashboard.md says how it reaches the service, and how it is deployed.

# Installed with the dev-packages: the commands that people try first need it as little.
CATEGORIES += $(if $(filter dev-packages,$(CATEGORIES)),dashboard)
DASHBOARD_SOURCES := $(shell find src/dashboard -type f -not -name '*.pyc')

build/unittest-coverage.json: $(DASHBOARD_SOURCES)
build/dashboard.built: docker/dashboard.Dockerfile .dockerignore Pipfile.lock $(DASHBOARD_SOURCES) $(RUNTIME_SOURCES) build/settings/images

##@ Dashboard

.PHONY: dashboard
dashboard: $(ENV)  ## Show the dashboard of the service at SERVICE_URL (stop with Ctrl-C)
	@exec $(PYTHON) -m streamlit run src/dashboard/app.py --server.address "$$HOST" --server.port "$$DASHBOARD_PORT"

# `make dev` in a container shows it too.
dev.container: build/dev-dashboard.built
build/dev-dashboard.built: DOCKERFILE := dashboard
build/dev-dashboard.built: BUILD_STAGE := --target dependencies
build/dev-dashboard.built: docker/dashboard.Dockerfile .dockerignore Pipfile.lock build/settings/dev

.PHONY: docker.dashboard
docker.dashboard: build/dashboard.built  ## Build the image of the dashboard alone

.PHONY: download.drift
download.drift: | account  ## Get the samples of drift from STORAGE into build/drift, for `make dashboard`
	@$(if $(filter azure-%,$(PLATFORM)),echo "download webservice/drift from $(STORE) into build/drift with az storage blob download-batch" >&2; exit 1)
	@$(call get_files,webservice/drift/,build/drift/)
# @PLATFORM@
