# Which cluster and namespace, and who may do what there.

.PHONY: context
context:
	@$(RELEASES) context

# An existing namespace is left as it is.
CREATE_NAMESPACE = test -n "$$($(KUBECTL) get namespace "$$NAMESPACE" --ignore-not-found --output name)" \
  || { $(MANIFESTS) namespace && $(KUBECTL) create --kustomize build/k8s/namespace; }

.PHONY: provision.rbac
provision.rbac: context $(ENV)  ## Give the groups PROJECT:viewer, PROJECT:operator and PROJECT:deployer their rights
	@$(MANIFESTS) rbac
	@$(CREATE_NAMESPACE)
	@$(KUBECTL) apply --kustomize build/k8s/rbac

.PHONY: manifests.rbac
manifests.rbac: $(ENV)
	@$(MANIFESTS) rbac
	@$(KUBECTL) kustomize build/k8s/rbac
