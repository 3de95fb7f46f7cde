import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_runtime.contract import LabelPrediction, Layout, ValuePrediction
from mlops_runtime.model.baseline import Baseline, FieldBaseline, NumberBaseline, ValueBaseline
from mlops_runtime.serving.ui.explanation import (
    MAX_HEIGHT,
    MAX_SHOWN,
    MIN_OWN_HEIGHT,
    ComparedField,
    Explanation,
    PredictedRecord,
    contribution_bars,
    explain,
    histogram,
    in_percentage_points,
    in_unit,
    value_text,
)
from mlops_runtime.serving.ui.form import form_inputs, texts_of
from mlops_runtime.serving.ui.percentiles import Comparison
from mlops_runtime.serving.ui.shapley import Contribution, Contributions
from tests.runtime.serving.conftest import PARCEL_FIELDS, Parcel

NUMBERS = NumberBaseline(
    missing_share=0, mean=1, standard_deviation=1, minimum=0, maximum=2, bin_edges=(0, 2), bin_shares=(1,)
)
CITIES = ValueBaseline(missing_share=0, shares={"Bonn": 0.5, "Ulm": 0.5})
BASELINES: dict[str, FieldBaseline] = dict.fromkeys(PARCEL_FIELDS, NUMBERS)
BASELINES |= dict.fromkeys(("express", "insured", "size", "wrapping", "city"), CITIES)
BASELINE = Baseline(rows=10, fields=BASELINES, target=NUMBERS, predictions=NUMBERS)
INPUTS = form_inputs(tuple(PARCEL_FIELDS.values()), BASELINE)
PARCEL = Parcel.model_validate_json("""{
    "Weight (kg)": 2.5, "gift": 1, "express": true, "size": "small", "city": "Bonn", "remark": "ring",
    "ordered": "2024-12-31", "a/b~c <\\"&ü>": "08:30"
}""")
LABEL = LabelPrediction(label="late", probability=0.75, probabilities={"late": 0.75, "early": 0.25})
VALUE = ValuePrediction(value=75, low=70, high=80)


def explained(prediction: LabelPrediction | ValuePrediction, count: int, *, grouped: int = 0) -> Explanation:
    """Return the explanation of a prediction with `count` contributions, and one of `grouped` fields together."""
    fields = tuple(PARCEL_FIELDS.values())[: count + grouped]
    parts = [Contribution((field,), (-1) ** index / (index + 2)) for index, field in enumerate(fields[:count])]
    if grouped:
        parts.append(Contribution(fields[count:], 0.125))
    end = 0.75 if isinstance(prediction, LabelPrediction) else prediction.value
    parts_of_output = Contributions(9, end - sum(part.amount for part in parts), end, tuple(parts))
    features = Layout(tuple(PARCEL_FIELDS.values())).encode([PARCEL])
    return explain(
        PredictedRecord(features, INPUTS, texts_of(PARCEL), prediction), parts_of_output, BASELINE, "days_late"
    )


def test_contributions_to_a_probability_are_percentage_points() -> None:
    explanation = explained(LABEL, 2)

    assert (explanation.subject, explanation.mean, explanation.output) == (
        "the probability of late",
        "58.3 %",
        "75.0 %",
    )
    assert [(bar.field.label, bar.amount, bar.direction) for bar in explanation.bars] == [
        ("Weight (kg)", "+50.0", "up"),
        ("items", "\N{MINUS SIGN}33.3", "down"),
    ]


def test_contributions_to_a_value_have_its_unit() -> None:
    explanation = explained(VALUE, 2)

    assert (explanation.subject, explanation.mean, explanation.output) == ("days late", "75", "75")
    assert [bar.amount for bar in explanation.bars] == ["+0.5", "\N{MINUS SIGN}0.3"]


def test_values_are_those_of_the_form() -> None:
    rows = {bar.field.label: bar.field for bar in explained(LABEL, 9).bars}

    assert (rows["express"].value, rows["items"].value, rows["city"].value) == ("yes", "not known", "Bonn")
    assert (rows["city"].words, rows["items"].words) == ("same as 50 %", "missing, as in none")


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("paid", "2024-12-31T13:45", "2024-12-31 13:45"),
        ("paid", "", "not known"),
        ("gift", "1", "1"),
        ("express", "false", "no"),
        ("remark", "Ring twice", "Ring twice"),
    ],
)
def test_the_value_of_a_field_in_words(name: str, text: str, words: str) -> None:
    assert value_text(next(input_ for input_ in INPUTS if input_.spec.name == name), text) == words


@pytest.mark.parametrize(
    ("count", "grouped", "bars", "others"),
    [
        pytest.param(MAX_SHOWN, 0, MAX_SHOWN, 0, id="as-many-as-are-shown"),
        pytest.param(MAX_SHOWN + 1, 0, MAX_SHOWN + 1, 0, id="one-more"),
        pytest.param(MAX_SHOWN + 2, 0, MAX_SHOWN + 1, 2, id="more"),
        pytest.param(3, 5, 4, 5, id="part-of-several-fields"),
    ],
)
def test_the_last_bar_is_the_sum_of_the_other_fields(count: int, grouped: int, bars: int, others: int) -> None:
    explanation = explained(VALUE, count, grouped=grouped)

    assert len(explanation.bars) == bars
    assert len(explanation.others) == others
    assert explanation.left_out == 0
    if others:
        assert explanation.bars[-1].field.label == f"{others} other fields"


@given(amounts=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=12))
def test_bars_are_within_the_scale(amounts: list[float]) -> None:
    zero, bars = contribution_bars([(ComparedField("x"), amount) for amount in amounts], in_percentage_points)

    assert 0 <= zero <= 100
    for bar, amount in zip(bars, amounts, strict=True):
        assert 0 <= bar.start <= bar.start + bar.width <= 100.01
        assert (bar.start if amount > 0 else bar.start + bar.width) == pytest.approx(zero, abs=0.02)


@pytest.mark.parametrize(
    ("amount", "words"), [(0.1234, "+12.3"), (-0.00051, "\N{MINUS SIGN}0.1"), (0.0004, "0.0"), (0.0, "0.0")]
)
def test_percentage_points(amount: float, words: str) -> None:
    assert in_percentage_points(amount) == words


@pytest.mark.parametrize(
    ("amount", "spread", "words"), [(1234.5, 3000, "+1,234"), (-0.5, 0.1, "\N{MINUS SIGN}0.50"), (-0.001, 10, "0")]
)
def test_a_contribution_to_a_value_is_rounded_as_its_uncertainty_allows(
    amount: float, spread: float, words: str
) -> None:
    assert in_unit(amount, spread) == words


def test_the_bar_of_the_record_is_visible() -> None:
    bars = histogram(Comparison("", (0.9, 0.0001, 0.0), index=1))

    assert [(bar.height, bar.own) for bar in bars] == [(MAX_HEIGHT, False), (MIN_OWN_HEIGHT, True), (0, False)]
    assert histogram(Comparison("missing")) == ()
