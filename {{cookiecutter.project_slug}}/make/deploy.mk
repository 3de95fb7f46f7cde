# Kubernetes: rollouts by digest, rollbacks, API keys.

KUBECTL ?= kubectl
KUBE := $(KUBECTL) --namespace $(NAMESPACE)
DEPLOYMENT := $(PROJECT)-webservice
SELECTOR ?= app=$(PROJECT),team=$(TEAM),component=webservice
KEYS_SECRET := $(PROJECT)-webservice-keys
KEYS := $(PYTHON) -m mlops_runtime.operations.keys --kubectl "$(KUBE)" --secret $(KEYS_SECRET) --selector $(SELECTOR)
VERIFY := $(PYTHON) -m mlops_runtime.operations.verify --kubectl "$(KUBE)" --selector $(SELECTOR)
REVISION := $(KUBE) get deployments --selector $(SELECTOR) --output 'jsonpath={.items[0].metadata.annotations.deployment\.kubernetes\.io/revision}'

MANIFESTS := $(PYTHON) -m mlops_runtime.operations.manifests
export KUBECTL KEYS_SECRET

##@ Kubernetes

.PHONY: deploy
deploy: clean-tree context selection publish  ## Test, train, publish, roll out by digest and verify; undo the rollout if that fails
	@test -n "$$($(KUBE) get deployment $(DEPLOYMENT) --ignore-not-found --output name)" || $(MAKE) provision
	@$(REVISION) >build/revision
	$(KUBE) set image deployments --selector $(SELECTOR) webservice=$$(cat build/webservice.image)
	@$(MAKE) verify || { $(MAKE) undo; exit 1; }

# `kubectl set image` with a selector that matches nothing prints nothing and exits with 0.
.PHONY: selection
selection: context
	@there=$$($(KUBE) get deployment $(DEPLOYMENT) --ignore-not-found --output name); \
	selected=$$($(KUBE) get deployments --selector $(SELECTOR) --output name); \
	if [ "$$there" != "$$selected" ]; then \
	  echo "$(SELECTOR) selects '$$selected' in namespace $(NAMESPACE), where '$$there' runs: check TEAM in project.mk" >&2; exit 1; \
	fi

# Pods start once the Secret exists. It is created last, because the first time its namespace is new as well.
.PHONY: provision
provision: context build/webservice.image $(ENV)  ## Create or update the objects of k8s/ on the cluster, settings included
	@$(MANIFESTS) webservice
	@$(KUBECTL) apply --kustomize build/k8s/webservice
	@$(KEYS) --first

.PHONY: key
key: context $(ENV)  ## Create an API key for the caller NAME, and print it once
	@$(KEYS) --add "$(NAME)"

.PHONY: key.remove
key.remove: context $(ENV)  ## Remove the API key of the caller NAME
	@$(KEYS) --remove "$(NAME)"

.PHONY: keys
keys: context $(ENV)  ## List the callers that have an API key
	@$(KEYS) --list

.PHONY: verify
verify: context  ## Wait for the rollout; check version and golden predictions of each pod
	@$(KUBE) rollout status deployment $(DEPLOYMENT) --timeout $(ROLLOUT_TIMEOUT) | uniq \
	  || { $(KUBE) describe pods --selector $(SELECTOR) >build/rollout.log 2>&1; \
	       $(KUBE) logs --selector $(SELECTOR) --prefix --tail 50 >>build/rollout.log 2>&1; \
	       echo "the pods did not become ready in $(ROLLOUT_TIMEOUT): build/rollout.log has their events and logs" >&2; exit 1; }
	@$(VERIFY) --version $(VERSION)

# The failed revision is removed from the history, so that a later rollback cannot go to it.
.PHONY: undo
undo: context
	@failed=$$($(REVISION)); before=$$(cat build/revision); \
	if [ -z "$$before" ] || [ "$$failed" = "$$before" ]; then \
	  echo "$(VERSION) failed and there is no earlier version to go back to: see make status" >&2; exit 1; \
	fi; \
	$(KUBE) rollout undo deployment $(DEPLOYMENT) --to-revision $$before >/dev/null; \
	$(KUBE) rollout status deployment $(DEPLOYMENT) --timeout $(ROLLOUT_TIMEOUT) >/dev/null; \
	$(KUBE) get replicasets --selector $(SELECTOR) --output "jsonpath={.items[?(@.metadata.annotations.deployment\.kubernetes\.io/revision==\"$$failed\")].metadata.name}" \
	  | xargs -r $(KUBE) delete replicaset >/dev/null; \
	echo "$(VERSION) failed and was undone: the version before it runs" >&2

.PHONY: status
status: context  ## Show the running version, its image and the history
	@$(KUBE) get deployments,pods --selector $(SELECTOR) --output wide
	@$(VERIFY) --show
	@$(KUBE) rollout history deployment $(DEPLOYMENT)

.PHONY: rollback
rollback: context  ## Go back to the previous version
	@$(KUBE) rollout undo deployment $(DEPLOYMENT)
	@$(KUBE) rollout status deployment $(DEPLOYMENT) --timeout $(ROLLOUT_TIMEOUT)
	@$(VERIFY) --show

# Prints what would be applied.
.PHONY: manifests.webservice
manifests.webservice: $(ENV)
	@$(MANIFESTS) webservice
	@$(KUBECTL) kustomize build/k8s/webservice
