"""`make deploy` on a real cluster: the first version, the next one under load, and all that can go wrong.

The tests of this file are one story and build on one another, in their order.
"""

import base64
import hashlib
import json
import re
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from mlops_runtime.operations.upgrade import version_of
from tests.conftest import TEMPLATE
from tests.live.site import ADDRESS, CRASHES, IMAGES, NAMESPACE, Site, remove_namespace, replace_in
from tests.live.workbench import GIT, Workbench, ask, one_error_line
from tests.test_extensions import edit, readme_code, replace_candidates

pytestmark = pytest.mark.cluster

Record = Callable[[str, object], None]
OWN_RANGE = "Annotated[Integer, ExpectedRange(4, 5)]"


CONTACT = "data-science@example.org"
OVERLAY = f"""\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: webservice
spec:
  template:
    spec:
      containers:
        - name: webservice
          env:
            - name: CONTACT
              value: {CONTACT}
"""


def edit_as_a_user(project: Path) -> None:
    """Change an estimator, a field and an overlay, and add the route in the README."""
    replace_candidates(
        project, "from sklearn.linear_model import LogisticRegression", "LogisticRegression(C=0.3, max_iter=1000)"
    )
    replace_in(project / "src/oncology_model/datamodel.py", "thickness: Integer =", f"thickness: {OWN_RANGE} =")
    replace_in(project / "src/oncology_model/datamodel.py", "import Contract,", "import Contract, ExpectedRange,")
    replace_in(
        project / "src/oncology_model/datamodel.py",
        "import StrEnum\n",
        "import StrEnum\nfrom typing import Annotated\n",
    )
    tests = project / "tests/test_datamodel.py"
    tests.write_text(tests.read_text().split("def test_the_contract_is_the_one")[0])
    (code,) = readme_code(project, "src/webservice/app.py")
    edit(project, "src/webservice/app.py", code)
    (project / "k8s/overlays/production/contact.yaml").write_text(OVERLAY)
    replace_in(
        project / "k8s/overlays/production/kustomization.yaml", "patches:\n", "patches:\n  - path: contact.yaml\n"
    )


def upgrade(workbench: Workbench) -> None:
    """Upgrade a project, and merge the branch as the command says."""
    command = [*GIT, "config", "user.email", "tester@localhost"]
    subprocess.run(command, cwd=workbench.folder, check=True)
    subprocess.run([*GIT, "config", "user.name", "Tester"], cwd=workbench.folder, check=True)
    result = workbench.make("upgrade", TEMPLATE=str(TEMPLATE))
    assert result.returncode == 0, result.stderr
    merge = result.stdout.strip().rpartition("merge the branch: ")[2]
    subprocess.run(merge, shell=True, cwd=workbench.folder, check=True, capture_output=True)


def test_the_first_deploy_provisions_and_answers(site: Site) -> None:
    # Given a cluster without our namespace, and a project with an older runtime that its user has edited and upgraded
    runtime = site.workbench.folder / "vendor/mlops_runtime"
    current = version_of(runtime.parent)
    replace_in(runtime / "__init__.py", current, "0.9.0")
    (runtime / "older.py").touch()
    edit_as_a_user(site.workbench.folder)
    site.workbench.commit("Edit the project")
    upgrade(site.workbench)
    assert version_of(runtime.parent) == current
    assert not (runtime / "older.py").exists()
    version = site.workbench.commit("First version")

    # When it is deployed
    result = site.workbench.make("deploy")

    # Then two pods of that version run, from an image named by digest, and golden predictions were checked
    assert result.returncode == 0, result.stdout + result.stderr
    assert re.search(rf"{version} runs: 2 pods, \d+ golden predictions each", result.stdout)
    image = site.kubectl("get", "deployments", "--output", f"jsonpath={IMAGES}")
    assert "@sha256:" in image
    site.running = version
    site.open_port()

    # And nobody is let in without a key, of which none was shown where no person looks
    assert "create an API key: make key NAME=caller" in result.stdout
    assert ask(ADDRESS, "/version")[0] == 401
    site.key = site.make_key("tests")
    site.seconds_until(200, site.key)
    site.assert_still_answers()

    # And it answers with the route, the overlay, the estimator and the field of the user
    assert ask(ADDRESS, "/v1/contact", key=site.key) == (200, {"address": CONTACT})
    record = site.workbench.golden()[0]["record"] | {"Clump_thickness": 9}
    warnings = ask(ADDRESS, "/v1/predictions", record, site.key)[1]["warnings"]
    assert "Clump_thickness: 9 is outside the expected range, 4 to 5" in warnings[0]
    metadata = json.loads((site.workbench.folder / "src/oncology_model/artefact/metadata.json").read_text())
    assert metadata["estimator"] == "own"


