"""Deploys that are interrupted, meet one another and people who change the cluster by hand, or begin with a canary.

The tests of this file are one story and build on one another, in their order.
"""

import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from subprocess import Popen

import pytest

from tests.live.conftest import SKIPPED
from tests.live.site import ADDRESS, LIES, NAMESPACE, Site, remove_namespace, replace_in
from tests.live.workbench import Workbench, ask, one_error_line

pytestmark = pytest.mark.cluster

FOR_PRODUCTION = {
    "PRIORITY_CLASS": "mlops-template-tests", "ALLOW_FROM": "0.0.0.0/0",
    "INGRESS_CLASS": "nginx", "PUBLIC_HOST": "oncology.example.org",
}  # fmt: skip
"""Settings that bring objects which every server has since Kubernetes 1.19."""
OF_PRODUCTION = {
    "ingress.networking.k8s.io/oncology-webservice",
    "networkpolicy.networking.k8s.io/oncology-trainer",
    "networkpolicy.networking.k8s.io/oncology-webservice",
}
APPLIED = "new pods ready"
VERIFYING = "verifying version"
DOCKERFILE = "docker/webservice.Dockerfile"
CANARY = {"STRATEGY": "canary", "CANARY_FOR": "30"}
COMPARED = "requests to the canary"
# Each pod answers its first 150 requests, so that only a comparison under traffic can tell.
WEARS_OUT = r"""RUN printf '%s\n' \
  '_right, _left = predictions_from_outputs, iter(range(150))' \
  'def predictions_from_outputs(contract, outputs, *others):' \
  '    if len(outputs) == 1 and next(_left, None) is None: raise RuntimeError("worn out")' \
  '    return _right(contract, outputs, *others)' >> /app/model/mlops_runtime/model/predictor.py
USER 10001:10001"""


def read_until(process: Popen[str], text: str) -> str:
    """Return what a command has printed when it prints a text."""
    assert process.stdout is not None
    printed = ""
    for line in process.stdout:
        printed += line
        if text in line:
            return printed
    pytest.fail(f"the command ended without a line with {text!r}: {printed} {process.stderr and process.stderr.read()}")


def rest_of(process: Popen[str]) -> tuple[int, str, str]:
    """Return the exit status of a command and the rest of its outputs."""
    output, errors = process.communicate(timeout=300)
    return process.returncode, output, errors


def lies(site: Site) -> str:
    """Commit an image that predicts wrongly, and return the version."""
    replace_in(site.workbench.folder / DOCKERFILE, "USER 10001:10001", LIES)
    return site.workbench.commit("Predict wrongly")


def pods(site: Site) -> list[str]:
    return site.kubectl("get", "pods", "--selector", "component=webservice", "--output", "name").split()


def replicas(site: Site) -> int:
    return int(site.kubectl("get", "deployment", "oncology-webservice", "--output", "jsonpath={.spec.replicas}"))


def settings(site: Site) -> dict[str, str]:
    """Return the settings that the pods get."""
    name = site.kubectl(
        "get", "deployment", "oncology-webservice", "--output",
        "jsonpath={.spec.template.spec.containers[0].envFrom[0].configMapRef.name}",
    )  # fmt: skip
    content: dict[str, str] = json.loads(site.kubectl("get", "configmap", name, "--output", "json"))["data"]
    return content


def of_production(site: Site) -> set[str]:
    """Return the objects that the settings for production bring."""
    return set(site.kubectl("get", "ingresses,networkpolicies", "--output", "name").split())


@pytest.fixture(scope="module")
def priority_class(cluster: str) -> Iterator[None]:
    """A class that the settings for production name."""
    del cluster  # that there is one
    name = FOR_PRODUCTION["PRIORITY_CLASS"]
    subprocess.run(["kubectl", "create", "priorityclass", name, "--value=1000"], capture_output=True, check=False)
    yield
    subprocess.run(["kubectl", "delete", "priorityclass", name, "--wait=false"], capture_output=True, check=True)


