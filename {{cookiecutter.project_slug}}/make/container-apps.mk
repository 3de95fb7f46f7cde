# Azure Container Apps. docs/azure.md says how a deploy works.

export PLATFORM := azure-container-apps
AZURE_FILE := containerapp
# What apps run in.
create_environment = $(AZ) containerapp env create --name "$$PROJECT" --location "$$AZURE_LOCATION" --logs-destination none $(in_group)
