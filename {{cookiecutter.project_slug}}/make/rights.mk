# Which cluster and namespace, and who may do what there.

.PHONY: context
context:
	@cluster=$$($(KUBECTL) config view --minify --output 'jsonpath={.clusters[0].name}' 2>/dev/null || true); \
	case "$$cluster" in \
	  $(CLUSTER)|arn:*:eks:$(AWS_REGION):*:cluster/$(CLUSTER)) ;; \
	  *) echo "kubectl is set to the cluster '$$cluster', not to $(CLUSTER) of project.mk: run make kubeconfig, or set CLUSTER" >&2; exit 1 ;; \
	esac

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
