import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_runtime.contract.fields import LabelPrediction, ValuePrediction
from mlops_runtime.model.baseline import Baseline, FieldBaseline, NumberBaseline, ValueBaseline
from mlops_runtime.serving.ui.explanation import (
    HIGHEST,
    MAX_SHOWN,
    MIN_OWN,
    Answered,
    Compared,
    Drivers,
    drivers_of,
    in_points,
    in_unit,
    on_scale,
    shown,
    stripes,
)
from mlops_runtime.serving.ui.form import form_inputs
from mlops_runtime.serving.ui.page import texts_of
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


def explained(prediction: LabelPrediction | ValuePrediction, count: int, *, grouped: int = 0) -> Drivers:
    """Return what drove a prediction, of which so many fields have a contribution of their own."""
    fields = tuple(PARCEL_FIELDS.values())[: count + grouped]
    parts = [Contribution((field,), (-1) ** place / (place + 2)) for place, field in enumerate(fields[:count])]
    if grouped:
        parts.append(Contribution(fields[count:], 0.125))
    end = 0.75 if isinstance(prediction, LabelPrediction) else prediction.value
    found = Contributions(9, end - sum(part.amount for part in parts), end, tuple(parts))
    return drivers_of(Answered(PARCEL, INPUTS, texts_of(PARCEL), prediction), found, BASELINE, "days_late")


def test_the_probability_of_the_label_is_what_is_moved() -> None:
    drivers = explained(LABEL, 2)

    assert (drivers.subject, drivers.start, drivers.end) == ("the probability of late", "58.3 %", "75.0 %")
    assert [(row.field.label, row.amount, row.direction) for row in drivers.rows] == [
        ("Weight (kg)", "+50.0", "up"),
        ("items", "\N{MINUS SIGN}33.3", "down"),
    ]


def test_a_value_is_moved_in_its_own_unit() -> None:
    drivers = explained(VALUE, 2)

    assert (drivers.subject, drivers.start, drivers.end) == ("days late", "75", "75")
    assert [row.amount for row in drivers.rows] == ["+0.5", "\N{MINUS SIGN}0.3"]


def test_each_field_is_shown_as_in_the_form() -> None:
    rows = {row.field.label: row.field for row in explained(LABEL, 9).rows}

    assert (rows["express"].value, rows["items"].value, rows["city"].value) == ("yes", "not known", "Bonn")
    assert (rows["city"].words, rows["items"].words) == ("as in 50 %", "missing, as in none")


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
def test_a_text_is_shown_as_a_person_reads_it(name: str, text: str, words: str) -> None:
    assert shown(next(one for one in INPUTS if one.spec.name == name), text) == words


@pytest.mark.parametrize(
    ("count", "grouped", "lines", "others"),
    [
        pytest.param(MAX_SHOWN, 0, MAX_SHOWN, 0, id="as-many-as-are-shown"),
        pytest.param(MAX_SHOWN + 1, 0, MAX_SHOWN + 1, 0, id="one-more-takes-no-more-space-than-a-sum"),
        pytest.param(MAX_SHOWN + 2, 0, MAX_SHOWN + 1, 2, id="more"),
        pytest.param(3, 5, 4, 5, id="a-part-of-several-fields"),
    ],
)
def test_of_many_fields_the_last_line_is_their_sum(count: int, grouped: int, lines: int, others: int) -> None:
    drivers = explained(VALUE, count, grouped=grouped)

    assert len(drivers.rows) == lines
    assert len(drivers.others) == others
    assert drivers.left_out == 0
    if others:
        assert drivers.rows[-1].field.label == f"{others} other fields"


@given(amounts=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=12))
def test_every_bar_lies_on_the_scale(amounts: list[float]) -> None:
    zero, rows = on_scale([(Compared("x"), amount) for amount in amounts], in_points)

    assert 0 <= zero <= 100
    for row, amount in zip(rows, amounts, strict=True):
        assert 0 <= row.start <= row.start + row.width <= 100.01
        assert (row.start if amount > 0 else row.start + row.width) == pytest.approx(zero, abs=0.02)


@pytest.mark.parametrize(
    ("amount", "words"), [(0.1234, "+12.3"), (-0.00051, "\N{MINUS SIGN}0.1"), (0.0004, "0.0"), (0.0, "0.0")]
)
def test_a_part_of_a_probability_is_told_in_points(amount: float, words: str) -> None:
    assert in_points(amount) == words


@pytest.mark.parametrize(
    ("amount", "spread", "words"), [(1234.5, 3000, "+1,234"), (-0.5, 0.1, "\N{MINUS SIGN}0.50"), (-0.001, 10, "0")]
)
def test_a_part_of_a_value_has_the_digits_that_its_spread_leaves(amount: float, spread: float, words: str) -> None:
    assert in_unit(amount, spread) == words


def test_the_stripe_of_the_record_is_seen() -> None:
    drawn = stripes(Comparison("", (0.9, 0.0001, 0.0), own=1))

    assert [(stripe.height, stripe.own) for stripe in drawn] == [(HIGHEST, False), (MIN_OWN, True), (0, False)]
    assert stripes(Comparison("missing")) == ()
