"""A model that was trained elsewhere, fetched from a bucket with the real AWS CLI."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import share_environment
from tests.live.workbench import Workbench, one_error_line

VERSION = "v1.2"
BUCKET = "models"
TRAIN_AND_UPLOAD = f"--eval=train.upload: ; @$(PYTHON) -m trainer --upload --bucket {BUCKET}"
"""What the training job on the cluster runs."""


def copy(project: Path, folder: Path, aws: dict[str, str]) -> Workbench:
    """Return a copy of the project in which nothing has been trained."""
    ignored = shutil.ignore_patterns(".venv", "build", "artefact")
    shutil.copytree(project, folder, symlinks=True, ignore=ignored)
    return Workbench(share_environment(folder, project), {**aws, "HOME": str(folder.parent)})


@pytest.fixture(scope="module")
def here(project: Path, aws: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workbench]:
    """A project that has trained nothing, beside a bucket with the model of another clone."""
    elsewhere = copy(project, tmp_path_factory.mktemp("elsewhere") / project.name, aws)
    create = elsewhere.make(f"--eval=bucket: ; @$(AWS) s3 mb s3://{BUCKET}", "bucket")
    assert create.returncode == 0, create.stderr
    trained = elsewhere.make(TRAIN_AND_UPLOAD, "train.upload", VERSION=VERSION, SEED="3", BUDGET="0")
    assert trained.returncode == 0, trained.stderr
    yield copy(project, tmp_path_factory.mktemp("here") / project.name, aws)
    os.utime(project / ".venv/.installed")


def metadata(bench: Workbench) -> dict[str, Any]:
    (path,) = bench.folder.glob("src/*_model/artefact/metadata.json")
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def test_a_model_that_the_bucket_does_not_have_is_refused(here: Workbench) -> None:
    result = here.make("train", MODEL="v9", BUCKET=BUCKET)

    assert result.returncode != 0
    assert one_error_line(result).startswith(
        "MODEL=v9 cannot be used, and the artefact is unchanged: the bucket has no"
    )
    assert not list(here.folder.glob("src/*_model/artefact"))


def test_the_model_of_another_clone_becomes_that_of_the_project(here: Workbench) -> None:
    # When
    result = here.make("train", MODEL=VERSION, BUCKET=BUCKET)
    # Then
    assert result.returncode == 0, result.stderr
    assert (metadata(here)["version"], metadata(here)["seed"]) == (VERSION, 3)
    assert json.loads((here.folder / "build/metrics.json").read_text())["version"] == VERSION
    assert (here.folder / "build/report.html").read_bytes()
    assert json.loads((here.folder / "build/held-out.json").read_text())["version"] == VERSION
    # And it is fetched once
    assert here.make("--question", "train", MODEL=VERSION, BUCKET=BUCKET).returncode == 0


def test_the_model_of_another_clone_predicts_and_passes_the_tests(here: Workbench) -> None:
    result = here.make("predict", "test", MODEL=VERSION, BUCKET=BUCKET)

    assert result.returncode == 0, result.stdout + result.stderr
    assert '"label": ' in result.stdout


def test_a_model_below_a_floor_is_refused_and_the_old_one_stays(here: Workbench) -> None:
    before = metadata(here)

    result = here.make("train", MODEL=VERSION, BUCKET=BUCKET, FLOORS="accuracy=1.0")

    assert result.returncode != 0
    assert "the gate refuses it: accuracy is" in one_error_line(result)
    assert metadata(here) == before


def test_without_a_model_the_project_trains_its_own(here: Workbench) -> None:
    assert here.make("train", FLOORS="skill=0.1", BUDGET="0").returncode == 0

    assert metadata(here)["seed"] == 0


@pytest.mark.parametrize("bucket", ["no-such-bucket"])
def test_a_bucket_that_does_not_answer_is_named(here: Workbench, bucket: str) -> None:
    result = here.make("train", MODEL=VERSION, BUCKET=bucket)

    assert result.returncode != 0
    assert "NoSuchBucket" in one_error_line(result)
