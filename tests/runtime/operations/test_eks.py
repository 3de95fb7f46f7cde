import base64
import re
from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest

from mlops_runtime.operations.eks import EksPlatform, image_of_manifests, without_namespace
from mlops_runtime.operations.errors import AwayError, DeployError, LockError
from mlops_runtime.operations.kubectl import (
    ClusterError,
    ConflictError,
    ForbiddenError,
    UnauthorizedError,
    UnreachableError,
)
from mlops_runtime.operations.platforms import platform_of
from mlops_runtime.operations.releases import Release, to_config_map
from mlops_runtime.operations.road import Live
from mlops_runtime.operations.settings import Settings
from tests.runtime.operations.conftest import KubectlInMemory

ENVIRONMENT = {
    "PROJECT": "x",
    "TEAM": "ward",
    "ENVIRONMENT": "production",
    "CLUSTER": "hospital",
    "AWS_REGION": "eu-central-1",
    "NAMESPACE": "1234",
    "KEYS_SECRET": "x-webservice-keys",
}


@pytest.fixture
def platform(kubectl: KubectlInMemory) -> EksPlatform:
    return EksPlatform(Settings(ENVIRONMENT), kubectl)


def manifest(kind: str, name: str, image: str = "") -> dict[str, Any]:
    containers = [{"name": "webservice", "image": image}] if image else [{"name": "other", "image": "x"}]
    return {"kind": kind, "metadata": {"name": name}, "spec": {"template": {"spec": {"containers": containers}}}}


def test_the_image_is_that_of_the_web_service() -> None:
    others = [manifest("Job", "trainer", "trainer"), manifest("Deployment", "cache")]

    assert image_of_manifests([*others, manifest("Deployment", "x-webservice", "image@1")]) == "image@1"


def test_the_namespace_is_no_manifest_of_a_release() -> None:
    service = manifest("Service", "x")

    assert without_namespace([manifest("Namespace", "1234"), service]) == [service]


@pytest.mark.parametrize("name", ["", "eks"], ids=["by default", "by name"])
def test_the_platform_is_eks(name: str) -> None:
    environment = ENVIRONMENT | {"PLATFORM": name}

    assert isinstance(platform_of(Settings(environment), environment), EksPlatform)


def test_a_platform_that_does_not_exist_is_named() -> None:
    with pytest.raises(DeployError, match=r"^PLATFORM=moon is no platform: see project\.mk$"):
        platform_of(Settings(ENVIRONMENT), ENVIRONMENT | {"PLATFORM": "moon"})


@pytest.mark.parametrize(
    ("error", "away"),
    [(ClusterError, False), (UnreachableError, True), (UnauthorizedError, True), (ConflictError, True)],
)
def test_only_what_the_server_refuses_is_held_against_a_release(error: type[Exception], away: bool) -> None:
    assert issubclass(error, AwayError) is away


def test_the_lock_has_a_holder_while_it_is_held(platform: EksPlatform) -> None:
    # Given a lock that is held
    with platform.locked("tester@here", wait=0) as check_lock:
        # Then its holder is known, and nobody else gets it
        check_lock()
        assert platform.lock_holder() == "tester@here"
        with pytest.raises(LockError, match="tester@here holds the lock x-deploy"), platform.locked("other", wait=0):
            pass

    # And nobody holds it afterwards
    assert platform.lock_holder() == ""


def test_how_to_reach_the_service_is_a_command(platform: EksPlatform) -> None:
    expected = "kubectl --namespace 1234 port-forward service/x-webservice 8000:80, then http://127.0.0.1:8000"

    assert platform.how_to_reach() == f"reach it: {expected}"


def labelled(kind: str, name: str, **labels: str) -> dict[str, Any]:
    return {"kind": kind, "metadata": {"name": name, "labels": labels}}


@pytest.fixture
def deployed(kubectl: KubectlInMemory) -> KubectlInMemory:
    """A cluster with a release of the project x, a training job, and what another project has in the namespace."""
    service = labelled("Service", "x-webservice", app="x")
    release = Release(
        number=1, version="1", commit="", image="image@1", environment="production", manifests=[service], contract={}
    )  # fmt: skip
    kubectl.put(
        to_config_map(release, "x"),
        service,
        labelled("Deployment", "x-webservice", app="x", component="webservice"),
        labelled("Job", "x-trainer", app="x", component="trainer"),
        labelled("CronJob", "x-trainer", app="x", component="trainer"),
        labelled("Secret", "x-webservice-keys"),
        labelled("Secret", "x-dashboard-key"),
        labelled("Secret", "registry"),
        labelled("Service", "y-webservice", app="y"),
    )
    return kubectl


def settings(content_hash: str, **data: str) -> dict[str, Any]:
    return labelled("ConfigMap", f"x-webservice-settings-{content_hash}") | {"data": data}


