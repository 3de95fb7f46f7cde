"""The road to a cluster, with the rights of a deployer and a registry that needs no AWS."""

import json
from dataclasses import dataclass
from typing import ClassVar

import pytest

from tests.live.conftest import SKIPPED
from tests.live.road_story import DestroyStory, KilledDeployStory, RoadStory, Stage
from tests.live.site import ADDRESS, Site
from tests.live.workbench import one_error_line

pytestmark = pytest.mark.cluster

KINDS = "deployments,services,configmaps,poddisruptionbudgets,jobs,leases,secrets,serviceaccounts"


@dataclass(kw_only=True)
class Cluster(Stage):
    """The project on a cluster, of whose objects `site` tells."""

    site: Site

    CRASHED = "CrashLoopBackOff (exit status 1"
    EVIDENCE = "$ kubectl logs"
    VERIFIES_BEFORE_TRAFFIC = False
    DESTROYS_WITH: ClassVar[dict[str, str]] = {"KUBECTL": "kubectl"}

    @property
    def address(self) -> str:
        return ADDRESS

    def replicas(self) -> list[str]:
        running = ("--selector", "component=webservice", "--field-selector", "status.phase=Running")
        pods = json.loads(self.site.kubectl("get", "pods", *running, "--output", "json"))["items"]
        names = [pod["metadata"] for pod in pods]
        return sorted(each["name"] for each in names if "deletionTimestamp" not in each)

    def setting(self, name: str) -> str:
        return self.site.kubectl("exec", self.replicas()[0], "--", "printenv", name).strip()

    def left(self) -> list[str]:
        return [name for name in self.site.kubectl("get", KINDS, "--output", "name").split() if "oncology" in name]

    def open(self) -> None:
        self.site.open_port()
        self.site.seconds_until(200, self.key)


@pytest.fixture(scope="module")
def stage(site: Site) -> Cluster:
    # Tests before these may have changed the settings of the project.
    first = site.workbench.git("rev-list", "--max-parents=0", "HEAD")
    site.workbench.git("checkout", first, "--", "project.mk")
    site.workbench.environment |= {"MLOPS_LOGIN": "none", "MLOPS_SKIP_TESTS": SKIPPED}
    site.workbench.variables["IMAGES"] = "webservice"
    site.use_rights_of("deployer")
    return Cluster(site.workbench, site=site)


class TestRoad(RoadStory):
    pass


class TestKilledDeploy(KilledDeployStory):
    pass


def test_a_deployer_may_not_destroy(stage: Cluster) -> None:
    result = stage.workbench.make("destroy", CONFIRM="oncology")

    assert "(Forbidden)" in one_error_line(result)
    stage.assert_runs()


class TestDestroy(DestroyStory):
    pass
