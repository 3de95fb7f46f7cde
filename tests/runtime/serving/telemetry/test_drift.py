from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlops_runtime.contract import Features, FieldSpec, Kind, Layout, Task, ValuePrediction
from mlops_runtime.model import Baseline, NumberBaseline
from mlops_runtime.serving.telemetry import drift as module
from mlops_runtime.serving.telemetry.binning import MAX_TEXTS
from mlops_runtime.serving.telemetry.drift import BATCH_ROWS, SLOT_SECONDS, SLOTS, Drift
from mlops_runtime.serving.telemetry.psi import ALERT, NOTICE
from mlops_runtime.testing import synthetic as orders
from mlops_runtime.testing.synthetic import CONTRACTS, LABELS, LAYOUT, PREDICTIONS, Order
from mlops_runtime.training.baseline import baseline, vocabulary

ROWS = 1000
START = 500_000 * SLOT_SECONDS

ORDERS = orders.some_orders(ROWS)
FIELDS = [field.name for field in LAYOUT.fields]
FATES = LABELS[Task.BINARY]


def predictions(task: Task, outputs: Sequence[Any], warnings: tuple[str, ...] = ()) -> list[Any]:
    """Return predictions of these labels, or values."""
    if task is Task.REGRESSION:
        return [ValuePrediction(value=value, low=value, high=value, warnings=warnings) for value in outputs]
    adapter = CONTRACTS[task].predictions_adapter
    return adapter.validate_python(
        [{"label": label, "probability": 1, "probabilities": {label: 1}, "warnings": warnings} for label in outputs]
    )


def some_outputs(task: Task, seed: int, count: int = ROWS) -> list[Any]:
    """Return outputs of a model: most often the first label, or values around 10."""
    generator = np.random.default_rng(seed)
    if task is Task.REGRESSION:
        return list(generator.normal(10, 1, count).tolist())
    labels = LABELS[task]
    return [labels[index] for index in generator.binomial(len(labels) - 1, 0.3, count)]


def training_baseline(task: Task) -> Baseline:
    """Return the baseline of orders and of predictions."""
    outputs = some_outputs(task, 0)
    labels = LABELS[task]
    if labels:
        matrix = np.array([[label == output for label in labels] for output in outputs], dtype=float)
    else:
        matrix = np.array(outputs).reshape(-1, 1)
    return baseline(LAYOUT.encode(ORDERS), orders.targets(ORDERS, task), labels, matrix)


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = float(START)

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


MakeDrift = Callable[..., Drift]


@pytest.fixture
def make_drift(clock: Clock) -> MakeDrift:
    """A function that makes the counts of a process."""

    def make(task: Task = Task.BINARY, folder: Path | None = None) -> Drift:
        return Drift(LAYOUT, PREDICTIONS[task], training_baseline(task), ROWS, folder, clock)

    return make


def samples(drift: Drift) -> dict[tuple[str, ...], float]:
    """Return what is exposed: values by the name of the sample and the values of its labels."""
    exposed = (sample for metric in drift.collect() for sample in metric.samples)
    return {(sample.name, *sample.labels.values()): sample.value for sample in exposed}


def indices(drift: Drift) -> dict[str, float]:
    """Return the index of each field that has one."""
    return {key[1]: value for key, value in samples(drift).items() if key[0] == "webservice_field_drift_psi"}


def count_in_batches(size: int, drift: Drift, records: Sequence[Order], outputs: Sequence[Any], task: Task) -> None:
    """Count records in batches of this size."""
    for first in range(0, len(records), size):
        some = slice(first, first + size)
        drift.add(LAYOUT.encode(records[some]), predictions(task, outputs[some]))
    drift.flush()


@pytest.mark.parametrize("task", orders.TASKS)
@pytest.mark.parametrize("size", [1, 7, ROWS])
def test_records_like_those_of_training_do_not_drift(make_drift: MakeDrift, task: Task, size: int) -> None:
    # Given other orders of the same kind
    drift = make_drift(task)
    count_in_batches(size, drift, orders.some_orders(ROWS, seed=1), some_outputs(task, 1), task)
    # Then no index is high; of one batch too few texts are counted for an index
    exposed = indices(drift)
    assert set(exposed) >= set(FIELDS) - {"Remark"}
    assert max(exposed.values()) < NOTICE
    assert samples(drift)["webservice_prediction_drift_psi",] < NOTICE


@pytest.mark.parametrize("task", orders.TASKS)
def test_only_the_fields_that_changed_drift(make_drift: MakeDrift, task: Task) -> None:
    # Given orders that have become heavier and lost their sizes
    changed = [
        order.model_copy(update={"weight": order.weight * 3 + 1, "size": None})
        for order in orders.some_orders(ROWS, seed=1)
    ]
    # And a model with other predictions
    outputs = [LABELS[task][-1]] * ROWS if LABELS[task] else [value + 2 for value in some_outputs(task, 1)]
    drift = make_drift(task)
    count_in_batches(10, drift, changed, outputs, task)
    # Then their indices alone exceed the threshold
    assert {name for name, index in indices(drift).items() if index > ALERT} == {"Weight (kg)", "Size"}
    assert samples(drift)["webservice_prediction_drift_psi",] > ALERT


