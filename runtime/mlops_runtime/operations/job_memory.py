"""The memory that a training Job gets: what its table is estimated to need, or what JOB_MEMORY says."""

import re
from dataclasses import dataclass
from math import ceil
from typing import Any

from mlops_runtime.contract import Contract
from mlops_runtime.memory import MEGABYTE, estimated_memory, memory_warning
from mlops_runtime.operations.training_job import MEMORY_ANNOTATION

HEADROOM = 1.25
"""Limit of the Job as a multiple of the estimate, which is approximate."""

UNITS = {
    "": 1,
    **{unit: 1000**power for power, unit in enumerate("kMGTPE", start=1)},
    **{f"{unit}i": 1024**power for power, unit in enumerate("KMGTPE", start=1)},
}
"""Bytes of the units of Kubernetes."""


@dataclass(frozen=True, slots=True)
class JobMemory:
    """The memory of a training Job.

    Attributes:
        request: bytes that are reserved for it.
        limit: bytes beyond which it is killed; None for no limit.
        sentence: what the Job gets and what its table needs, or a warning if that may be more.
    """

    request: int
    limit: int | None
    sentence: str

    def patch(self, name: str) -> dict[str, Any]:
        """Return the patch that gives this memory to the container `name` of the Job `name`."""
        resources = {"requests": {"memory": quantity_text(self.request)}}
        if self.limit is not None:
            resources["limits"] = {"memory": quantity_text(self.limit)}
        containers = [{"name": name, "resources": resources}]
        return {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": name, "annotations": {MEMORY_ANNOTATION: self.sentence}},
            "spec": {"template": {"spec": {"containers": containers}}},
        }


def job_memory(contract: Contract, rows: int, resources: dict[str, Any], given: str) -> JobMemory:
    """Return the memory of the Job that trains on a table.

    Args:
        contract: contract of the table.
        rows: number of rows to train on.
        resources: resources of the container in the manifest: the Job gets at least these.
        given: limit that the project sets, as Kubernetes writes it; empty for none.

    Raises:
        ValueError: if a number of bytes is not as Kubernetes writes it.
    """
    needed = estimated_memory(contract, rows)
    request = max(quantity(str(resources.get("requests", {}).get("memory", 0))), needed)
    floor = resources.get("limits", {}).get("memory")
    if given:
        limit = quantity(given)
        request = min(request, limit)
    elif floor is None:
        limit = None
    else:
        limit = max(quantity(str(floor)), ceil(needed * HEADROOM))
    upper = "no limit" if limit is None else f"a limit of {quantity_text(limit)}"
    sentence = (
        f"The training job gets {quantity_text(request)} of memory with {upper}: "
        f"training on up to {rows:,} rows needs about {needed / MEGABYTE:,.0f} MB."
    )
    warning = "" if limit is None else memory_warning(contract, rows, limit)
    return JobMemory(request, limit, warning or sentence)


def quantity(text: str) -> int:
    """Return the number of bytes that Kubernetes reads in a text.

    Raises:
        ValueError: if there is none.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([A-Za-z]*)", text)
    if match is None or match[2] not in UNITS:
        advice = "correct JOB_MEMORY in project.mk, or the Job in k8s/trainer"
        raise ValueError(f"{text} is no amount of memory as Kubernetes writes it, such as 4Gi: {advice}")
    return int(float(match[1]) * UNITS[match[2]])


def quantity_text(size: int) -> str:
    """Return a number of bytes as Kubernetes reads it, rounded up to a mebibyte."""
    mebibytes = ceil(size / MEGABYTE)
    return f"{mebibytes // 1024}Gi" if mebibytes % 1024 == 0 else f"{mebibytes}Mi"