@pytest.mark.usefixtures("priority_class")
def test_manifests_and_settings_come_and_go_with_the_version(site: Site) -> None:
    # Given a version that runs, and a commit that changes settings, adds an object, and breaks the image
    site.workbench.environment["MLOPS_SKIP_TESTS"] = SKIPPED
    site.workbench.variables["IMAGES"] = "webservice"
    site.deploy_first()
    folder = site.workbench.folder
    replace_in(folder / "project.mk", "MAX_RECORDS ?= 1000", "MAX_RECORDS ?= 7")
    for name, value in FOR_PRODUCTION.items():
        replace_in(folder / "project.mk", f"{name} ?=\n", f"{name} ?= {value}\n")
    replace_in(folder / "k8s/base/kustomization.yaml", "  - service.yaml\n", "  - service.yaml\n  - notes.yaml\n")
    notes = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "notes"}, "data": {"text": "new"}}
    (folder / "k8s/base/notes.yaml").write_text(json.dumps(notes))
    version = lies(site)
    seen = site.workbench.make("diff").stdout

    # When it is deployed, then everything is undone together
    result = site.workbench.make("deploy")
    assert result.returncode != 0
    assert f"{version} failed and was undone, {site.running} runs" in one_error_line(result)
    assert settings(site)["MAX_RECORDS"] == "1000"
    assert of_production(site) == set()
    assert "oncology-notes" not in site.kubectl("get", "configmaps", "--output", "name")
    site.assert_still_answers()

    # When only the image is mended, then everything is applied, as make diff had said
    replace_in(folder / DOCKERFILE, LIES, "USER 10001:10001")
    site.running = site.workbench.commit("Mend the image")
    assert site.workbench.make("deploy").returncode == 0
    assert settings(site)["MAX_RECORDS"] == "7"
    assert of_production(site) == OF_PRODUCTION
    priority = "jsonpath={.spec.template.spec.priorityClassName}"
    shown = site.kubectl("get", "deployment", "oncology-webservice", "--output", priority)
    assert shown == FOR_PRODUCTION["PRIORITY_CLASS"]
    assert "oncology-notes" in site.kubectl("get", "configmaps", "--output", "name")
    assert "ConfigMap oncology-notes: missing on the cluster" in seen
    # And a training on schedule learns which model to compare its own with
    artefact = "jsonpath={.metadata.annotations.mlops-runtime/artefact}"
    verified = site.kubectl("get", "deployment", "oncology-webservice", "--output", artefact)
    champion = site.kubectl("get", "configmap", "oncology-champion", "--output", "jsonpath={.data.CHAMPION}")
    assert champion == f"champion/production/{verified}.json"
    site.assert_still_answers()


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM to make"])
def test_an_interrupted_deploy_is_undone(site: Site, stop: signal.Signals) -> None:
    # Given an image that predicts wrongly, on its way
    version = lies(site)
    with site.workbench.start("deploy") as process:
        read_until(process, APPLIED)

        # When the deploy is asked to stop
        if stop is signal.SIGINT:
            os.killpg(process.pid, stop)
        else:
            process.send_signal(stop)
        status, _, errors = rest_of(process)
    site.workbench.restore()

    # Then the version before runs
    assert status != 0
    assert f"{version} failed and was undone, {site.running} runs: interrupted by {stop.name}" in errors
    site.assert_still_answers()


def test_a_deploy_that_was_killed_before_it_changed_anything_is_repaired(site: Site) -> None:
    # Given an image that predicts wrongly, and a deploy of it that is killed
    version = lies(site)
    with site.workbench.start("deploy") as process:
        read_until(process, "deploying")
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    site.workbench.restore()
    assert version in site.workbench.make("status").stdout

    # When it is repaired, which waits until the lock has expired
    result = site.workbench.make("repair")

    # Then the version before runs, and the history says what happened
    assert result.returncode == 0, result.stdout + result.stderr
    assert f"the deploy of {version}" in result.stdout
    assert site.workbench.history()[-1].state == "undone"
    site.assert_still_answers()


