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
from mlops_runtime.testing import synthetic as orders
from mlops_runtime.testing.synthetic import FIELDS, LABELS, TARGET
from mlops_runtime.training import search as search_module
from mlops_runtime.training import table as table_module
from mlops_runtime.training.candidates import Candidate, default_candidates
from mlops_runtime.training.export import onnx_files
from mlops_runtime.training.fitted_model import FittedModel
from mlops_runtime.training.run import GateError, Listener, Settings, train
from mlops_runtime.training.split import split_table
from mlops_runtime.training.table import TableError
from tests.runtime.conftest import NO_FLOOR, Run

ROWS = 120
# Another order of sets and of what is made of them.
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
    """Return the candidate that takes the shortest time."""
    return default_candidates(contract)[:1]


@pytest.fixture
def settings(each_contract: Contract, lock: Path, tmp_path: Path) -> Any:
    """What a run on a small table of orders is told."""
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


def test_the_artefact_says_where_it_comes_from(contract: Contract, run: Run, data: Path, lock: Path) -> None:
    metadata = read_metadata(contract, run.artefact)
    assert (metadata.version, metadata.git_commit, metadata.seed) == ("1.2.3", "0" * 40, 0)
    assert metadata.data_sha256 == sha256(data.read_bytes())
    assert metadata.lock_sha256 == sha256(lock.read_bytes())
    assert (metadata.task, metadata.target) == (contract.task, contract.target)
    assert (metadata.features, metadata.labels) == (contract.features, contract.labels)
    assert {"python", "numpy", "onnx", "onnxruntime", "scikit-learn"} <= metadata.libraries.keys()
    assert metadata.estimator == min(metadata.cross_validation, key=metadata.cross_validation.__getitem__)
    assert (metadata.interval is None) == bool(contract.labels)


def test_all_rows_are_trained_on_or_held_out(contract: Contract, run: Run, table: Any) -> None:
    assert sum(read_metadata(contract, run.artefact).rows.values()) == len(table)


def test_baseline_is_of_the_training_rows(contract: Contract, run: Run) -> None:
    metadata = read_metadata(contract, run.artefact)
    baseline = Baseline.model_validate_json((run.artefact / BASELINE_FILE).read_bytes())
    assert baseline.rows == metadata.rows["training"]


def test_metrics_are_written_as_the_artefact_has_them(contract: Contract, run: Run) -> None:
    metrics, metadata = json.loads(run.metrics.read_text()), read_metadata(contract, run.artefact)
    assert metrics["metrics"] == {name: estimate.model_dump() for name, estimate in metadata.metrics.items()}
    assert (metrics["version"], metrics["git_commit"]) == (metadata.version, metadata.git_commit)
    assert (metrics["floors"], metrics["rows"], metrics["passed"]) == (metadata.floors, metadata.rows, True)
    assert metrics["baseline"].keys() == metrics["metrics"].keys()


def test_another_process_makes_the_same_model(run: Run, data: Path, lock: Path, tmp_path: Path) -> None:
    # given: a process in which sets of strings have another order
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


def test_a_run_makes_a_model_that_has_learned(each_contract: Contract, each_run: Run) -> None:
    metadata = read_metadata(each_contract, each_run.artefact)
    assert (metadata.task, metadata.target) == (each_contract.task, TARGET[each_contract.task])
    assert metadata.labels == LABELS[each_contract.task]
    assert metadata.rows == {"training": 300, "held_out": 100}
    assert metadata.metrics["skill"].value > 0.3
    assert metadata.floors == {"skill": 0.1}


