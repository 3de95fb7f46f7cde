import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_runtime.contract.features import LABELS, LAYOUT, Features
from mlops_runtime.contract.fields import LabelPrediction, Task, ValuePrediction
from mlops_runtime.model.artefact import MODEL_FILE, ArtefactError
from mlops_runtime.model.golden import GOLDEN_TOLERANCE, agrees
from mlops_runtime.model.metadata import Estimate, Interval
from mlops_runtime.model.predictor import Predictor, interval_bounds
from mlops_runtime.testing import synthetic as orders
from tests.runtime.conftest import Run

UNMEASURED = Estimate(value=0, low=0, high=0)


def interval(half_widths: tuple[float, ...], edges: tuple[float, ...] = (), minimum: float | None = None) -> Interval:
    return Interval(level=0.9, edges=edges, half_widths=half_widths, minimum=minimum, coverage=UNMEASURED)


def assert_sound(prediction: Prediction) -> None:
    """Fail unless a prediction is finite and at one with itself."""
    match prediction:
        case LabelPrediction():
            assert tuple(prediction.probabilities) == LABELS
            assert sum(prediction.probabilities.values()) == pytest.approx(1)
            assert prediction.probability == prediction.probabilities[prediction.label]
            assert prediction.probability == max(prediction.probabilities.values())
        case ValuePrediction():
            assert math.isfinite(prediction.value)
            assert prediction.low <= prediction.value <= prediction.high


@pytest.fixture(scope="module")
def model(artefact: Path) -> bytes:
    return (artefact / MODEL_FILE).read_bytes()


@pytest.fixture(scope="module")
def of_orders(each_contract: Contract, each_run: Run) -> Any:
    """A predictor of orders; it is of the class that their modules have."""
    return OnnxPredictor.load(each_contract, each_run.artefact)


@given(record=st.from_type(Record))
def test_every_valid_record_gets_a_sound_prediction(record: Record, predictor: Predictor) -> None:
    assert_sound(predictor.predict_one(record))


@given(records=st.lists(st.from_type(Record), min_size=1, max_size=20))
def test_many_records_get_the_predictions_that_each_gets_alone(records: list[Record], predictor: Predictor) -> None:
    together = predictor.predict(records)
    alone = [predictor.predict_one(record) for record in records]
    assert all(agrees(prediction, wanted) for prediction, wanted in zip(together, alone, strict=True))
    assert [prediction.warnings for prediction in together] == [prediction.warnings for prediction in alone]


def test_no_record_gets_no_prediction(predictor: Predictor) -> None:
    assert predictor.predict([]) == []


def test_missing_values_are_no_reason_to_fail(predictor: Predictor) -> None:
    nothing = Features(
        LAYOUT,
        np.full((2, len(LAYOUT.numbers)), np.nan),
        np.full((2, len(LAYOUT.categories)), "", dtype=object),
        np.full((2, len(LAYOUT.texts)), "", dtype=object),
    )
    outputs = predictor.outputs(nothing)
    assert outputs.shape == (2, len(LABELS) or 1)
    assert np.isfinite(outputs).all()


def test_threads_get_the_same_predictions(predictor: Predictor) -> None:
    # given
    records = [golden.record for golden in predictor.golden_records] * 20
    expected = predictor.predict(records)
    # when: eight threads ask at once, for all records and for one
    with ThreadPoolExecutor(8) as threads:
        many = list(threads.map(predictor.predict, [records] * 64))
        single = list(threads.map(predictor.predict_one, records))
    # then
    assert all(predictions == expected for predictions in many)
    assert all(agrees(prediction, wanted) for prediction, wanted in zip(single, expected, strict=True))


def test_golden_answers_are_given(predictor: Predictor) -> None:
    assert predictor.gives_golden_predictions()


def test_golden_answers_about_orders_are_given(of_orders: Any) -> None:
    assert of_orders.gives_golden_predictions()


