"""The figures of the report, as SVG to stand inside a page.

Colours are the page's own variables and text is in the page's own font, so that a figure
follows the page from light to dark. The same numbers give the same bytes. No word of a table
is drawn, be it the name of a column or a label: Matplotlib would take some for formulas, and
has no glyphs for others. The page says what a figure is about.
"""

import io
import re
from collections.abc import Callable
from html import escape
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.scale import SymmetricalLogScale
from matplotlib.ticker import MaxNLocator, SymmetricalLogLocator
from numpy.typing import NDArray
from scipy.stats import binomtest
from sklearn.metrics import precision_recall_curve, roc_curve

from mlops_runtime.training.evaluation import ValueOutcomes

# Matplotlib needs real colours: each of these is replaced by a variable of the page.
INK, MUTED, RULE, ACCENT, SECOND, PAPER = "#010101", "#020202", "#030303", "#040404", "#050505", "#060606"
VARIABLES = {INK: "ink", MUTED: "muted", RULE: "rule", ACCENT: "accent", SECOND: "second", PAPER: "paper"}

STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "axes.edgecolor": RULE,
    "axes.facecolor": "none",
    "axes.labelcolor": MUTED,
    "axes.labelsize": 9.5,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.facecolor": "none",
    "legend.fontsize": 9,
    "legend.frameon": False,
    "legend.labelcolor": INK,
    "font.size": 9.5,
    "text.color": INK,
    "xtick.color": RULE,
    "xtick.labelcolor": MUTED,
    "xtick.labelsize": 9,
    "ytick.color": RULE,
    "ytick.labelcolor": MUTED,
    "ytick.labelsize": 9,
}

CALIBRATION_BINS = 5
MAX_POINTS = 1000
"""More points than these are a blot, and a large file."""

MAX_INTERVALS = 40
HISTOGRAM_BARS = 30
SHOWN_SHARE = 0.99
"""Share of the errors that are drawn: a few very large ones would press all others into one place."""

WIDE = 30
"""Values that reach so many times their median are on a logarithmic axis: on another most are in one place."""


def roc_figure(
    truth: NDArray[np.bool_], predicted: NDArray[np.bool_], probability: NDArray[np.float64], auc: float
) -> str:
    """Return the ROC curve: rightly found positives against false alarms, over all thresholds.

    Args:
        truth: shape (rows,), whether the row is positive.
        predicted: shape (rows,), whether the model says so.
        probability: shape (rows,), the model's probability of it.
        auc: area under the curve.
    """

    def draw(axes: Axes) -> None:
        false, found = np.zeros(2), np.zeros(2)
        # Rows of one kind alone have no curve.
        if truth.any() and not truth.all():
            false, found, _ = roc_curve(truth, probability, drop_intermediate=False)
            axes.fill_between(false, found, color=ACCENT, alpha=0.12, linewidth=0, step=None)
            axes.plot(false, found, color=ACCENT, linewidth=2)
            _mark_served(axes, predicted[~truth].mean(), predicted[truth].mean())
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=(0, (3, 3)))
        axes.text(0.62, 0.54, "guessing", color=MUTED, rotation=45, rotation_mode="anchor", ha="center")
        _unit_square(axes, "False positive rate", "True positive rate (recall)")

    return _svg("roc", draw, f"ROC curve; the area under it is {auc:.3f}")


def precision_recall_figure(
    truth: NDArray[np.bool_], predicted: NDArray[np.bool_], probability: NDArray[np.float64], average_precision: float
) -> str:
    """Return precision against recall, over all thresholds.

    Args:
        truth: shape (rows,), whether the row is positive.
        predicted: shape (rows,), whether the model says so.
        probability: shape (rows,), the model's probability of it.
        average_precision: area under the curve.
    """

    def draw(axes: Axes) -> None:
        share = truth.mean()
        axes.axhline(share, color=MUTED, linewidth=1, linestyle=(0, (3, 3)))
        axes.text(0.02, share + 0.02, "guessing", color=MUTED)
        if truth.any():
            precision, recall, _ = precision_recall_curve(truth, probability)
            axes.fill_between(recall, precision, color=ACCENT, alpha=0.12, linewidth=0, step="post")
            axes.step(recall, precision, color=ACCENT, linewidth=2, where="post")
            if predicted.any():
                _mark_served(axes, predicted[truth].mean(), truth[predicted].mean(), -1)
        _unit_square(axes, "Recall", "Precision")

    return _svg("precision-recall", draw, f"Precision-recall curve; the average precision is {average_precision:.3f}")


