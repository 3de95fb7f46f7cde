# Azure. `make infrastructure` makes the resource group and all in it; docs/azure-web-app.md.
# environments/ENVIRONMENT.mk has settings of its own, among them NAMESPACE, the name of the web app: it begins
# NAMESPACE.azurewebsites.net, so nobody else on Azure may have it.
# The Azure CLI, logged in by `az login`.
AZ ?= az
ENVIRONMENT ?= production
RESOURCE_GROUP ?= $(PROJECT)
AZURE_LOCATION ?= westeurope
# The storage account: 3 to 24 lower-case letters and digits, which nobody else on Azure may have. Its container has
# coverage, metrics, models and the records of releases.
STORAGE_ACCOUNT ?= $(subst -,,$(PROJECT))
STORAGE_CONTAINER ?= $(PROJECT)-files
# The container registry: 5 to 50 letters and digits, which nobody else on Azure may have. REGISTRY names another one.
ACR ?= $(subst -,,$(PROJECT))
# Who may push images and write files: object ID of a person, group or pipeline, and User, Group or ServicePrincipal.
# Empty: who runs `make infrastructure`.
DEPLOYER ?=
DEPLOYER_TYPE ?= User
# The plan: S1 or better, since others have no slots. Each slot has an instance on each of its workers.
PLAN_SKU ?= S1
INSTANCES ?= 2
# Time in which the staging slot must become ready, then be verified, then be watched under traffic.
ROLLOUT_TIMEOUT ?= 600s
VERIFY_TIMEOUT ?= 60s
WATCH_SECONDS ?= 10
# Seconds to wait for another deploy to finish. 0: refuse.
WAIT ?= 600