@pytest.mark.parametrize("place", [0, -1], ids=["first", "last"])
def test_another_answer_is_noticed(place: int, of_orders: Any, each_contract: Contract, each_run: Run) -> None:
    # given: a golden record whose prediction is another
    golden = list(of_orders.golden_records)
    prediction = golden[place].prediction
    if each_contract.task is Task.REGRESSION:
        other = prediction.model_copy(update={"value": prediction.value * 1.001})
    else:
        other = prediction.model_copy(update={"label": next(label for label in orders.LABELS[each_contract.task]
                                                            if label != prediction.label)})  # fmt: skip
    golden[place] = golden[place].model_copy(update={"prediction": other})
    # when
    content = (each_run.artefact / MODEL_FILE).read_bytes()
    changed = type(of_orders)(content, of_orders.metadata, of_orders.baseline, tuple(golden))
    # then
    assert not changed.gives_golden_predictions()


def test_a_model_without_golden_records_proves_nothing(predictor: Predictor, model: bytes) -> None:
    assert not Predictor(model, predictor.metadata, predictor.baseline).gives_golden_predictions()


def test_what_training_saw_is_no_reason_to_warn(of_orders: Any) -> None:
    cities = of_orders.baseline.fields["City"].shares.keys() | {None}
    batch = [order for order in orders.some_orders(50) if order.weight < 41.5 and order.city in cities]
    assert not any(prediction.warnings for prediction in of_orders.predict(batch))


@pytest.mark.parametrize(
    ("changes", "warnings"),
    [
        pytest.param(
            {"weight": 500.0}, ["Weight (kg): 500 is unusual, -3 to 41.5 is what the model knows"], id="number"
        ),
        pytest.param({"items": 15.0}, ["Items: 15 is unusual, 0 to 14 is what the model knows"], id="whole-number"),
        pytest.param({"items": 14.0}, [], id="last-usual-one"),
        pytest.param({"margin": 1e300}, [], id="number-without-a-range"),
        pytest.param(
            {"city": "Atlantis"}, ["City: the model does not know this value and takes it as missing"], id="city"
        ),
        pytest.param({"items": None, "city": None, "size": None, "paid": None}, [], id="missing"),
        pytest.param({"remark": "words that nobody has written"}, [], id="text"),
        pytest.param({"weight": 500.0, "city": "Atlantis"}, ["Weight (kg)", "City"], id="two"),
    ],
)
def test_what_training_has_not_seen_the_like_of_is_answered_with_a_warning(
    changes: dict[str, Any], warnings: list[str], of_orders: Any
) -> None:
    # given: an order between two others
    usual = orders.some_orders(1)[0].model_copy(update={"weight": 5.0})
    # when
    before, prediction, after = of_orders.predict([usual, usual.model_copy(update=changes), usual])
    # then
    assert before.warnings == after.warnings == ()
    assert len(prediction.warnings) == len(warnings)
    assert all(text.startswith(start) for text, start in zip(prediction.warnings, warnings, strict=True))


def test_a_value_that_training_has_not_seen_is_a_missing_one(of_orders: Any) -> None:
    (order,) = orders.some_orders(1)
    unseen, missing = of_orders.predict([order.model_copy(update={"city": city}) for city in ("Atlantis", None)])
    assert unseen.model_copy(update={"warnings": ()}) == missing


@pytest.mark.parametrize("content", [b"", b"no model", b"\x00" * 100], ids=["empty", "text", "zeros"])
def test_bytes_that_are_no_model_are_refused(content: bytes, predictor: Predictor) -> None:
    with pytest.raises(ArtefactError, match="cannot load the model"):
        Predictor(content, predictor.metadata, predictor.baseline)


