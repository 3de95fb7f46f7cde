import re
from xml.etree import ElementTree

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix

from trainer import figures
from trainer.evaluation import Importance, Outcomes

PROBABILITY = np.linspace(0.01, 0.99, 40)
TRUTH = PROBABILITY + 0.3 * np.sin(np.arange(40)) > 0.5
OUTCOMES = Outcomes(TRUTH, PROBABILITY > 0.5, PROBABILITY)
IMPORTANCES = [Importance("<first> & 'second'", 0.2, 0.01), Importance("third_one", -0.01, 0.02)]

DRAWINGS = [
    pytest.param(lambda: figures.roc_figure(OUTCOMES, 0.9), id="roc"),
    pytest.param(lambda: figures.precision_recall_figure(OUTCOMES, 0.9), id="precision-recall"),
    pytest.param(lambda: figures.calibration_figure(OUTCOMES), id="calibration"),
    pytest.param(lambda: figures.importance_figure(IMPORTANCES), id="importance"),
]


@pytest.mark.parametrize("draw", DRAWINGS)
def test_a_figure_is_one_well_formed_element_that_can_be_read_aloud(draw) -> None:
    root = ElementTree.fromstring(draw())  # noqa: S314 (made by us, not by a stranger)
    assert root.tag == "svg"
    assert root.get("role") == "img"
    assert root.get("aria-label")
    assert root.get("viewBox")


@pytest.mark.parametrize("draw", DRAWINGS)
def test_the_same_numbers_give_the_same_figure(draw) -> None:
    assert draw() == draw()


@pytest.mark.parametrize("draw", DRAWINGS)
def test_colours_are_those_of_the_page(draw) -> None:
    assert "var(--ink)" in draw() or "var(--muted)" in draw()
    assert not re.search(r"#[0-9a-fA-F]{6}\b", draw())
    assert "<style" not in draw()


def test_figures_share_a_page_without_sharing_names() -> None:
    names = [name for case in DRAWINGS for name in re.findall(r'\bid="([^"]+)"', case.values[0]())]
    assert len(names) == len(set(names))
    for case in DRAWINGS:
        svg = case.values[0]()
        used = set(re.findall(r'href="#([^"]+)"', svg)) | set(re.findall(r"url\(#([^)]+)\)", svg))
        assert used <= set(names)


def test_names_of_features_are_written_as_people_write_and_escaped() -> None:
    svg = figures.importance_figure(IMPORTANCES)
    assert "third one" in svg
    assert "<first>" not in svg


def test_a_model_that_never_finds_a_positive_can_be_drawn() -> None:
    never = Outcomes(TRUTH, np.zeros(40, dtype=bool), PROBABILITY / 10)
    assert confusion_matrix(never.truth, never.predicted)[1, 1] == 0
    assert "as served" not in figures.precision_recall_figure(never, 0.5)
    assert figures.calibration_figure(never).startswith("<svg")


@pytest.mark.parametrize(
    ("found", "count", "low", "high"),
    # Newcombe (1998), Two-sided confidence intervals for the single proportion, table I, method 3.
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_intervals_are_those_published(found: int, count: int, low: float, high: float) -> None:
    bounds = figures.wilson_interval(np.array([found]), np.array([count]))
    assert [bound[0] for bound in bounds] == pytest.approx([low, high], abs=5e-5)
