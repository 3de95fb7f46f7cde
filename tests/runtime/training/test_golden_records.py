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
    """Return outputs as an estimator of the task gives them."""
    generator = np.random.default_rng(0)
    return generator.dirichlet(np.ones(len(LABELS[task])), rows) if LABELS[task] else generator.normal(size=(rows, 1))


def chosen(
    contract: Contract, records: Mapping[int, RecordModel], outputs: NDArray[np.float64], interval: Interval | None
) -> list[Any]:
    """Return the golden records among some records."""
    return list(module.golden_records(contract, records, outputs, interval))


def rows_of(golden: list[Any]) -> list[int]:
    """Return the rows of the records that were chosen."""
    rows = {order: row for row, order in reversed(ORDERS.items())}
    return [rows[golden_record.record] for golden_record in golden]


def lacks_a_value(order: RecordModel) -> bool:
    return None in vars(order).values()


def test_golden_records_are_few_distinct_and_some_lack_values(each_contract: Contract) -> None:
    golden = chosen(each_contract, ORDERS, made_up(each_contract.task), INTERVAL)
    rows = rows_of(golden)
    assert 2 * PER_LABEL <= len(rows) == len(set(rows)) <= MAX_RECORDS
    assert sum(lacks_a_value(golden_record.record) for golden_record in golden) >= WITH_MISSING


def test_their_predictions_are_the_outputs_of_their_rows(each_contract: Contract) -> None:
    # given: outputs that tell a row from any other
    outputs = made_up(each_contract.task)
    # when
    golden = chosen(each_contract, ORDERS, outputs, INTERVAL)
    # then
    for row, golden_record in zip(rows_of(golden), golden, strict=True):
        told = golden_record.prediction
        found = [told.probabilities[label] for label in LABELS[each_contract.task]] or [told.value]
        assert found == outputs[row].tolist()


@of_labels
def test_every_label_has_some_and_the_border_comes_first(each_contract: Contract) -> None:
    outputs = made_up(each_contract.task)
    golden = chosen(each_contract, ORDERS, outputs, None)
    assert golden[0].prediction.probability == outputs.max(axis=1).min()
    for place, label in enumerate(LABELS[each_contract.task]):
        sure = outputs[outputs.argmax(axis=1) == place].max(axis=1)
        found = [
            golden_record.prediction.probability for golden_record in golden if golden_record.prediction.label == label
        ]
        assert len(found) >= PER_LABEL
        assert {sure.min(), sure.max()} <= set(found)


@of_values
def test_values_go_from_the_greatest_to_the_least(each_contract: Contract) -> None:
    outputs = made_up(each_contract.task)
    golden = chosen(each_contract, ORDERS, outputs, INTERVAL)
    values = [golden_record.prediction.value for golden_record in golden[: 2 * PER_LABEL]]
    assert values == sorted(values, reverse=True)
    assert (values[0], values[-1]) == (outputs.max(), outputs.min())
    assert all((golden_record.prediction.low, golden_record.prediction.high) != (0, 0) for golden_record in golden)


@of_labels
def test_with_many_labels_each_has_one(each_contract: Contract, monkeypatch: pytest.MonkeyPatch) -> None:
    # given: as many labels as there are golden records, each of them on two rows
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


def test_equal_records_are_chosen_once(each_contract: Contract) -> None:
    # given: three orders, each of them on two rows, with the outputs of the first
    three = list(ORDERS.values())[:3]
    outputs = np.tile(made_up(each_contract.task, 3), (2, 1))
    # when
    golden = chosen(each_contract, dict(enumerate([*three, *three])), outputs, INTERVAL)
    # then
    assert sorted(rows_of(golden)) == [0, 1, 2]


def test_the_few_orders_that_lack_values_are_among_them(each_contract: Contract) -> None:
    # given: two orders that lack values, and outputs that are neither extreme nor near a border
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


def test_orders_without_missing_values_are_enough(each_contract: Contract) -> None:
    whole = {row: order for row, order in ORDERS.items() if not lacks_a_value(order)}
    golden = chosen(each_contract, whole, made_up(each_contract.task), INTERVAL)
    assert golden
    assert set(rows_of(golden)) <= set(whole)


@given(rows=st.sets(st.integers(0, ROWS - 1), min_size=1))
def test_rows_that_are_no_records_any_more_are_never_chosen(rows: set[int], each_contract: Contract) -> None:
    outputs = made_up(each_contract.task)
    golden = chosen(each_contract, {row: ORDERS[row] for row in rows}, outputs, INTERVAL)
    assert golden
    assert set(rows_of(golden)) <= rows


def test_the_artefact_about_orders_has_golden_records_of_held_out_rows(each_contract: Contract, each_run: Run) -> None:
    found = OnnxPredictor.load(each_contract, each_run.artefact).golden_records
    assert len({golden_record.record for golden_record in found}) == len(found) >= 2 * PER_LABEL