def test_a_truncated_model_is_refused(predictor: Predictor, model: bytes) -> None:
    with pytest.raises(ArtefactError):
        Predictor(model[: len(model) // 2], predictor.metadata, predictor.baseline)


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
        Predictor(changed.SerializeToString(), predictor.metadata, predictor.baseline)


def test_outputs_become_answers_of_the_task(each_contract: Contract) -> None:
    # given: outputs for three orders, the third of them with two labels alike
    labels = orders.LABELS[each_contract.task]
    outputs = np.eye(len(labels) or 1)[[0, -1, 0]]
    outputs[2] = outputs.shape[1] ** -1
    # when
    found = each_contract.predictor.answers(outputs, interval((0.5,)), {1: ("odd",)})
    # then
    assert [prediction.warnings for prediction in found] == [(), ("odd",), ()]
    if labels:
        assert [prediction.label for prediction in found] == [labels[0], labels[-1], labels[0]]
        assert [prediction.probability for prediction in found] == [1, 1, 1 / len(labels)]
        assert found[0].probabilities == dict(zip(labels, outputs[0].tolist(), strict=True))
    else:
        assert [(prediction.low, prediction.value, prediction.high) for prediction in found] == [(0.5, 1, 1.5)] * 3


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
    lows, highs = bounds(np.array([value]), interval((1.0, 2.0, 3.0), (10.0, 20.0)))
    assert (lows.tolist(), highs.tolist()) == ([low], [high])


def test_no_interval_says_that_what_was_never_negative_might_be() -> None:
    lows, highs = bounds(np.array([5.0, 1.0, -2.0]), interval((3.0,), minimum=0))
    assert lows.tolist() == [2, 0, -2]
    assert highs.tolist() == [8, 4, 1]


def test_values_without_an_interval_are_refused() -> None:
    with pytest.raises(ArtefactError, match=r"no interval.*run `make train`"):
        bounds(np.array([1.0]), None)


def label_prediction(label: str, probability: float) -> LabelPrediction:
    return LabelPrediction(label=label, probability=0.5, probabilities={"a": probability, "b": 1 - probability})


@pytest.mark.parametrize(
    ("label", "difference", "same"),
    [
        pytest.param("a", 0.0, True, id="equal"),
        pytest.param("a", GOLDEN_TOLERANCE / 2, True, id="rounded"),
        pytest.param("a", GOLDEN_TOLERANCE * 2, False, id="other-probability"),
        pytest.param("b", 0.0, False, id="other-label"),
    ],
)
def test_labels_agree_up_to_rounding(label: str, difference: float, same: bool) -> None:
    assert agrees(label_prediction(label, 0.5 + difference), label_prediction("a", 0.5)) is same


def test_probabilities_of_other_labels_do_not_agree() -> None:
    other = LabelPrediction(label="a", probability=0.5, probabilities={"a": 0.5, "c": 0.5})
    assert not agrees(other, label_prediction("a", 0.5))


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        pytest.param({}, True, id="equal"),
        pytest.param({"value": 1000.0005}, True, id="rounded"),
        pytest.param({"value": 1000.002}, False, id="other-value"),
        pytest.param({"low": 989.99}, False, id="other-low"),
        pytest.param({"high": 1010.01}, False, id="other-high"),
        pytest.param({"value": math.nan}, False, id="no-number"),
    ],
)
def test_values_agree_in_proportion(changes: dict[str, float], same: bool) -> None:
    golden = ValuePrediction(value=1000, low=990, high=1010)
    assert agrees(golden.model_copy(update=changes), golden) is same


def test_a_value_of_nothing_agrees_in_proportion_to_its_interval() -> None:
    golden = ValuePrediction(value=0, low=-10, high=10)
    assert agrees(golden.model_copy(update={"value": 1e-5}), golden)
    assert not agrees(golden.model_copy(update={"value": 1e-4}), golden)


def test_a_label_and_a_value_do_not_agree() -> None:
    assert not agrees(label_prediction("a", 0.5), ValuePrediction(value=0, low=0, high=0))
