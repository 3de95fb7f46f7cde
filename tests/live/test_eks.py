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
    def test_a_rollback_goes_no_further_but_to_a_version_that_is_named(self, stage: Cluster) -> None:
        # When what was rolled back is rolled back again, then nothing changes: there is no version before that one
        newest = next(line.version for line in stage.workbench.history() if line.state == "rolled back")
        again = stage.workbench.make("rollback")
        assert again.returncode != 0
        assert "no other version was verified before: nothing was changed" in one_error_line(again)

        # When a version is named, then it goes to that one
        named = stage.workbench.make("rollback", TO=newest)
        assert named.returncode == 0, named.stdout + named.stderr
        assert f"going back from {stage.running} to {newest}" in named.stdout
        stage.running = newest
        stage.assert_runs()


class TestKilledDeploy(KilledDeployStory):
    pass


def test_a_deployer_may_not_destroy(stage: Cluster) -> None:
    result = stage.workbench.make("destroy", CONFIRM="oncology")

    assert "(Forbidden)" in one_error_line(result)
    stage.assert_runs()


class TestDestroy(DestroyStory):
    pass
