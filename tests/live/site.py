"""The project on a cluster: what runs there, who may ask it, and how it is broken on purpose."""

import json
import os
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.live.workbench import PAUSE, Load, Workbench, ask

NAMESPACE = "mlops-template-tests"
NODE_PORT = int(os.environ.get("TEST_NODE_PORT", "30080"))
ADDRESS = f"127.0.0.1:{NODE_PORT}"
MAX_SECONDS_FOR_KEYS = 120
IMAGES = "{.items[*].spec.template.spec.containers[*].image}"


def remove_namespace(name: str, wait: bool = True) -> None:
    """Delete a namespace of these tests, if there is one. Its pods end at once: nobody waits for their responses."""
    delete = ["kubectl", "delete", "namespace", name, "--ignore-not-found"]
    pods = ["kubectl", "--namespace", name, "delete", "pods", "--all", "--force", "--grace-period=0", "--wait=false"]
    subprocess.run([*delete, "--wait=false"], check=True, capture_output=True)
    subprocess.run(pods, check=True, capture_output=True)
    if wait:
        subprocess.run(delete, check=True, capture_output=True)


@dataclass
class Site:
    """The workbench, set to the cluster, the version that should be running there, and a key to it."""

    workbench: Workbench
    running: str = ""
    key: str = ""

    def kubectl(self, *arguments: str) -> str:
        """Return what kubectl prints for our namespace."""
        command = ["kubectl", "--namespace", NAMESPACE, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def deploy_first(self) -> None:
        """Deploy a first version, without AWS and with the rights of a deployer alone, open a port, and get a key."""
        self.workbench.environment["MLOPS_LOGIN"] = "none"
        self.running = self.workbench.commit("First version")
        self.use_rights_of("deployer")
        result = self.workbench.make("deploy")
        assert result.returncode == 0, result.stdout + result.stderr
        self.open_port()
        self.key = self.make_key("tests")
        self.seconds_until(200, self.key)

    def use_rights_of(self, role: str) -> None:
        """Let the commands of the workbench have the rights of a role, and no others."""
        result = self.workbench.make("provision.rbac")
        assert result.returncode == 0, result.stderr
        self.workbench.environment["MLOPS_KUBECTL"] = f"kubectl --as tester --as-group oncology:{role}"

    def open_port(self) -> None:
        """Open the port of the node to the service, and wait until it answers."""
        port = {"spec": {"type": "NodePort", "ports": [{"port": 80, "protocol": "TCP", "nodePort": NODE_PORT}]}}
        self.kubectl("patch", "service", "oncology-webservice", "--patch", json.dumps(port))
        self.wait_for_the_port()

    def copy(self, folder: Path) -> Workbench:
        """Return a copy of the workbench, with the model that it has trained."""
        shutil.copytree(self.workbench.folder, folder, symlinks=True)
        return Workbench(folder, self.workbench.environment, self.workbench.variables)

    def wait_for_the_port(self) -> None:
        """Wait until the node has opened the port of the service."""
        for _ in range(100):
            try:
                ask(ADDRESS, "/healthz")
            except OSError:
                time.sleep(0.3)
            else:
                return
        pytest.fail(f"{ADDRESS} does not answer: does the cluster hand that port on to its node?")

    def assert_still_answers(self) -> None:
        """The version that ran before is the one that runs, and predicts as it should."""
        assert ask(ADDRESS, "/version", key=self.key)[1]["version"] == self.running
        one = self.workbench.golden()[0]
        assert ask(ADDRESS, "/v1/predictions", one["record"], self.key)[1]["label"] == one["prediction"]["label"]

    def load(self, pause: float = PAUSE) -> Load:
        """Return clients that have a key, with seconds between two requests of each."""
        return Load(ADDRESS, self.workbench.golden(), self.key, pause=pause)

    def make_key(self, name: str) -> str:
        """Return the key that make gives to a caller of that name."""
        result = self.workbench.make("key", NAME=name)
        assert result.returncode == 0, result.stderr
        return result.stdout.strip()

    def seconds_until(self, status: int, key: str) -> float:
        """Return how long it took until a key was answered with this status, by every pod."""
        began = time.monotonic()
        in_a_row = 0
        while time.monotonic() - began < MAX_SECONDS_FOR_KEYS:
            # Each connection may come to another pod.
            in_a_row = in_a_row + 1 if ask(ADDRESS, "/version", key=key)[0] == status else 0
            if in_a_row == 20:
                return time.monotonic() - began
            time.sleep(0.1)
        pytest.fail(f"no {status} for a key within {MAX_SECONDS_FOR_KEYS} s")


def fit_to_server(folder: Path) -> None:
    """Use the disruption budgets that a server before Kubernetes 1.21 knows, if it is one."""
    versions = subprocess.run(["kubectl", "api-versions"], check=True, capture_output=True, text=True).stdout
    budget = folder / "k8s/base/poddisruptionbudget.yaml"
    if "policy/v1\n" not in versions and "policy/v1\n" in budget.read_text():
        replace_in(budget, "policy/v1\n", "policy/v1beta1\n")


def replace_in(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text, f"{path} has changed: this test no longer breaks what it means to break"
    path.write_text(text.replace(old, new))


CRASHES = 'CMD ["python", "-c", "raise SystemExit(1)"]'
# Readiness is fooled as well, so that only the check from outside can tell.
LIES = """RUN sed -i -e 's/_labels(contract, outputs/_labels(contract, 1 - outputs/' \\
    -e 's/_values(outputs/_values(1 - outputs/' \\
    -e 's/return bool(predictions) and all_agree(/return True or all_agree(/' \\
    /app/model/mlops_runtime/model/predictor.py
USER 10001:10001"""
