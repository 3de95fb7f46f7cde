# The stack that holds bucket, repositories and roles, and the cluster that kubectl is set to.

##@ AWS

STACKS = $(FROM_CLONE) -m mlops_runtime.operations.stack
STACK_PARAMETERS = ProjectName="$$PROJECT" BucketName="$$BUCKET" ClusterName="$$CLUSTER" NamespaceName="$$NAMESPACE" \
  LogBucket="$$LOG_BUCKET" KmsKey="$$KMS_KEY" QuickSightUser="$$QUICKSIGHT_USER" \
  OidcProvider="$$OIDC_PROVIDER" OidcAudience="$$OIDC_AUDIENCE" OidcSubject="$$OIDC_SUBJECT"

.PHONY: infrastructure
infrastructure: $(ENV) account  ## Create or update the stack: bucket, image repositories, roles
	@$(STACKS) apply "$$STACK" infrastructure/stack.yaml $(STACK_PARAMETERS)

.PHONY: infrastructure.diff
infrastructure.diff: $(ENV) account  ## Show what make infrastructure would change
	@$(STACKS) diff "$$STACK" infrastructure/stack.yaml $(STACK_PARAMETERS)

.PHONY: infrastructure.destroy
infrastructure.destroy: $(ENV) account  ## Remove the stack with its images, but not the bucket; CONFIRM=PROJECT answers the question
	@$(STACKS) destroy "$$STACK"

# The lifecycle of the repositories keeps what has a tag of a kind, `verified` or `scheduled`. Kind, components.
define keep_images
@$(if $(filter ecr,$(LOGIN)),$(FROM_CLONE) -m mlops_runtime.operations.image_tags $(1) $(2))
endef

# For images that another tool than make deploys.
.PHONY: keep.images
keep.images: publish  ## Tag the published images that another tool deploys, so that ECR keeps them
	$(call keep_images,verified,$(IMAGES))

# For those who have no cluster: a stack of its own, which several projects may share.
.PHONY: cluster
cluster: $(ENV) account  ## Create or update CLUSTER with a network of its own: a second stack, in EKS Auto Mode
	@$(STACKS) apply "$$CLUSTER-cluster" infrastructure/cluster.yaml ClusterName="$$CLUSTER" AdministratorArn="$$CLUSTER_ADMINISTRATOR"

.PHONY: cluster.destroy
cluster.destroy: $(ENV) account  ## Remove that stack; CONFIRM=CLUSTER answers the question
	@$(STACKS) destroy "$$CLUSTER-cluster" --name "$$CLUSTER"

.PHONY: kubeconfig
kubeconfig: $(ENV)  ## Point kubectl at CLUSTER
	@$(AWS) eks update-kubeconfig --name "$$CLUSTER"
