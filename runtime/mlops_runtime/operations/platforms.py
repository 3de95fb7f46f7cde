"""The platforms: the one that PLATFORM names, `eks` by default."""

from collections.abc import Mapping

from mlops_runtime.operations.azure.container_apps import ContainerApps
from mlops_runtime.operations.azure.web_app import WebApp
from mlops_runtime.operations.docker_host.platform import DockerHost
from mlops_runtime.operations.eks import EksPlatform
from mlops_runtime.operations.errors import DeployError
from mlops_runtime.operations.road import Platform
from mlops_runtime.operations.settings import Settings

DEFAULT = "eks"


def platform_of(settings: Settings, environment: Mapping[str, str]) -> Platform:
    """Return the platform of a project.

    Raises:
        DeployError: if there is none of that name, or a setting of it is missing.
        RoadError: if its settings cannot be used.
    """
    name = environment.get("PLATFORM") or DEFAULT
    match name:
        case "eks":
            return EksPlatform.from_environment(settings, environment)
        case "docker-host":
            return DockerHost.from_environment(settings, environment)
        case "azure-container-apps":
            return ContainerApps.from_environment(settings, environment)
        case "azure-web-app":
            return WebApp.from_environment(settings, environment)
        case _:
            raise DeployError(f"PLATFORM={name} is no platform: see project.mk")
