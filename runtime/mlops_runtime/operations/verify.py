"""Verify a release from outside: version and golden predictions of each pod.

Requests go to each pod through a port that kubectl forwards, because a load balancer would hide a wrong pod among
the others. The golden records are read from the image of the pod, whose digest is the published one: the files on
this machine may be those of another training run.
"""

import json
import re
import select
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from mlops_runtime.operations.golden import ServiceError, check_predictions, check_version, running_version
from mlops_runtime.operations.kubectl import Kubectl
from mlops_runtime.operator_key import operator_key_file

CONTAINER = "webservice"
CONTAINER_PORT = 8000
FORWARD_TIMEOUT = 20.0
"""Seconds in which kubectl must forward a port."""
OPERATOR_KEY = operator_key_file(Path("/tmp"), CONTAINER_PORT)  # noqa: S108 - of the container

ARTEFACT_METADATA = "*_model/artefact/metadata.json"
"""Metadata of the artefact in src/ of a project, and in /app/model of its image."""

READ_KEY = f"if [ -e {OPERATOR_KEY} ]; then cat {OPERATOR_KEY}; fi"
"""Shell script that prints the operator's key of a pod."""
READ_FILES = f"""\
{READ_KEY}; echo
cat /app/model/*_model/artefact/golden.json; echo
cat /app/model/{ARTEFACT_METADATA}"""
"""Shell script that prints the operator's key, the golden records and the metadata of a pod, a line each."""


@dataclass(frozen=True)
class PodFiles:
    """What verification reads in a pod.

    Attributes:
        key: operator's key, which anybody may use who may run commands in the pod; empty without one. The service
            cannot trust requests from the forwarded port instead: with the proxy of a service mesh in the pod,
            every request comes from the pod's own address.
        golden_records: of the model in the image.
        artefact: SHA-256 of the metadata, which hold the hash of every other file of the artefact.
    """

    key: str
    golden_records: list[dict[str, Any]]
    artefact: str


def read_pod(kubectl: Kubectl, pod: str) -> PodFiles:
    """Return the files of a pod that verification needs.

    Raises:
        ClusterError: if kubectl cannot run a command in the pod.
        ServiceError: if the image has no golden records.
    """
    output = kubectl.once("exec", pod, "--container", CONTAINER, "--", "sh", "-c", READ_FILES)
    key, _, content = output.partition("\n")
    try:
        golden_records, end = json.JSONDecoder().raw_decode(content.lstrip())
    except ValueError as error:
        raise ServiceError(f"the image of pod {pod} has no golden records") from error
    # Without that file, the metadata come first.
    if not isinstance(golden_records, list):
        raise ServiceError(f"the image of pod {pod} has no golden records")
    return PodFiles(key.strip(), golden_records, artefact_hash(content.lstrip()[end:]))


def artefact_hash(metadata: str) -> str:
    """Return the hash that names an artefact: of its metadata, without line breaks at both ends."""
    return sha256(metadata.strip("\n").encode()).hexdigest()


@contextmanager
def forwarded(kubectl: Kubectl, pod: str) -> Iterator[str]:
    """Yield a local URL that is forwarded to a pod while the block runs.

    Raises:
        ServiceError: if kubectl cannot forward a port.
    """
    command = [*kubectl.command, "--namespace", kubectl.namespace, "port-forward", f"pod/{pod}", f":{CONTAINER_PORT}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            line = ""
            if process.stdout and select.select([process.stdout], [], [], FORWARD_TIMEOUT)[0]:
                line = process.stdout.readline()
            port = re.search(r"127\.0\.0\.1:(\d+)", line)
            if not port:
                process.terminate()
                reason = process.stderr.read().strip() if process.stderr else ""
                raise ServiceError(f"kubectl cannot reach pod {pod}: {reason}")
            yield f"http://127.0.0.1:{port.group(1)}"
        finally:
            process.terminate()


def verify_pod(kubectl: Kubectl, pod: str, version: str) -> PodFiles:
    """Verify version and golden predictions of a pod and return the files that it was compared with.

    Raises:
        WrongPredictionError: if the pod runs another version or predicts something else.
        ServiceError, ClusterError: if the pod cannot be asked, perhaps because it has just ended.
    """
    files = read_pod(kubectl, pod)
    try:
        with forwarded(kubectl, pod) as url:
            check_version(url, version, files.key)
            check_predictions(url, files.golden_records, files.key)
    except ServiceError as error:
        # The reader knows the pod, not the forwarded port.
        message = re.sub(r"http://127\.0\.0\.1:\d+", f"pod {pod}", str(error))
        raise type(error)(message) from error
    return files


def version_of(kubectl: Kubectl, pod: str) -> str:
    """Return the version that a pod reports.

    Raises:
        ServiceError, ClusterError: if it cannot be asked.
    """
    key = kubectl.once("exec", pod, "--container", CONTAINER, "--", "sh", "-c", READ_KEY)
    with forwarded(kubectl, pod) as url:
        return running_version(url, key.strip())
