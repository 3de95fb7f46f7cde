"""The figures of the report, as SVG to stand inside a page.

Colours are the page's own variables and text is in the page's own font, so that a figure
follows the page from light to dark. The same numbers give the same bytes.
"""

import io
import re
from collections.abc import Callable, Sequence
from html import escape
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_curve, roc_curve

from trainer.evaluation import Importance, Outcomes

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
WILSON_QUANTILE = 1.959964
"""Of the standard normal distribution, for 95 % intervals."""


def roc_figure(outcomes: Outcomes, auc: float) -> str:
    """Return the ROC curve: rightly found positives against false alarms, over all thresholds."""

    def draw(axes: Axes) -> None:
        predicted, truth = outcomes.predicted, outcomes.truth
        false, found, _ = roc_curve(outcomes.truth, outcomes.probability, drop_intermediate=False)
        axes.fill_between(false, found, color=ACCENT, alpha=0.12, linewidth=0, step=None)
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=(0, (3, 3)))
        axes.text(0.62, 0.54, "guessing", color=MUTED, rotation=45, rotation_mode="anchor", ha="center")
        axes.plot(false, found, color=ACCENT, linewidth=2)
        _mark_served(axes, predicted[~truth].mean(), predicted[truth].mean())
        _unit_square(axes, "False positive rate", "True positive rate (recall)")

    return _svg("roc", draw, f"ROC curve; the area under it is {auc:.3f}")


def precision_recall_figure(outcomes: Outcomes, average_precision: float) -> str:
    """Return precision against recall, over all thresholds."""

    def draw(axes: Axes) -> None:
        precision, recall, _ = precision_recall_curve(outcomes.truth, outcomes.probability)
        share = outcomes.truth.mean()
        axes.fill_between(recall, precision, color=ACCENT, alpha=0.12, linewidth=0, step="post")
        axes.axhline(share, color=MUTED, linewidth=1, linestyle=(0, (3, 3)))
        axes.text(0.02, share + 0.02, "guessing", color=MUTED)
        axes.step(recall, precision, color=ACCENT, linewidth=2, where="post")
        if outcomes.predicted.any():
            _mark_served(axes, outcomes.predicted[outcomes.truth].mean(), outcomes.truth[outcomes.predicted].mean(), -1)
        _unit_square(axes, "Recall", "Precision")

    return _svg("precision-recall", draw, f"Precision-recall curve; the average precision is {average_precision:.3f}")


def calibration_figure(outcomes: Outcomes) -> str:
    """Return the share of positives among rows of similar probability, with 95 % Wilson intervals.

    The interval is Wilson's (1927, Probable inference, the law of succession, and statistical
    inference, JASA 22): unlike the normal one it stays within 0 and 1 for few rows.
    """
    bins = np.clip((outcomes.probability * CALIBRATION_BINS).astype(int), 0, CALIBRATION_BINS - 1)
    filled = [bins == number for number in range(CALIBRATION_BINS) if np.any(bins == number)]
    counts = np.array([np.count_nonzero(rows) for rows in filled])
    found = np.array([np.count_nonzero(outcomes.truth & rows) for rows in filled])
    mean = np.array([outcomes.probability[rows].mean() for rows in filled])
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

    return _svg("calibration", draw, "Calibration: observed share of positives against predicted probability")


def importance_figure(importances: Sequence[Importance]) -> str:
    """Return the permutation importances as bars, the highest on top, with their spread."""

    def draw(axes: Axes) -> None:
        rows = np.arange(len(importances))[::-1]
        means = [importance.mean for importance in importances]
        spreads = [importance.standard_deviation for importance in importances]
        axes.barh(rows, means, height=0.62, color=ACCENT, alpha=0.75, linewidth=0)
        axes.errorbar(means, rows, xerr=spreads, fmt="none", color=INK, elinewidth=1.2, capsize=2.5)
        axes.set_yticks(rows, [importance.feature.replace("_", " ") for importance in importances])
        axes.tick_params(axis="y", length=0, labelcolor=INK)
        axes.spines["left"].set_visible(False)
        axes.axvline(0, color=MUTED, linewidth=1)
        axes.set_xlabel("Rise of log loss when shuffled")
        axes.grid(axis="x", color=RULE, linewidth=0.7)
        axes.set_axisbelow(True)

    first = importances[0].feature.replace("_", " ") if importances else "none"
    size = (4.6, 0.75 + 0.3 * len(importances))
    return _svg("importance", draw, f"Permutation importance; the most important feature is {first}", size)


def wilson_interval(found: NDArray[np.int_], counts: NDArray[np.int_]) -> tuple[NDArray[np.float64], ...]:
    """Return the lower and upper bounds of the 95 % Wilson intervals of the shares found / counts."""
    z2 = WILSON_QUANTILE**2
    share = found / counts
    centre = (share + z2 / (2 * counts)) / (1 + z2 / counts)
    half = WILSON_QUANTILE * np.sqrt(share * (1 - share) / counts + z2 / (4 * counts**2)) / (1 + z2 / counts)
    return np.maximum(centre - half, 0), np.minimum(centre + half, 1)


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
    body = re.sub(r"\s*\n\s*", "\n", body)
    return f'<svg role="img" aria-label="{escape(title)}" {view_box[0]}>{body}'.strip()
