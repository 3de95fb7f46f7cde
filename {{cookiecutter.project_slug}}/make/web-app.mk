# Azure App Service: Web App for Containers. docs/azure-web-app.md says how a deploy works.

export PLATFORM := azure-web-app
AZURE_FILE := webapp
# What apps run in: a plan, as many instances of each slot as it has workers.
create_environment = $(AZ) appservice plan create --name "$$PROJECT" --location "$$AZURE_LOCATION" --is-linux --sku "$$PLAN_SKU" --number-of-workers "$$INSTANCES" $(in_group)