def test_a_few_records_have_no_index(make_drift: MakeDrift) -> None:
    # Given too few records to distinguish drift from chance
    drift = make_drift()
    count_in_batches(1, drift, ORDERS[:20], [FATES[0]] * 20, Task.BINARY)
    # Then there is no index
    exposed = samples(drift)
    assert indices(drift) == {}
    assert ("webservice_prediction_drift_psi",) not in exposed
    assert exposed["webservice_drift_records",] == 20


def test_records_leave_the_window_after_a_day_but_stay_counted(make_drift: MakeDrift, clock: Clock) -> None:
    # Given records of two hours
    drift = make_drift()
    count_in_batches(100, drift, ORDERS[:300], [FATES[0]] * 300, Task.BINARY)
    clock.now += SLOT_SECONDS
    count_in_batches(100, drift, ORDERS[:200], [FATES[1]] * 200, Task.BINARY)
    # When hours pass
    records = {}
    for hours in (0, SLOTS - 2, SLOTS - 1, SLOTS):
        clock.now = START + SLOT_SECONDS * (hours + 1)
        records[hours + 1] = samples(drift)["webservice_drift_records",]
    # Then the window moves
    assert records == {1: 500, SLOTS - 1: 500, SLOTS: 200, SLOTS + 1: 0}
    # And a slot is used again, while the counters only grow
    count_in_batches(100, drift, ORDERS[:100], [FATES[0]] * 100, Task.BINARY)
    exposed = samples(drift)
    assert exposed["webservice_drift_records",] == 100
    assert exposed["webservice_records_total",] == 600
    assert exposed["webservice_predictions_total", FATES[0]] == 400


def test_after_the_clock_is_set_back_later_records_are_not_in_the_window(make_drift: MakeDrift, clock: Clock) -> None:
    drift = make_drift()
    count_in_batches(100, drift, ORDERS[:100], [FATES[0]] * 100, Task.BINARY)
    clock.now -= 2 * SLOT_SECONDS
    assert samples(drift)["webservice_drift_records",] == 0


@pytest.mark.parametrize("task", [Task.BINARY, Task.MULTICLASS])
def test_predictions_are_counted_by_label(make_drift: MakeDrift, task: Task) -> None:
    drift = make_drift(task)
    outputs = some_outputs(task, 3)
    count_in_batches(13, drift, ORDERS, outputs, task)
    exposed = samples(drift)
    for label in LABELS[task]:
        assert exposed["webservice_predictions_total", label] == outputs.count(label)
    assert exposed["webservice_records_total",] == ROWS


def test_unknown_words_drift_apart_from_the_length_of_texts(clock: Clock) -> None:
    # Given a vocabulary, and texts of the same length with other words
    remarks = ["leave it at the door", "ring the bell twice"]
    known = training_baseline(Task.BINARY)
    texts = [order.model_copy(update={"remark": remarks[index % 2]}) for index, order in enumerate(ORDERS)]
    fields = known.fields | {
        "Remark": baseline(LAYOUT.encode(texts), np.zeros(ROWS), (), np.zeros((1, 1))).fields["Remark"]
    }
    words = {"Remark": vocabulary(remarks, [*remarks, "leave it at the gate"] * 100)}
    drift = Drift(
        LAYOUT,
        PREDICTIONS[Task.BINARY],
        known.model_copy(update={"fields": fields, "vocabularies": words}),
        ROWS,
        None,
        clock,
    )
    changed = [
        order.model_copy(update={"remark": ["put down before my gate", "call me very loudly"][index % 2]})
        for index, order in enumerate(ORDERS)
    ]
    # When they are counted
    count_in_batches(10, drift, changed, [FATES[0]] * ROWS, Task.BINARY)
    # Then their words drift, and their length does not
    exposed = indices(drift)
    assert exposed["Remark: unknown words"] > ALERT
    assert exposed["Remark"] < NOTICE


def test_values_are_counted_in_a_histogram(make_drift: MakeDrift) -> None:
    drift = make_drift(Task.REGRESSION)
    predictions_baseline = training_baseline(Task.REGRESSION).predictions
    assert isinstance(predictions_baseline, NumberBaseline)
    bounds = predictions_baseline.bin_edges
    outputs = [bounds[0] - 1, bounds[0], bounds[3], bounds[-1], bounds[-1] + 1]
    count_in_batches(2, drift, ORDERS[:5], outputs, Task.REGRESSION)
    exposed = samples(drift)
    for bound in bounds:
        expected = sum(output <= bound for output in outputs)
        assert exposed["webservice_predicted_value_bucket", str(bound)] == expected
    assert exposed["webservice_predicted_value_bucket", "+Inf"] == 5
    assert exposed["webservice_predicted_value_sum",] == pytest.approx(sum(outputs))


