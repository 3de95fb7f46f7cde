"""The panel with a prediction: what the page says of it, in words and as bars."""

import math
from dataclasses import dataclass

from mlops_runtime.contract.fields import LabelPrediction, ValuePrediction
from mlops_runtime.model.baseline import Baseline, NumberBaseline
from mlops_runtime.model.metadata import Interval
from mlops_runtime.serving.ui.number_format import out_of, percent, rounded

MAX_BARS = 5
"""Labels whose probability is shown."""
MIN_WIDTH = 1.0
"""Per cent of the scale that an interval takes up at least, so that it is seen."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A label and its probability, as a number and in words."""

    label: str
    probability: float
    words: str


@dataclass(frozen=True, slots=True)
class Scale:
    """The range of the target in the training table, and where on it an interval lies.

    Attributes:
        least: its lower end, in words.
        greatest: its upper end, in words.
        start: of the interval, in per cent of the scale.
        width: of the interval, in per cent of the scale.
        mark: the value, in per cent of the scale.
    """

    least: str
    greatest: str
    start: float
    width: float
    mark: float


@dataclass(frozen=True, slots=True)
class Panel:
    """What the page says of a prediction.

    Attributes:
        headline: the label, or the value.
        bars: the probability of the label, or those of the most probable labels if there are more than two.
        promise: what the interval of a value is; empty for a label.
        scale: where the interval of a value lies; None for a label.
        warnings: of the prediction.
    """

    headline: str
    bars: tuple[Bar, ...] = ()
    promise: str = ""
    scale: Scale | None = None
    warnings: tuple[str, ...] = ()


def panel_of(
    prediction: LabelPrediction | ValuePrediction, baseline: Baseline, interval: Interval | None = None
) -> Panel:
    """Return what the page says of a prediction.

    Args:
        prediction: of either kind.
        baseline: of the training table, for the scale of a value.
        interval: what is known of the intervals of values.
    """
    if isinstance(prediction, LabelPrediction):
        return Panel(str(prediction.label), bars_of(prediction), warnings=prediction.warnings)
    return Panel(
        rounded(prediction.value, prediction.high - prediction.low),
        promise=promise_of(prediction, interval),
        scale=scale_of(prediction, baseline),
        warnings=prediction.warnings,
    )


def bars_of(prediction: LabelPrediction) -> tuple[Bar, ...]:
    """Return the bars of the most probable labels, the first of them that of the prediction."""
    probabilities = prediction.probabilities
    ranked = sorted(probabilities, key=lambda label: (label != prediction.label, -probabilities[label]))
    shown = ranked[: MAX_BARS if len(ranked) > 2 else 1]
    return tuple(Bar(str(label), probabilities[label], percent(probabilities[label])) for label in shown)


def promise_of(prediction: ValuePrediction, interval: Interval | None) -> str:
    """Return a sentence on the interval of a value."""
    spread = prediction.high - prediction.low
    ends = f"{rounded(prediction.low, spread)} to {rounded(prediction.high, spread)}"
    return ends if interval is None else f"{ends}: such an interval holds {out_of(interval.level)} true values"


def scale_of(prediction: ValuePrediction, baseline: Baseline) -> Scale | None:
    """Return where the interval of a value lies among the values of the training table; None if there is no scale."""
    if not isinstance(baseline.target, NumberBaseline):
        return None
    least, greatest = min(baseline.target.minimum, prediction.low), max(baseline.target.maximum, prediction.high)
    length = greatest - least
    if not 0 < length < math.inf:
        return None
    spread = length / 100

    def place(value: float) -> float:
        return round((value - least) / length * 100, 2)

    start = min(place(prediction.low), 100 - MIN_WIDTH)
    return Scale(
        least=rounded(least, spread),
        greatest=rounded(greatest, spread),
        start=start,
        width=max(round(place(prediction.high) - start, 2), MIN_WIDTH),
        mark=place(prediction.value),
    )