def calibration_figure(observed: NDArray[np.bool_], probability: NDArray[np.float64]) -> str:
    """Return how often something happens among rows of similar probability, with 95 % Wilson intervals.

    The interval is Wilson's (1927, Probable inference, the law of succession, and statistical
    inference, JASA 22): unlike the normal one it stays within 0 and 1 for few rows.

    Args:
        observed: shape (rows,), whether it happened.
        probability: shape (rows,), the model's probability that it would.
    """
    bins = np.clip((probability * CALIBRATION_BINS).astype(int), 0, CALIBRATION_BINS - 1)
    filled = [bins == number for number in range(CALIBRATION_BINS) if np.any(bins == number)]
    counts = np.array([np.count_nonzero(rows) for rows in filled])
    found = np.array([np.count_nonzero(observed & rows) for rows in filled])
    mean = np.array([probability[rows].mean() for rows in filled])
    low, high = wilson_interval(found, counts)

    def draw(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=(0, (3, 3)))
        axes.text(0.36, 0.3, "as sure as right", color=MUTED, rotation=45, rotation_mode="anchor", ha="center")
        axes.vlines(mean, low, high, color=ACCENT, linewidth=1.6)
        axes.plot(mean, found / counts, "o", color=ACCENT, markersize=6.5)
        for x, y, count in zip(mean, found / counts, counts, strict=True):
            axes.annotate(
                str(count),
                (x, y),
                xytext=(8 if x < 0.85 else -8, 8 if y < 0.5 else -14),
                textcoords="offset points",
                color=INK,
                ha="left" if x < 0.85 else "right",
            )
        _unit_square(axes, "Predicted probability", "Share observed")

    return _svg("calibration", draw, "Calibration: observed share against predicted probability")


def actual_figure(outcomes: ValueOutcomes) -> str:
    """Return the estimates against the true values, a point a row."""
    rows = _sampled(len(outcomes.truth))
    truth, predicted = outcomes.truth[rows], outcomes.predicted[rows]

    def draw(axes: Axes) -> None:
        ends = [min(truth.min(), predicted.min()), max(truth.max(), predicted.max())]
        axes.plot(ends, ends, color=MUTED, linewidth=1, linestyle=(0, (3, 3)))
        _points(axes, truth, predicted)
        _plane(axes, "True value", "Estimate", logarithmic="xy", of=outcomes)

    return _svg("actual", draw, "Estimates against true values")


def residual_figure(outcomes: ValueOutcomes) -> str:
    """Return the errors, true value less estimate, against the estimates, with the ends of the intervals."""
    errors, (lowest, highest) = _errors(outcomes)
    rows = _sampled(len(errors))
    rows = rows[np.argsort(outcomes.predicted[rows], kind="stable")]
    predicted = outcomes.predicted[rows]

    def draw(axes: Axes) -> None:
        low, high = outcomes.low[rows] - predicted, outcomes.high[rows] - predicted
        axes.fill_between(predicted, low, high, color=ACCENT, alpha=0.12, linewidth=0)
        axes.axhline(0, color=MUTED, linewidth=1, linestyle=(0, (3, 3)))
        _points(axes, predicted, errors[rows])
        margin = (highest - lowest) / 20
        axes.set_ylim(lowest - margin, highest + margin)
        _plane(axes, "Estimate", "True value less estimate", logarithmic="x", of=outcomes)

    return _svg("residuals", draw, "Errors against estimates")


