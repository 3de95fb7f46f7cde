import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_runtime.contract import LabelPrediction, ValuePrediction
from mlops_runtime.model.baseline import Baseline, NumberBaseline, ValueBaseline
from mlops_runtime.model.metadata import Estimate, Interval
from mlops_runtime.serving.ui.result import MAX_BARS, MIN_WIDTH, result_of, scale_of

SHARES = ValueBaseline(missing_share=0, shares={"a": 0.5, "b": 0.5})
LABELS = Baseline(rows=10, fields={}, target=SHARES, predictions=SHARES)
INTERVAL = Interval(
    level=0.9, edges=(), half_widths=(1500,), minimum=None, coverage=Estimate(value=0.9, low=0.88, high=0.92)
)


def prices(minimum: float, maximum: float) -> Baseline:
    """Return a baseline with this range of the target."""
    target = NumberBaseline(
        missing_share=0,
        mean=minimum,
        standard_deviation=1,
        minimum=minimum,
        maximum=maximum,
        bin_edges=(minimum, maximum),
        bin_shares=(1,),
    )
    return Baseline(rows=10, fields={}, target=target, predictions=target)


def labelled(**probabilities: float) -> LabelPrediction:
    label = max(probabilities, key=lambda name: probabilities[name])
    return LabelPrediction(label=label, probability=probabilities[label], probabilities=probabilities, warnings=("w",))


def test_two_labels_have_one_bar() -> None:
    result = result_of(labelled(a=0.25, b=0.75), LABELS)

    assert result.headline == "b"
    assert [(bar.label, bar.probability, bar.words) for bar in result.bars] == [("b", 0.75, "75.0 %")]
    assert (result.interval, result.scale, result.warnings) == ("", None, ("w",))


def test_more_than_two_labels_have_bars_for_the_most_probable() -> None:
    result = result_of(labelled(a=0.1, b=0.3, c=0.15, d=0.2, e=0.05, f=0.12, g=0.08), LABELS)

    assert result.headline == "b"
    assert [bar.label for bar in result.bars] == ["b", "d", "c", "f", "a"]
    assert len(result.bars) == MAX_BARS


def test_the_predicted_label_is_first_even_if_another_is_equally_probable() -> None:
    prediction = LabelPrediction(label="c", probability=0.5, probabilities={"a": 0.5, "b": 0, "c": 0.5})

    assert [bar.label for bar in result_of(prediction, LABELS).bars] == ["c", "a", "b"]


def test_a_value_has_its_interval() -> None:
    prediction = ValuePrediction(value=17_944.321, low=16_444.321, high=19_444.321, warnings=("w",))

    result = result_of(prediction, prices(10_000, 30_000), INTERVAL)

    assert result.headline == "17,944"
    assert result.interval == "16,444 to 19,444"
    assert result.coverage == "9 of 10 true values are in such an interval"
    assert result.scale is not None
    assert (result.scale.minimum, result.scale.maximum) == ("10,000", "30,000")
    assert (result.scale.start, result.scale.width, result.scale.value) == pytest.approx((32.22, 15, 39.72), abs=0.01)
    assert (result.bars, result.warnings) == ((), ("w",))


@given(data=st.data())
def test_an_interval_is_within_its_scale(data: st.DataObject) -> None:
    # Given any range of the target, and any interval inside or outside of it
    numbers = st.floats(-1e15, 1e15)
    minimum, maximum = sorted([data.draw(numbers), data.draw(numbers)])
    low, value, high = sorted([data.draw(numbers), data.draw(numbers), data.draw(numbers)])

    # When the scale is made
    scale = scale_of(ValuePrediction(value=value, low=low, high=high), prices(minimum, maximum))

    # Then the interval is visible and within the scale
    if scale is None:
        assert minimum == maximum == low == high
    else:
        assert 0 <= scale.start <= 100 - MIN_WIDTH
        assert MIN_WIDTH <= scale.width <= 100.01 - scale.start
        assert 0 <= scale.value <= 100


@pytest.mark.parametrize(
    ("prediction", "baseline"),
    [
        pytest.param(ValuePrediction(value=5, low=5, high=5), prices(5, 5), id="equal-values"),
        pytest.param(ValuePrediction(value=5, low=-1e308, high=1.7e308), prices(5, 5), id="longer-than-a-double"),
        pytest.param(ValuePrediction(value=5, low=4, high=6), LABELS, id="labels"),
    ],
)
def test_a_constant_target_has_no_scale(prediction: ValuePrediction, baseline: Baseline) -> None:
    assert scale_of(prediction, baseline) is None
