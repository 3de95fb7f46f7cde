import json
import sys
from pathlib import Path

import pytest

from mlops_runtime.contract import Contract, contract_json
from mlops_runtime.model import OnnxPredictor
from mlops_runtime.model.artefact import ArtefactError
from mlops_runtime.operations.project import main, project_artefact, project_contract, project_model

CLASSIFIER = """
from pathlib import Path
from mlops_runtime.model import OnnxPredictor as Classifier
ARTEFACT = Path({artefact!r})
"""
DATAMODEL = """
from mlops_runtime.contract import Task
from mlops_runtime.testing.synthetic import CONTRACTS
CONTRACT = CONTRACTS[Task.BINARY]
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model package that PACKAGE names."""
    package = tmp_path / "some_model"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "datamodel.py").write_text(DATAMODEL)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PACKAGE", package.name)
    monkeypatch.setattr(sys, "modules", sys.modules.copy())
    return package


def test_the_artefact_is_that_of_the_package(package: Path, artefact: Path, predictor: OnnxPredictor) -> None:
    (package / "classifier.py").write_text(CLASSIFIER.format(artefact=str(artefact)))

    read = project_artefact()

    assert read.metadata == predictor.metadata
    assert read.golden_records == predictor.golden_records


@pytest.mark.parametrize(("module", "name"), [("classifier", "Classifier"), ("recognizer", "Recognizer")])
def test_the_predictor_is_that_of_the_package(package: Path, module: str, name: str) -> None:
    (package / f"{module}.py").write_text(CLASSIFIER.format(artefact="there").replace("Classifier", name))

    assert project_model() == (project_contract(), OnnxPredictor, Path("there"))


def test_a_package_without_an_artefact_is_refused(package: Path) -> None:
    (package / "classifier.py").write_text(CLASSIFIER.format(artefact=str(package / "artefact")))

    with pytest.raises(ArtefactError, match="run `make train`"):
        project_artefact()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        pytest.param("", "PACKAGE is not set; run this with make", id="no name"),
        pytest.param("no_such_package", "PACKAGE='no_such_package' names no model package", id="an unknown name"),
    ],
)
def test_a_package_that_does_not_exist_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, message: str) -> None:
    monkeypatch.setenv("PACKAGE", name)

    with pytest.raises(ArtefactError, match=message):
        project_artefact()


def test_the_command_prints_the_contract(package: Path, contract: Contract, capsys: pytest.CaptureFixture[str]) -> None:
    (package / "classifier.py").write_text(CLASSIFIER.format(artefact="none"))

    assert main() == 0
    assert json.loads(capsys.readouterr().out) == contract_json(contract)


def test_without_a_package_the_command_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PACKAGE", "no_such_package")

    assert main() == 1
    assert capsys.readouterr().err.startswith("contract: PACKAGE='no_such_package' names no model package")