def error_histogram(outcomes: ValueOutcomes) -> str:
    """Return how the errors, true value less estimate, are distributed."""
    errors, (lowest, highest) = _errors(outcomes)
    bars = int(np.clip(2 * np.sqrt(len(errors)), 5, HISTOGRAM_BARS))
    edges = np.linspace(lowest, highest, bars + 1)

    def draw(axes: Axes) -> None:
        counts, _ = np.histogram(errors, edges)
        axes.bar(edges[:-1], counts, np.diff(edges) * 0.92, align="edge", color=ACCENT, alpha=0.75, linewidth=0)
        axes.axvline(0, color=MUTED, linewidth=1, linestyle=(0, (3, 3)))
        _plane(axes, "True value less estimate", "Rows")

    return _svg("errors", draw, "Distribution of the errors")


def interval_figure(outcomes: ValueOutcomes) -> str:
    """Return the prediction intervals of some rows, from the least to the greatest estimate, with the true values."""
    order = np.argsort(outcomes.predicted, kind="stable")
    rows = order[np.unique(np.linspace(0, len(order) - 1, min(MAX_INTERVALS, len(order))).astype(int))]
    truth, low, high = outcomes.truth[rows], outcomes.low[rows], outcomes.high[rows]

    def draw(axes: Axes) -> None:
        places = np.arange(len(rows))
        held = (low <= truth) & (truth <= high)
        axes.vlines(places, low, high, color=ACCENT, alpha=0.35, linewidth=4)
        axes.plot(places, outcomes.predicted[rows], "_", color=ACCENT, markersize=6)
        axes.plot(places[held], truth[held], "o", color=INK, markersize=3.5)
        axes.plot(places[~held], truth[~held], "X", color=SECOND, markersize=6.5, markeredgewidth=0)
        _plane(axes, "Rows, from the least to the greatest estimate", "Value", logarithmic="y", of=outcomes)
        axes.set_xticks([])

    return _svg("intervals", draw, f"Prediction intervals of {len(rows)} rows with their true values")


def wilson_interval(successes: NDArray[np.int_], counts: NDArray[np.int_]) -> tuple[NDArray[np.float64], ...]:
    """Return the lower and upper bounds of the 95 % Wilson intervals of the shares successes / counts."""
    tests = [binomtest(*pair) for pair in zip(successes.tolist(), counts.tolist(), strict=True)]
    intervals = [test.proportion_ci(confidence_level=0.95, method="wilson") for test in tests]
    return tuple(np.array(intervals, dtype=np.float64).T)


def linear_reach(outcomes: ValueOutcomes) -> float | None:
    """Return up to which magnitude an axis of these values is linear, and logarithmic beyond; None: all over."""
    magnitudes = np.abs(np.concatenate([outcomes.truth, outcomes.predicted]))
    if magnitudes.max() <= WIDE * np.median(magnitudes):
        return None
    return float(np.quantile(magnitudes[magnitudes > 0], 0.25))


def _errors(outcomes: ValueOutcomes) -> tuple[NDArray[np.float64], tuple[float, float]]:
    """Return the true values less the estimates, shape (rows,), and the bounds between which they are drawn."""
    errors = outcomes.truth - outcomes.predicted
    tail = (1 - SHOWN_SHARE) / 2
    # Bounds are errors that were made: of few rows the least and the greatest, so that none is left out.
    low = float(np.quantile(errors, tail, method="lower"))
    high = float(np.quantile(errors, 1 - tail, method="higher"))
    if high - low <= 1e-9 * max(abs(low), abs(high)):
        reach = abs(low) / 2 or 0.5
        low, high = low - reach, high + reach
    return errors, (low, high)


def _sampled(rows: int) -> NDArray[np.intp]:
    """Return the places of the rows that are drawn: all, or as many of them as a figure can take."""
    if rows <= MAX_POINTS:
        return np.arange(rows)
    return np.sort(np.random.default_rng(0).choice(rows, MAX_POINTS, replace=False))


def _points(axes: Axes, x: NDArray[np.float64], y: NDArray[np.float64]) -> None:
    """Draw points that let see where many of them are."""
    alpha = float(np.clip(12 / np.sqrt(len(x)), 0.25, 0.8))
    axes.plot(x, y, "o", color=ACCENT, alpha=alpha, markersize=4, markeredgewidth=0)


