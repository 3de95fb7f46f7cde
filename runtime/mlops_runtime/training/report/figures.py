"""The figures of the report of a table's model, as inline SVG elements."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.scale import SymmetricalLogScale
from matplotlib.ticker import MaxNLocator, SymmetricalLogLocator
from numpy.typing import NDArray
from scipy.stats import binomtest
from sklearn.metrics import precision_recall_curve, roc_curve

from mlops_runtime.training.evaluation import ValueOutcomes
from mlops_runtime.training.report.svg import ACCENT, INK, MUTED, RULE, SECOND, svg_element

MAX_CURVE_POINTS = 2000
"""Maximum number of points of a curve: a figure of one for each of a million rows takes hundreds of megabytes."""

CALIBRATION_BINS = 5
MAX_POINTS = 1000
"""Maximum number of points in a scatter plot; more would overlap and make the file large."""

MAX_INTERVALS = 40
HISTOGRAM_BARS = 30
SHOWN_SHARE = 0.99
"""Share of the residuals to draw, because a few very large residuals would hide the others."""

LOGARITHMIC_RATIO = 30
"""Use a logarithmic axis if the greatest magnitude is more than this multiple of the median."""


def roc_figure(
    truth: NDArray[np.bool_], predicted: NDArray[np.bool_], probability: NDArray[np.float64], auc: float
) -> str:
    """Return the ROC curve: true positive rate against false positive rate, over all thresholds.

    Args:
        truth: shape (rows,), whether the row is positive.
        predicted: shape (rows,), whether the row is predicted as positive.
        probability: shape (rows,), predicted probability of the positive label.
        auc: area under the curve.
    """

    def draw(axes: Axes) -> None:
        # The curve needs positive and negative rows.
        if truth.any() and not truth.all():
            false_positive_rate, recall = _thinned(*roc_curve(truth, probability, drop_intermediate=False)[:2])
            axes.fill_between(false_positive_rate, recall, color=ACCENT, alpha=0.12, linewidth=0, step=None)
            axes.plot(false_positive_rate, recall, color=ACCENT, linewidth=2)
            _mark_predicted(axes, predicted[~truth].mean(), predicted[truth].mean())
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=(0, (3, 3)))
        axes.text(0.62, 0.54, "random", color=MUTED, rotation=45, rotation_mode="anchor", ha="center")
        _unit_square(axes, "False positive rate", "True positive rate (recall)")

    return svg_element("roc", draw, f"ROC curve; the area under it is {auc:.3f}")


def precision_recall_figure(
    truth: NDArray[np.bool_], predicted: NDArray[np.bool_], probability: NDArray[np.float64], average_precision: float
) -> str:
    """Return the precision-recall curve, over all thresholds.

    Args:
        truth: shape (rows,), whether the row is positive.
        predicted: shape (rows,), whether the row is predicted as positive.
        probability: shape (rows,), predicted probability of the positive label.
        average_precision: area under the curve.
    """

    def draw(axes: Axes) -> None:
        prevalence = truth.mean()
        axes.axhline(prevalence, color=MUTED, linewidth=1, linestyle=(0, (3, 3)))
        axes.text(0.02, prevalence + 0.02, "random", color=MUTED)
        if truth.any():
            precision, recall = _thinned(*precision_recall_curve(truth, probability)[:2])
            axes.fill_between(recall, precision, color=ACCENT, alpha=0.12, linewidth=0, step="post")
            axes.step(recall, precision, color=ACCENT, linewidth=2, where="post")
            if predicted.any():
                _mark_predicted(axes, predicted[truth].mean(), truth[predicted].mean())
        _unit_square(axes, "Recall", "Precision")

    return svg_element(
        "precision-recall", draw, f"Precision-recall curve; the average precision is {average_precision:.3f}"
    )


def _thinned(*coordinates: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Return as many points of a curve as a figure can show, with its first and its last point."""
    count = len(coordinates[0])
    points = np.linspace(0, count - 1, min(count, MAX_CURVE_POINTS)).round().astype(np.intp)
    return [each[points] for each in coordinates]