def test_keys_are_made_and_removed_while_the_service_runs(site: Site, record_property: Record) -> None:
    # Given a caller without a key, and one with a wrong key
    record = site.workbench.golden()[0]["record"]
    assert ask(ADDRESS, "/v1/predictions", record)[0] == 401
    assert ask(ADDRESS, "/v1/predictions", record, "wrong")[0] == 401
    assert ask(ADDRESS, "/healthz")[0] == 200

    # When another key is made, then it works with every pod, and the first one as well
    second = site.make_key("second")
    works = site.seconds_until(200, second)
    assert site.workbench.make("keys").stdout.split() == ["first", "second", "tests"]
    site.assert_still_answers()

    # When it is removed, then it is refused, and the first one is not
    assert site.workbench.make("key.remove", NAME="second").returncode == 0
    refused = site.seconds_until(401, second)
    assert site.workbench.make("keys").stdout.split() == ["first", "tests"]
    site.assert_still_answers()

    record_property("seconds until a key works", works)
    record_property("seconds until a key is refused", refused)
    print(f"keys: one works after {works:.1f} s, and is refused {refused:.1f} s after it was removed")

    # And the cluster never held a key: only its hash
    secret = site.kubectl("get", "secret", "oncology-webservice-keys", "--output", "json")
    known = {base64.b64decode(content).decode() for content in json.loads(secret)["data"].values()}
    assert hashlib.sha256(site.key.encode()).hexdigest() in known
    assert site.key not in known


@pytest.mark.parametrize(
    ("target", "name", "message"),
    [
        pytest.param("key", "", "cannot be the name of a caller", id="no name"),
        pytest.param("key", "tests", "tests has a key already", id="a name that is taken"),
        pytest.param("key.remove", "nobody", "'nobody' has no key", id="a name that nobody has"),
    ],
)
def test_a_key_that_cannot_be_changed_is_said(site: Site, target: str, name: str, message: str) -> None:
    result = site.workbench.make(target, NAME=name)

    assert result.returncode != 0
    assert message in one_error_line(result)
    site.assert_still_answers()


def test_the_pods_are_as_restricted_as_the_manifests_say(site: Site) -> None:
    pod = site.kubectl("get", "pods", "--output", "jsonpath={.items[0].metadata.name}")

    # No root, no writing outside /tmp, no Kubernetes credentials
    assert site.kubectl("exec", pod, "--", "id", "-u").strip() == "10001"
    script = (
        "touch /app/x 2>/dev/null && echo wrote; touch /tmp/x && echo tmp; ls /run/secrets 2>/dev/null || echo none"
    )
    assert site.kubectl("exec", pod, "--", "sh", "-c", script).split() == ["tmp", "none"]


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        pytest.param({"TEAM": "other"}, "belongs to the team data-science, not to other", id="another team"),
        pytest.param(
            {"ENVIRONMENT": "staging"}, "is the environment production, not staging", id="another environment"
        ),
        pytest.param({"CLUSTER": "another-cluster"}, "not to another-cluster", id="wrong context"),
        pytest.param({"REGISTRY": "127.0.0.1:9"}, "cannot log in to 127.0.0.1:9", id="unreachable registry"),
    ],
)
def test_a_wrong_setting_changes_nothing(site: Site, variables: dict[str, str], message: str) -> None:
    before = site.kubectl("get", "deployments", "--output", "jsonpath={.items[*].metadata.generation}")

    result = site.workbench.make("deploy", **variables)

    assert result.returncode != 0
    assert message in one_error_line(result)
    assert site.kubectl("get", "deployments", "--output", "jsonpath={.items[*].metadata.generation}") == before
    site.assert_still_answers()


