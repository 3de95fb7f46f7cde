"""Deploys that begin with a canary, under a light load. The tests build on one another, in their order."""

import json
import os
import signal

import pytest

from tests.live.conftest import SKIPPED
from tests.live.site import Site, replace_in
from tests.live.test_deploys import DOCKERFILE, read_until
from tests.live.workbench import one_error_line

pytestmark = pytest.mark.cluster

CANARY = {"STRATEGY": "canary", "CANARY_FOR": "30"}
COMPARED = "requests to the canary"
# Each pod answers its first 150 requests, so that only a comparison under traffic can tell.
WEARS_OUT = r"""RUN printf '%s\n' \
  '_right, _left = predictions_from_outputs, iter(range(150))' \
  'def predictions_from_outputs(contract, outputs, *others):' \
  '    if len(outputs) == 1 and next(_left, None) is None: raise RuntimeError("worn out")' \
  '    return _right(contract, outputs, *others)' >> /app/model/mlops_runtime/model/predictor.py
USER 10001:10001"""


def pods(site: Site) -> dict[str, int]:
    """Return the pods of the old Deployment with the number of their restarts, without those that are ending."""
    selector = "component=webservice,track!=canary"
    listed = json.loads(site.kubectl("get", "pods", "--selector", selector, "--output", "json"))["items"]
    return {
        pod["metadata"]["name"]: pod["status"]["containerStatuses"][0]["restartCount"]
        for pod in listed
        if "deletionTimestamp" not in pod["metadata"]
    }


def deployments(site: Site) -> list[str]:
    return site.kubectl("get", "deployments", "--output", "name").split()


def generation(site: Site) -> str:
    """Return how often the specification of the old Deployment has changed."""
    return site.kubectl("get", "deployment", "oncology-webservice", "--output", "jsonpath={.metadata.generation}")


def test_a_good_version_is_promoted(site: Site) -> None:
    # Given a version that runs, with the rights of a deployer
    site.workbench.environment["MLOPS_SKIP_TESTS"] = SKIPPED
    site.workbench.variables["IMAGES"] = "webservice"
    site.deploy_first()

    # When the next is deployed with a canary, under load
    site.running = site.workbench.commit("Good version")
    with site.load(pause=0.05) as load:
        result = site.workbench.make("deploy", **CANARY)

    # Then it was compared and promoted, which the history says, no request was lost, and the canary is gone
    assert result.returncode == 0, result.stdout + result.stderr
    assert "canary: not worse in " in result.stdout
    assert "canary: not worse in " in site.workbench.make("history").stdout
    assert load.lost == []
    assert deployments(site) == ["deployment.apps/oncology-webservice"]
    site.assert_still_answers()


def test_a_version_that_answers_with_errors_is_removed(site: Site) -> None:
    # Given an image that passes verification, and fails after some requests
    replace_in(site.workbench.folder / DOCKERFILE, "USER 10001:10001", WEARS_OUT)
    version = site.workbench.commit("Wear out")
    before = pods(site), generation(site)

    # When it is deployed with a canary, under load
    with site.load(pause=0.05):
        result = site.workbench.make("deploy", **CANARY)
    site.workbench.restore()

    # Then the canary is removed, the figure is named, and the old pods are untouched
    error = one_error_line(result)
    assert f"the canary of {version} failed and was removed, {site.running} runs as before: worse than the old" in error
    assert "server errors of POST /v1/predictions: " in error
    assert (pods(site), generation(site)) == before
    assert deployments(site) == ["deployment.apps/oncology-webservice"]
    assert site.workbench.history()[-1].state == "undone"
    site.assert_still_answers()


def test_a_canary_whose_deploy_was_killed_is_removed_by_the_next(site: Site) -> None:
    # Given a deploy that is killed while its canary is compared
    version = site.workbench.version()
    before = pods(site), generation(site)
    with site.workbench.start("deploy", **CANARY) as process:
        read_until(process, COMPARED)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    assert "deployment.apps/oncology-webservice-canary" in deployments(site)
    assert f"deploying {version}, canary, by " in site.workbench.make("status").stdout
    assert (pods(site), generation(site)) == before

    # When it is deployed again, which waits until the lock has expired
    result = site.workbench.make("deploy")

    # Then the canary is gone, and the version runs
    assert result.returncode == 0, result.stdout + result.stderr
    assert f"the deploy of {version}" in result.stdout
    assert deployments(site) == ["deployment.apps/oncology-webservice"]
    assert [line.state for line in site.workbench.history()[-2:]] == ["undone", "verified"]
    site.running = version
    site.assert_still_answers()
