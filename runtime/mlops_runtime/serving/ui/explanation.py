"""What drove a prediction, as the page shows it: the fields that moved it most, as bars, and how each compares."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from mlops_runtime.contract.fields import Kind, LabelPrediction, RecordModel, ValuePrediction
from mlops_runtime.model.baseline import Baseline
from mlops_runtime.serving.ui import field_text as fields
from mlops_runtime.serving.ui.form import Input
from mlops_runtime.serving.ui.number_format import percent, rounded
from mlops_runtime.serving.ui.percentiles import Comparison, compared
from mlops_runtime.serving.ui.shapley import Contributions

MINUS = "\N{MINUS SIGN}"
MAX_SHOWN = 8
"""Fields with a bar of their own; the others are one bar together."""
MAX_OTHERS = 32
"""Other fields that are compared with the training rows."""
HIGHEST = 20
"""Height of the tallest stripe of a comparison, in its own unit."""
MIN_STRIPE, MIN_OWN = 1, 3
"""Heights of a stripe for any share above 0, and of the record's own, so that they are seen."""


@dataclass(frozen=True, slots=True)
class Stripe:
    """One bin or value in the drawing of a comparison: the height of its stripe, and whether it is the record's own."""

    height: float
    own: bool


@dataclass(frozen=True, slots=True)
class Compared:
    """A field of the record among the training rows.

    Attributes:
        label: of the field.
        value: in the record, in words.
        words: where it lies.
        stripes: the same as a drawing.
    """

    label: str
    value: str = ""
    words: str = ""
    stripes: tuple[Stripe, ...] = ()


@dataclass(frozen=True, slots=True)
class Driver:
    """A field with what it contributes.

    Attributes:
        field: what it is, and how it compares.
        amount: its contribution, in words.
        direction: up, down or none.
        start: left end of its bar, in per cent of the scale.
        width: of its bar, in per cent of the scale.
    """

    field: Compared
    amount: str
    direction: str
    start: float
    width: float


@dataclass(frozen=True, slots=True)
class Drivers:
    """What drove a prediction.

    Attributes:
        known: how many records this one is compared with.
        subject: what is moved: the probability of a label, or the target.
        start: what the model says of the records compared with, on average, in words.
        end: what it says of this one, in words.
        zero: where a contribution of 0 stands, in per cent of the scale.
        rows: the fields that moved it most, the others as one.
        others: fields that have no bar of their own.
        left_out: how many more of these there are.
    """

    known: int
    subject: str
    start: str
    end: str
    zero: float
    rows: tuple[Driver, ...]
    others: tuple[Compared, ...]
    left_out: int


@dataclass(frozen=True, slots=True)
class Answered:
    """A record that was predicted, as the form has it.

    Attributes:
        record: the record.
        inputs: of the form, one for each field.
        texts: in the inputs, by the field's name.
        prediction: of the record.
    """

    record: RecordModel
    inputs: Sequence[Input]
    texts: Mapping[str, str]
    prediction: LabelPrediction | ValuePrediction


def drivers_of(answered: Answered, found: Contributions, baseline: Baseline, target: str) -> Drivers:
    """Return what drove a prediction.

    Args:
        answered: the record and its prediction.
        found: the contributions of its fields.
        baseline: of the training rows.
        target: what is predicted.
    """
    prediction = answered.prediction
    rows = compared_fields(answered, baseline)
    single = [part for part in found.parts if len(part.fields) == 1]
    # A line for the others saves nothing where it stands for one field.
    named = single if len(found.parts) == len(single) <= MAX_SHOWN + 1 else single[:MAX_SHOWN]
    rest = found.parts[len(named) :]
    others = [rows[field.name] for part in rest for field in part.fields]
    bars = [(rows[part.fields[0].name], part.amount) for part in named]
    if rest:
        bars.append((Compared(f"{len(others)} other fields"), sum(part.amount for part in rest)))
    write: Callable[[float], str] = percent
    move: Callable[[float], str] = in_points
    if isinstance(prediction, LabelPrediction):
        subject = f"the probability of {prediction.label}"
    else:
        subject = target.replace("_", " ")
        spread = prediction.high - prediction.low
        write = partial(rounded, spread=spread)
        # A part has a digit more than the whole: many are small.
        move = partial(in_unit, spread=spread / 10)
    zero, drivers = on_scale(bars, move)
    left_out = len(others[MAX_OTHERS:])
    return Drivers(
        found.known, subject, write(found.start), write(found.end), zero, drivers, tuple(others[:MAX_OTHERS]), left_out
    )


def compared_fields(answered: Answered, baseline: Baseline) -> dict[str, Compared]:
    """Return each field of the record among the training rows, by its name."""
    values = answered.record.model_dump()
    rows = {}
    for one in answered.inputs:
        name = one.spec.name
        comparison = compared(values[name], baseline.fields[name])
        rows[name] = Compared(one.label, shown(one, answered.texts[name]), comparison.words, stripes(comparison))
    return rows


def shown(one: Input, text: str) -> str:
    """Return the text of an input as a person reads it."""
    if one.spec.kind is Kind.DATETIME:
        return text.replace("T", " ") or "not known"
    return fields.shortened(dict(one.options).get(text, text)) or "not known"


def stripes(comparison: Comparison) -> tuple[Stripe, ...]:
    """Return the drawing of a comparison."""
    tallest = max(comparison.shares, default=0) or 1

    def height(share: float, *, own: bool) -> float:
        least = MIN_OWN if own else MIN_STRIPE
        return round(max(share / tallest * HIGHEST, least if share else 0), 1)

    owned = [(share, place == comparison.own) for place, share in enumerate(comparison.shares)]
    return tuple(Stripe(height(share, own=own), own) for share, own in owned)


def on_scale(bars: Sequence[tuple[Compared, float]], move: Callable[[float], str]) -> tuple[float, tuple[Driver, ...]]:
    """Return where 0 is on a scale that holds all bars, in per cent of it, and each bar's place on it.

    Args:
        bars: a field and its amount.
        move: writes an amount.
    """
    low, high = min(0, *(amount for _, amount in bars)), max(0, *(amount for _, amount in bars))
    length = (high - low) or 1

    def place(amount: float) -> float:
        return round((amount - low) / length * 100, 2)

    drivers = []
    for field, amount in bars:
        words = move(amount)
        direction = {"+": "up", MINUS: "down"}.get(words[0], "none")
        left, right = sorted((place(0), place(amount)))
        drivers.append(Driver(field, words, direction, left, round(right - left, 2)))
    return place(0), tuple(drivers)


def in_points(amount: float) -> str:
    """Return a part of a probability in percentage points."""
    return signed(f"{abs(amount) * 100:.1f}", amount)


def in_unit(amount: float, spread: float) -> str:
    """Return a part of a value, with the digits that the spread of the value leaves meaning."""
    return signed(rounded(abs(amount), spread), amount)


def signed(words: str, amount: float) -> str:
    """Return an amount with its sign, but for what is rounded to 0."""
    if not any(digit in words for digit in "123456789"):
        return words
    return f"{'+' if amount > 0 else MINUS}{words}"