def test_of_three_deploys_at_once_the_newest_good_version_stays(site: Site, tmp_path: Path) -> None:
    # Given three copies: a good version, a bad one after it, and a good one after that
    copies = []
    site.workbench.commit("Older version")
    copies.append(site.copy(tmp_path / "older/oncology"))
    lies(site)
    copies.append(site.copy(tmp_path / "bad/oncology"))
    newest = site.workbench.restore()
    copies.append(site.copy(tmp_path / "newest/oncology"))

    # When all are deployed at once
    results: list[subprocess.CompletedProcess[str]] = []
    threads = [threading.Thread(target=lambda copy=copy: results.append(copy.make("deploy"))) for copy in copies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    # Then the newest good version runs and is recorded
    outputs = "\n".join(result.stdout + result.stderr for result in results)
    site.running = newest
    site.assert_still_answers()
    verified = [line.version for line in site.workbench.history() if line.state == "verified"]
    assert verified[-1] == newest, outputs
    assert sum(result.returncode == 0 for result in results) in (1, 2), outputs


def test_pods_that_come_and_go_while_verifying_are_no_fault_of_the_version(site: Site) -> None:
    version = site.workbench.commit("Next version")
    with site.workbench.start("deploy") as process:
        read_until(process, VERIFYING)

        # When a pod is deleted, and the Deployment is scaled, in the middle of the verification
        site.kubectl("delete", pods(site)[0], "--wait=false")
        site.kubectl("scale", "deployment", "oncology-webservice", "--replicas", "3")
        status, output, errors = rest_of(process)

    # Then the version counts as verified
    assert status == 0, output + errors
    site.running = version
    site.assert_still_answers()


def test_the_next_version_keeps_the_pods_removes_objects_and_says_why_tests_were_skipped(site: Site) -> None:
    # Given three pods, as somebody has chosen, and a commit without objects that the version before had
    assert replicas(site) == 3
    replace_in(site.workbench.folder / "project.mk", "INGRESS_CLASS ?= nginx\n", "INGRESS_CLASS ?=\n")
    replace_in(site.workbench.folder / "k8s/base/kustomization.yaml", "  - notes.yaml\n", "")
    site.running = site.workbench.commit("Remove the notes")

    # When it is deployed without tests, for a reason
    result = site.workbench.make("deploy", SKIP_TESTS="the payment service is down")

    # Then the pods stay, the objects leave the cluster, and the history has the reason
    assert result.returncode == 0, result.stdout + result.stderr
    assert "3 pods are kept" in result.stdout
    assert replicas(site) == 3
    assert of_production(site) == {name for name in OF_PRODUCTION if "ingress" not in name}
    assert "oncology-notes" not in site.kubectl("get", "configmaps", "--output", "name")
    assert "tests skipped: the payment service is down" in site.workbench.make("history").stdout
    site.assert_still_answers()
    site.kubectl("scale", "deployment", "oncology-webservice", "--replicas", "2")


class Outage:
    """A way to the API server that can be cut."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self._open = threading.Event()
        self._open.set()
        self._connections: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Close every connection, and each new one."""
        self._open.clear()
        for connection in self._connections:
            connection.close()

    def mend(self) -> None:
        """Let connections through again."""
        self._open.set()

    def _accept(self) -> None:
        while True:
            client, _ = self._server.accept()
            if not self._open.is_set():
                client.close()
                continue
            upstream = socket.create_connection(self._target)
            self._connections += [client, upstream]
            for source, sink in ((client, upstream), (upstream, client)):
                threading.Thread(target=self._copy, args=(source, sink), daemon=True).start()

    @staticmethod
    def _copy(source: socket.socket, sink: socket.socket) -> None:
        try:
            while content := source.recv(65536):
                sink.sendall(content)
        except OSError:
            pass
        finally:
            source.close()
            sink.close()


@pytest.fixture
def outage(tmp_path: Path) -> tuple[Outage, Path]:
    """A way to the API server that can be cut, and the kubectl configuration that uses it."""
    view = subprocess.run(
        ["kubectl", "config", "view", "--raw", "--minify", "--flatten", "--output", "json"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    config = json.loads(view.stdout)
    cluster = config["clusters"][0]["cluster"]
    host, _, port = cluster["server"].removeprefix("https://").partition(":")
    way = Outage(host, int(port or 443))
    cluster |= {"server": f"https://127.0.0.1:{way.port}", "tls-server-name": host}
    path = tmp_path / "kubeconfig"
    path.write_text(json.dumps(config))
    return way, path


def test_a_deploy_waits_for_the_api_server(site: Site, outage: tuple[Outage, Path]) -> None:
    way, kubeconfig = outage
    version = site.workbench.commit("While the API server is away")
    environment = site.workbench.environment | {"KUBECONFIG": str(kubeconfig)}
    with Workbench(site.workbench.folder, environment).start("deploy") as process:
        read_until(process, APPLIED)

        # When the API server is away for longer than the lock lasts
        way.cut()
        time.sleep(40)
        way.mend()
        status, output, errors = rest_of(process)

    # Then the deploy says so, and goes on
    assert status == 0, output + errors
    assert "the API server of the cluster does not answer" in output
    site.running = version
    site.assert_still_answers()


def test_a_quota_without_room_is_named_and_undone(site: Site) -> None:
    # Given a namespace that has no room for a pod more
    site.kubectl("create", "quota", "full", "--hard=pods=2")
    version = site.workbench.commit("No room")

    # When a version is deployed, under load
    with site.load() as load:
        result = site.workbench.make("deploy", ROLLOUT_TIMEOUT="15s")
    site.kubectl("delete", "quota", "full")

    # Then it is undone, the quota is named, and no request was lost
    assert f"{version} failed and was undone" in one_error_line(result)
    assert "exceeded quota: full" in one_error_line(result)
    assert load.lost == []
    site.assert_still_answers()


def test_an_image_that_is_not_there_is_named_and_undone(site: Site) -> None:
    # Given a digest that the registry does not have
    path = site.workbench.folder / "build/webservice.image"
    image = path.read_text()
    path.write_text(f"{image.partition('@')[0]}@sha256:{'0' * 64}\n")

    # When it is deployed
    result = site.workbench.make("deploy", "--old-file=publish", ROLLOUT_TIMEOUT="15s")
    path.write_text(image)

    # Then it is undone, and the message names the reason and the file with the events
    assert "was undone" in one_error_line(result)
    assert "ImagePull" in one_error_line(result)
    assert "build/rollout.log has the events" in one_error_line(result)
    assert "Failed to pull image" in (site.workbench.folder / "build/rollout.log").read_text()
    site.assert_still_answers()


def test_a_deleted_secret_is_restored_before_a_key_is_added(site: Site) -> None:
    # Given that somebody has deleted the Secret with the keys
    site.kubectl("delete", "secret", "oncology-webservice-keys")

    # When another key is made
    second = site.make_key("second")

    # Then nobody is locked out
    site.seconds_until(200, second)
    site.assert_still_answers()


def test_a_door_that_was_opened_by_hand_is_closed(site: Site) -> None:
    # Given that somebody has turned off the keys, and no commit says so
    site.kubectl("set", "env", "deployment/oncology-webservice", "API_KEYS=")
    site.kubectl("rollout", "status", "deployment", "oncology-webservice")
    assert "API_KEYS" in site.workbench.make("diff").stdout

    # When the project is deployed
    result = site.workbench.make("deploy")
    site.running = site.workbench.version()

    # Then that is named, and the service asks for a key again
    assert result.returncode == 0, result.stdout + result.stderr
    assert "changed by hand" in result.stdout
    assert "env[API_KEYS].value" in result.stdout
    site.seconds_until(401, "")
    site.assert_still_answers()


def test_a_rollout_that_somebody_has_paused_is_left_alone_until_it_is_repaired(site: Site) -> None:
    site.kubectl("rollout", "pause", "deployment", "oncology-webservice")

    refused = site.workbench.make("deploy")
    repaired = site.workbench.make("repair")

    assert "somebody has paused the rollout" in one_error_line(refused)
    assert repaired.returncode == 0, repaired.stdout + repaired.stderr
    assert site.workbench.make("deploy").returncode == 0
    site.assert_still_answers()


def test_staging_touches_neither_production_nor_the_labels_of_its_namespace(site: Site) -> None:
    # Given a namespace for staging that belongs to somebody else
    staging = f"{NAMESPACE}-staging"
    subprocess.run(["kubectl", "create", "namespace", staging], check=True, capture_output=True)
    subprocess.run(["kubectl", "label", "namespace", staging, "team=platform"], check=True, capture_output=True)
    before = site.kubectl("get", "deployment", "oncology-webservice", "--output", "jsonpath={.metadata.generation}")

    # When staging is deployed
    environment = {name: value for name, value in site.workbench.environment.items() if name != "MLOPS_NAMESPACE"}
    environment["MLOPS_KUBECTL"] = "kubectl"
    replace_in(site.workbench.folder / "environments/staging.mk", "$(PROJECT)-staging", staging)
    site.workbench.commit("Name the namespace of staging")
    result = Workbench(site.workbench.folder, environment).make("deploy", ENVIRONMENT="staging")
    labels = site.kubectl("get", "namespace", staging, "--output", "jsonpath={.metadata.labels}")
    count = subprocess.run(
        ["kubectl", "--namespace", staging, "get", "deployments", "--output", "jsonpath={.items[*].spec.replicas}"],
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    remove_namespace(staging, wait=False)

    # Then it has a pod of its own, and neither its namespace nor production has changed
    assert result.returncode == 0, result.stdout + result.stderr
    assert count == "1"
    assert json.loads(labels)["team"] == "platform"
    assert "pod-security.kubernetes.io/enforce" not in labels
    after = site.kubectl("get", "deployment", "oncology-webservice", "--output", "jsonpath={.metadata.generation}")
    assert after == before
    site.assert_still_answers()


def test_a_drained_node_loses_no_request(site: Site) -> None:
    node = site.kubectl("get", "nodes", "--output", "jsonpath={.items[0].metadata.name}")
    with site.load() as load:
        # When the only node is drained, then at most one pod is evicted: no other node can take it
        subprocess.run(
            ["kubectl", "drain", node, "--ignore-daemonsets", "--pod-selector=component=webservice", "--timeout=15s"],
            capture_output=True, check=False,
        )  # fmt: skip
        subprocess.run(["kubectl", "uncordon", node], check=True, capture_output=True)
        site.kubectl("rollout", "status", "deployment", "oncology-webservice")

    assert load.lost == []
    site.assert_still_answers()


def restarts(site: Site) -> dict[str, int]:
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


def test_a_good_version_is_tried_out_on_a_canary_and_promoted(site: Site) -> None:
    # When a version is deployed with a canary, under load
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


def test_a_canary_that_answers_with_errors_is_removed(site: Site) -> None:
    # Given an image that passes verification, and fails after some requests
    replace_in(site.workbench.folder / DOCKERFILE, "USER 10001:10001", WEARS_OUT)
    version = site.workbench.commit("Wear out")
    before = restarts(site), generation(site)

    # When it is deployed with a canary, under load
    with site.load(pause=0.05):
        result = site.workbench.make("deploy", **CANARY)
    site.workbench.restore()

    # Then the canary is removed, the figure is named, and the old pods are untouched
    error = one_error_line(result)
    assert f"the canary of {version} failed and was removed, {site.running} runs as before: worse than the old" in error
    assert "server errors of POST /v1/predictions: " in error
    assert (restarts(site), generation(site)) == before
    assert deployments(site) == ["deployment.apps/oncology-webservice"]
    assert site.workbench.history()[-1].state == "undone"
    site.assert_still_answers()


def test_a_canary_whose_deploy_was_killed_is_removed_by_the_next(site: Site) -> None:
    # Given a deploy that is killed while its canary is compared
    version = site.workbench.version()
    before = restarts(site), generation(site)
    with site.workbench.start("deploy", **CANARY) as process:
        read_until(process, COMPARED)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    assert "deployment.apps/oncology-webservice-canary" in deployments(site)
    assert f"deploying {version}, canary, by " in site.workbench.make("status").stdout
    assert (restarts(site), generation(site)) == before

    # When it is deployed again, which waits until the lock has expired
    result = site.workbench.make("deploy")

    # Then the canary is gone, and the version runs
    assert result.returncode == 0, result.stdout + result.stderr
    assert f"the deploy of {version}" in result.stdout
    assert deployments(site) == ["deployment.apps/oncology-webservice"]
    assert [line.state for line in site.workbench.history()[-2:]] == ["undone", "verified"]
    site.running = version
    site.assert_still_answers()


def test_a_contract_that_breaks_callers_is_refused(site: Site) -> None:
    # Given a contract without one of its fields
    (datamodel,) = site.workbench.folder.glob("src/*_model/datamodel.py")
    before, _, rest = datamodel.read_text().partition("    mitoses: ")
    datamodel.write_text(before + rest.partition("\n    )\n")[2])
    site.workbench.commit("Remove a field")

    # When it is deployed
    result = site.workbench.make("deploy", SKIP_TESTS="they send the field")
    site.workbench.restore()

    # Then it is refused, with what callers would see
    assert "field `Mitoses`: removed" in result.stdout
    assert "CONTRACT=breaking deploys them" in one_error_line(result)
    assert ask(ADDRESS, "/version", key=site.key)[1]["version"] == site.running