def test_a_binary_model_is_judged_by_its_rarer_label(each_contract: Contract, each_run: Run) -> None:
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
def test_the_interval_is_of_the_rows_that_settings_were_compared_on(
    settings: Any, each_contract: Contract, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given: a table of which half the training rows are compared
    monkeypatch.setitem(vars(search_module), "MAX_SELECTION_ROWS", ROWS * 3 // 8)
    # when
    metadata = train(each_contract, settings, quick(each_contract))
    # then: it is much narrower than that of an estimator which ignores the features
    told = json.loads(settings.metrics.read_text())
    assert metadata.metrics["interval_width"].value < 0.8 * told["baseline"]["interval_width"]


@of_values
def test_the_gate_keeps_the_old_artefact_and_reports_the_refused_model(settings: Any, each_contract: Contract) -> None:
    # given
    train(each_contract, settings, quick(each_contract))
    before = {path: path.read_bytes() for path in settings.artefact.iterdir()}
    settings.report.unlink()
    settings.metrics.unlink()
    # when
    with pytest.raises(GateError, match=r"r2 is 0\.\d{4}, its floor 1\.0000") as caught:
        train(each_contract, replace(settings, floors={"r2": 1.0, "skill": -100.0}), quick(each_contract))
    # then
    assert [check.metric for check in caught.value.failed] == ["r2"]
    assert {path: path.read_bytes() for path in settings.artefact.iterdir()} == before
    assert "Refused." in settings.report.read_text()
    assert json.loads(settings.metrics.read_text())["passed"] is False


def test_skill_in_cross_validation_may_have_a_floor(settings: Any, each_contract: Contract) -> None:
    floors = {"cross_validated_skill": 0.99}
    with pytest.raises(GateError, match="cross_validated_skill is"):
        train(each_contract, replace(settings, floors=floors), quick(each_contract))
    assert not settings.artefact.exists()


def test_a_model_that_is_not_the_estimator_is_never_written(settings: Any, each_contract: Contract) -> None:
    # given: an export that changes the model
    def wrong(model: FittedModel) -> Mapping[str, bytes]:
        learned = model.estimator[-1].coef_
        model.estimator[-1].coef_ = learned * 1.01
        files = onnx_files(model)
        model.estimator[-1].coef_ = learned
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
def test_a_file_that_is_not_there_stops_the_run_before_anything_is_written(
    wrong: str, error: type[Exception], settings: Any, each_contract: Contract, tmp_path: Path
) -> None:
    with pytest.raises(error):
        train(each_contract, replace(settings, **{wrong: tmp_path / "none"}))
    assert list(tmp_path.iterdir()) == [settings.data]


@of_values
def test_a_foreign_folder_stops_the_run_before_it_has_begun(settings: Any, each_contract: Contract) -> None:
    settings.artefact.mkdir()
    (settings.artefact / "notes.txt").touch()
    heard: list[object] = []
    with pytest.raises(ArtefactError, match=r"notes\.txt"):
        train(each_contract, settings, listener=Listener(on_read=heard.append))
    assert heard == []


@of_values
def test_a_table_of_which_nothing_stands_twice_is_refused(
    settings: Any, each_contract: Contract, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given: texts alone, no word of which is in two rows
    monkeypatch.setattr(Encoding, "columns", ())
    # then
    with pytest.raises(TableError, match="no word is in two rows"):
        train(each_contract, settings)
    assert not settings.artefact.exists()


@of_values
def test_the_listener_hears_of_each_step(settings: Any, each_contract: Contract) -> None:
    heard: list[str] = []
    listener = Listener(
        lambda table: heard.append(f"read {len(table)}"),
        lambda score: heard.append(score.name),
        lambda findings: heard.append(f"evaluated {findings.passed}"),
    )
    train(each_contract, settings, quick(each_contract), listener=listener)
    assert heard == [f"read {ROWS}", quick(each_contract)[0].name, "evaluated True"]


def findings_of(settings: Any, each_contract: Contract) -> Any:
    """Return what a run finds out, with the quickest setting."""
    found: list[Any] = []
    listener = Listener(on_evaluated=found.append)
    train(each_contract, settings, quick(each_contract), listener=listener)
    return found[0]


def test_the_report_is_told_what_the_table_lacks(settings: Any, each_contract: Contract) -> None:
    # given: a table with a column that nobody knows, and a row without a target
    rows = orders.rows_of_table(ROWS, each_contract.task)
    written = [[*cells, "x"] for cells in rows]
    written[0][-1] = "Unknown"
    written[5][-2] = ""
    orders.write_table(settings.data, written)
    # when
    found = findings_of(settings, each_contract)
    # then
    left = [cells for place, cells in enumerate(rows[1:]) if place != 4]
    missing = {field.name: sum(not cells[place] for cells in left) for place, field in enumerate(FIELDS)}
    assert found.missing == {name: count for name, count in missing.items() if count}
    assert found.notes == (
        f"1 row is without a value in {TARGET[each_contract.task]}: left out.",
        "Columns that are no part of the contract and were ignored: Unknown.",
    )
    told = {label: training + held_out for label, training, held_out in found.label_counts}
    assert told == {label: sum(cells[-1] == label for cells in left) for label in LABELS[each_contract.task]}
    assert {importance.feature for importance in found.importances} == {field.name for field in FIELDS}


@of_values
def test_a_table_so_small_that_no_held_out_row_is_a_record_has_golden_records(
    settings: Any, each_contract: Contract, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given: of all rows the first stays a record, and with this seed it is not held out
    monkeypatch.setattr(table_module, "KEPT_RECORDS", 1)
    settings = next(
        chosen for chosen in (replace(settings, seed=seed) for seed in range(20)) if learns(each_contract, chosen)
    )
    # when
    train(each_contract, settings, quick(each_contract))
    # then
    (golden,) = OnnxPredictor.load(each_contract, settings.artefact).golden_records
    assert golden.record == orders.some_orders(1)[0]


def learns(each_contract: Contract, settings: Any) -> bool:
    """Return whether the one row that is still a record is among those to learn from."""
    table = table_module.read_table(each_contract, settings.data)
    training, held_out = split_table(table, settings.seed, settings.test_share, 0)
    assert len(training.records) + len(held_out.records) == 1
    return bool(training.records)
