import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sklearn.ensemble import HistGradientBoostingRegressor

from mlops_runtime.contract import Contract, Task
from mlops_runtime.model.artefact import BASELINE_FILE, GOLDEN_FILE, MODEL_FILE, ArtefactError, read_metadata, sha256
from mlops_runtime.model.baseline import Baseline
from mlops_runtime.model.encoding import Encoding
from mlops_runtime.model.onnx_predictor import OnnxPredictor
from mlops_runtime.tables.recorded import write_record
from mlops_runtime.testing import synthetic as orders
from mlops_runtime.testing.synthetic import FIELDS, LABELS, TARGET
from mlops_runtime.training import search as search_module
from mlops_runtime.training import table as table_module
from mlops_runtime.training.candidates import Candidate, default_candidates
from mlops_runtime.training.export import onnx_files
from mlops_runtime.training.fitted_model import FittedModel
from mlops_runtime.training.gate import GateError
from mlops_runtime.training.run import Listener, train
from mlops_runtime.training.settings import Settings
from mlops_runtime.training.split import split_table
from mlops_runtime.training.table import TableError
from tests.runtime.conftest import NO_FLOOR, Run

ROWS = 120
# Changes the iteration order of sets of strings.
UNUSUAL_HASH_SEED = "30"
PROGRAM = """
import sys
from pathlib import Path
from mlops_runtime.contract import Task
from mlops_runtime.testing.synthetic import CONTRACTS
from mlops_runtime.training.command import main
sys.exit(main(CONTRACTS[Task.BINARY], Path()))
"""

of_values = pytest.mark.parametrize("each_contract", [Task.REGRESSION], indirect=True)


def quick(contract: Contract) -> tuple[Candidate, ...]:
    """Return the candidate with the shortest fit time."""
    return default_candidates(contract)[:1]


@pytest.fixture
def settings(each_contract: Contract, lock: Path, tmp_path: Path) -> Any:
    """Settings of a run on a small table of orders."""
    return Settings(
        data=orders.write_table(tmp_path / "orders.csv", orders.rows_of_table(ROWS, each_contract.task)),
        artefact=tmp_path / "artefact",
        report=tmp_path / "build" / "report.html",
        metrics=tmp_path / "build" / "metrics.json",
        lock=lock,
        floors={"skill": -100.0},
        seed=0,
        test_share=0.25,
        budget=1000,
        version="2.0.0",
        commit="f" * 40,
    )


def test_the_metadata_have_the_provenance(contract: Contract, run: Run, data: Path, lock: Path) -> None:
    metadata = read_metadata(contract, run.artefact)
    assert (metadata.version, metadata.git_commit, metadata.seed) == ("1.2.3", "0" * 40, 0)
    assert metadata.data_sha256 == sha256(data.read_bytes())
    assert metadata.lock_sha256 == sha256(lock.read_bytes())
    assert (metadata.task, metadata.target) == (contract.task, contract.target)
    assert (metadata.features, metadata.labels) == (contract.features, contract.labels)
    assert {"python", "numpy", "onnx", "onnxruntime", "scikit-learn"} <= metadata.libraries.keys()
    assert metadata.estimator == min(metadata.cross_validation, key=metadata.cross_validation.__getitem__)
    assert (metadata.interval is None) == bool(contract.labels)


@of_values
def test_a_run_on_other_data_than_the_recorded_ones_says_so(each_contract: Contract, settings: Settings) -> None:
    # given: the hash of other data
    write_record(settings.data, "0" * 64)

    class ReadError(Exception):
        """Ends the run once the table is read."""

    def on_read(table: table_module.Table) -> None:
        raise ReadError(table.notes[-1])

    # when, then
    with pytest.raises(ReadError, match=r"orders\.csv is not what orders\.csv\.sha256 records"):
        train(each_contract, settings, quick(each_contract), listener=Listener(on_read=on_read))


def test_each_row_is_a_training_row_or_held_out(contract: Contract, run: Run, table: Any) -> None:
    assert sum(read_metadata(contract, run.artefact).rows.values()) == len(table)


def test_the_baseline_describes_the_training_rows(contract: Contract, run: Run) -> None:
    metadata = read_metadata(contract, run.artefact)
    baseline = Baseline.model_validate_json((run.artefact / BASELINE_FILE).read_bytes())
    assert baseline.rows == metadata.rows["training"]


def test_the_metrics_file_agrees_with_the_metadata(contract: Contract, run: Run) -> None:
    metrics, metadata = json.loads(run.metrics.read_text()), read_metadata(contract, run.artefact)
    assert metrics["metrics"] == {name: estimate.model_dump() for name, estimate in metadata.metrics.items()}
    assert (metrics["version"], metrics["git_commit"]) == (metadata.version, metadata.git_commit)
    assert (metrics["floors"], metrics["rows"], metrics["passed"]) == (metadata.floors, metadata.rows, True)
    assert metrics["baseline"].keys() == metrics["metrics"].keys()


