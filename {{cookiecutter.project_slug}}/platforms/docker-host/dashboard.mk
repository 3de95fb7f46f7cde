
# The dashboard on a machine with Docker: started once the service is verified, and again by a rollback or a repair.

# The image is part of a release. The API key is not: whatever starts the dashboard hands it over.
export DASHBOARD_IMAGE = $(file <build/dashboard.image)
DASHBOARD_KEY :=

define after_deploy
@$(FROM_CLONE) -m mlops_runtime.operations.docker_host.dashboard
endef
after_rollback = $(after_deploy)
