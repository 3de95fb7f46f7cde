# Training on the cluster, as a Job, and its image.

build/trainer.built: docker/trainer.Dockerfile .dockerignore Pipfile.lock $(TRAINER_SOURCES) $(MODEL_SOURCES) $(DATA) build/settings/images

.PHONY: train.job
train.job: context build/trainer.image $(ENV) | aws-account  ## Train, gate and upload on the cluster, as a Job
	$(call look_up,BUCKET)
	@$(MANIFESTS) trainer
	@$(CREATE_NAMESPACE)
	@$(PYTHON) -m mlops_runtime.operations.training_job

.PHONY: manifests.trainer
manifests.trainer: $(ENV)
	$(call look_up,BUCKET)
	@$(MANIFESTS) trainer
	@$(KUBECTL) kustomize build/k8s/trainer