def test_another_process_gives_the_same_model(run: Run, data: Path, lock: Path, tmp_path: Path) -> None:
    # given: a process in which sets of strings have another iteration order
    environment = os.environ | {"PYTHONHASHSEED": UNUSUAL_HASH_SEED, "PYTHONPATH": os.pathsep.join(sys.path)}
    paths = {"data": data, "lock": lock, **{name: tmp_path / name for name in ("artefact", "report", "metrics")}}
    arguments = [part for name, path in paths.items() for part in (f"--{name}", str(path))]
    # when
    subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments, "--budget", "0", "--floors", NO_FLOOR],
        env=environment,
        check=True,
        capture_output=True,
    )
    # then
    for name in (MODEL_FILE, BASELINE_FILE, GOLDEN_FILE):
        assert (paths["artefact"] / name).read_bytes() == (run.artefact / name).read_bytes()


def test_a_run_gives_a_model_with_skill(each_contract: Contract, each_run: Run) -> None:
    metadata = read_metadata(each_contract, each_run.artefact)
    assert (metadata.task, metadata.target) == (each_contract.task, TARGET[each_contract.task])
    assert metadata.labels == LABELS[each_contract.task]
    assert metadata.rows == {"training": 300, "held_out": 100}
    assert metadata.metrics["skill"].value > 0.3
    assert metadata.floors == {"skill": 0.1}


def test_the_rarer_label_is_the_positive_label(each_contract: Contract, each_run: Run) -> None:
    positive = json.loads(each_run.metrics.read_text())["positive_label"]
    assert positive == (orders.Fate.RETURNED if each_contract.task is Task.BINARY else None)


@of_values
def test_the_coverage_of_the_interval_is_measured_on_the_held_out_rows(each_contract: Contract, each_run: Run) -> None:
    metadata = read_metadata(each_contract, each_run.artefact)
    assert metadata.interval
    assert metadata.interval.coverage == metadata.metrics["coverage"]
    assert metadata.interval.level == 0.9
    assert metadata.interval.coverage.value > 0.75
    assert metadata.interval.minimum == 0


@of_values
def test_the_same_data_and_seed_give_the_same_model(settings: Any, each_contract: Contract) -> None:
    candidates = [Candidate("gradient boosting", HistGradientBoostingRegressor(max_iter=20, max_leaf_nodes=8))]
    models = []
    for _ in range(2):
        train(each_contract, settings, candidates)
        models.append((settings.artefact / MODEL_FILE).read_bytes())
        assert OnnxPredictor.load(each_contract, settings.artefact).gives_golden_predictions()
    train(each_contract, replace(settings, seed=1), candidates)
    assert models[0] == models[1] != (settings.artefact / MODEL_FILE).read_bytes()


