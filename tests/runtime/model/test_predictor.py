import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_runtime.contract import Contract, Features, LabelPrediction, ValuePrediction
from mlops_runtime.model.artefact import MODEL_FILE, ArtefactError
from mlops_runtime.model.baseline import ValueBaseline
from mlops_runtime.model.golden import agrees
from mlops_runtime.model.metadata import Estimate, Interval
from mlops_runtime.model.onnx_predictor import ROWS_AT_ONCE, OnnxPredictor
from mlops_runtime.model.predictor import Predictor, interval_bounds, predictions_from_outputs
from mlops_runtime.testing import synthetic as orders
from mlops_runtime.testing.synthetic import Order

UNMEASURED = Estimate(value=0, low=0, high=0)


def interval(half_widths: tuple[float, ...], edges: tuple[float, ...] = (), minimum: float | None = None) -> Interval:
    return Interval(level=0.9, edges=edges, half_widths=half_widths, minimum=minimum, coverage=UNMEASURED)


def assert_consistent(prediction: LabelPrediction | ValuePrediction, labels: tuple[str, ...]) -> None:
    """Fail unless the numbers of a prediction are finite and consistent."""
    match prediction:
        case LabelPrediction():
            assert tuple(prediction.probabilities) == labels
            assert sum(prediction.probabilities.values()) == pytest.approx(1)
            assert prediction.probability == prediction.probabilities[prediction.label]
            assert prediction.probability == max(prediction.probabilities.values())
        case ValuePrediction():
            assert math.isfinite(prediction.value)
            assert prediction.low <= prediction.value <= prediction.high


@pytest.fixture(scope="module")
def model(artefact: Path) -> bytes:
    return (artefact / MODEL_FILE).read_bytes()


def with_property(content: bytes, name: str, value: str) -> bytes:
    """Return a model with another value of a property."""
    model = onnx.load_model_from_string(content)
    onnx.helper.set_model_props(model, {name: value})
    return bytes(model.SerializeToString())


def with_model(predictor: Predictor, content: bytes) -> OnnxPredictor:
    """Return a predictor for the same artefact with another model."""
    return OnnxPredictor(replace(predictor.artefact, model_files={MODEL_FILE: content}))


@given(record=st.from_type(Order))
def test_every_valid_record_gets_a_consistent_prediction(record: Order, each_predictor: Predictor) -> None:
    assert_consistent(each_predictor.predict_one(record), each_predictor.contract.labels)


@given(records=st.lists(st.from_type(Order), min_size=1, max_size=20))
def test_predictions_do_not_depend_on_the_batch(records: list[Order], each_predictor: Predictor) -> None:
    together = each_predictor.predict(records)
    alone = [each_predictor.predict_one(record) for record in records]
    assert all(agrees(prediction, expected) for prediction, expected in zip(together, alone, strict=True))
    assert [prediction.warnings for prediction in together] == [prediction.warnings for prediction in alone]


def test_no_records_give_no_predictions(predictor: Predictor) -> None:
    assert predictor.predict([]) == []


def test_records_of_missing_values_get_finite_outputs(each_predictor: Predictor) -> None:
    layout = each_predictor.contract.layout
    missing = Features(
        layout,
        np.full((2, len(layout.numbers)), np.nan),
        np.full((2, len(layout.categories)), "", dtype=object),
        np.full((2, len(layout.texts)), "", dtype=object),
    )
    outputs = each_predictor.outputs(missing)
    assert outputs.shape == (2, len(each_predictor.contract.labels) or 1)
    assert np.isfinite(outputs).all()


def test_threads_get_the_same_predictions(predictor: Predictor) -> None:
    # given
    records = [golden.record for golden in predictor.golden_records] * 20
    expected = predictor.predict(records)
    # when: eight threads predict at once, all records and single ones
    with ThreadPoolExecutor(8) as threads:
        many = list(threads.map(predictor.predict, [records] * 64))
        single = list(threads.map(predictor.predict_one, records))
    # then
    assert all(predictions == expected for predictions in many)
    assert all(map(agrees, single, expected))


def test_golden_predictions_are_reproduced(each_predictor: Predictor) -> None:
    assert each_predictor.gives_golden_predictions()