def test_a_denied_login_changes_nothing(site: Site, registry_with_password: str) -> None:
    result = site.workbench.make("deploy", REGISTRY=registry_with_password)

    assert result.returncode != 0
    assert f"cannot log in to {registry_with_password}" in one_error_line(result)
    site.assert_still_answers()


def test_an_uncommitted_change_is_refused(site: Site) -> None:
    # Given a change that no commit holds
    notes = site.workbench.folder / "NOTES.md"
    notes.write_text("To do")

    # When it is deployed, then it is refused before anything is built
    result = site.workbench.make("deploy")
    notes.unlink()
    assert result.returncode != 0
    assert "uncommitted changes" in one_error_line(result)
    assert "Building" not in result.stdout
    site.assert_still_answers()


def test_a_first_version_that_fails_says_that_there_is_none_before_it(site: Site) -> None:
    # Given a namespace of its own, where nothing has been deployed
    namespace = f"{NAMESPACE}-first"
    replace_in(site.workbench.folder / "docker/webservice.Dockerfile", 'CMD ["python", "-m", "webservice"]', CRASHES)
    version = site.workbench.commit("Break the image")

    # When a version that crashes is deployed
    result = site.workbench.make("deploy", NAMESPACE=namespace, ROLLOUT_TIMEOUT="15s", IMAGES="webservice")
    site.workbench.restore()
    remove_namespace(namespace, wait=False)

    # Then make fails, and does not pretend to have undone it
    assert result.returncode != 0
    assert f"{version} failed and there is no earlier version to go back to" in one_error_line(result)
    assert "build/rollout.log" in one_error_line(result)


def reach_aws_from_the_node(site: Site) -> None:
    """Let the training pod use the network of its node, and with it the AWS of these tests."""
    variables = {name: value for name, value in site.workbench.environment.items() if name.startswith("AWS_")}
    container = {"name": "trainer", "env": [{"name": name, "value": value} for name, value in variables.items()]}
    pod = {"hostNetwork": True, "containers": [container]}
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "trainer"}}
    path = site.workbench.folder / "k8s/trainer/kustomization.yaml"
    kustomization = yaml.safe_load(path.read_text())
    kustomization["patches"] = [{"patch": json.dumps(job | {"spec": {"template": {"spec": pod}}})}]
    path.write_text(yaml.safe_dump(kustomization))


def node_is_this_machine(site: Site) -> bool:
    """Whether a pod on the node's network can reach what listens on 127.0.0.1 here."""
    address = site.kubectl("get", "nodes", "--output", "jsonpath={.items[0].status.addresses[0].address}")
    with socket.socket() as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True


def test_the_training_job_gates_and_uploads(site: Site) -> None:
    if not node_is_this_machine(site):
        pytest.skip("the node is not this machine: its pods cannot reach the AWS of these tests")
    reach_aws_from_the_node(site)
    version = site.workbench.commit("Reach AWS from the node")

    environment = site.workbench.environment | {"AWS_DEFAULT_REGION": "eu-central-1", "PATH": "/usr/bin:/bin"}
    aws = [*site.workbench.aws, "s3"]
    subprocess.run([*aws, "mb", "s3://jobs"], env=environment, check=True, capture_output=True)

    def listing() -> str:
        command = [*aws, "ls", "--recursive", "s3://jobs/trainer/"]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False).stdout

    # When a floor is out of reach, then the job fails, make says so, and nothing is uploaded
    refused = site.workbench.make("train.job", FLOORS="accuracy=1.0", BUCKET="jobs")
    assert refused.returncode != 0
    assert "the gate refuses the model" in refused.stdout
    assert "the training job failed" in one_error_line(refused)
    assert listing() == ""

    # When it is within reach, then what the job made is in the bucket
    made = site.workbench.make("train.job", BUCKET="jobs")
    site.workbench.restore()
    assert made.returncode == 0, made.stdout + made.stderr
    for name in ("artefact/model.onnx", "metrics.json", "report.html"):
        assert f"trainer/{version}/{name}" in listing()
