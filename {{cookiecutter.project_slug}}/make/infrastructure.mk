# The stack that holds bucket, repositories and roles, and the cluster that kubectl is set to.

##@ AWS

.PHONY: infrastructure
infrastructure: $(ENV) aws-account  ## Create or update the stack: bucket, image repositories, roles
	@$(AWS) cloudformation deploy --stack-name "$$STACK" --template-file infrastructure/stack.yaml \
	  --capabilities CAPABILITY_NAMED_IAM --no-fail-on-empty-changeset --tags team="$$TEAM" project="$$PROJECT" \
	  --parameter-overrides ProjectName="$$PROJECT" BucketName="$$BUCKET" ClusterName="$$CLUSTER" NamespaceName="$$NAMESPACE"

.PHONY: kubeconfig
kubeconfig: $(ENV)  ## Point kubectl at CLUSTER
	@$(AWS) eks update-kubeconfig --name "$$CLUSTER"
