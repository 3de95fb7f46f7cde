import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from trainer import training
from trainer.estimators import CANDIDATES, Candidate, gradient_boosting, logistic_regression
from trainer.export import ParityError
from trainer.table import TableError
from trainer.training import GateError, Listener, Settings, train

from {{cookiecutter.__package}}_model.classifier import Classifier
from {{cookiecutter.__package}}_model.datamodel import FEATURES, Label
from {{cookiecutter.__package}}_model.metadata import (
    MODEL_FILE,
    ArtefactError,
    Baseline,
    read_metadata,
    read_verified,
    sha256,
)

QUICK = (Candidate("logistic regression", logistic_regression),)
TREES = (Candidate("gradient boosting", gradient_boosting, {"max_iter": (20,), "max_leaf_nodes": (4,)}),)
# Of CPython 3.11: with this one the converter lists the operator sets the other way round.
UNUSUAL_HASH_SEED = "30"


@pytest.fixture
def settings(data: Path, lock: Path, tmp_path: Path) -> Settings:
    return Settings(
        data=data,
        artefact=tmp_path / "artefact",
        report=tmp_path / "build" / "report.html",
        metrics=tmp_path / "build" / "metrics.json",
        lock=lock,
        floors={"accuracy": 0.9},
        seed=0,
        test_share=0.25,
        version="2.0.0",
        commit="f" * 40,
    )


def test_the_artefact_says_where_it_comes_from(artefact: Path, data: Path, lock: Path) -> None:
    metadata = read_metadata(artefact)
    assert (metadata.version, metadata.git_commit, metadata.seed) == ("1.2.3", "0" * 40, 0)
    assert metadata.data_sha256 == sha256(data.read_bytes())
    assert metadata.lock_sha256 == sha256(lock.read_bytes())
    assert metadata.features == FEATURES
    assert set(metadata.labels) == set(Label)
    assert sum(metadata.rows.values()) == len(data.read_text().splitlines()) - 1
    assert {"python", "numpy", "onnxruntime", "scikit-learn", "skl2onnx"} <= metadata.libraries.keys()
    assert metadata.estimator == min(metadata.cross_validation, key=metadata.cross_validation.__getitem__)


def test_baseline_is_of_the_training_rows(artefact: Path) -> None:
    metadata = read_metadata(artefact)
    baseline = Baseline.model_validate_json(read_verified(artefact, metadata)["baseline.json"])
    assert baseline.rows == metadata.rows["training"]


def test_metrics_are_written_as_the_artefact_has_them(run) -> None:
    metrics, metadata = json.loads(run.metrics.read_text()), read_metadata(run.artefact)
    assert metrics["metrics"] == {name: estimate.model_dump() for name, estimate in metadata.metrics.items()}
    assert (metrics["version"], metrics["git_commit"]) == (metadata.version, metadata.git_commit)
    assert (metrics["floors"], metrics["rows"], metrics["passed"]) == (metadata.floors, metadata.rows, True)


@pytest.mark.parametrize("candidates", [QUICK, TREES], ids=["linear", "trees"])
def test_the_same_data_and_seed_give_the_same_model(settings: Settings, candidates: tuple[Candidate, ...]) -> None:
    models = []
    for _ in range(2):
        train(settings, candidates=candidates, folds=2)
        models.append((settings.artefact / MODEL_FILE).read_bytes())
        assert Classifier.load(settings.artefact).gives_golden_answers()
    assert models[0] == models[1]


def test_another_process_makes_the_same_model(settings: Settings, artefact: Path) -> None:
    # given: a process in which sets of strings have another order
    environment = os.environ | {"PYTHONHASHSEED": UNUSUAL_HASH_SEED, "PYTHONPATH": os.pathsep.join(sys.path)}
    paths = {name: getattr(settings, name) for name in ("data", "lock", "artefact", "report", "metrics")}
    arguments = [part for name, path in paths.items() for part in (f"--{name}", str(path))]
    # when
    subprocess.run([sys.executable, "-m", "trainer", *arguments], env=environment, check=True, capture_output=True)
    # then
    assert (settings.artefact / MODEL_FILE).read_bytes() == (artefact / MODEL_FILE).read_bytes()


def test_another_seed_gives_another_model(settings: Settings, artefact: Path) -> None:
    train(replace(settings, seed=1), candidates=CANDIDATES[:1], folds=2)
    assert (settings.artefact / MODEL_FILE).read_bytes() != (artefact / MODEL_FILE).read_bytes()


def test_the_gate_keeps_the_old_artefact_and_reports_the_refused_model(settings: Settings) -> None:
    # given
    train(settings, candidates=QUICK, folds=2)
    before = {path: path.read_bytes() for path in settings.artefact.iterdir()}
    settings.report.unlink()
    settings.metrics.unlink()
    # when
    with pytest.raises(GateError, match=r"accuracy is 0\.\d{4}, its floor 1\.0000") as caught:
        train(replace(settings, floors={"accuracy": 1.0, "recall": 0.1}), candidates=QUICK, folds=2)
    # then
    assert [check.metric for check in caught.value.failed] == ["accuracy"]
    assert {path: path.read_bytes() for path in settings.artefact.iterdir()} == before
    assert "Refused." in settings.report.read_text()
    assert json.loads(settings.metrics.read_text())["passed"] is False


def test_a_model_that_is_not_the_estimator_is_never_written(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given: a converter that changes the model
    def wrong(estimator) -> bytes:
        estimator[-1].intercept_ += 1e-3
        content = convert(estimator)
        estimator[-1].intercept_ -= 1e-3
        return content

    convert = training.onnx_model
    monkeypatch.setattr(training, "onnx_model", wrong)
    # when
    with pytest.raises(ParityError):
        train(settings, candidates=QUICK, folds=2)
    # then
    assert not settings.artefact.exists()
    assert not settings.report.exists()
    assert not settings.metrics.exists()


@pytest.mark.parametrize("wrong", ["data", "lock"])
def test_a_file_that_is_not_there_stops_the_run_before_anything_is_written(
    wrong: str, settings: Settings, tmp_path: Path
) -> None:
    with pytest.raises((TableError, FileNotFoundError)):
        train(replace(settings, **{wrong: tmp_path / "none"}), candidates=QUICK)
    assert list(tmp_path.iterdir()) == []


def test_a_foreign_folder_stops_the_run_before_it_has_begun(settings: Settings) -> None:
    settings.artefact.mkdir()
    (settings.artefact / "notes.txt").touch()
    heard: list[object] = []
    with pytest.raises(ArtefactError, match=r"notes\.txt"):
        train(settings, Listener(on_read=heard.append), QUICK)
    assert heard == []


def test_the_listener_hears_of_each_step(settings: Settings) -> None:
    heard: list[str] = []
    listener = Listener(
        lambda table: heard.append(f"read {len(table.records)}"),
        lambda score: heard.append(score.name),
        lambda findings: heard.append(f"evaluated {findings.passed}"),
    )
    metadata = train(settings, listener, QUICK, folds=2)
    assert heard == [f"read {sum(metadata.rows.values())}", "logistic regression", "evaluated True"]
