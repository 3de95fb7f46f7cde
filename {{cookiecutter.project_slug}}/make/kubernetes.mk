# Kubernetes: the manifests. docs/deploys.md says how a deploy works.

KUBECTL ?= kubectl
KEYS_SECRET := $(PROJECT)-webservice-keys
export KUBECTL KEYS_SECRET

MANIFESTS := $(PYTHON) -m mlops_runtime.operations.manifests

deploy diff: build/k8s/webservice

# The manifests of k8s/ with names, labels, image and settings of this project; make manifests.webservice prints them.
build/k8s/webservice: FORCE $(ENV)
	@$(MANIFESTS) webservice

.PHONY: manifests.webservice
manifests.webservice: build/k8s/webservice
	@$(KUBECTL) kustomize $<
