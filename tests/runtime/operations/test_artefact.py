import json
import shutil
import sys
from pathlib import Path

import pytest

from mlops_runtime.model.artefact import ArtefactError
from mlops_runtime.operations.artefact import main
from mlops_runtime.operations.project import project_model
from tests.runtime.conftest import Run

CLASSIFIER = """
from pathlib import Path
from mlops_runtime.model import OnnxPredictor
ARTEFACT = Path(__file__).parent / "artefact"
class Classifier(OnnxPredictor):
    pass
"""
DATAMODEL = """
from mlops_runtime.contract import Task
from mlops_runtime.testing.synthetic import CONTRACTS
CONTRACT = CONTRACTS[Task.{task}]
"""
UNCHANGED = "MODEL=1.2.3 cannot be used, and the artefact is unchanged: "


def files_in(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The model package of the project in the current folder, without an artefact."""
    package = tmp_path / "fetching_model"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "datamodel.py").write_text(DATAMODEL.format(task="BINARY"))
    (package / "classifier.py").write_text(CLASSIFIER)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PACKAGE", package.name)
    monkeypatch.setenv("MODEL", "1.2.3")
    monkeypatch.setenv("FLOORS", "skill=0.1")
    monkeypatch.setattr(sys, "modules", sys.modules.copy())
    return package


@pytest.fixture
def fetched(package: Path, run: Run) -> Path:
    """What `make train.job` uploads, fetched."""
    folder = package.parent / "build/fetched"
    shutil.copytree(run.artefact, folder / "artefact")
    shutil.copy(run.metrics, folder)
    shutil.copy(run.metrics.with_name("held-out.json"), folder)
    return folder


def refusal(capsys: pytest.CaptureFixture[str], fetched: Path) -> str:
    """Return the line that refuses what was fetched."""
    assert main([str(fetched)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(UNCHANGED)
    return line


def test_a_fetched_model_becomes_that_of_the_project(
    package: Path, fetched: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    # given another artefact
    (package / "artefact").mkdir()
    (package / "artefact/metadata.json").write_text("{}")
    # when
    status = main([str(fetched)])
    # then
    assert status == 0
    assert files_in(package / "artefact") == files_in(run.artefact)
    build = package.parent / "build"
    assert (build / "report.html").read_bytes() == run.report.read_bytes()
    assert (build / "metrics.json").read_bytes() == run.metrics.read_bytes()
    assert (build / "held-out.json").read_bytes() == run.metrics.with_name("held-out.json").read_bytes()
    assert capsys.readouterr().out.startswith("The artefact is that of 1.2.3, trained ")


def test_held_out_predictions_of_another_model_do_not_stay(package: Path, fetched: Path) -> None:
    del package
    (fetched / "held-out.json").unlink()
    (fetched.parent / "held-out.json").write_text("of another model")

    assert main([str(fetched)]) == 0

    assert not (fetched.parent / "held-out.json").exists()


def test_a_model_that_the_bucket_does_not_have_is_refused(
    package: Path, fetched: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(fetched)

    assert "the bucket has no such model: train it with make train.job" in refusal(capsys, fetched)
    assert not (package / "artefact").exists()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        pytest.param("artefact/model.onnx", "damaged", "model.onnx is not the file that", id="damaged file"),
        pytest.param("artefact/metadata.json", "{}", "metadata.json is not valid", id="damaged metadata"),
        pytest.param("artefact/golden.json", None, "cannot read", id="missing file"),
        pytest.param("metrics.json", None, "metrics.json is missing or of another version", id="no metrics"),
        pytest.param("metrics.json", "[", "metrics.json is missing or of another version", id="damaged metrics"),
        pytest.param(
            "metrics.json", '{"version": "1.2.4"}', "metrics.json is missing or of another", id="metrics of another"
        ),
    ],
)
def test_a_damaged_model_is_refused_and_the_old_one_stays(
    package: Path,
    fetched: Path,
    run: Run,
    capsys: pytest.CaptureFixture[str],
    name: str,
    content: str | None,
    message: str,
) -> None:
    # given
    shutil.copytree(run.artefact, package / "artefact")
    if content is None:
        (fetched / name).unlink()
    else:
        (fetched / name).write_text(content)
    # when
    line = refusal(capsys, fetched)
    # then
    assert message in line
    assert files_in(package / "artefact") == files_in(run.artefact)
    assert not (fetched.parent / "report.html").exists()


def test_a_model_of_another_version_is_refused(
    package: Path, fetched: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    metadata = json.loads((fetched / "artefact/metadata.json").read_text())
    (fetched / "artefact/metadata.json").write_text(json.dumps(metadata | {"version": "1.2.4"}))

    assert "its artefact is of version 1.2.4" in refusal(capsys, fetched)
    assert not (package / "artefact").exists()


def test_a_model_of_another_contract_is_refused(
    package: Path, fetched: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (package / "datamodel.py").write_text(DATAMODEL.format(task="MULTICLASS"))
    monkeypatch.setenv("FLOORS", "")

    assert "was made for another contract" in refusal(capsys, fetched)


@pytest.mark.parametrize(
    ("floors", "message"),
    [
        pytest.param("skill=0.1 accuracy=1", "the gate refuses it: accuracy is ", id="higher floor"),
        pytest.param("cross_validated_skill=0.1", "cross_validated_skill is unknown", id="metric that was not kept"),
        pytest.param("speed=1", "'speed' cannot have a floor", id="unknown metric"),
    ],
)
def test_a_model_below_a_floor_of_the_project_is_refused(
    package: Path,
    fetched: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    floors: str,
    message: str,
) -> None:
    monkeypatch.setenv("FLOORS", floors)

    assert message in refusal(capsys, fetched)
    assert not (package / "artefact").exists()


def test_a_package_without_a_predictor_is_refused(package: Path) -> None:
    (package / "classifier.py").unlink()

    with pytest.raises(ArtefactError, match="names no model package"):
        project_model()
