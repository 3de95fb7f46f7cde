# Kubernetes: manifests, rights, and the Job that trains. docs/deploys.md says how a deploy works.

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

.PHONY: measure
measure: build/trained  ## Measure processor and memory of the service; print the requests and limits that follow
	@$(PYTHON) -m mlops_runtime.operations.measure

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

build/trainer.built: docker/trainer.Dockerfile .dockerignore Pipfile.lock $(TRAINER_SOURCES) $(MODEL_SOURCES) build/settings/images

.PHONY: train.job
train.job: clean-tree context build/trainer.image $(DATA) $(ENV) | account  ## Train, gate and upload on the cluster, as a Job
	$(call look_up,BUCKET)
	@$(MANIFESTS) trainer
	@$(PYTHON) -m mlops_runtime.operations.data put
	@$(CREATE_NAMESPACE)
	@$(PYTHON) -m mlops_runtime.operations.training_job

.PHONY: train.schedule
train.schedule: clean-tree context build/trainer.image $(DATA) $(ENV) | account  ## Train on the newest data of the bucket at the times of TRAIN_SCHEDULE
	$(call look_up,BUCKET)
	@$(MANIFESTS) schedule
	$(call keep_images,scheduled,trainer)
	@$(PYTHON) -m mlops_runtime.operations.data first
	@$(CREATE_NAMESPACE)
	@$(KUBECTL) --namespace "$$NAMESPACE" apply --kustomize build/k8s/schedule

.PHONY: train.schedule.remove
train.schedule.remove: context  ## Stop training at these times
	@$(KUBECTL) --namespace "$$NAMESPACE" delete cronjob "$$PROJECT-trainer" --ignore-not-found

.PHONY: manifests.trainer manifests.schedule
manifests.trainer manifests.schedule: manifests.%: $(ENV)
	$(call look_up,BUCKET)
	@$(MANIFESTS) $*
	@$(KUBECTL) kustomize build/k8s/$*
