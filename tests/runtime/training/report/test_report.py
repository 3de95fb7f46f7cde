import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

from mlops_runtime.contract.fields import Task
from mlops_runtime.model.metadata import Estimate, Interval, Metadata
from mlops_runtime.testing.synthetic import TASKS
from mlops_runtime.training.evaluation import METRICS, Evaluation, LabelOutcomes, Outcomes, ValueOutcomes, evaluate
from mlops_runtime.training.gate import Check, floored_metrics
from mlops_runtime.training.importance import Importance
from mlops_runtime.training.report.report import (
    KEY_METRICS,
    MAX_NAMES,
    METRIC_NOTES,
    Findings,
    amount,
    confusion,
    importance_bars,
    increase_text,
    label_metrics,
    render_report,
)
from mlops_runtime.training.report.shell import number, truncated
from mlops_runtime.training.search import Score

VOID = {"meta", "br", "hr", "img", "link", "input", "wbr"}
CELLS = {"th", "td", "dt", "dd", "small"}
HOSTILE = "<script>$a_b$</script> & 'x' %s 1 }} \\$ 😀 日本 שלום" % ("{" * 2)
COVERAGE = Estimate(value=0.9, low=0.8, high=1)
LONG = "a very long name " * 20

ORIGIN: dict[str, Any] = {
    "version": "1.2.3",
    "git_commit": "0" * 40,
    "trained_at": "2026-01-02T03:04:05+00:00",
    "data_sha256": "d" * 64,
    "lock_sha256": "e" * 64,
    "seed": 7,
    "libraries": {"python": "3.11.2", "numpy": "2.4.0"},
}


