import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mlops_runtime.dashboard.drift import Drift
from mlops_runtime.model.metadata import Estimate
from mlops_runtime.operations.release_list import Deploy
from mlops_runtime.operations.releases import State
from mlops_runtime.operations.trend.page import MAX_FIGURES, days_of, render_trend, shown_metrics
from mlops_runtime.operations.trend.versions import Version
from tests.runtime.training.report.test_report import HOSTILE, Page

START = datetime(2026, 11, 3, 12, tzinfo=UTC)
NAMES = ("accuracy", "brier", "f1", "recall", "roc_auc", "skill")


def version(day: int, name: str = "", **changes: Any) -> Version:
    """Return a version whose numbers differ from those of other days."""
    value = 0.8 + day / 100
    facts = {
        "task": "binary",
        "floors": {"recall": 0.5},
        "metrics": {name: Estimate(value=value, low=value - 0.01, high=value + 0.005) for name in NAMES},
        "coverage": {("webservice", "unittest-coverage"): 90 + day / 10, ("model", "test-coverage"): 60.0},
    }
    return Version(name or f"v{day}", START + timedelta(days=day), **facts | changes)


def sample(hour: int, version: str = "v1", **index: float) -> Drift:
    return Drift(START + timedelta(hours=hour), 100 + hour, index, version)


def deploy(day: int, state: State = State.VERIFIED, **changes: Any) -> Deploy:
    facts = {"environment": "production", "who": "ada", "outcome": f"outcome {day}", "origin": 0}
    return Deploy(number=day, version=f"v{day}", started=START + timedelta(days=day), state=state, **facts | changes)


def words(*content: Any, environment: str = "production") -> str:
    return Page(render_trend("Oncology", *content, environment)).words


def test_the_page_has_each_number_in_a_table() -> None:
    # when
    text = words(
        [version(1), version(2)],
        [sample(1, age=0.111, predictions=0.222), sample(2, size=0.333)],
        [deploy(1), deploy(2, State.UNDONE)],
    )
    # then
    assert "ROC AUC is 0.820 in version v2." in text
    assert "0.810 0.800 to 0.815" in text
    assert "The version before, v1, had 0.810." in text
    assert "90.1 %" in text
    assert "v1 2026-11-03 14:00 102 size 0.333 0.222" in text
    assert "v2 2026-11-05 12:00 production undone outcome 2 ada" in text
    assert "Production runs v1 since 2026-11-04 12:00 UTC" in text


def test_figures_are_drawn_in_the_colours_of_the_page_without_anything_from_elsewhere() -> None:
    html = render_trend("Oncology", [version(1), version(2)], [sample(1, age=0.1)], [deploy(1)], "production")

    assert html.count("<svg") == MAX_FIGURES + 2 + 1
    assert "var(--accent)" in html
    assert re.findall(r"(?:src|href)=\"(?!#)", html) == []
    assert "@import" not in html
    assert "prefers-color-scheme: dark" in html


def test_what_is_not_there_says_how_to_get_it() -> None:
    # given: a version without anything but coverage
    only = version(1, metrics={}, task="", floors={}, coverage={("model", "test-coverage"): 60.0})
    # when
    text = words([only], [], [])
    # then
    for command in ("make upload.monitoring", "make upload.drift", "make deploy"):
        assert command in text


def test_texts_from_the_bucket_are_escaped() -> None:
    # given
    hostile = version(1, HOSTILE, coverage={(HOSTILE, "unittest-coverage"): 90.0})
    # when
    page = Page(
        render_trend(
            HOSTILE,
            [hostile],
            [sample(1, HOSTILE, **{HOSTILE: 0.3})],
            [deploy(1, who=HOSTILE, outcome=HOSTILE, environment=HOSTILE)],
            "production",
        )
    )
    # then
    assert page.named("script") == []


def test_metrics_are_led_by_the_main_one_the_skill_and_those_with_a_floor() -> None:
    assert shown_metrics([version(1)])[:MAX_FIGURES] == ["roc_auc", "skill", "recall", "accuracy"]
    assert sorted(shown_metrics([version(1)])) == sorted(NAMES)


@pytest.mark.parametrize("task", ["", "another"])
def test_a_model_of_another_kind_has_no_main_metric(task: str) -> None:
    assert shown_metrics([version(1, task=task)])[0] == "skill"


def test_a_day_has_the_largest_drift_of_each_version() -> None:
    # given: two versions on a day, and another day
    samples = [sample(1, age=0.1), sample(2, age=0.3, size=0.2), sample(3, "v2", predictions=0.4), sample(13, "v2")]
    # when
    first, second, third = days_of(samples)
    # then
    assert (first.version, first.field, first.index, first.records) == ("v1", "age", 0.3, 102)
    assert (second.version, second.index, second.predictions) == ("v2", None, 0.4)
    assert third.time == START + timedelta(hours=13)