def calibration_figure(observed: NDArray[np.bool_], probability: NDArray[np.float64]) -> str:
    """Return the calibration curve: observed share against predicted probability, with 95 % confidence intervals.

    The interval is that of Wilson (1927, Probable inference, the law of succession, and statistical
    inference, JASA 22). Unlike the normal interval it stays between 0 and 1 for few rows.

    Args:
        observed: shape (rows,), whether the row has the label.
        probability: shape (rows,), predicted probability of the label.
    """
    bins = np.clip((probability * CALIBRATION_BINS).astype(int), 0, CALIBRATION_BINS - 1)
    filled = [bins == number for number in range(CALIBRATION_BINS) if np.any(bins == number)]
    counts = np.array([np.count_nonzero(rows) for rows in filled])
    observed_counts = np.array([np.count_nonzero(observed & rows) for rows in filled])
    mean = np.array([probability[rows].mean() for rows in filled])
    low, high = wilson_interval(observed_counts, counts)

    shares = observed_counts / counts

    def draw(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=(0, (3, 3)))
        axes.text(0.36, 0.3, "perfect", color=MUTED, rotation=45, rotation_mode="anchor", ha="center")
        axes.vlines(mean, low, high, color=ACCENT, linewidth=1.6)
        axes.plot(mean, shares, "o", color=ACCENT, markersize=6.5)
        for x, y, count in zip(mean, shares, counts, strict=True):
            axes.annotate(
                str(count),
                (x, y),
                xytext=(8 if x < 0.85 else -8, 8 if y < 0.5 else -14),
                textcoords="offset points",
                color=INK,
                ha="left" if x < 0.85 else "right",
            )
        _unit_square(axes, "Predicted probability", "Observed share")

    return svg_element("calibration", draw, "Calibration: observed share against predicted probability")


def actual_figure(outcomes: ValueOutcomes) -> str:
    """Return a scatter plot of predicted against true values."""
    rows = _sampled(len(outcomes.truth))
    truth, predicted = outcomes.truth[rows], outcomes.predicted[rows]

    def draw(axes: Axes) -> None:
        limits = [min(truth.min(), predicted.min()), max(truth.max(), predicted.max())]
        axes.plot(limits, limits, color=MUTED, linewidth=1, linestyle=(0, (3, 3)))
        _points(axes, truth, predicted)
        _label_axes(axes, "True value", "Predicted value", logarithmic="xy", of=outcomes)

    return svg_element("actual", draw, "Predicted against true values")


def residual_figure(outcomes: ValueOutcomes) -> str:
    """Return the residuals against the predicted values, with the prediction intervals."""
    residuals, (lowest, highest) = _residuals(outcomes)
    rows = _sampled(len(residuals))
    rows = rows[np.argsort(outcomes.predicted[rows], kind="stable")]
    predicted = outcomes.predicted[rows]

    def draw(axes: Axes) -> None:
        low, high = outcomes.low[rows] - predicted, outcomes.high[rows] - predicted
        axes.fill_between(predicted, low, high, color=ACCENT, alpha=0.12, linewidth=0)
        axes.axhline(0, color=MUTED, linewidth=1, linestyle=(0, (3, 3)))
        _points(axes, predicted, residuals[rows])
        margin = (highest - lowest) / 20
        axes.set_ylim(lowest - margin, highest + margin)
        _label_axes(axes, "Predicted value", "Residual (true minus predicted value)", logarithmic="x", of=outcomes)

    return svg_element("residuals", draw, "Residuals against predicted values")


def residual_histogram(outcomes: ValueOutcomes) -> str:
    """Return a histogram of the residuals."""
    residuals, (lowest, highest) = _residuals(outcomes)
    bars = int(np.clip(2 * np.sqrt(len(residuals)), 5, HISTOGRAM_BARS))
    edges = np.linspace(lowest, highest, bars + 1)

    def draw(axes: Axes) -> None:
        counts, _ = np.histogram(residuals, edges)
        axes.bar(edges[:-1], counts, np.diff(edges) * 0.92, align="edge", color=ACCENT, alpha=0.75, linewidth=0)
        axes.axvline(0, color=MUTED, linewidth=1, linestyle=(0, (3, 3)))
        _label_axes(axes, "Residual (true minus predicted value)", "Number of rows")

    return svg_element("residual-histogram", draw, "Distribution of the residuals")


def interval_figure(outcomes: ValueOutcomes) -> str:
    """Return the prediction intervals and the true values of some rows, in ascending order of the predicted value."""
    order = np.argsort(outcomes.predicted, kind="stable")
    rows = order[np.unique(np.linspace(0, len(order) - 1, min(MAX_INTERVALS, len(order))).astype(int))]
    truth, low, high = outcomes.truth[rows], outcomes.low[rows], outcomes.high[rows]

    def draw(axes: Axes) -> None:
        positions = np.arange(len(rows))
        inside = (low <= truth) & (truth <= high)
        axes.vlines(positions, low, high, color=ACCENT, alpha=0.35, linewidth=4)
        axes.plot(positions, outcomes.predicted[rows], "_", color=ACCENT, markersize=6)
        axes.plot(positions[inside], truth[inside], "o", color=INK, markersize=3.5)
        axes.plot(positions[~inside], truth[~inside], "X", color=SECOND, markersize=6.5, markeredgewidth=0)
        _label_axes(axes, "Rows in ascending order of the predicted value", "Value", logarithmic="y", of=outcomes)
        axes.set_xticks([])

    return svg_element("intervals", draw, f"Prediction intervals of {len(rows)} rows with their true values")


