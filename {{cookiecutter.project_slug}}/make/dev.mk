# The service while its code is edited; docs/development.md.

# Asked for this command alone: each other one would wait for the answer.
ifneq ($(filter dev,$(MAKECMDGOALS)),)
  DEV_PLACE := $(if $(shell $(DOCKER) info >/dev/null 2>&1 && echo yes),container,$(info \
    $(DOCKER) does not answer: the service runs on this machine, without a container)local)
endif

.PHONY: dev dev.container dev.local
dev: dev.$(DEV_PLACE)  ## Serve in a container, or by dev.local without one, and follow each edit in src/

dev.container: build/trained build/dev.built
	@exec $(PYTHON) -m mlops_runtime.operations.dev

dev.local: build/trained
	@RELOAD=src exec $(PYTHON) -m webservice

# This stage of the web-service image has its packages: it changes with the lock, not with each edit.
build/dev.built: DOCKERFILE := webservice
build/dev.built: BUILD_STAGE := --target dependencies
build/dev.built: docker/webservice.Dockerfile .dockerignore Pipfile.lock build/settings/dev
