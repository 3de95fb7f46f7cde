"""The figures of the trend: measurements over time, as inline SVG elements."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import cycle
from typing import Any

from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num

from mlops_runtime.model.metadata import Estimate
from mlops_runtime.training.report.svg import ACCENT, INK, MUTED, RULE, SECOND, svg_element

SIZE = (4.4, 2.7)
"""Width and height in inches."""
LINES = [(colour, dashes) for dashes in ("-", "--") for colour in (ACCENT, SECOND, INK, MUTED)]
"""Colour and style of the lines of a figure, which its caption names."""
MARGIN = 0.04
"""Share of the period that is shown before its first and after its last time."""
CHANGE, DIFFERENCE = 0.1, 0.25
"""Indices from which on records have changed, and from which on they differ from the training rows (Siddiqi 2006)."""

ABOVE: Mapping[str, Any] = {"loc": "lower left", "bbox_to_anchor": (0, 1), "ncols": 4, "borderaxespad": 0.2}
"""Place of a legend that hides no line."""

Values = Sequence[tuple[datetime, float]]
"""Values with their times, ascending."""


class Period:
    """The time that all figures show, with the deploys in it."""

    def __init__(self, times: Sequence[datetime], deploys: Sequence[datetime]) -> None:
        """Take the times of all measurements, at least one, and of the deploys to mark."""
        first, last = min(*times, *deploys, times[0]), max(*times, *deploys, times[0])
        margin = MARGIN * (last - first) if last > first else timedelta(hours=12)
        self._first, self._last = first - margin, last + margin
        self._deploys = deploys

    def label(self, axes: Axes, vertical: str = "") -> None:
        """Set the axis of the time, the deploys and a grid."""
        locator = AutoDateLocator(tz=UTC, minticks=3, maxticks=6)  # type: ignore[no-untyped-call]
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, tz=UTC))  # type: ignore[no-untyped-call]
        for deploy in self._deploys:
            axes.axvline(_number(deploy), color=MUTED, linewidth=1, linestyle=(0, (1, 2)), zorder=0)
        axes.set(xlim=(_number(self._first), _number(self._last)), ylabel=vertical)
        axes.grid(axis="y", color=RULE, linewidth=0.7)
        axes.set_axisbelow(True)


def estimate_figure(
    name: str, title: str, estimates: Sequence[tuple[datetime, Estimate]], floor: float | None, period: Period
) -> str:
    """Return a metric over time, with its 95 % intervals and its floor.

    Args:
        name: identifies the figure on the page.
        title: of the metric.
        estimates: with their times, ascending.
        floor: minimum that the last version had; None without one.
        period: to show.
    """
    times = [_number(time) for time, _ in estimates]

    def draw(axes: Axes) -> None:
        low, high = [each.low for _, each in estimates], [each.high for _, each in estimates]
        axes.vlines(times, low, high, color=ACCENT, alpha=0.35, linewidth=3)
        axes.plot(times, [each.value for _, each in estimates], "o-", color=ACCENT, linewidth=1.6, markersize=5)
        if floor is not None:
            axes.axhline(floor, color=SECOND, linewidth=1.2, linestyle=(0, (5, 3)))
        period.label(axes)

    return svg_element(name, draw, f"{title} over time", SIZE)


def coverage_figure(name: str, title: str, coverage: Sequence[Values], period: Period) -> str:
    """Return the coverage of the components over time, in the order of `LINES`.

    Args:
        name: identifies the figure on the page.
        title: of the tests.
        coverage: in percent, of each component.
        period: to show.
    """

    def draw(axes: Axes) -> None:
        for values, (colour, dashes) in zip(coverage, cycle(LINES), strict=False):
            axes.plot(*_coordinates(values), color=colour, linestyle=dashes, linewidth=1.6, marker="o", markersize=4)
        axes.set_ylim(top=101.5)
        period.label(axes, "Coverage in percent")

    return svg_element(name, draw, f"Coverage by {title} over time", SIZE)


def drift_figure(fields: Values, predictions: Values, period: Period) -> str:
    """Return the largest index of the fields, and that of the predictions, over time.

    Args:
        fields: largest population stability index of the fields.
        predictions: population stability index of the predictions.
        period: to show.
    """

    def draw(axes: Axes) -> None:
        for values, colour, label in ((fields, ACCENT, "largest of the fields"), (predictions, SECOND, "predictions")):
            axes.plot(*_coordinates(values), "o-", color=colour, linewidth=1.6, markersize=4, label=label)
        for index in (CHANGE, DIFFERENCE):
            axes.axhline(index, color=MUTED, linewidth=1, linestyle=(0, (5, 3)))
        axes.set_ylim(bottom=0)
        axes.legend(**ABOVE)
        period.label(axes, "Population stability index")

    return svg_element("drift", draw, "Population stability index over time", SIZE)


def _coordinates(values: Values) -> tuple[list[float], list[float]]:
    return [_number(time) for time, _ in values], [value for _, value in values]


def _number(time: datetime) -> float:
    return float(date2num(time))  # type: ignore[no-untyped-call]