@of_values
def test_the_interval_uses_the_rows_that_candidates_were_compared_on(
    settings: Any, each_contract: Contract, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given: candidates are compared on half of the training rows
    monkeypatch.setitem(vars(search_module), "MAX_SELECTION_ROWS", ROWS * 3 // 8)
    # when
    metadata = train(each_contract, settings, quick(each_contract))
    # then: the intervals are much narrower than those of the baseline
    metrics = json.loads(settings.metrics.read_text())
    assert metadata.metrics["interval_width"].value < 0.8 * metrics["baseline"]["interval_width"]


@of_values
def test_a_refused_model_is_reported_and_the_old_artefact_stays(settings: Any, each_contract: Contract) -> None:
    # given
    train(each_contract, settings, quick(each_contract))
    before = {path: path.read_bytes() for path in settings.artefact.iterdir()}
    settings.report.unlink()
    settings.metrics.unlink()
    held_out = settings.held_out.read_bytes()
    # when
    with pytest.raises(GateError, match=r"r2 is 0\.\d{4}, its floor is 1\.0000") as caught:
        train(each_contract, replace(settings, floors={"r2": 1.0, "skill": -100.0}), quick(each_contract))
    # then
    assert [check.metric for check in caught.value.failed] == ["r2"]
    assert {path: path.read_bytes() for path in settings.artefact.iterdir()} == before
    assert "Refused." in settings.report.read_text()
    assert json.loads(settings.metrics.read_text())["passed"] is False
    assert settings.held_out.read_bytes() == held_out


def test_the_cross_validated_skill_may_have_a_floor(settings: Any, each_contract: Contract) -> None:
    floors = {"cross_validated_skill": 0.99}
    with pytest.raises(GateError, match="cross_validated_skill is"):
        train(each_contract, replace(settings, floors=floors), quick(each_contract))
    assert not settings.artefact.exists()


def test_a_model_that_differs_from_the_estimator_is_not_written(settings: Any, each_contract: Contract) -> None:
    # given: an export that changes the model
    def wrong(model: FittedModel) -> Mapping[str, bytes]:
        coefficients = model.estimator[-1].coef_
        model.estimator[-1].coef_ = coefficients * 1.01
        files = onnx_files(model)
        model.estimator[-1].coef_ = coefficients
        return files

    # when
    with pytest.raises(RuntimeError, match="OnnxPredictor and the estimator differ"):
        train(each_contract, settings, quick(each_contract), export=wrong)
    # then
    assert not settings.artefact.exists()
    assert not settings.report.exists()
    assert not settings.metrics.exists()


@of_values
@pytest.mark.parametrize(("wrong", "error"), [("data", ValueError), ("lock", FileNotFoundError)], ids=["data", "lock"])
def test_a_missing_file_stops_the_run_before_anything_is_written(
    wrong: str, error: type[Exception], settings: Any, each_contract: Contract, tmp_path: Path
) -> None:
    with pytest.raises(error):
        train(each_contract, replace(settings, **{wrong: tmp_path / "none"}))
    assert list(tmp_path.iterdir()) == [settings.data]


@of_values
def test_a_folder_with_other_files_stops_the_run_before_it_reads_the_table(
    settings: Any, each_contract: Contract
) -> None:
    settings.artefact.mkdir()
    (settings.artefact / "notes.txt").touch()
    calls: list[object] = []
    with pytest.raises(ArtefactError, match=r"notes\.txt"):
        train(each_contract, settings, listener=Listener(on_read=calls.append))
    assert calls == []


@of_values
def test_texts_without_repeated_words_are_refused(
    settings: Any, each_contract: Contract, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given: an encoding without columns, as from texts in which each word occurs in a single row
    monkeypatch.setattr(Encoding, "columns", ())
    # then
    with pytest.raises(TableError, match="no word occurs in two or more rows"):
        train(each_contract, settings)
    assert not settings.artefact.exists()


@of_values
def test_the_listener_is_called_after_each_step(settings: Any, each_contract: Contract) -> None:
    calls: list[str] = []
    listener = Listener(
        on_read=lambda table: calls.append(f"read {len(table)}"),
        on_scored=lambda trial: calls.append(trial.score.name),
        on_evaluated=lambda findings: calls.append(f"evaluated {findings.passed}"),
    )
    train(each_contract, settings, quick(each_contract), listener=listener)
    assert calls == [f"read {ROWS}", quick(each_contract)[0].name, "evaluated True"]


def findings_of(settings: Any, each_contract: Contract) -> Any:
    """Return the findings of a run with the quickest candidate."""
    findings: list[Any] = []
    listener = Listener(on_evaluated=findings.append)
    train(each_contract, settings, quick(each_contract), listener=listener)
    return findings[0]


def test_the_findings_count_missing_values_and_dropped_rows(settings: Any, each_contract: Contract) -> None:
    # given: a table with an unknown column, and a row without a target
    rows = orders.rows_of_table(ROWS, each_contract.task)
    written = [[*cells, "x"] for cells in rows]
    written[0][-1] = "Unknown"
    written[5][-2] = ""
    orders.write_table(settings.data, written)
    # when
    findings = findings_of(settings, each_contract)
    # then
    used = [cells for index, cells in enumerate(rows[1:]) if index != 4]
    missing = {field.name: sum(not cells[index] for cells in used) for index, field in enumerate(FIELDS)}
    assert findings.missing == {name: count for name, count in missing.items() if count}
    assert findings.notes == (
        f"1 row without a value in {TARGET[each_contract.task]}: not used.",
        "Columns that are not in the contract and were ignored: Unknown.",
    )
    counts = {label: training + held_out for label, training, held_out in findings.label_counts}
    assert counts == {label: sum(cells[-1] == label for cells in used) for label in LABELS[each_contract.task]}
    assert {importance.feature for importance in findings.importances} == {field.name for field in FIELDS}


@of_values
def test_golden_records_are_training_rows_if_no_held_out_row_is_a_record(
    settings: Any, each_contract: Contract, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given: only the first row is kept as a record, and with this seed it is a training row
    monkeypatch.setattr(table_module, "MAX_RECORDS", 1)
    settings = next(
        candidate
        for candidate in (replace(settings, seed=seed) for seed in range(20))
        if record_is_in_training(each_contract, candidate)
    )
    # when
    train(each_contract, settings, quick(each_contract))
    # then
    (golden,) = OnnxPredictor.load(each_contract, settings.artefact).golden_records
    assert golden.record == orders.some_orders(1)[0]


def record_is_in_training(each_contract: Contract, settings: Any) -> bool:
    """Return whether the single record is a training row."""
    table = table_module.read_table(each_contract, settings.data)
    training, held_out = split_table(table, settings.seed, settings.test_share, 0)
    assert len(training.records) + len(held_out.records) == 1
    return bool(training.records)
