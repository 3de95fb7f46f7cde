# A pipeline logs in to AWS by OpenID Connect, for the role in AWS_ROLE_ARN. docs/pipeline.md says how to make it.

# The AWS CLI exchanges the token for credentials of an hour, and keeps them for the commands that follow.
.PHONY: pipeline.login
pipeline.login: $(ENV)
	@$(FROM_CLONE) -m mlops_runtime.operations.oidc_token build/oidc-token sts.amazonaws.com AWS_ROLE_ARN
	@$(AWS) configure set role_arn "$$AWS_ROLE_ARN"
	@$(AWS) configure set web_identity_token_file "$$PWD/build/oidc-token"
	@$(AWS) eks update-kubeconfig --name "$$CLUSTER"
