
# The dashboard on a cluster: `make deploy` rolls it out once the service is verified.

define after_deploy
@$(MANIFESTS) dashboard
@$(PYTHON) -m mlops_runtime.operations.dashboard
endef

.PHONY: manifests.dashboard
manifests.dashboard: $(ENV)
	@$(MANIFESTS) dashboard
	@$(KUBECTL) kustomize build/k8s/dashboard
