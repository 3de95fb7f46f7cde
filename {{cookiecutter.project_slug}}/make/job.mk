# Training on the cluster, as a Job.

# AWS names the bucket, so its name is data: a variable of the recipe's environment, never text of the recipe. It is
# looked up in the recipe, because prerequisites install what asks AWS.
LOOK_UP_BUCKET = $(eval export TRAINING_BUCKET := $$(BUCKET))

.PHONY: train.job
train.job: context build/trainer.image $(ENV) | aws-account  ## Train, gate and upload on the cluster, as a Job
	$(LOOK_UP_BUCKET)
	@BUCKET="$$TRAINING_BUCKET" $(MANIFESTS) trainer
	@$(CREATE_NAMESPACE)
	@BUCKET="$$TRAINING_BUCKET" $(PYTHON) -m mlops_runtime.operations.training_job

.PHONY: manifests.trainer
manifests.trainer: $(ENV)
	$(LOOK_UP_BUCKET)
	@BUCKET="$$TRAINING_BUCKET" $(MANIFESTS) trainer
	@$(KUBECTL) kustomize build/k8s/trainer
