"""docs/tables.md: the results, with a row for each table."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

METRIC_NAMES = {"roc_auc": "ROC AUC", "accuracy": "accuracy", "r2": "R²"}
ALLOWED = -0.02
"""Allowed relative difference from the model fitted by hand."""

INTRODUCTION = Path(__file__).with_name("introduction.md")


def page(results: Sequence[Mapping[str, Any]]) -> str:
    """Return the page in Markdown."""
    parts = [INTRODUCTION.read_text(), summary(results), "", *table(results)]
    failures = [f"- {result['name']}: {_text(failure)}" for result in results for failure in result.get("failures", ())]
    if failures:
        parts += ["", "## Failures", "", *failures]
    return "\n".join(parts) + "\n"


def summary(results: Sequence[Mapping[str, Any]]) -> str:
    """Return a summary of the results in sentences."""
    trained = [result for result in results if "metric" in result]
    complete = [result for result in trained if not result["failures"]]
    compared = [result for result in trained if difference(result) is not None]
    as_good = [result for result in compared if (difference(result) or 0) >= ALLOWED]
    within = [
        result for result in compared if result not in as_good and result["low"] <= best(result)[1] <= result["high"]
    ]
    sent = sum(result.get("sent", 0) for result in results)
    answered = sum(result.get("answered", 0) for result in results)
    return (
        f"{len(results)} tables: {len(trained)} trained, {len(complete)} without a failure, {answered:,} of {sent:,} "
        f"records answered. Of {len(compared)} models with a comparison, {len(as_good)} are better than the "
        f"model by hand or at most 2 % worse; for {len(within)} of the other {len(compared) - len(as_good)} the metric "
        f"by hand is within their interval."
    )


def table(results: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the lines of the table."""
    names = (
        "Table",
        "Rows",
        "Columns",
        "File",
        "Fields",
        "Task",
        "Estimator",
        "Metric",
        "By hand",
        "Difference",
        "Training",
        "Answered",
    )
    lines = [
        f"| {' | '.join(names)} |",
        "| --- | ---: | ---: | --- | --- | --- | --- | --- | --- | ---: | ---: | ---: |",
    ]
    return lines + [f"| {' | '.join(row(result))} |" for result in results]


def row(result: Mapping[str, Any]) -> list[str]:
    """Return the cells of a table's row."""
    cells = [
        f"{result['name']}: {_text(result['about'])}",
        f"{result['rows']:,}",
        f"{result['columns']:,}",
        _text(result["dialect"]),
    ]
    if "metric" not in result:
        return [*cells, "", "", "", "failed: see below", "", "", "", ""]
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(result["kinds"].items(), key=lambda item: -item[1]))
    labels = f", {result['labels']} labels" if result["task"] == "multiclass" else ""
    ours = f"{METRIC_NAMES[result['metric']]} {result['value']:.3f} ({result['low']:.3f} to {result['high']:.3f})"
    cells += [kinds, f"{result['task']}{labels}", _text(result["estimator"].partition(" (")[0]), ours]
    if "by_hand" in result:
        name, value = best(result)
        relative = difference(result)
        cells += [f"{value:.3f} {name}", "" if relative is None else f"{100 * relative:+.1f} %"]
    else:
        cells += ["", ""]
    return [*cells, f"{result['train_seconds']:.0f} s", f"{result.get('answered', 0)} of {result.get('sent', 0)}"]


def best(result: Mapping[str, Any]) -> tuple[str, float]:
    """Return the name and the metric of the better model by hand."""
    return max(((name, model["value"]) for name, model in result["by_hand"].items()), key=lambda pair: pair[1])


def difference(result: Mapping[str, Any]) -> float | None:
    """Return the relative difference from the model by hand; None if that is no better than a constant."""
    if "by_hand" not in result or best(result)[1] <= 0:
        return None
    return float(result["value"] / best(result)[1] - 1)


def _text(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