def wilson_interval(successes: NDArray[np.int_], counts: NDArray[np.int_]) -> tuple[NDArray[np.float64], ...]:
    """Return the lower and upper bounds of the 95 % Wilson intervals of successes / counts."""
    tests = [binomtest(*pair) for pair in zip(successes.tolist(), counts.tolist(), strict=True)]
    intervals = [test.proportion_ci(confidence_level=0.95, method="wilson") for test in tests]
    return tuple(np.array(intervals, dtype=np.float64).T)


def linear_threshold(outcomes: ValueOutcomes) -> float | None:
    """Return the magnitude beyond which an axis of these values is logarithmic, or None for a linear axis."""
    magnitudes = np.abs(np.concatenate([outcomes.truth, outcomes.predicted]))
    if magnitudes.max() <= LOGARITHMIC_RATIO * np.median(magnitudes):
        return None
    return float(np.quantile(magnitudes[magnitudes > 0], 0.25))


def _residuals(outcomes: ValueOutcomes) -> tuple[NDArray[np.float64], tuple[float, float]]:
    """Return the residuals, shape (rows,), and the lower and upper bound of those to draw."""
    residuals = outcomes.truth - outcomes.predicted
    tail = (1 - SHOWN_SHARE) / 2
    # The bounds are residuals themselves, so that all residuals of few rows are drawn.
    low = float(np.quantile(residuals, tail, method="lower"))
    high = float(np.quantile(residuals, 1 - tail, method="higher"))
    if high - low <= 1e-9 * max(abs(low), abs(high)):
        margin = abs(low) / 2 or 0.5
        low, high = low - margin, high + margin
    return residuals, (low, high)


def _sampled(rows: int) -> NDArray[np.intp]:
    """Return the indices of the rows to draw: all rows, or a random sample."""
    if rows <= MAX_POINTS:
        return np.arange(rows)
    return np.sort(np.random.default_rng(0).choice(rows, MAX_POINTS, replace=False))


def _points(axes: Axes, x: NDArray[np.float64], y: NDArray[np.float64]) -> None:
    """Draw points whose transparency shows their density."""
    alpha = float(np.clip(12 / np.sqrt(len(x)), 0.25, 0.8))
    axes.plot(x, y, "o", color=ACCENT, alpha=alpha, markersize=4, markeredgewidth=0)


def _label_axes(
    axes: Axes, horizontal: str, vertical: str, logarithmic: str = "", of: ValueOutcomes | None = None
) -> None:
    """Set labels, ticks and a grid; `logarithmic` (such as "xy") lists axes that may be logarithmic."""
    axes.set(xlabel=horizontal, ylabel=vertical)
    threshold = linear_threshold(of) if of else None
    for name, axis in (("x", axes.xaxis), ("y", axes.yaxis)):
        if threshold and name in logarithmic:
            axes.set(**{f"{name}scale": SymmetricalLogScale(axis, linthresh=threshold)})
            locator = SymmetricalLogLocator(base=10, linthresh=threshold)
            locator.set_params(numticks=6)
            axis.set_major_locator(locator)
            axis.set_major_formatter(lambda value, _: f"{value:g}".replace("-", "\N{MINUS SIGN}"))
        else:
            axis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
    axes.grid(color=RULE, linewidth=0.7)
    axes.set_axisbelow(True)


def _mark_predicted(axes: Axes, x: float, y: float) -> None:
    """Mark the point of the predicted labels, with a text on the side that has more space."""
    side = 1 if x < 0.5 else -1
    axes.plot(x, y, "o", color=SECOND, markersize=6)
    axes.annotate(
        "predicted labels",
        (x, y),
        xytext=(9 * side, -13 if y > 0.1 else 5),
        textcoords="offset points",
        color=SECOND,
        ha="left" if side > 0 else "right",
    )


def _unit_square(axes: Axes, horizontal: str, vertical: str) -> None:
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xlabel=horizontal, ylabel=vertical, aspect="equal")
    ticks = np.linspace(0, 1, 6)
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.grid(color=RULE, linewidth=0.7)
    axes.set_axisbelow(True)
