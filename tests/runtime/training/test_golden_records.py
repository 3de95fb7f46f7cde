from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mlops_runtime.contract import Contract, RecordModel, Task
from mlops_runtime.model.metadata import Estimate, Interval
from mlops_runtime.model.onnx_predictor import OnnxPredictor
from mlops_runtime.testing import synthetic as orders
from mlops_runtime.testing.synthetic import LABELS
from mlops_runtime.training import golden as module
from mlops_runtime.training.golden import MAX_RECORDS, PER_LABEL, WITH_MISSING
from tests.runtime.conftest import Run

ROWS = 60
ORDERS = dict(enumerate(orders.some_orders(ROWS)))
INTERVAL = Interval(
    level=0.9, edges=(), half_widths=(1.0,), minimum=None, coverage=Estimate(value=0.9, low=0.8, high=1.0)
)

of_labels = pytest.mark.parametrize("each_contract", [Task.BINARY, Task.MULTICLASS], indirect=True)
of_values = pytest.mark.parametrize("each_contract", [Task.REGRESSION], indirect=True)


def made_up(task: Task, rows: int = ROWS) -> NDArray[np.float64]:
    """Return random outputs of an estimator for the task."""
    generator = np.random.default_rng(0)
    return generator.dirichlet(np.ones(len(LABELS[task])), rows) if LABELS[task] else generator.normal(size=(rows, 1))


def chosen(
    contract: Contract, records: Mapping[int, RecordModel], outputs: NDArray[np.float64], interval: Interval | None
) -> list[Any]:
    """Return the golden records of some records."""
    return list(module.golden_records(contract, records, outputs, interval))


def rows_of(golden: list[Any]) -> list[int]:
    """Return the rows of golden records."""
    rows = {order: row for row, order in reversed(ORDERS.items())}
    return [rows[golden_record.record] for golden_record in golden]


def lacks_a_value(order: RecordModel) -> bool:
    return None in vars(order).values()


def test_golden_records_are_few_and_distinct_and_include_missing_values(each_contract: Contract) -> None:
    golden = chosen(each_contract, ORDERS, made_up(each_contract.task), INTERVAL)
    rows = rows_of(golden)
    assert 2 * PER_LABEL <= len(rows) == len(set(rows)) <= MAX_RECORDS
    assert sum(lacks_a_value(golden_record.record) for golden_record in golden) >= WITH_MISSING


def test_the_predictions_are_the_outputs_of_the_rows(each_contract: Contract) -> None:
    # given: different outputs for each row
    outputs = made_up(each_contract.task)
    # when
    golden = chosen(each_contract, ORDERS, outputs, INTERVAL)
    # then
    for row, golden_record in zip(rows_of(golden), golden, strict=True):
        prediction = golden_record.prediction
        actual = [prediction.probabilities[label] for label in LABELS[each_contract.task]] or [prediction.value]
        assert actual == outputs[row].tolist()


@of_labels
def test_every_label_has_records_and_the_least_certain_record_is_first(each_contract: Contract) -> None:
    outputs = made_up(each_contract.task)
    golden = chosen(each_contract, ORDERS, outputs, None)
    assert golden[0].prediction.probability == outputs.max(axis=1).min()
    for index, label in enumerate(LABELS[each_contract.task]):
        sure = outputs[outputs.argmax(axis=1) == index].max(axis=1)
        actual = [
            golden_record.prediction.probability for golden_record in golden if golden_record.prediction.label == label
        ]
        assert len(actual) >= PER_LABEL
        assert {sure.min(), sure.max()} <= set(actual)


@of_labels
@pytest.mark.parametrize("gap", [0.0, 1e-6], ids=["equal", "equal within the tolerance"])
def test_a_record_whose_labels_are_tied_is_not_chosen(each_contract: Contract, gap: float) -> None:
    # Given a row whose labels are as likely as one another, of which an exported model may give any
    outputs = made_up(each_contract.task)
    tied = np.full(outputs.shape[1], 1 / outputs.shape[1])
    tied[:2] += gap / 2, -gap / 2
    outputs[7] = tied

    golden = chosen(each_contract, ORDERS, outputs, None)

    assert 7 not in rows_of(golden)
    # And where every row is tied, they are what there is
    assert chosen(each_contract, ORDERS, np.tile(tied, (ROWS, 1)), None)


