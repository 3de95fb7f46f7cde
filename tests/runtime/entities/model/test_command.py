"""The command `python -m trainer` of a project that finds entities."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("spacy", reason="needs spaCy: pip install 'spacy>=3.8'")

from mlops_runtime.entities import fitting
from mlops_runtime.entities.command import main
from mlops_runtime.entities.pipelines import pretrained_pipeline
from mlops_runtime.training.command_line import DATA_REFUSED, FAILED, GATE_REFUSED, MADE, SETTINGS_REFUSED
from tests.runtime.entities.model.conftest import CONTRACT, settings_in, write_dataset


@pytest.fixture
def arguments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Arguments of a quick run in the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(fitting, "MAX_PASSES", 1)
    settings = settings_in(tmp_path)
    return ["--data", str(settings.data), "--lock", str(settings.lock), "--floors", "recall=0"]


def test_a_run_says_what_it_read_trained_and_measured(
    arguments: list[str], small_pipeline: Callable[[], Any], capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(CONTRACT, Path("artefact"), arguments, small_pipeline)

    lines = capsys.readouterr().out.splitlines()
    assert code == MADE
    assert lines[0].startswith("Read 80 texts of ")
    assert lines[-3].startswith("Trained tok2vec, ner (en) in ")
    assert lines[-3].endswith(" seconds and 1 pass: the maximum number of passes was made.")
    assert lines[-2].startswith("On 20 held-out texts: f1 ")
    assert "A dictionary of the training entities has an F1 of " in lines[-2]
    assert lines[-1] == "Made artefact (version development); see build/report.html."
    assert Path("build/held-out.json").is_file()


def test_a_model_that_is_no_better_than_a_dictionary_is_refused_by_default(
    arguments: list[str], small_pipeline: Callable[[], Any], capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(CONTRACT, Path("artefact"), arguments[:4], small_pipeline)

    assert code == GATE_REFUSED
    error = capsys.readouterr().err
    assert error.startswith("the gate refuses the model: f1 is 0.")
    assert "skill is " in error
    assert "Refused." in Path("build/report.html").read_text()
    assert json.loads(Path("build/metrics.json").read_bytes())["passed"] is False
    assert not Path("artefact").exists()


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        pytest.param(["--floors", "accuracy=0.5"], SETTINGS_REFUSED, "'accuracy' cannot have a floor", id="floor"),
        pytest.param(["--data", "missing.jsonl"], DATA_REFUSED, "there is no such file", id="no-data"),
        pytest.param(["--data", "empty.jsonl"], DATA_REFUSED, "has 1 problem:", id="empty-data"),
    ],
)
def test_what_cannot_be_used_is_refused(
    options: list[str],
    code: int,
    message: str,
    arguments: list[str],
    small_pipeline: Callable[[], Any],
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_dataset(Path("empty.jsonl"), [])

    assert main(CONTRACT, Path("artefact"), [*arguments[:4], *options], small_pipeline) == code
    assert message in capsys.readouterr().err
    assert not Path("artefact").exists()


def test_a_pipeline_that_is_not_installed_fails(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    code = main(CONTRACT, Path("artefact"), arguments, pretrained_pipeline("no_such_pipeline"))

    assert code == FAILED
    assert capsys.readouterr().err == (
        "spaCy cannot load the pipeline 'no_such_pipeline' of PIPELINE: add its package to the Pipfile\n"
        "artefact is unchanged.\n"
    )


def test_the_trainer_needs_neither_scikit_learn_nor_onnx_runtime() -> None:
    code = "import sys, mlops_runtime.entities.command; sys.exit(bool({'sklearn', 'onnxruntime'} & sys.modules.keys()))"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}

    assert subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0
