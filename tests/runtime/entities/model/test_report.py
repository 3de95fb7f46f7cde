"""The report of a model of entities."""

from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest

pytest.importorskip("spacy", reason="needs spaCy: pip install 'spacy>=3.8'")

from mlops_runtime.contract import Entity
from mlops_runtime.entities.evaluation import MISSED, SPURIOUS, Mistake
from mlops_runtime.entities.report import MAX_EXAMPLES, METRIC_NOTES, examples, render_report
from mlops_runtime.training.gate import Check, floored_metrics
from tests.runtime.entities.model.conftest import CONTRACT, Run

HOSTILE = "<script>alert(1)</script> & {{ 1 }} שלום "


def mistake(kind: str, label: str, text: str = HOSTILE) -> Mistake:
    entity = Entity(text=text[:8], label=label, start=0, end=8)
    return Mistake(kind, text, entity if kind == MISSED else None, entity if kind == SPURIOUS else None)


class _Resources(HTMLParser):
    """Collects the attributes that load something, and the tags."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, Any]]) -> None:
        self.tags.add(tag)
        self.loaded += [value for name, value in attributes if name in ("src", "href") and not value.startswith("#")]


def test_the_report_has_the_metrics_and_no_external_resource(run: Run) -> None:
    report = run.settings.report.read_text()
    parser = _Resources()
    parser.feed(report)

    assert parser.loaded == []
    assert "script" not in parser.tags
    annotated = sum(each.held_out for each in run.findings.labels)
    missed = sum(mistake.true is not None for mistake in run.findings.mistakes)
    assert f"The model finds {annotated - missed} of {annotated} entities." in report
    for part in ("Accepted.", "Metrics by label", "PERSON", "Learning curve", "Dictionary", "The gate"):
        assert part in report


def test_every_metric_that_may_have_a_floor_is_described(run: Run) -> None:
    assert {*floored_metrics(CONTRACT.task), *run.findings.evaluation.metrics} <= set(METRIC_NOTES)


def test_examples_are_of_each_label_in_turn() -> None:
    mistakes = [mistake(MISSED, "ORG")] * 9 + [mistake(MISSED, "PERSON")] * 2 + [mistake(SPURIOUS, "ORG")]

    shown = examples(mistakes, MISSED)

    assert [each.true.label for each in shown if each.true] == ["ORG", "PERSON", "ORG", "PERSON", "ORG", "ORG"]
    assert len(shown) == MAX_EXAMPLES


def test_texts_are_escaped_and_mistakes_counted(run: Run) -> None:
    findings = replace(run.findings, mistakes=[mistake(MISSED, "ORG")] * 9, notes=[HOSTILE], data=HOSTILE)

    report = render_report(findings)

    assert "<script" not in report
    assert "<mark>&lt;script&gt;</mark>alert(1)&lt;/script&gt; &amp; {{ 1 }} שלום" in report
    assert "Missed: 9" in report
    assert "3 more are not shown." in report


def test_a_refused_model_and_one_without_mistakes(run: Run) -> None:
    report = render_report(replace(run.findings, mistakes=[], checks=[Check("f1", 0.4, 0.5)]))

    assert "The model is below its floor for F1." in report
    assert "There are none on the held-out texts." in report