@of_values
def test_the_records_of_a_regression_are_in_descending_order(each_contract: Contract) -> None:
    outputs = made_up(each_contract.task)
    golden = chosen(each_contract, ORDERS, outputs, INTERVAL)
    values = [golden_record.prediction.value for golden_record in golden[: 2 * PER_LABEL]]
    assert values == sorted(values, reverse=True)
    assert (values[0], values[-1]) == (outputs.max(), outputs.min())
    assert all((golden_record.prediction.low, golden_record.prediction.high) != (0, 0) for golden_record in golden)


@of_labels
def test_each_of_many_labels_has_a_record(each_contract: Contract, monkeypatch: pytest.MonkeyPatch) -> None:
    # given: as many labels as golden records, with two rows each
    outputs = np.tile(np.eye(MAX_RECORDS), (2, 1)) * 0.9 + 0.1 / MAX_RECORDS
    monkeypatch.setattr(
        module, "predictions_from_outputs", lambda _contract, outputs, _interval: outputs.argmax(axis=1).tolist()
    )
    monkeypatch.setattr(module, "golden_record_type", lambda _: SimpleNamespace)
    # when
    records = {row: ORDERS[row] for row in range(2 * MAX_RECORDS)}
    golden = chosen(each_contract, records, outputs, None)
    # then
    assert {golden_record.prediction for golden_record in golden} == set(range(MAX_RECORDS))
    assert len(golden) <= MAX_RECORDS + WITH_MISSING + 1


def test_equal_records_are_included_once(each_contract: Contract) -> None:
    # given: three orders with two rows each, and equal outputs for equal orders
    three = list(ORDERS.values())[:3]
    outputs = np.tile(made_up(each_contract.task, 3), (2, 1))
    # when
    golden = chosen(each_contract, dict(enumerate([*three, *three])), outputs, INTERVAL)
    # then
    assert sorted(rows_of(golden)) == [0, 1, 2]


def test_records_with_missing_values_are_included(each_contract: Contract) -> None:
    # given: two orders with missing values, whose outputs are neither extreme nor uncertain
    lacking = [row for row, order in ORDERS.items() if lacks_a_value(order)][:2]
    whole = [row for row, order in ORDERS.items() if not lacks_a_value(order)]
    outputs = made_up(each_contract.task)
    order = np.argsort(outputs[whole].max(axis=1))
    outputs[lacking] = outputs[whole[order[len(order) // 2]]]
    # when
    records = {row: ORDERS[row] for row in (*whole, *lacking)}
    golden = chosen(each_contract, records, outputs, INTERVAL)
    # then
    assert set(lacking) <= set(rows_of(golden))


def test_records_without_missing_values_are_enough(each_contract: Contract) -> None:
    whole = {row: order for row, order in ORDERS.items() if not lacks_a_value(order)}
    golden = chosen(each_contract, whole, made_up(each_contract.task), INTERVAL)
    assert golden
    assert set(rows_of(golden)) <= set(whole)


@given(rows=st.sets(st.integers(0, ROWS - 1), min_size=1))
def test_rows_without_a_record_are_not_chosen(rows: set[int], each_contract: Contract) -> None:
    outputs = made_up(each_contract.task)
    golden = chosen(each_contract, {row: ORDERS[row] for row in rows}, outputs, INTERVAL)
    assert golden
    assert set(rows_of(golden)) <= rows


def test_the_golden_records_of_an_artefact_are_distinct(each_contract: Contract, each_run: Run) -> None:
    actual = OnnxPredictor.load(each_contract, each_run.artefact).golden_records
    assert len({golden_record.record for golden_record in actual}) == len(actual) >= 2 * PER_LABEL
