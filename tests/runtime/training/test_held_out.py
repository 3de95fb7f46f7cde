from collections.abc import Callable
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from mlops_runtime.contract import Contract, Features, LabelPrediction, RecordModel, Task
from mlops_runtime.model import OnnxPredictor
from mlops_runtime.testing import synthetic
from mlops_runtime.training import held_out
from mlops_runtime.training.held_out import HeldOut, held_out_predictions, row_identities
from mlops_runtime.training.split import split_table
from mlops_runtime.training.table import Table, read_table
from tests.runtime.conftest import Run


def file_of(run: Run) -> Path:
    return run.metrics.with_name("held-out.json")


def split(contract: Contract, run: Run) -> tuple[Table, Table]:
    """Return training rows and held-out rows of a run."""
    return split_table(read_table(contract, run.data), 0, 0.25, len(contract.labels))


def identities_of(contract: Contract, table: Table) -> list[str]:
    return row_identities(contract, table.features, table.target)


def test_a_run_writes_truth_and_prediction_of_each_held_out_row(
    each_contract: Contract, each_run: Run, each_predictor: OnnxPredictor
) -> None:
    # given
    training, rows = split(each_contract, each_run)
    # when
    written = HeldOut.model_validate_json(file_of(each_run).read_bytes())
    # then
    assert (written.version, written.task, written.target) == ("1.2.3", each_contract.task, each_contract.target)
    assert written.labels == each_contract.labels
    order = np.argsort(identities_of(each_contract, rows))
    assert list(written.rows) == np.array(identities_of(each_contract, rows))[order].tolist()
    assert list(written.truth) == rows.target[order].tolist()
    np.testing.assert_allclose(written.predicted, each_predictor.outputs(rows.features)[order], rtol=1e-6)
    assert not set(written.rows) & set(identities_of(each_contract, training))


def test_the_file_is_compact(each_run: Run) -> None:
    assert file_of(each_run).stat().st_size < 100 * 100


def test_a_row_has_the_same_identity_in_every_order(each_contract: Contract, each_run: Run) -> None:
    table = read_table(each_contract, each_run.data)
    order = np.random.default_rng(0).permutation(len(table))
    identities = identities_of(each_contract, table)
    assert identities_of(each_contract, table.take(order)) == [identities[row] for row in order]
    assert len(set(identities)) == len(table)


@pytest.mark.parametrize(
    ("array", "change"),
    [
        pytest.param("numbers", lambda values: values + 1, id="number"),
        pytest.param("categories", lambda values: values + "x", id="category"),
        pytest.param("texts", lambda values: values + "x", id="text"),
    ],
)
def test_another_value_is_another_row(contract: Contract, array: str, change: Callable[[Any], Any]) -> None:
    features, target = synthetic.features(3), np.zeros(3, dtype=int)
    changed = getattr(features, array).copy()
    changed[0, 0] = change(changed[0, 0])
    before = row_identities(contract, features, target)
    after = row_identities(contract, replace(features, **{array: changed}), target)
    assert before[0] != after[0]
    assert before[1:] == after[1:]


def test_another_target_is_another_row(each_contract: Contract) -> None:
    features = synthetic.features(2)
    before, after = (row_identities(each_contract, features, np.array(target)) for target in ([0, 0], [1, 0]))
    assert before[0] != after[0]
    assert before[1] == after[1]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param(0.0, -0.0, id="zeros of both signs"),
        pytest.param(np.nan, -np.float64(np.nan), id="missing values of both signs"),
    ],
)
def test_equal_values_with_other_bytes_are_one_row(contract: Contract, first: float, second: float) -> None:
    def identity(value: float) -> list[str]:
        features = synthetic.features(1)
        features.numbers[0, 1] = value
        return row_identities(contract, features, np.zeros(1, dtype=int))

    assert np.float64(first).tobytes() != np.float64(second).tobytes()
    assert identity(first) == identity(second)


def colours(*choices: str) -> tuple[Contract, Features]:
    """Return a contract with these choices and labels, and its only record: red."""
    paint = StrEnum("Paint", {choice.upper(): choice for choice in choices})

    class Car(RecordModel):
        colour: paint

    class Prediction(LabelPrediction):
        label: paint

    contract = Contract(Car, Prediction, Task.BINARY, "next")
    return contract, contract.encode([Car(colour=paint("red"))])


def test_a_choice_and_a_label_more_keep_the_identity() -> None:
    (two, record), (three, same_record) = colours("blue", "red"), colours("amber", "blue", "red")
    assert row_identities(two, record, np.array([1])) == row_identities(three, same_record, np.array([2]))


@pytest.mark.parametrize(
    ("limit", "value"),
    [
        pytest.param("MAX_ROWS", 10, id="rows"),
        pytest.param("MAX_PROBABILITIES", 20, id="probabilities"),
    ],
)
def test_of_too_many_rows_every_run_keeps_the_same(
    contract: Contract, run: Run, monkeypatch: pytest.MonkeyPatch, limit: str, value: int
) -> None:
    # given
    _, rows = split(contract, run)
    outputs = np.full((len(rows), 2), 0.5)
    monkeypatch.setattr(held_out, limit, value)
    # when
    kept = held_out_predictions(contract, "1", rows, outputs)
    kept_of_half = held_out_predictions(contract, "1", rows.take(np.arange(50)), outputs[:50])
    # then
    assert list(kept.rows) == sorted(identities_of(contract, rows))[:10]
    assert set(kept_of_half.rows) >= set(kept.rows) & set(identities_of(contract, rows.take(np.arange(50))))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({"rows": ()}, "differ in length", id="a row less"),
        pytest.param({"predicted": ((1.0,),)}, "another number of values", id="a probability less"),
        pytest.param({"truth": (2,)}, "index of no label", id="a label too many"),
        pytest.param({"metric": "rmse"}, "no metric of the task", id="metric of another task"),
    ],
)
def test_a_file_that_contradicts_itself_is_refused(changes: dict[str, Any], message: str) -> None:
    content = {
        "version": "1", "task": "binary", "target": "t", "labels": ("a", "b"), "metric": "roc_auc",
        "rows": ("x",), "truth": (0,), "predicted": ((0.9, 0.1),),
    }  # fmt: skip
    HeldOut.model_validate(content)
    with pytest.raises(ValidationError, match=message):
        HeldOut.model_validate(content | changes)
