"""Verify the version and the golden predictions of each pod on the cluster.

Requests go to each pod through a port that kubectl forwards, because a load balancer would hide a wrong
pod among the others.
"""

import argparse
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mlops_runtime.model.artefact import ArtefactError
from mlops_runtime.operations.golden import ServiceError, check_predictions, check_version, running_version
from mlops_runtime.operations.project import project_artefact
from mlops_runtime.operator_key import operator_key_file

CONTAINER = "webservice"
CONTAINER_PORT = 8000
OPERATOR_KEY = operator_key_file(Path("/tmp"), CONTAINER_PORT)  # noqa: S108 - of the container


def running_pods(kubectl: Sequence[str], selector: str) -> list[str]:
    """Return the names of the selected pods that are running and not being deleted.

    Raises:
        ServiceError: if kubectl fails, or no such pod exists.
    """
    command = [*kubectl, "get", "pods", "--selector", selector, "--output", "json"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise ServiceError(f"kubectl cannot list the pods: {result.stderr.strip()}")
    names = pod_names(json.loads(result.stdout))
    if not names:
        raise ServiceError(f"no pod is running with the labels {selector}")
    return names


def pod_names(pods: dict[str, Any]) -> list[str]:
    """Return the names of the pods in a Kubernetes pod list that are running and not being deleted."""
    return [
        pod["metadata"]["name"]
        for pod in pods["items"]
        if pod["status"].get("phase") == "Running" and "deletionTimestamp" not in pod["metadata"]
    ]


def operator_key(kubectl: Sequence[str], pod: str) -> str:
    """Return the operator's key of a pod, which anybody may use who may run commands in the pod; empty without one.

    The service cannot trust requests from the forwarded port instead: with the proxy of a service mesh in
    the pod, every request comes from the pod's own address.

    Raises:
        ServiceError: if kubectl cannot run a command in the pod.
    """
    # A service without API keys has no such file.
    script = f"if [ -e {OPERATOR_KEY} ]; then cat {OPERATOR_KEY}; fi"
    command = [*kubectl, "exec", pod, "--container", CONTAINER, "--", "sh", "-c", script]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise ServiceError(f"kubectl cannot run a command in pod {pod}: {result.stderr.strip()}")
    return result.stdout.strip()


@contextmanager
def forwarded(kubectl: Sequence[str], pod: str) -> Iterator[str]:
    """Yield a local URL that is forwarded to a pod while the block runs.

    Raises:
        ServiceError: if kubectl cannot forward a port.
    """
    command = [*kubectl, "port-forward", f"pod/{pod}", f":{CONTAINER_PORT}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            line = process.stdout.readline() if process.stdout else ""
            port = re.search(r"127\.0\.0\.1:(\d+)", line)
            if not port:
                process.terminate()
                reason = process.stderr.read().strip() if process.stderr else ""
                raise ServiceError(f"kubectl cannot reach pod {pod}: {reason}")
            yield f"http://127.0.0.1:{port.group(1)}"
        finally:
            process.terminate()


def main(argv: Sequence[str] | None = None) -> int:
    """Verify every pod, or with --show only print its version; return the exit status."""
    parser = argparse.ArgumentParser(prog="mlops_runtime.operations.verify", description=__doc__)
    parser.add_argument("--kubectl", required=True, type=shlex.split, help="kubectl command with its options")
    parser.add_argument("--selector", required=True, help="labels of the pods")
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--version", help="version that each pod must report")
    action.add_argument("--show", action="store_true", help="print the version of each pod without a check")
    arguments = parser.parse_args(argv)
    try:
        artefact = None if arguments.show else project_artefact()
        for pod in running_pods(arguments.kubectl, arguments.selector):
            key = operator_key(arguments.kubectl, pod)
            with forwarded(arguments.kubectl, pod) as url:
                if artefact is None:
                    print(f"{pod} runs {running_version(url, key)}")
                else:
                    check_version(url, arguments.version, key)
                    check_predictions(url, artefact, key)
                    count = len(artefact.golden_records)
                    print(f"{pod} runs {arguments.version} and returns the {count} golden predictions")
    except (ServiceError, ArtefactError) as error:
        print(f"verify: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
