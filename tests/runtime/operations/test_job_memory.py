from typing import Any

import pytest

from mlops_runtime.contract import Contract
from mlops_runtime.memory import MEGABYTE, estimated_memory
from mlops_runtime.operations.job_memory import HEADROOM, job_memory, quantity, quantity_text
from mlops_runtime.operations.training_job import MEMORY_ANNOTATION

MANIFEST: dict[str, Any] = {"requests": {"cpu": "500m", "memory": "512Mi"}, "limits": {"memory": "2Gi"}}
MANY = 10_000_000
"""Rows that need more memory than the manifest gives."""


def test_a_small_table_gets_what_the_manifest_says(contract: Contract) -> None:
    memory = job_memory(contract, 1_000, MANIFEST, "")

    assert (memory.request, memory.limit) == (512 * MEGABYTE, 2048 * MEGABYTE)
    assert memory.sentence.startswith(
        "The training job gets 512Mi of memory with a limit of 2Gi: training on up to 1,000 rows"
    )


def test_a_large_table_gets_what_it_needs_with_headroom(contract: Contract) -> None:
    memory = job_memory(contract, MANY, MANIFEST, "")

    needed = estimated_memory(contract, MANY)
    assert memory.request == needed > 2048 * MEGABYTE
    assert memory.limit == pytest.approx(HEADROOM * needed, abs=1)
    assert f"training on up to 10,000,000 rows needs about {needed / MEGABYTE:,.0f} MB" in memory.sentence


@pytest.mark.parametrize(
    ("rows", "given", "request_"),
    [
        pytest.param(1_000, "1Gi", 512 * MEGABYTE, id="less than in the manifest"),
        pytest.param(1_000, "256Mi", 256 * MEGABYTE, id="less than is reserved"),
        pytest.param(MANY, "1Gi", 1024 * MEGABYTE, id="less than the table needs"),
        pytest.param(1_000, "8Gi", 512 * MEGABYTE, id="more than the table needs"),
    ],
)
def test_the_setting_overrules_the_estimate(contract: Contract, rows: int, given: str, request_: int) -> None:
    memory = job_memory(contract, rows, MANIFEST, given)

    assert (memory.request, memory.limit) == (request_, quantity(given))


def test_a_setting_below_the_estimate_is_warned_about_with_the_settings_that_help(contract: Contract) -> None:
    sentence = job_memory(contract, MANY, MANIFEST, "1Gi").sentence

    assert sentence.startswith("Training on 10,000,000 rows may need ")
    assert "and 1,024 MB are there" in sentence
    assert "MAX_ROWS=" in sentence
    assert "JOB_MEMORY" in sentence


@pytest.mark.parametrize(
    ("resources", "limit"),
    [
        pytest.param({}, None, id="no resources"),
        pytest.param({"requests": {"memory": "1Gi"}}, None, id="no limit"),
        pytest.param({"limits": {"memory": 3 << 30}}, 3 << 30, id="a number of bytes"),
    ],
)
def test_a_job_without_a_limit_stays_without(contract: Contract, resources: dict[str, Any], limit: int | None) -> None:
    memory = job_memory(contract, 1_000, resources, "")

    assert memory.limit == limit
    assert ("no limit" in memory.sentence) == (limit is None)


def test_the_patch_is_for_one_container_of_the_job(contract: Contract) -> None:
    patch = job_memory(contract, 1_000, MANIFEST, "").patch("trainer")

    assert patch["metadata"]["name"] == "trainer"
    assert patch["metadata"]["annotations"][MEMORY_ANNOTATION].startswith("The training job gets ")
    assert patch["spec"]["template"]["spec"]["containers"] == [
        {"name": "trainer", "resources": {"requests": {"memory": "512Mi"}, "limits": {"memory": "2Gi"}}}
    ]


def test_the_patch_sets_no_limit_where_there_is_none(contract: Contract) -> None:
    patch = job_memory(contract, 1_000, {"requests": {"memory": "1Gi"}}, "").patch("trainer")

    (container,) = patch["spec"]["template"]["spec"]["containers"]
    assert container["resources"] == {"requests": {"memory": "1Gi"}}


@pytest.mark.parametrize(
    ("text", "size"),
    [("2Gi", 2 << 30), ("512Mi", 512 << 20), ("1.5Gi", 3 << 29), ("500M", 500_000_000), ("64k", 64_000), ("7", 7)],
)
def test_amounts_are_read_as_kubernetes_reads_them(text: str, size: int) -> None:
    assert quantity(text) == size


@pytest.mark.parametrize("text", ["", "4GB", "4 Gi", "4g", "Gi", "-1Gi", "many"])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no amount of memory as Kubernetes writes it, such as 4Gi"):
        quantity(text)


@pytest.mark.parametrize(("size", "text"), [(1, "1Mi"), (2 << 30, "2Gi"), ((2 << 30) + 1, "2049Mi")])
def test_amounts_are_written_in_whole_mebibytes(size: int, text: str) -> None:
    assert quantity_text(size) == text
