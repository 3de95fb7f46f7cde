# Azure, whatever the app runs in: that has a make file of its own.

KEYS = $(FROM_CLONE) -m mlops_runtime.operations.azure.keys

# Files go to Blob storage with the rights of who is logged in: there is no account key.
export AZURE_STORAGE_ACCOUNT := $(STORAGE_ACCOUNT)
export AZURE_STORAGE_AUTH_MODE := login
STORAGE := Blob storage
STORE = https://$(STORAGE_ACCOUNT).blob.core.windows.net/$(STORAGE_CONTAINER)
CHAMPION_BUCKET := $(STORAGE_CONTAINER)
quietly = --no-progress --only-show-errors --output none
put_files = $(AZ) storage blob upload-batch --source $(1) --destination "$$STORAGE_CONTAINER" $(if $(2),--destination-path $(2)) --pattern '$(3)' --overwrite $(quietly)
get_files = { echo "there is no training on Azure: set no MODEL" >&2; exit 1; }
define name_account
@$(AZ) account show --only-show-errors --output none
endef

.PHONY: account
account:
	$(name_account)

deploy diff: build/$(AZURE_FILE).json
deploy.check: service-settings

# The service checks its settings when it starts; this, before anything is changed.
.PHONY: service-settings
service-settings: $(ENV)
	@$(PYTHON) -m mlops_runtime.operations.service_settings

# The resource with the settings of this project. az knows the subscription: no account stands in a file.
build/$(AZURE_FILE).json: FORCE $(ENV)
	@found=$$($(AZ) identity show --name "$$PROJECT" --resource-group "$$RESOURCE_GROUP" --query "[id, clientId]" --output tsv --only-show-errors) \
	  || { echo "there is no identity $$PROJECT in the resource group $$RESOURCE_GROUP, or nobody is logged in: run az login, then make infrastructure" >&2; exit 1; }; \
	{ read -r identity; read -r client; } <<<"$$found"; \
	AZURE_GROUP_ID=$${identity%%/providers/*} AZURE_IDENTITY_CLIENT=$$client \
	  $(PYTHON) -m mlops_runtime.operations.azure.render $(AZURE_FILE)

# Each command makes what is missing, and leaves the rest as it is. No registry has an admin user, no storage account a key.
in_group = --resource-group "$$RESOURCE_GROUP" --only-show-errors --output none
grant = $(AZ) role assignment create --role $(1) --scope "$(2)" --only-show-errors --output none

.PHONY: infrastructure
infrastructure:  ## Make what is missing on Azure: resource group, registry, storage, identity, what the app runs in
	@group=$$($(AZ) group create --name "$$RESOURCE_GROUP" --location "$$AZURE_LOCATION" --tags team="$$TEAM" project="$$PROJECT" --query id --output tsv); \
	$(AZ) acr create --name "$$ACR" --sku Standard --admin-enabled false --location "$$AZURE_LOCATION" $(in_group); \
	$(AZ) storage account create --name "$$STORAGE_ACCOUNT" --sku Standard_LRS --location "$$AZURE_LOCATION" \
	  --allow-blob-public-access false --allow-shared-key-access false --min-tls-version TLS1_2 $(in_group); \
	$(AZ) storage container-rm create --storage-account "$$STORAGE_ACCOUNT" --name "$$STORAGE_CONTAINER" $(in_group); \
	identity=$$($(AZ) identity create --name "$$PROJECT" --location "$$AZURE_LOCATION" --resource-group "$$RESOURCE_GROUP" \
	  --query principalId --output tsv --only-show-errors); \
	$(create_environment); \
	registry=$$group/providers/Microsoft.ContainerRegistry/registries/$$ACR; \
	storage=$$group/providers/Microsoft.Storage/storageAccounts/$$STORAGE_ACCOUNT; \
	deployer=$$DEPLOYER; [ "$$deployer" ] || deployer=$$($(AZ) ad signed-in-user show --query id --output tsv); \
	$(call grant,AcrPull,$$registry) --assignee-object-id "$$identity" --assignee-principal-type ServicePrincipal; \
	$(call grant,AcrPush,$$registry) --assignee-object-id "$$deployer" --assignee-principal-type "$$DEPLOYER_TYPE"; \
	$(call grant,"Storage Blob Data Contributor",$$storage) --assignee-object-id "$$deployer" --assignee-principal-type "$$DEPLOYER_TYPE"
	@echo "resource group $$RESOURCE_GROUP has registry, storage, identity and what the app runs in"
