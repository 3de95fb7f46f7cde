# A pipeline logs in to Azure by OpenID Connect, as the application in AZURE_CLIENT_ID. docs/pipeline.md says how to make it.

.PHONY: pipeline.login
pipeline.login:
	@$(FROM_CLONE) -m mlops_runtime.operations.oidc_token build/oidc-token api://AzureADTokenExchange AZURE_CLIENT_ID AZURE_TENANT_ID
	@$(AZ) login --service-principal --username "$$AZURE_CLIENT_ID" --tenant "$$AZURE_TENANT_ID" \
	  --federated-token @build/oidc-token --only-show-errors --output none