@pytest.mark.parametrize("index", [0, -1], ids=["first", "last"])
def test_a_different_golden_prediction_is_detected(index: int, each_predictor: Predictor) -> None:
    # given: a golden record with a different prediction
    golden = list(each_predictor.golden_records)
    prediction = golden[index].prediction
    if isinstance(prediction, ValuePrediction):
        other: Any = prediction.model_copy(update={"value": prediction.value * 1.001})
    else:
        other = prediction.model_copy(update={"label": next(label for label in each_predictor.contract.labels
                                                            if label != prediction.label)})  # fmt: skip
    golden[index] = golden[index].model_copy(update={"prediction": other})
    # when
    changed = OnnxPredictor(replace(each_predictor.artefact, golden_records=tuple(golden)))
    # then
    assert not changed.gives_golden_predictions()


def test_a_model_without_golden_records_is_not_confirmed(predictor: Predictor) -> None:
    assert not OnnxPredictor(replace(predictor.artefact, golden_records=())).gives_golden_predictions()


def test_values_of_the_training_data_get_no_warning(each_predictor: Predictor) -> None:
    baseline = each_predictor.baseline.fields["City"]
    assert isinstance(baseline, ValueBaseline)
    cities = baseline.shares.keys() | {None}
    batch = [order for order in orders.some_orders(50) if order.weight < 41.5 and order.city in cities]
    assert not any(prediction.warnings for prediction in each_predictor.predict(batch))


@pytest.mark.parametrize(
    ("changes", "warnings"),
    [
        pytest.param({"weight": 500.0}, ["Weight (kg): 500 is outside the expected range, -3 to 41.5"], id="number"),
        pytest.param({"items": 15.0}, ["Items: 15 is outside the expected range, 0 to 14"], id="integer"),
        pytest.param({"items": 14.0}, [], id="largest-expected-number"),
        pytest.param({"margin": 1e300}, [], id="number-without-a-range"),
        pytest.param({"city": "Atlantis"}, ["City: unknown value, treated as missing"], id="city"),
        pytest.param({"items": None, "city": None, "size": None, "paid": None}, [], id="missing"),
        pytest.param({"remark": "words that nobody has written"}, [], id="text"),
        pytest.param({"weight": 500.0, "city": "Atlantis"}, ["Weight (kg)", "City"], id="two"),
    ],
)
def test_values_unlike_the_training_data_get_a_warning(
    changes: dict[str, Any], warnings: list[str], each_predictor: Predictor
) -> None:
    # given: an order between two others
    order = orders.some_orders(1)[0].model_copy(update={"weight": 5.0})
    # when
    before, prediction, after = each_predictor.predict([order, order.model_copy(update=changes), order])
    # then
    assert before.warnings == after.warnings == ()
    assert len(prediction.warnings) == len(warnings)
    assert all(text.startswith(start) for text, start in zip(prediction.warnings, warnings, strict=True))


def test_an_unknown_category_is_treated_as_missing(each_predictor: Predictor) -> None:
    (order,) = orders.some_orders(1)
    unknown, missing = each_predictor.predict([order.model_copy(update={"city": city}) for city in ("Atlantis", None)])
    assert unknown.model_copy(update={"warnings": ()}) == missing


@pytest.mark.parametrize("content", [b"", b"no model", b"\x00" * 100], ids=["empty", "text", "zeros"])
def test_bytes_that_are_not_a_model_are_refused(content: bytes, predictor: Predictor) -> None:
    with pytest.raises(ArtefactError, match="cannot load the model"):
        with_model(predictor, content)


