# A pipeline logs in to the machine by ssh, and with LOGIN=token to the registry. docs/pipeline.md says with what.

.PHONY: pipeline.login
pipeline.login:
	@$(FROM_CLONE) -m mlops_runtime.operations.docker_host.ssh_key
	@$(if $(filter token,$(LOGIN)),printenv REGISTRY_TOKEN | $(MAKE) login)
