"""Verify what runs on the cluster: each pod's version and golden predictions.

Each pod is asked by itself, through a port that kubectl forwards: a load balancer would hide
one wrong pod behind its neighbours.
"""

import argparse
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from mlops_runtime.model.artefact import ArtefactError
from mlops_runtime.operations.golden import (
    ServiceError,
    check_predictions,
    check_version,
    running_version,
)
from mlops_runtime.operations.project import project_artefact

CONTAINER = "webservice"
CONTAINER_PORT = 8000
OPERATOR_KEY = f"/tmp/webservice-{CONTAINER_PORT}.key"  # noqa: S108 - where the service puts it in its container


def running_pods(kubectl: Sequence[str], selector: str) -> list[str]:
    """Return the names of the selected pods that are running and not on their way out.

    Raises:
        ServiceError: if kubectl fails, or there is none.
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
    """Return the names of those pods in a Kubernetes pod list that are running and stay."""
    return [
        pod["metadata"]["name"]
        for pod in pods["items"]
        if pod["status"].get("phase") == "Running" and "deletionTimestamp" not in pod["metadata"]
    ]


def operator_key(kubectl: Sequence[str], pod: str) -> str:
    """Return the key that lets whoever may run commands in a pod call it; empty if the pod wants none.

    That a request comes through the forwarded port proves nothing: in a pod with the proxy of a
    service mesh, every request comes from its own address.

    Raises:
        ServiceError: if kubectl cannot look.
    """
    # A version from before there were keys has no such file, and answers without one.
    script = f"if [ -e {OPERATOR_KEY} ]; then cat {OPERATOR_KEY}; fi"
    command = [*kubectl, "exec", pod, "--container", CONTAINER, "--", "sh", "-c", script]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise ServiceError(f"kubectl cannot run a command in pod {pod}: {result.stderr.strip()}")
    return result.stdout.strip()


@contextmanager
def forwarded(kubectl: Sequence[str], pod: str) -> Iterator[str]:
    """Yield the local URL at which a pod answers, for as long as the block runs.

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
    """Verify every pod, or with --show only print what it is; return the exit status."""
    parser = argparse.ArgumentParser(prog="mlops_runtime.operations.verify", description=__doc__)
    parser.add_argument("--kubectl", required=True, type=shlex.split, help="the kubectl command, with its context")
    parser.add_argument("--selector", required=True, help="labels of the pods")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--version", help="the version that each pod must be")
    what.add_argument("--show", action="store_true", help="print each pod's version, compare nothing")
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
                    print(f"{pod} runs {arguments.version} and gives the {count} golden predictions")
    except (ServiceError, ArtefactError) as error:
        print(f"verify: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