def _plane(axes: Axes, horizontal: str, vertical: str, logarithmic: str = "", of: ValueOutcomes | None = None) -> None:
    """Give axes their names and a grid; `logarithmic` names those, as in "xy", that are if the values need it."""
    axes.set(xlabel=horizontal, ylabel=vertical)
    reach = linear_reach(of) if of else None
    for name, axis in (("x", axes.xaxis), ("y", axes.yaxis)):
        if reach and name in logarithmic:
            axes.set(**{f"{name}scale": SymmetricalLogScale(axis, linthresh=reach)})
            locator = SymmetricalLogLocator(base=10, linthresh=reach)
            locator.set_params(numticks=6)
            axis.set_major_locator(locator)
            axis.set_major_formatter(lambda value, _: f"{value:g}".replace("-", "\N{MINUS SIGN}"))
        else:
            axis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
    axes.grid(color=RULE, linewidth=0.7)
    axes.set_axisbelow(True)


def _mark_served(axes: Axes, x: float, y: float, side: int = 1) -> None:
    """Mark the point of the curve that the served label corresponds to, with its name on one side (1: right)."""
    axes.plot(x, y, "o", color=SECOND, markersize=6)
    axes.annotate(
        "as served",
        (x, y),
        xytext=(9 * side, -13),
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


def _svg(name: str, draw: Callable[[Axes], None], title: str, size: tuple[float, float] = (4.0, 3.8)) -> str:
    """Return what `draw` draws as an SVG element.

    Args:
        name: of the figure; identifiers start with it, so that figures share a page.
        draw: draws on the axes given.
        title: read aloud in place of the figure.
        size: width and height in inches.
    """
    with rc_context({**STYLE, "svg.hashsalt": name}):
        figure = Figure(figsize=size, layout="constrained")
        draw(figure.add_subplot())
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    return _inlined(buffer.getvalue(), name, title)


def _inlined(document: str, name: str, title: str) -> str:
    """Return a document of Matplotlib's as an element for a page: its own names, the page's colours and font."""
    _, _, body = document.partition("<svg")
    attributes, _, body = body.partition(">")
    view_box = re.search(r'viewBox="[^"]+"', attributes)
    if view_box is None:
        raise ValueError(f"Matplotlib drew {name} without a view box")
    body = re.sub(r"<metadata>.*?</metadata>|<style[^>]*>.*?</style>|<!--.*?-->", "", body, flags=re.DOTALL)
    body = re.sub(r'\bid="', f'id="{name}-', body)
    body = re.sub(r'(?:xlink:)?href="#', f'href="#{name}-', body).replace("url(#", f"url(#{name}-")
    body = re.sub(r"font: ([\d.]+px) [^;\"]*", r"font-size: \1", body)
    for colour, variable in VARIABLES.items():
        body = body.replace(colour, f"var(--{variable})")
    # Hundredths of a point are finer than any screen, and most of the size of a page would be digits.
    body = re.sub(r'\b([dxy])="([^"]*)"', lambda match: f'{match[1]}="{DECIMALS.sub(_rounded, match[2])}"', body)
    body = re.sub(r"\s*\n\s*", "\n", body)
    body = MARKERS.sub(_grouped, body)
    return f'<svg role="img" aria-label="{escape(title)}" {view_box[0]}>{body}'.strip()


DECIMALS = re.compile(r"-?\d+\.\d+")
MARKERS = re.compile(r'(?:<use [^>]*? style="(?P<style>[^"]*)"/>\n)(?:<use [^>]*? style="(?P=style)"/>\n)+')


def _rounded(number: re.Match[str]) -> str:
    return f"{float(number[0]):.2f}".rstrip("0").rstrip(".")


def _grouped(markers: re.Match[str]) -> str:
    """Return markers that look the same as a group, which says so once."""
    style = f' style="{markers["style"]}"'
    return f"<g{style}>\n{markers[0].replace(style, '')}</g>\n"