def test_a_changed_setting_is_named(deployed: KubectlInMemory) -> None:
    # Given a release with settings, in a ConfigMap whose name ends with a hash of them, and notes that leave
    platform = EksPlatform(Settings(ENVIRONMENT), deployed)
    notes = labelled("ConfigMap", "x-notes-2b7t6m9k4c")
    (release,) = platform.releases()
    before = replace(release, manifests=[settings("h2k5t8m4gf", MAX_RECORDS="1000", THREADS="2"), notes])
    live = Live(1, "image@1", paused=False, replicas=2, labels={}, environment="")

    # When another setting is to be deployed
    lines = platform.preview([settings("c7b9d6f2t4", MAX_RECORDS="7", THREADS="2")], before, live)

    # Then it has a line, and so have the notes
    assert lines == [
        'ConfigMap x-webservice-settings-c7b9d6f2t4: MAX_RECORDS is "1000", would be "7"',
        "ConfigMap x-notes-2b7t6m9k4c: would be deleted",
    ]


def test_destroy_removes_the_project_and_nothing_else(deployed: KubectlInMemory) -> None:
    removed = EksPlatform(Settings(ENVIRONMENT), deployed).destroy("tester@here")

    assert set(removed) == {
        "secret/x-webservice-keys", "service/x-webservice", "deployment/x-webservice", "job/x-trainer",
        "cronjob/x-trainer", "configmap/x-release-1", "lease/x-deploy", "secret/x-dashboard-key",
    }  # fmt: skip
    assert set(deployed.objects) == {("secret", "registry"), ("service", "y-webservice")}


def test_who_may_not_remove_the_keys_removes_nothing(deployed: KubectlInMemory) -> None:
    # Given somebody who may take the lock and read it, but not remove a Secret
    before = set(deployed.objects)
    deployed.failures.extend([None] * 3 + [ForbiddenError("secrets is forbidden")])

    with pytest.raises(ForbiddenError):
        EksPlatform(Settings(ENVIRONMENT), deployed).destroy("tester@here")

    assert set(deployed.objects) - {("lease", "x-deploy")} == before


def test_destroy_goes_on_after_an_interruption(deployed: KubectlInMemory) -> None:
    # Given a destroy that ended before the records were removed
    platform = EksPlatform(Settings(ENVIRONMENT), deployed)
    deployed.failures.extend([None] * 5 + [ClusterError("the network is down")])
    with pytest.raises(ClusterError):
        platform.destroy("tester@here")
    assert ("configmap", "x-release-1") in deployed.objects

    platform.destroy("tester@here")

    assert set(deployed.objects) == {("secret", "registry"), ("service", "y-webservice")}


@pytest.mark.parametrize(
    ("setting", "apis", "message"),
    [
        pytest.param(
            "SERVICE_MONITOR",
            {},
            "SERVICE_MONITOR is set, and the cluster has no PrometheusRule and no ServiceMonitor of"
            " monitoring.coreos.com/v1: install the Prometheus Operator there, or set SERVICE_MONITOR to nothing",
            id="no operator",
        ),
        pytest.param(
            "SERVICE_MONITOR",
            {"monitoring.coreos.com/v1": ["ServiceMonitor", "PodMonitor"]},
            "has no PrometheusRule of monitoring.coreos.com/v1",
            id="a part of the operator",
        ),
        pytest.param(
            "GATEWAY",
            {"gateway.networking.k8s.io/v1beta1": ["HTTPRoute"]},
            "has no HTTPRoute of gateway.networking.k8s.io/v1: install the Gateway API there",
            id="an older Gateway API",
        ),
    ],
)
def test_kinds_that_the_cluster_does_not_have_are_named(
    kubectl: KubectlInMemory, setting: str, apis: dict[str, list[str]], message: str
) -> None:
    kubectl.apis.update(apis)

    with pytest.raises(ClusterError, match=re.escape(message)):
        EksPlatform(Settings(ENVIRONMENT | {setting: "1"}), kubectl).check_options()
    assert not kubectl.contents


def test_settings_whose_kinds_are_there_are_accepted(kubectl: KubectlInMemory) -> None:
    kubectl.apis["monitoring.coreos.com/v1"] = ["ServiceMonitor", "PrometheusRule"]

    EksPlatform(Settings(ENVIRONMENT | {"SERVICE_MONITOR": "1", "GATEWAY": ""}), kubectl).check_options()


@pytest.mark.parametrize(("setting", "keys"), [("", {"first"}), ("1", {"first", "service-monitor"})])
def test_prometheus_gets_a_key_where_it_watches(
    kubectl: KubectlInMemory, setting: str, keys: set[str], capsys: pytest.CaptureFixture[str]
) -> None:
    platform = EksPlatform(Settings(ENVIRONMENT | {"SERVICE_MONITOR": setting}), kubectl)

    assert platform.ensure_keys()
    assert not platform.ensure_keys()

    secret = kubectl.objects["secret", "x-webservice-keys"]
    assert secret.get("data", {}).keys() | secret["stringData"].keys() == keys
    if setting:
        key = kubectl.objects["secret", "x-service-monitor-key"]["stringData"]["key"]
        assert base64.b64decode(secret["data"]["service-monitor"]).decode() == sha256(key.encode()).hexdigest()
        assert key not in f"{kubectl.commands}{kubectl.said}{capsys.readouterr()}"