def test_a_truncated_model_is_refused(predictor: Predictor, model: bytes) -> None:
    with pytest.raises(ArtefactError):
        with_model(predictor, model[: len(model) // 2])


def twice_as_many_columns(graph: onnx.GraphProto) -> None:
    last = graph.node[-1]
    last.CopyFrom(onnx.helper.make_node("Concat", [last.input[0]] * 2, last.output, axis=1))
    graph.output[0].type.tensor_type.shape.dim[1].dim_value *= 2


def another_name(graph: onnx.GraphProto) -> None:
    graph.node[-1].output[0] = graph.output[0].name = "other"


@pytest.mark.parametrize("change", [twice_as_many_columns, another_name])
def test_a_model_with_other_outputs_is_refused(
    change: Callable[[onnx.GraphProto], None], predictor: Predictor, model: bytes
) -> None:
    changed = onnx.load_from_string(model)
    change(changed.graph)
    with pytest.raises(ArtefactError, match="not made by this trainer"):
        with_model(predictor, changed.SerializeToString())


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param([], id="none"),
        pytest.param([0], id="too-few"),
        pytest.param([0, 1, 1], id="too-many"),
    ],
)
def test_outputs_for_another_number_of_rows_are_no_predictions(
    rows: list[int], each_predictor: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given: two rows, and a model that returns another number of outputs
    features = each_predictor.contract.encode([golden.record for golden in each_predictor.golden_records[:2]])
    outputs = each_predictor.outputs(features)[rows]
    monkeypatch.setattr(each_predictor, "outputs", lambda _: outputs)

    # when, then
    with pytest.raises(ValueError, match=rf"outputs returns the shape \({len(rows)}, .*, expected \(2, "):
        each_predictor.predictions(features)


def test_outputs_become_predictions_of_the_task(each_contract: Contract) -> None:
    # given: outputs for three orders, the third with equal probabilities
    labels = orders.LABELS[each_contract.task]
    outputs = np.eye(len(labels) or 1)[[0, -1, 0]]
    outputs[2] = outputs.shape[1] ** -1
    # when
    predictions = predictions_from_outputs(each_contract, outputs, interval((0.5,)), {1: ("unexpected",)})
    # then
    assert [prediction.warnings for prediction in predictions] == [(), ("unexpected",), ()]
    if labels:
        assert [prediction.label for prediction in predictions] == [labels[0], labels[-1], labels[0]]
        assert [prediction.probability for prediction in predictions] == [1, 1, 1 / len(labels)]
        assert predictions[0].probabilities == dict(zip(labels, outputs[0].tolist(), strict=True))
    else:
        assert [(each.low, each.value, each.high) for each in predictions] == [(0.5, 1, 1.5)] * 3


@pytest.mark.parametrize(
    ("value", "low", "high"),
    [
        pytest.param(-5.0, -6, -4, id="first-bin"),
        pytest.param(9.9, 8.9, 10.9, id="below-an-edge"),
        pytest.param(10.0, 8, 12, id="at-an-edge"),
        pytest.param(20.0, 17, 23, id="at-the-last-edge"),
        pytest.param(1e9, 1e9 - 3, 1e9 + 3, id="last-bin"),
    ],
)
def test_an_interval_has_the_width_of_its_bin(value: float, low: float, high: float) -> None:
    lows, highs = interval_bounds(np.array([value]), interval((1.0, 2.0, 3.0), (10.0, 20.0)))
    assert (lows.tolist(), highs.tolist()) == ([low], [high])


def test_the_interval_of_a_non_negative_target_starts_at_zero() -> None:
    lows, highs = interval_bounds(np.array([5.0, 1.0, -2.0]), interval((3.0,), minimum=0))
    assert lows.tolist() == [2, 0, -2]
    assert highs.tolist() == [8, 4, 1]


def test_values_without_an_interval_are_refused() -> None:
    with pytest.raises(ArtefactError, match=r"no interval.*run `make train`"):
        interval_bounds(np.array([1.0]), None)


@pytest.mark.parametrize(
    ("rows", "sizes"),
    [
        pytest.param(3, [3], id="one-run"),
        pytest.param(7, [3, 3, 1], id="three-runs"),
    ],
)
def test_the_model_runs_on_a_limited_number_of_rows_at_once(
    rows: int, sizes: list[int], predictor: Predictor, model: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given
    limited = with_model(predictor, with_property(model, ROWS_AT_ONCE, "3"))
    features = orders.features(rows)
    expected = predictor.outputs(features)
    runs: list[int] = []
    inputs = Features.inputs
    monkeypatch.setattr(Features, "inputs", lambda part: runs.append(len(part)) or inputs(part))
    # when
    outputs = limited.outputs(features)
    # then
    np.testing.assert_allclose(outputs, expected, rtol=1e-12)
    assert runs == sizes
