"""The result on the page: a prediction in words and as bars."""

import math
from dataclasses import dataclass

from mlops_runtime.contract import LabelPrediction, PredictionModel, RecordModel, ValuePrediction
from mlops_runtime.model.baseline import Baseline, NumberBaseline
from mlops_runtime.model.metadata import Interval
from mlops_runtime.number_format import percent, ratio, rounded

MAX_BARS = 5
"""Maximum number of labels with a bar."""
MIN_WIDTH = 1.0
"""Minimum width of an interval in per cent of the scale, so that it is visible."""


@dataclass(frozen=True, slots=True)
class ProbabilityBar:
    """A label with its probability, as a number and in words."""

    label: str
    probability: float
    words: str


@dataclass(frozen=True, slots=True)
class Scale:
    """The range of the target in the training rows, with a prediction interval on it.

    Attributes:
        minimum: of the scale, in words.
        maximum: of the scale, in words.
        start: of the interval, in per cent of the scale.
        width: of the interval, in per cent of the scale.
        value: its position, in per cent of the scale.
    """

    minimum: str
    maximum: str
    start: float
    width: float
    value: float


@dataclass(frozen=True, slots=True)
class Result:
    """A prediction as shown on the page.

    Attributes:
        headline: the label, or the value.
        bars: probability of the label, or of the most probable labels if there are more than two.
        interval: prediction interval of a value, in words; empty for a label.
        coverage: how often such an interval has the true value, in words; empty if it is not known.
        scale: with the interval of a value; None for a label.
        warnings: of the prediction.
        template: that shows the result.
        record: whose prediction this is, for a template of its kind.
        prediction: for a template of its kind.
    """

    headline: str
    bars: tuple[ProbabilityBar, ...] = ()
    interval: str = ""
    coverage: str = ""
    scale: Scale | None = None
    warnings: tuple[str, ...] = ()
    template: str = "result.html"
    record: RecordModel | None = None
    prediction: PredictionModel | None = None


def result_of(
    prediction: PredictionModel,
    baseline: Baseline,
    interval: Interval | None = None,
    record: RecordModel | None = None,
) -> Result:
    """Return a prediction as shown on the page.

    Args:
        prediction: of any kind.
        baseline: of the training rows, for the scale of a value.
        interval: level of the prediction intervals, or None.
        record: whose prediction it is, for a template of its kind.
    """
    if isinstance(prediction, LabelPrediction):
        return Result(str(prediction.label), _probability_bars(prediction), warnings=prediction.warnings)
    if not isinstance(prediction, ValuePrediction):
        return Result(
            prediction.headline(),
            warnings=prediction.warnings,
            template=prediction.TEMPLATE,
            record=record,
            prediction=prediction,
        )
    spread = prediction.high - prediction.low
    return Result(
        headline=rounded(prediction.value, spread),
        interval=f"{rounded(prediction.low, spread)} to {rounded(prediction.high, spread)}",
        coverage=f"{ratio(interval.level)} true values are in such an interval" if interval else "",
        scale=scale_of(prediction, baseline),
        warnings=prediction.warnings,
    )


def _probability_bars(prediction: LabelPrediction) -> tuple[ProbabilityBar, ...]:
    """Return the most probable labels, the predicted one first."""
    probabilities = prediction.probabilities
    ranked = sorted(probabilities, key=lambda label: (label != prediction.label, -probabilities[label]))
    shown = ranked[: MAX_BARS if len(ranked) > 2 else 1]
    return tuple(ProbabilityBar(str(label), probabilities[label], percent(probabilities[label])) for label in shown)


def scale_of(prediction: ValuePrediction, baseline: Baseline) -> Scale | None:
    """Return the scale of the target with the interval of a prediction; None if all its values are equal."""
    if not isinstance(baseline.target, NumberBaseline):
        return None
    minimum, maximum = min(baseline.target.minimum, prediction.low), max(baseline.target.maximum, prediction.high)
    length = maximum - minimum
    if not 0 < length < math.inf:
        return None
    spread = length / 100

    def position(value: float) -> float:
        return round((value - minimum) / length * 100, 2)

    start = min(position(prediction.low), 100 - MIN_WIDTH)
    return Scale(
        minimum=rounded(minimum, spread),
        maximum=rounded(maximum, spread),
        start=start,
        width=max(round(position(prediction.high) - start, 2), MIN_WIDTH),
        value=position(prediction.value),
    )
