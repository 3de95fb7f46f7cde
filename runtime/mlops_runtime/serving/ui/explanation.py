"""The explanation of a prediction on the page: contributions as bars, and comparisons with the training rows."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from mlops_runtime.contract import Features, Kind, LabelPrediction, ValuePrediction
from mlops_runtime.model.baseline import Baseline
from mlops_runtime.number_format import percent, rounded
from mlops_runtime.serving.ui import field_text
from mlops_runtime.serving.ui.form import Input
from mlops_runtime.serving.ui.percentiles import Comparison, compare
from mlops_runtime.serving.ui.shapley import Contributions

MINUS = "\N{MINUS SIGN}"
MAX_SHOWN = 8
"""Maximum number of fields with a bar; the others share one bar."""
MAX_OTHERS = 32
"""Maximum number of other fields whose comparison is shown."""
MAX_HEIGHT = 20
"""Height of the highest bar of a histogram, in units of the drawing."""
MIN_HEIGHT, MIN_OWN_HEIGHT = 1, 3
"""Minimum heights of a bar with a share above 0, and of the bar of the record, so that they are visible."""


@dataclass(frozen=True, slots=True)
class HistogramBar:
    """A bar for a bin or value: its height, and whether the record belongs to it."""

    height: float
    own: bool


@dataclass(frozen=True, slots=True)
class ComparedField:
    """A field of the record compared with the training rows.

    Attributes:
        label: of the field.
        value: in the record, in words.
        words: the comparison.
        histogram: of the training rows.
    """

    label: str
    value: str = ""
    words: str = ""
    histogram: tuple[HistogramBar, ...] = ()


@dataclass(frozen=True, slots=True)
class ContributionBar:
    """A field with its contribution.

    Attributes:
        field: with its comparison.
        amount: of the contribution, in words.
        direction: up, down or none.
        start: left end of the bar, in per cent of the scale.
        width: of the bar, in per cent of the scale.
    """

    field: ComparedField
    amount: str
    direction: str
    start: float
    width: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a record has its prediction.

    Attributes:
        background_size: number of records that this one is compared with.
        subject: what the contributions change: the probability of a label, or the target.
        mean: output for the background, in words.
        output: for the record, in words.
        zero: position of a contribution of 0, in per cent of the scale.
        bars: of the fields with the largest contributions, and of all others together.
        others: fields without a bar of their own.
        left_out: number of further fields.
    """

    background_size: int
    subject: str
    mean: str
    output: str
    zero: float
    bars: tuple[ContributionBar, ...]
    others: tuple[ComparedField, ...]
    left_out: int


@dataclass(frozen=True, slots=True)
class PredictedRecord:
    """A record of the form with its prediction.

    Attributes:
        features: of the record.
        inputs: of the form, one for each field.
        texts: in the inputs, by field.
        prediction: of the record.
    """

    features: Features
    inputs: Sequence[Input]
    texts: Mapping[str, str]
    prediction: LabelPrediction | ValuePrediction


def explain(record: PredictedRecord, contributions: Contributions, baseline: Baseline, target: str) -> Explanation:
    """Return the explanation of a prediction.

    Args:
        record: with its prediction.
        contributions: of its fields.
        baseline: of the training rows.
        target: name of the target.
    """
    prediction = record.prediction
    fields = _compared_fields(record, baseline)
    parts = contributions.parts
    single = [part for part in parts if len(part.fields) == 1]
    # A bar for all other fields takes as much space as a bar for one field.
    named = single if len(parts) == len(single) <= MAX_SHOWN + 1 else single[:MAX_SHOWN]
    rest = parts[len(named) :]
    others = [fields[field.name] for part in rest for field in part.fields]
    amounts = [(fields[part.fields[0].name], part.amount) for part in named]
    if rest:
        amounts.append((ComparedField(f"{len(others)} other fields"), sum(part.amount for part in rest)))
    format_output: Callable[[float], str] = percent
    format_amount: Callable[[float], str] = in_percentage_points
    if isinstance(prediction, LabelPrediction):
        subject = f"the probability of {prediction.label}"
    else:
        subject = target.replace("_", " ")
        spread = prediction.high - prediction.low
        format_output = partial(rounded, spread=spread)
        # One digit more than the output, because many contributions are small.
        format_amount = partial(in_unit, spread=spread / 10)
    zero, bars = contribution_bars(amounts, format_amount)
    return Explanation(
        background_size=contributions.background_size,
        subject=subject,
        mean=format_output(contributions.mean),
        output=format_output(contributions.output),
        zero=zero,
        bars=bars,
        others=tuple(others[:MAX_OTHERS]),
        left_out=len(others[MAX_OTHERS:]),
    )


def _compared_fields(record: PredictedRecord, baseline: Baseline) -> dict[str, ComparedField]:
    comparisons = compare(record.features, baseline)
    return {
        name: ComparedField(
            field_text.shortened(input_.label),
            value_text(input_, record.texts[name]),
            comparisons[name].words,
            histogram(comparisons[name]),
        )
        for input_ in record.inputs
        for name in [input_.spec.name]
    }


def value_text(input_: Input, text: str) -> str:
    """Return the text of an input as the explanation shows it."""
    if input_.spec.kind is Kind.DATETIME:
        return text.replace("T", " ") or "not known"
    return field_text.shortened(dict(input_.options).get(text, text)) or "not known"


def histogram(comparison: Comparison) -> tuple[HistogramBar, ...]:
    """Return the bars of the histogram of a field."""
    highest = max(comparison.shares, default=0) or 1

    def bar(share: float, *, own: bool) -> HistogramBar:
        minimum = MIN_OWN_HEIGHT if own else MIN_HEIGHT
        return HistogramBar(round(max(share / highest * MAX_HEIGHT, minimum if share else 0), 1), own)

    return tuple(bar(share, own=index == comparison.index) for index, share in enumerate(comparison.shares))


def contribution_bars(
    amounts: Sequence[tuple[ComparedField, float]], format_amount: Callable[[float], str]
) -> tuple[float, tuple[ContributionBar, ...]]:
    """Return the position of 0 in per cent of the scale, and the bars of contributions on this scale.

    Args:
        amounts: fields with their contributions.
        format_amount: writes a contribution.
    """
    low, high = min(0, *(amount for _, amount in amounts)), max(0, *(amount for _, amount in amounts))
    length = (high - low) or 1

    def position(amount: float) -> float:
        return round((amount - low) / length * 100, 2)

    bars = []
    for field, amount in amounts:
        words = format_amount(amount)
        direction = {"+": "up", MINUS: "down"}.get(words[0], "none")
        left, right = sorted((position(0), position(amount)))
        bars.append(ContributionBar(field, words, direction, left, round(right - left, 2)))
    return position(0), tuple(bars)


def in_percentage_points(amount: float) -> str:
    """Return a contribution to a probability in percentage points."""
    return _signed(f"{abs(amount) * 100:.1f}", amount)


def in_unit(amount: float, spread: float) -> str:
    """Return a contribution to a value, rounded according to its uncertainty."""
    return _signed(rounded(abs(amount), spread), amount)


def _signed(words: str, amount: float) -> str:
    """Return an amount with its sign; an amount that is rounded to 0 has none."""
    if not any(digit in words for digit in "123456789"):
        return words
    return f"{'+' if amount > 0 else MINUS}{words}"