class Page(HTMLParser):
    """Collects tags, attributes and visible text; fails if tags are not closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag in CELLS:
            self.text += " "
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text += data

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def words(self) -> str:
        """The visible text with single spaces."""
        return " ".join(self.text.split())


def label_outcomes(labels: tuple[str, ...], rows: int = 60, seed: int = 3) -> LabelOutcomes:
    """Outcomes of a model that is mostly correct."""
    generator = np.random.default_rng(seed)
    truth = np.arange(rows) % len(labels)
    probabilities = generator.dirichlet(np.ones(len(labels)), rows) + 0.6 * np.eye(len(labels))[truth]
    return LabelOutcomes(labels, truth, probabilities / probabilities.sum(axis=1, keepdims=True))


def value_outcomes(rows: int = 60, scale: float = 100) -> ValueOutcomes:
    generator = np.random.default_rng(3)
    truth = scale * generator.normal(5, 1, rows)
    predicted = truth + scale * generator.normal(0, 0.4, rows)
    return ValueOutcomes(truth, predicted, predicted - scale / 2, predicted + scale / 2)


def baseline_of(outcomes: Outcomes) -> Outcomes:
    """Outcomes of an estimator that ignores the features."""
    if isinstance(outcomes, LabelOutcomes):
        return replace(outcomes, probabilities=np.full_like(outcomes.probabilities, 1 / len(outcomes.labels)))
    mean = np.full_like(outcomes.truth, outcomes.truth.mean())
    return ValueOutcomes(outcomes.truth, mean, mean - 1, mean + 1)


def task_of(outcomes: Outcomes) -> Task:
    if isinstance(outcomes, ValueOutcomes):
        return Task.REGRESSION
    return Task.BINARY if len(outcomes.labels) == 2 else Task.MULTICLASS


def metadata_of(outcomes: Outcomes, target: str, features: tuple[str, ...], evaluation: Evaluation) -> Metadata:
    labels = outcomes.labels if isinstance(outcomes, LabelOutcomes) else ()
    interval = Interval(level=0.9, edges=(), half_widths=(50,), minimum=None, coverage=COVERAGE)
    return Metadata(
        **ORIGIN,
        estimator="ridge (alpha=1)",
        task=task_of(outcomes),
        target=target,
        contract="c" * 64,
        features=features,
        labels=labels,
        interval=None if labels else interval,
        rows={"training": 180, "held_out": len(outcomes.truth)},
        cross_validation={},
        metrics=dict(evaluation.metrics),
        floors={},
        files={},
    )


def findings_of(
    outcomes: Outcomes, features: tuple[str, ...] = ("Colour", "size_in_cm"), target: str = "Kind", **changes: Any
) -> Findings:
    """Return findings of a run with these outcomes."""
    task = task_of(outcomes)
    labels = outcomes.labels if isinstance(outcomes, LabelOutcomes) else ()
    positive = labels[0] if task is Task.BINARY else None
    evaluation = evaluate(task, outcomes, baseline_of(outcomes), seed=0, positive=positive)
    skill = evaluation.metrics["skill"].value
    counts = [(label, 30 + index, int(np.sum(outcomes.truth == index))) for index, label in enumerate(labels)]
    findings: dict[str, Any] = {
        "metadata": metadata_of(outcomes, target, features, evaluation),
        "data": "table.csv",
        "subject": "A thing that was measured.",
        "label_counts": counts,
        "missing": {},
        "notes": (),
        "scores": [Score("ridge (alpha=1)", 0.4321, 0.0123), Score("gradient boosting (depth=3)", 0.5432, 0.01)],
        "search_summary": "2 candidates were compared on all training rows in 5 folds.",
        "baseline_score": 0.6543,
        "evaluation": evaluation,
        "importances": [Importance(name, 0.5 / (index + 1), 0.05) for index, name in enumerate(features)],
        "checks": [Check("skill", skill, skill - 0.1)],
    }
    return Findings(**(findings | changes))


OUTCOMES: dict[Task, Callable[[], Outcomes]] = {
    Task.BINARY: lambda: label_outcomes(("yes", "no")),
    Task.MULTICLASS: lambda: label_outcomes(("red", "green", "blue")),
    Task.REGRESSION: value_outcomes,
}


@pytest.fixture(scope="module", params=TASKS)
def findings(request: pytest.FixtureRequest) -> Findings:
    return findings_of(OUTCOMES[request.param]())


@pytest.fixture(scope="module")
def html(findings: Findings) -> str:
    return render_report(findings)


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


def test_the_report_has_no_external_resources(html: str, page: Page) -> None:
    tags = {name for name, _ in page.tags}
    assert not tags & {"script", "link", "img", "iframe", "object", "embed"}
    assert not re.search(r"https?://|@import|url\((?!#)", html)
    links = [value for _, attributes in page.tags for name, value in attributes.items() if name in ("href", "src")]
    assert all(value and value.startswith("#") for value in links)


def test_the_heading_has_the_result_of_the_gate(page: Page) -> None:
    assert len(page.named("h1")) == 1
    assert "Accepted." in page.text
    assert "was exported" in page.words


@pytest.mark.parametrize("task", TASKS)
def test_the_report_of_a_refused_model_names_the_failed_floors(task: Task) -> None:
    # given
    checks = [Check("skill", 0.1, 0.2), Check("cross_validated_skill", 0.3, 0.2)]
    findings = findings_of(OUTCOMES[task](), checks=checks)
    # when
    page = Page(render_report(findings))
    # then
    assert not findings.passed
    assert "The model is below its floor for Skill. Refused." in page.words
    assert "0.1000 0.2000 ✗ below" in page.words
    assert "0.3000 0.2000 ✓ reached" in page.words


def test_every_metric_is_shown_with_that_of_the_baseline(page: Page, findings: Findings) -> None:
    evaluation = findings.evaluation
    assert set(KEY_METRICS[findings.metadata.task]) <= set(evaluation.metrics)
    for name, estimate in evaluation.metrics.items():
        write = amount if name in ("mae", "rmse", "median_absolute_error", "interval_width") else number
        interval = f"{write(estimate.low)} to {write(estimate.high)}"
        row = f"{METRIC_NOTES[name]}.* {write(estimate.value)} {interval} {write(evaluation.baseline[name])}"
        assert re.search(row.replace("+", r"\+"), page.words), name


def test_labels_fields_candidates_and_provenance_are_shown(page: Page, findings: Findings) -> None:
    names = [
        *findings.metadata.features,
        *(score.name for score in findings.scores),
        findings.metadata.target,
        findings.subject,
    ]
    counts = [f"{label} {training} {held_out}" for label, training, held_out in findings.label_counts]
    facts = [
        ORIGIN["git_commit"],
        ORIGIN["data_sha256"],
        ORIGIN["lock_sha256"],
        "numpy 2.4.0",
        findings.search_summary,
    ]
    for word in (*names, *counts, *facts, f"{findings.loss.capitalize()} Standard deviation over folds", "all 180 60"):
        assert word in page.words


def test_the_loss_without_features_follows_the_losses_of_the_candidates(page: Page) -> None:
    assert re.search(r"ridge \(alpha=1\) ← chosen 0\.432\S* .*without features 0\.654", page.words)


def test_ids_are_unique_and_labels_refer_to_them(page: Page) -> None:
    names = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(names) == len(set(names))
    labelled = {attributes["aria-labelledby"] for _, attributes in page.tags if "aria-labelledby" in attributes}
    assert labelled <= set(names)


def test_figures_and_tables_are_accessible(page: Page, findings: Findings) -> None:
    figures = {Task.BINARY: 5, Task.MULTICLASS: 3, Task.REGRESSION: 5}[findings.metadata.task]
    assert len(page.named("figure")) == len(page.named("figcaption")) == figures
    assert all(svg.get("role") == "img" and svg.get("aria-label") for svg in page.named("svg"))
    assert all(header.get("scope") in ("col", "row") for header in page.named("th"))


def test_the_page_has_a_dark_mode_and_fits_a_phone(html: str) -> None:
    assert "prefers-color-scheme: dark" in html
    assert 'name="viewport"' in html
    variables = set(re.findall(r"var\((--[a-z]+)\)", html)) - {"--share"}  # of each cell of the confusion matrix
    for block in re.findall(r":root \{(.*?)\}", html, flags=re.DOTALL):
        assert variables <= set(re.findall(r"(--[a-z]+):", block))


@pytest.mark.parametrize("task", TASKS)
def test_every_metric_has_a_note(task: Task) -> None:
    assert {*METRICS[task], *floored_metrics(task)} <= set(METRIC_NOTES)


@pytest.mark.parametrize(
    "outcomes",
    [
        pytest.param(label_outcomes((HOSTILE, "no")), id="binary"),
        pytest.param(label_outcomes((HOSTILE, "<b>", "c")), id="multiclass"),
        pytest.param(value_outcomes(), id="regression"),
    ],
)
def test_text_of_the_table_is_escaped(outcomes: Outcomes) -> None:
    # given: text that looks like markup, a formula and a template
    html = render_report(
        findings_of(
            outcomes,
            (HOSTILE, "b"),
            target=HOSTILE,
            subject=HOSTILE,
            notes=(HOSTILE,),
            missing={HOSTILE: 2},
            search_summary=HOSTILE,
            scores=[Score(HOSTILE, 0.1, 0.1)],
            data=HOSTILE,
        )
    )
    # when
    page = Page(html)
    # then
    assert not {name for name, _ in page.tags} & {"script", "b"}
    titles = [attributes["title"] for attributes in page.named("bdi") if "title" in attributes]
    assert set(titles) == {HOSTILE}
    assert page.words.count(HOSTILE) == 6  # title, subject, note, search, candidate, file


def test_a_long_name_is_truncated_with_its_full_text_as_title() -> None:
    page = Page(str(truncated(LONG)))
    assert page.named("bdi") == [{"title": LONG}]
    assert page.text.endswith("…")
    assert len(page.text) <= 40
    assert truncated("short") == "<bdi>short</bdi>"


def test_a_name_has_optional_line_breaks_after_underscores() -> None:
    assert truncated("size_in_<cm>") == "<bdi>size_<wbr>in_<wbr>&lt;cm&gt;</bdi>"


def test_the_most_important_of_many_fields_are_shown() -> None:
    features = tuple(f"field {index}." for index in range(MAX_NAMES + 12))
    page = Page(render_report(findings_of(value_outcomes(), features)))
    assert f"field {MAX_NAMES - 1}." in page.text
    assert f"field {MAX_NAMES}." not in page.text
    assert "12 less important fields are not shown" in page.words
    assert f"{MAX_NAMES + 12} fields" in page.words


def test_missing_values_and_notes_are_shown() -> None:
    missing = {f"field {index}": index + 1 for index in range(MAX_NAMES + 2)}
    page = Page(render_report(findings_of(value_outcomes(), missing=missing, notes=["3 rows have no Kind."])))
    assert "Missing values: 1 in field 0, 2 in field 1," in page.words
    assert f"{MAX_NAMES} in field {MAX_NAMES - 1}, and some in 2 other fields." in page.words
    assert "3 rows have no Kind." in page.words
    assert "There are no missing values" not in page.words


def test_the_most_frequent_error_is_named() -> None:
    truth, predicted = np.array([0] * 9 + [1] * 5), np.array([0] * 6 + [1] * 3 + [1] * 3 + [2] * 2)
    outcomes = LabelOutcomes(("red", "green", "blue"), truth, np.eye(3)[predicted])
    assert confusion(outcomes).worst == ("red", "green", 3, 9)
    assert "predict “green” for “red” (3 of 9 rows)" in Page(render_report(findings_of(outcomes))).words


def test_no_error_is_named_for_a_perfect_model() -> None:
    truth = np.array([0, 1, 2, 2])
    outcomes = LabelOutcomes(("red", "green", "blue"), truth, np.eye(3)[truth])
    assert confusion(outcomes).worst is None
    assert "most frequent error" not in Page(render_report(findings_of(outcomes))).words


@pytest.mark.parametrize("labels", [3, MAX_NAMES])
def test_the_confusion_matrix_counts_pairs_of_labels(labels: int) -> None:
    outcomes = label_outcomes(tuple(f"label {index}" for index in range(labels)), rows=200)
    actual = confusion(outcomes)
    expected = np.zeros((labels, labels))
    for pair in zip(outcomes.truth, outcomes.predicted, strict=True):
        expected[pair] += 1
    assert np.array_equal(actual.counts, expected)
    assert (actual.labels, actual.others) == (outcomes.labels, 0)


def test_the_rarest_of_many_labels_are_grouped() -> None:
    # given: 50 labels in descending order of their frequency
    truth = np.repeat(np.arange(50), np.arange(60, 10, -1))
    outcomes = LabelOutcomes(tuple(f"label {index}" for index in range(50)), truth, np.eye(50)[(truth + 1) % 50])
    # when
    actual = confusion(outcomes)
    # then
    kept = MAX_NAMES - 1
    assert actual.labels == (*outcomes.labels[:kept], f"{50 - kept} others")
    assert actual.others == 50 - kept
    assert np.sum(actual.counts) == len(truth)
    assert actual.counts[kept - 1][kept] == np.sum(truth == kept - 1)
    assert actual.counts[kept][0] == np.sum(truth == 49)
    assert f"the total of {50 - kept} other labels" in Page(render_report(findings_of(outcomes))).words


def test_label_metrics_are_in_the_order_of_the_labels() -> None:
    first, second = label_metrics(certain(2, [0, 0, 0, 1], [0, 0, 1, 1]))
    assert (first[0], second[0]) == ("a", "b")
    assert first[1:] == pytest.approx((1, 2 / 3, 0.8, 3))
    assert second[1:] == pytest.approx((0.5, 1, 2 / 3, 1))


def test_a_label_without_rows_has_no_metrics() -> None:
    outcomes = LabelOutcomes(("a", "b", "never"), np.array([0, 1]), np.eye(3)[[0, 1]])
    assert label_metrics(outcomes)[2][1:] == pytest.approx((np.nan, np.nan, np.nan, 0), nan_ok=True)
    assert "never \N{EN DASH} \N{EN DASH} \N{EN DASH} 0" in Page(render_report(findings_of(outcomes))).words


def test_bars_start_at_zero_and_fit_the_width() -> None:
    # given
    importances = [Importance("up", 0.8, 0.2), Importance("none", 0, 0), Importance("down", -0.2, 0.05)]
    # when
    zero, (up, none, down) = importance_bars(importances)
    # then: the axis is from -0.25 to 1
    assert zero == pytest.approx(20)
    assert (up.left, up.width) == pytest.approx((20, 64))
    assert (up.spread_left, up.spread_width) == pytest.approx((68, 32))
    assert none.width == none.spread_width == 0
    assert (down.left, down.left + down.width) == pytest.approx((4, 20))
    assert (down.spread_left, down.spread_width) == pytest.approx((0, 8))


def test_the_bar_of_an_importance_of_0_has_no_width() -> None:
    zero, (bar,) = importance_bars([Importance("none", 0, 0)])
    assert (zero, bar.left, bar.width, bar.spread_width) == (0, 0, 0, 0)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.5, "0.5000"),
        (1234.56, "1,235"),
        (1234567, "1,234,567"),
        (-32.123, "-32.12"),
        (0.00123456, "0.001235"),
        (1.23456e-7, "1.235e-07"),
        (1.23456e12, "1.235e+12"),
    ],
)
def test_amounts_have_four_significant_digits(value: float, text: str) -> None:
    assert amount(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.12345, "0.123"), (-0.0001, "0.000"), (-2.5, "-2.500"), (-1e30, "-1e+30")]
)
def test_numbers_have_three_decimals(value: float, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("greatest", "other", "text"),
    [(0.5, 0.0123, "0.012"), (1200, 3.4567, "3"), (2e-4, -1.2345e-6, "-0.000001"), (1e-9, 5e-10, "5e-10"), (0, 0, "0")],
)
def test_importances_have_the_decimals_that_the_greatest_needs(greatest: float, other: float, text: str) -> None:
    write = increase_text([Importance("first", greatest, 0), Importance("second", other, 0)])
    assert write(other) == text


def certain(labels: int, truth: list[int], predicted: list[int]) -> LabelOutcomes:
    return LabelOutcomes(tuple("abcde"[:labels]), np.array(truth), np.eye(labels)[predicted])


@pytest.mark.parametrize(
    "outcomes",
    [
        pytest.param(certain(2, [0, 1, 1], [1, 0, 0]), id="binary-all-wrong"),
        pytest.param(certain(2, [1, 1, 1], [1, 1, 1]), id="binary-without-a-positive"),
        pytest.param(certain(5, [4, 4, 4], [0, 0, 0]), id="multiclass-with-one-label"),
        pytest.param(value_outcomes(rows=3), id="regression-with-three-rows"),
        pytest.param(value_outcomes(rows=1), id="regression-with-one-row"),
        pytest.param(value_outcomes(scale=0), id="constant-regression"),
        pytest.param(value_outcomes(scale=1e98), id="regression-with-huge-values"),
        pytest.param(value_outcomes(scale=1e-9), id="regression-with-tiny-values"),
    ],
)
def test_extreme_cases_are_reported(outcomes: Outcomes) -> None:
    page = Page(render_report(findings_of(outcomes)))
    assert not re.search(r"\b(nan|inf)\b", page.text)
    assert "Accepted." in page.text


def test_the_report_of_a_regression_has_errors_and_coverage() -> None:
    findings = findings_of(value_outcomes())
    words = Page(render_report(findings)).words
    metrics = findings.evaluation.metrics
    assert f"are within {amount(metrics['median_absolute_error'].value)} of the true value" in words
    assert f"the mean absolute error of Kind is {amount(metrics['mae'].value)}" in words
    assert f"The 90 % prediction intervals contain {100 * metrics['coverage'].value:.1f} % of the true values" in words
