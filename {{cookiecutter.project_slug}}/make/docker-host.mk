# A machine with Docker and no cluster. docs/docker-host.md says how a deploy works.

export PLATFORM := docker-host
KEYS = $(FROM_CLONE) -m mlops_runtime.operations.docker_host.keys

deploy.check: service-settings

# The service checks its settings when it starts; this, before anything is changed.
.PHONY: service-settings
service-settings: $(ENV)
	@$(PYTHON) -m mlops_runtime.operations.service_settings