def test_records_with_a_warning_are_counted(make_drift: MakeDrift) -> None:
    drift = make_drift()
    some = [*predictions(Task.BINARY, FATES), *predictions(Task.BINARY, FATES, ("unusual", "twice"))]
    drift.add(LAYOUT.encode(ORDERS[:4]), some)
    drift.flush()
    assert samples(drift)["webservice_records_with_warnings_total",] == 2


def test_values_are_counted_by_bin(make_drift: MakeDrift) -> None:
    drift = make_drift()
    count_in_batches(10, drift, ORDERS, [FATES[0]] * ROWS, Task.BINARY)
    exposed = samples(drift)
    for courier in orders.COURIERS:
        share = exposed["webservice_field_baseline_share", "Courier", courier]
        assert exposed["webservice_field_values_total", "Courier", courier] == pytest.approx(share * ROWS)


def test_counts_of_processes_are_added_and_kept_after_their_exit(make_drift: MakeDrift, tmp_path: Path) -> None:
    # Given two processes, of which one ends
    staying, leaving = make_drift(folder=tmp_path), make_drift(folder=tmp_path)
    count_in_batches(10, staying, ORDERS[:300], [FATES[0]] * 300, Task.BINARY)
    count_in_batches(10, leaving, ORDERS[300:], [FATES[1]] * 700, Task.BINARY)
    del leaving
    # Then the other has the counts of all records
    exposed = samples(staying)
    assert exposed["webservice_predictions_total", FATES[1]] == 700
    assert exposed["webservice_drift_records",] == ROWS
    assert max(indices(staying).values()) < NOTICE
    # And a third has them as well
    assert samples(make_drift(folder=tmp_path)) == exposed


def test_processes_with_different_models_count_separately(make_drift: MakeDrift, tmp_path: Path) -> None:
    one, other = make_drift(folder=tmp_path), make_drift(Task.MULTICLASS, tmp_path)
    count_in_batches(10, one, ORDERS[:100], [FATES[0]] * 100, Task.BINARY)
    assert samples(other)["webservice_records_total",] == 0


def test_no_record_of_a_thread_is_lost(make_drift: MakeDrift) -> None:
    drift = make_drift()
    features, predicted = LAYOUT.encode(ORDERS[:3]), predictions(Task.BINARY, [FATES[0]] * 3)

    def predict(_: int) -> None:
        for _ in range(200):
            drift.add(features, predicted)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(predict, range(8)))
    drift.flush()
    assert samples(drift)["webservice_records_total",] == 3 * 200 * 8


def test_a_full_batch_is_counted_at_once(make_drift: MakeDrift) -> None:
    drift = make_drift()
    features, predicted = LAYOUT.encode(ORDERS[:1]), predictions(Task.BINARY, FATES[:1])
    # Given records one by one
    for _ in range(3 * BATCH_ROWS + 5):
        drift.add(features, predicted)
    # Then full batches are counted, and the rest with the next flush
    assert samples(drift)["webservice_records_total",] == 3 * BATCH_ROWS
    drift.flush()
    assert samples(drift)["webservice_records_total",] == 3 * BATCH_ROWS + 5


def test_a_sample_of_a_large_batch_is_counted(make_drift: MakeDrift, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given room for the values of 100 records
    monkeypatch.setattr(module, "MAX_BATCH_VALUES", 100 * len(FIELDS))
    drift = make_drift()
    # When they come in one batch
    count_in_batches(ROWS, drift, ORDERS, [FATES[0]] * ROWS, Task.BINARY)
    # Then each prediction is counted, and the fields of some rows, of texts even fewer
    exposed = samples(drift)
    assert exposed["webservice_predictions_total", FATES[0]] == ROWS
    counted = {
        name: sum(value for key, value in exposed.items() if key[:2] == ("webservice_field_values_total", name))
        for name in FIELDS
    }
    assert counted == dict.fromkeys(FIELDS, 100) | {"Remark": MAX_TEXTS}


def test_bins_of_many_fields_are_not_exposed(make_drift: MakeDrift, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_FIELDS", len(FIELDS) - 1)
    drift = make_drift()
    count_in_batches(10, drift, ORDERS, [FATES[0]] * ROWS, Task.BINARY)
    assert not any(name.startswith("webservice_field_values") for name, *_ in samples(drift))
    assert indices(drift)


def test_drift_of_a_single_field_among_a_thousand() -> None:
    # Given a contract of a thousand numbers
    number = FieldSpec(name="", attribute="", kind=Kind.NUMBER, description="", optional=False)
    layout = Layout([replace(number, name=f"n{index}") for index in range(1000)])
    generator = np.random.default_rng(0)
    none = np.empty((400, 0), dtype=object)
    training, live = (Features(layout, generator.normal(size=(400, 1000)), none, none) for _ in range(2))
    drift = Drift(layout, ValuePrediction, baseline(training, np.ones(400), (), np.ones((400, 1))), 400, None)
    # When one field changes
    live.numbers[:, 500] += 2
    for first in range(0, 400, 100):
        drift.add(live.take(range(first, first + 100)), predictions(Task.REGRESSION, [1] * 100))
    # Then it alone drifts
    assert {name for name, index in indices(drift).items() if index > 1} == {"n500"}
