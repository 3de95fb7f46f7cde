"""The page of the trend: metrics, coverage, drift and deploys over time, each as a figure and a table."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import cycle, groupby
from pathlib import Path

from mlops_runtime.contract import Task
from mlops_runtime.dashboard.drift import PREDICTIONS, Drift
from mlops_runtime.operations.release_list import Deploy
from mlops_runtime.operations.releases import State
from mlops_runtime.operations.trend.figures import (
    CHANGE,
    DIFFERENCE,
    LINES,
    Period,
    coverage_figure,
    drift_figure,
    estimate_figure,
)
from mlops_runtime.operations.trend.versions import COVERAGE, Version
from mlops_runtime.training.held_out import MAIN_METRIC
from mlops_runtime.training.report.report import METRIC_NAMES, metric_text
from mlops_runtime.training.report.shell import report_environment
from mlops_runtime.training.report.svg import VARIABLES

TEMPLATE = "trend.html"
MAX_FIGURES = 4
"""Maximum number of metrics that have a figure; the table has all."""
SKILL = "skill"
KINDS_OF_TESTS: Mapping[str, str] = {f"unittest{COVERAGE}": "unit tests", f"test{COVERAGE}": "system tests"}
"""What tests are called, by the kind of their coverage."""


@dataclass(frozen=True, slots=True)
class Day:
    """The drift of a version on a day.

    Attributes:
        time: of the last sample.
        version: that measured it; empty if it is not known.
        records: largest number of records of a sample.
        field: with the largest index; empty if no field has one.
        index: largest population stability index of a field, if any has one.
        predictions: largest population stability index of the predictions, if they have one.
    """

    time: datetime
    version: str
    records: int
    field: str
    index: float | None
    predictions: float | None

    @classmethod
    def of(cls, samples: Sequence[Drift]) -> "Day":
        """Return the largest of the samples of a day, ascending, at least one."""
        fields = [(index, name) for each in samples for name, index in each.index.items() if name != PREDICTIONS]
        largest, field = max(fields, default=(None, ""))
        predictions = [each.index[PREDICTIONS] for each in samples if PREDICTIONS in each.index]
        records = max(each.records for each in samples)
        last = samples[-1]
        return cls(last.time, last.version, records, field, largest, max(predictions, default=None))


@dataclass(frozen=True, slots=True)
class CoverageFigure:
    """Figure of the coverage by one kind of tests.

    Attributes:
        title: of the tests.
        svg: the figure.
        lines: component, colour variable, and whether it is dashed, of each line.
    """

    title: str
    svg: str
    lines: Sequence[tuple[str, str, bool]]


def render_trend(
    title: str, versions: Sequence[Version], samples: Sequence[Drift], deploys: Sequence[Deploy], environment: str
) -> str:
    """Return the trend as an HTML document without external resources.

    Args:
        title: of the project.
        versions: ascending by time, at least one.
        samples: of drift, ascending.
        deploys: ascending.
        environment: whose deploys the figures mark.
    """
    marked = [deploy for deploy in deploys if deploy.environment == environment and deploy.state is State.VERIFIED]
    times = [*(version.time for version in versions), *(sample.time for sample in samples)]
    period = Period(times, [deploy.started for deploy in marked])
    days, trained = days_of(samples), [version for version in versions if version.metrics]
    names = shown_metrics(trained)
    page = report_environment(Path(__file__).parent, METRIC_NAMES)
    page.filters |= {"metric": metric_text, "time": "{:%Y-%m-%d %H:%M}".format, "index": _index_text}
    return page.get_template(TEMPLATE).render(
        title=title,
        versions=versions,
        trained=trained,
        shown=names[:MAX_FIGURES],
        names=names,
        components={key: f"{key[0]}, {KINDS_OF_TESTS[key[1]]}" for version in versions for key in version.coverage},
        days=days,
        deploys=deploys,
        running=marked[-1] if marked else None,
        environment=environment,
        limits=(CHANGE, DIFFERENCE),
        figures={
            "metrics": _metric_figures(trained, names[:MAX_FIGURES], period),
            "coverage": _coverage_figures(versions, period),
            "drift": _drift_figure(days, period) if days else "",
        },
    )


def shown_metrics(versions: Sequence[Version]) -> list[str]:
    """Return the names of the metrics: first the main one of the task, the skill and those that have a floor.

    Args:
        versions: with metrics, ascending.
    """
    if not versions:
        return []
    last = versions[-1]
    main = [str(MAIN_METRIC[Task(last.task)])] if last.task in MAIN_METRIC else []
    every = dict.fromkeys(name for version in reversed(versions) for name in version.metrics)
    return [name for name in dict.fromkeys([*main, SKILL, *last.floors, *every]) if name in every]


def days_of(samples: Iterable[Drift]) -> list[Day]:
    """Return the drift by version and day, ascending.

    Args:
        samples: ascending.
    """

    def key(sample: Drift) -> tuple[date, str]:
        return sample.time.date(), sample.version

    return [Day.of(list(group)) for _, group in groupby(samples, key)]


def _metric_figures(versions: Sequence[Version], names: Sequence[str], period: Period) -> dict[str, str]:
    figures = {}
    for name in names:
        estimates = [(version.time, version.metrics[name]) for version in versions if name in version.metrics]
        title = METRIC_NAMES.get(name, name.replace("_", " ").capitalize())
        figures[name] = estimate_figure(f"metric-{name}", title, estimates, versions[-1].floors.get(name), period)
    return figures


def _coverage_figures(versions: Sequence[Version], period: Period) -> list[CoverageFigure]:
    figures = []
    for kind, title in KINDS_OF_TESTS.items():
        coverage: dict[str, list[tuple[datetime, float]]] = {}
        for version in versions:
            for (component, of), value in version.coverage.items():
                if of == kind:
                    coverage.setdefault(component, []).append((version.time, value))
        if coverage:
            lines = [
                (component, VARIABLES[colour], dashes == "--")
                for component, (colour, dashes) in zip(coverage, cycle(LINES), strict=False)
            ]
            figures.append(CoverageFigure(title, coverage_figure(kind, title, list(coverage.values()), period), lines))
    return figures


def _drift_figure(days: Sequence[Day], period: Period) -> str:
    fields = [(day.time, day.index) for day in days if day.index is not None]
    predictions = [(day.time, day.predictions) for day in days if day.predictions is not None]
    return drift_figure(fields, predictions, period)


def _index_text(index: float | None) -> str:
    return "too few records" if index is None else f"{index:.3f}"
