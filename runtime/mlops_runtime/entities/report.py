"""The report of a model of entities: an HTML file with its metrics, its mistakes and its provenance."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from markupsafe import Markup
from matplotlib.axes import Axes

from mlops_runtime.contract import Entity
from mlops_runtime.entities.evaluation import MISSED, SPURIOUS, WRONG_BOUNDS, WRONG_LABEL, LabelEvaluation, Mistake
from mlops_runtime.entities.fitting import Fitted
from mlops_runtime.model.metadata import Metadata
from mlops_runtime.training.evaluation import Evaluation
from mlops_runtime.training.gate import Check
from mlops_runtime.training.report.shell import number, report_environment
from mlops_runtime.training.report.svg import ACCENT, MUTED, RULE, SECOND, svg_element

TEMPLATE = "report.html"
METRIC_NAMES: Mapping[str, str] = {"f1": "F1", "macro_f1": "Macro F1"}
METRIC_NOTES: Mapping[str, str] = {
    "f1": "harmonic mean of precision and recall",
    "precision": "share of the predicted entities that are annotated",
    "recall": "share of the annotated entities that are predicted",
    "macro_f1": "F1; mean over the labels",
    "exact_texts": "share of the texts with all entities right, and no other",
    "skill": "share of the way from the F1 of the dictionary to 1",
}
KEY_METRICS = ("f1", "precision", "recall", "exact_texts")

KINDS = (MISSED, WRONG_LABEL, WRONG_BOUNDS, SPURIOUS)
MAX_EXAMPLES = 6
"""Maximum number of examples of each kind of mistake."""

CONTEXT = 70
"""Characters of a text around a mistake."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """Results of a training run.

    Attributes:
        metadata: metadata of the model.
        data: file name of the annotated texts.
        subject: description of a record, in a sentence.
        notes: sentences about texts that were changed or left out.
        evaluation: evaluation on the held-out texts; its baseline is the dictionary.
        labels: evaluation of each label.
        mistakes: on the held-out texts.
        names: number of names in the dictionary.
        fitted: the trained pipeline.
        learned: number of texts that the pipeline learned from.
        stopping: number of texts for early stopping.
        checks: one check for each floor of the gate.
    """

    metadata: Metadata
    data: str
    subject: str
    notes: Sequence[str]
    evaluation: Evaluation
    labels: Sequence[LabelEvaluation]
    mistakes: Sequence[Mistake]
    names: int
    fitted: Fitted
    learned: int
    stopping: int
    checks: Sequence[Check]

    @property
    def passed(self) -> bool:
        """Whether all metrics reach their floors."""
        return all(check.passed for check in self.checks)


@dataclass(frozen=True, slots=True)
class Example:
    """An example of a mistake.

    Attributes:
        excerpt: the part of the text around it, as HTML with the place marked.
        true: label and text of the annotated entity, or None.
        predicted: label and text of the predicted entity, or None.
    """

    excerpt: Markup
    true: Entity | None
    predicted: Entity | None


def render_report(findings: Findings) -> str:
    """Return the report as an HTML document without external resources."""
    environment = report_environment(Path(__file__).parent / "templates", METRIC_NAMES)
    environment.filters["metric"] = lambda value, _name: number(value)
    annotated = sum(each.held_out for each in findings.labels)
    counts = Counter(mistake.kind for mistake in findings.mistakes)
    return environment.get_template(TEMPLATE).render(
        findings=findings,
        metadata=findings.metadata,
        metrics=findings.evaluation.metrics,
        baseline=findings.evaluation.baseline,
        failed=[check for check in findings.checks if not check.passed],
        key_metrics=KEY_METRICS,
        metric_notes=METRIC_NOTES,
        texts=findings.metadata.rows["held_out"],
        annotated=annotated,
        found=annotated - sum(mistake.true is not None for mistake in findings.mistakes),
        kinds=[(kind, counts[kind], examples(findings.mistakes, kind)) for kind in KINDS if counts[kind]],
        curve=learning_curve(findings.fitted),
        best=findings.fitted.passes[findings.fitted.best],
    )


def examples(mistakes: Sequence[Mistake], kind: str) -> list[Example]:
    """Return examples of a kind of mistake, of each label in turn."""
    by_label: dict[str, list[Mistake]] = {}
    for mistake in mistakes:
        entity = mistake.true or mistake.predicted
        if mistake.kind == kind and entity is not None:
            by_label.setdefault(str(entity.label), []).append(mistake)
    rounds = max(map(len, by_label.values()), default=0)
    in_turn = chain.from_iterable(
        [of_label[turn] for of_label in by_label.values() if turn < len(of_label)] for turn in range(rounds)
    )
    return [Example(_excerpt(mistake), mistake.true, mistake.predicted) for mistake in list(in_turn)[:MAX_EXAMPLES]]


def _excerpt(mistake: Mistake) -> Markup:
    start, end = mistake.span
    first, last = max(start - CONTEXT, 0), min(end + CONTEXT, len(mistake.text))
    before = ("…" if first else "") + mistake.text[first:start]
    after = mistake.text[end:last] + ("…" if last < len(mistake.text) else "")
    return Markup("<bdi>{}<mark>{}</mark>{}</bdi>").format(before, mistake.text[start:end], after)


def learning_curve(fitted: Fitted) -> str:
    """Return F1 after each pass as an SVG element, with the best pass marked."""
    values = [each.f1 for each in fitted.passes]
    passes = list(range(1, len(values) + 1))

    def draw(axes: Axes) -> None:
        axes.axvline(fitted.best + 1, color=MUTED, linewidth=1, linestyle=(0, (3, 3)))
        axes.plot(passes, values, color=ACCENT, linewidth=2)
        axes.plot(fitted.best + 1, values[fitted.best], color=SECOND, marker="o", markersize=6)
        axes.set(xlabel="Pass over the training texts", ylabel="F1 on the texts for early stopping", ylim=(-0.02, 1.02))
        axes.locator_params(axis="x", integer=True)
        axes.grid(color=RULE, linewidth=0.7)
        axes.set_axisbelow(True)

    title = f"F1 after each of {len(values)} passes; the greatest is {values[fitted.best]:.3f}"
    return svg_element("learning-curve", draw, title)
