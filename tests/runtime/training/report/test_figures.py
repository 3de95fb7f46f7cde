import re
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from numpy.typing import NDArray

from mlops_runtime.training.evaluation import ValueOutcomes
from mlops_runtime.training.report import figures

PROBABILITY = np.linspace(0.01, 0.99, 40)
TRUTH = PROBABILITY + 0.3 * np.sin(np.arange(40)) > 0.5
PREDICTED = PROBABILITY > 0.5


def values(truth: NDArray[np.float64], predicted: NDArray[np.float64], half_width: float = 1) -> ValueOutcomes:
    return ValueOutcomes(truth, predicted, predicted - half_width, predicted + half_width)


VALUES = values(np.linspace(-3, 9, 40) + 2 * np.sin(np.arange(40)), np.linspace(-3, 9, 40))
SKEWED = values(np.geomspace(1, 1e6, 40), np.geomspace(2, 5e5, 40), 100)

VALUE_FIGURES = [figures.actual_figure, figures.residual_figure, figures.residual_histogram, figures.interval_figure]
DRAWINGS = [
    pytest.param(lambda: figures.roc_figure(TRUTH, PREDICTED, PROBABILITY, 0.9), id="roc"),
    pytest.param(lambda: figures.precision_recall_figure(TRUTH, PREDICTED, PROBABILITY, 0.9), id="precision-recall"),
    pytest.param(lambda: figures.calibration_figure(TRUTH, PROBABILITY), id="calibration"),
    *(pytest.param(lambda draw=draw: draw(VALUES), id=draw.__name__) for draw in VALUE_FIGURES),
    *(pytest.param(lambda draw=draw: draw(SKEWED), id=f"{draw.__name__}-of-skewed-values") for draw in VALUE_FIGURES),
]


@pytest.mark.parametrize("draw", DRAWINGS)
def test_a_figure_is_well_formed_and_accessible(draw: Callable[[], str]) -> None:
    root = ElementTree.fromstring(draw())
    assert root.tag == "svg"
    assert root.get("role") == "img"
    assert root.get("aria-label")
    assert root.get("viewBox")


@pytest.mark.parametrize("draw", DRAWINGS)
def test_the_same_data_give_the_same_figure(draw: Callable[[], str]) -> None:
    assert draw() == draw()


@pytest.mark.parametrize("draw", DRAWINGS)
def test_colours_are_variables_of_the_page(draw: Callable[[], str]) -> None:
    assert "var(--ink)" in draw() or "var(--muted)" in draw()
    assert not re.search(r"#[0-9a-fA-F]{6}\b", draw())
    assert "<style" not in draw()


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(DRAWINGS[:3], id="labels"),
        pytest.param(DRAWINGS[3:7], id="values"),
        pytest.param(DRAWINGS[7:], id="skewed-values"),
    ],
)
def test_ids_are_unique_on_a_page_with_several_figures(page: list[Any]) -> None:
    names = [name for case in page for name in re.findall(r'\bid="([^"]+)"', case.values[0]())]
    assert len(names) == len(set(names))
    for case in page:
        svg = case.values[0]()
        used = set(re.findall(r'href="#([^"]+)"', svg)) | set(re.findall(r"url\(#([^)]+)\)", svg))
        assert used <= set(names)


SINGLE_LABEL = [
    pytest.param(np.ones(5, dtype=bool), id="positive"),
    pytest.param(np.zeros(5, dtype=bool), id="negative"),
]


@pytest.mark.parametrize("truth", SINGLE_LABEL)
@pytest.mark.parametrize("predicted", SINGLE_LABEL)
def test_rows_of_a_single_label_are_drawn(truth: NDArray[np.bool_], predicted: NDArray[np.bool_]) -> None:
    probability = np.linspace(0, 1, 5)
    assert "predicted labels" not in figures.roc_figure(truth, predicted, probability, 0.5)
    marked = "predicted labels" in figures.precision_recall_figure(truth, predicted, probability, 0.5)
    assert marked is bool(truth.any() and predicted.any())
    assert figures.calibration_figure(truth, probability).startswith("<svg")


def test_no_point_is_marked_if_no_row_is_predicted_positive() -> None:
    never = np.zeros(40, dtype=bool)
    assert "predicted labels" not in figures.precision_recall_figure(TRUTH, never, PROBABILITY / 10, 0.5)
    assert "predicted labels" in figures.roc_figure(TRUTH, never, PROBABILITY / 10, 0.5)


@pytest.mark.parametrize("draw", [figures.roc_figure, figures.precision_recall_figure], ids=["roc", "precision-recall"])
@pytest.mark.parametrize(("rows", "side"), [(5, "start"), (95, "end")], ids=["at the left", "at the right"])
def test_the_text_of_the_point_is_on_the_side_with_more_space(draw: Callable[..., str], rows: int, side: str) -> None:
    # given: the first rows are predicted positive, and every other one is
    truth, predicted = np.arange(100) % 2 == 0, np.arange(100) < rows

    svg = draw(truth, predicted, np.linspace(0.9, 0.1, 100), 0.5)

    (anchor,) = re.findall(r"text-anchor: (\w+)[^>]*>predicted labels", svg)
    assert anchor == side


@pytest.mark.parametrize("draw", VALUE_FIGURES)
@pytest.mark.parametrize(
    "outcomes",
    [
        pytest.param(values(np.array([2.5]), np.array([2.0])), id="one-row"),
        pytest.param(values(np.full(3, 7.0), np.full(3, 7.0), 0), id="constant"),
        pytest.param(values(np.full(3, 1e9 + 1e-6), np.full(3, 1e9), 0), id="one-error"),
        pytest.param(values(np.zeros(3), np.zeros(3), 0), id="all-zero"),
        pytest.param(values(np.array([0.0] * 9 + [1e6]), np.zeros(10)), id="zeros-and-a-value"),
        pytest.param(values(np.array([-1e99, 1, 1e99]), np.zeros(3), 1e99), id="huge"),
        pytest.param(values(np.array([1e-9, 2e-9, 3e-9]), np.full(3, 2e-9), 1e-10), id="tiny"),
        pytest.param(values(np.array([1e-9, 1, 1e9]), np.full(3, -1.0)), id="many-orders-of-magnitude"),
    ],
)
def test_odd_values_are_drawn_without_a_warning(draw: Callable[[ValueOutcomes], str], outcomes: ValueOutcomes) -> None:
    ElementTree.fromstring(draw(outcomes))


def markers(svg: str, colour: str) -> int:
    """Return the number of markers in the groups of a colour."""
    groups = re.findall(rf'<g style="[^"]*fill: var\(--{colour}\)[^"]*">\n((?:<use [^>]*>\n)+)</g>', svg)
    return sum(group.count("<use ") for group in groups)


@pytest.mark.parametrize("draw", [figures.actual_figure, figures.residual_figure])
@pytest.mark.parametrize(("rows", "expected"), [(100, 100), (figures.MAX_POINTS + 1, figures.MAX_POINTS)])
def test_each_row_is_a_point_up_to_a_maximum(draw: Callable[..., str], rows: int, expected: int) -> None:
    truth = np.random.default_rng(0).uniform(1, 2, rows)
    assert markers(draw(values(truth, np.full(rows, 1.5) + truth / 10)), "accent") == expected


def test_true_values_outside_their_interval_are_crosses() -> None:
    # given: 30 rows, 5 of them above and 3 below their interval
    truth = np.zeros(30)
    truth[:5], truth[5:8] = 2, -2
    # when
    svg = figures.interval_figure(values(truth, np.linspace(-0.01, 0.01, 30)))
    # then
    assert (markers(svg, "ink"), markers(svg, "second")) == (22, 8)


@pytest.mark.parametrize(
    ("outcomes", "logarithmic"),
    [
        pytest.param(VALUES, False, id="around-zero"),
        pytest.param(SKEWED, True, id="several-orders-of-magnitude"),
        pytest.param(values(np.full(9, 5.0), np.full(9, 4.0)), False, id="constant"),
        pytest.param(values(np.zeros(9), np.zeros(9)), False, id="zero"),
        pytest.param(values(-np.geomspace(1, 1e6, 40), np.full(40, -10.0)), True, id="negative"),
    ],
)
def test_an_axis_is_logarithmic_if_values_span_orders_of_magnitude(outcomes: ValueOutcomes, logarithmic: bool) -> None:
    threshold = figures.linear_threshold(outcomes)
    assert (threshold is not None) is logarithmic
    assert threshold is None or 0 < threshold < np.abs(outcomes.truth).max()


def test_a_few_huge_residuals_do_not_hide_the_others() -> None:
    # given: 1,000 residuals within 1, and a residual of a million
    truth = np.append(np.linspace(-1, 1, 1000), 1e6)
    # when
    svg = figures.residual_histogram(values(truth, np.zeros(1001)))
    # then
    assert not {"1e6", "1000000"} & set(re.findall(r">([^<>\n]+)</text>", svg))


@pytest.mark.parametrize(
    ("successes", "count", "low", "high"),
    # Newcombe (1998), Two-sided confidence intervals for the single proportion, table I, method 3.
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_intervals_equal_published_values(successes: int, count: int, low: float, high: float) -> None:
    bounds = figures.wilson_interval(np.array([successes]), np.array([count]))
    assert [bound[0] for bound in bounds] == pytest.approx([low, high], abs=5e-5)


@pytest.mark.parametrize("draw", [figures.roc_figure, figures.precision_recall_figure], ids=["roc", "precision-recall"])
def test_the_curve_of_many_rows_has_few_points(draw: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    # given: labels in turn, so that the curve has a corner at each row
    rows = 10_000
    probability, truth = np.linspace(0.01, 0.99, rows), np.arange(rows) % 3 > 0
    # then
    assert len(draw(truth, probability > 0.5, probability, 0.5)) < 300_000
    monkeypatch.setattr(figures, "MAX_CURVE_POINTS", rows)
    assert len(draw(truth, probability > 0.5, probability, 0.5)) > 300_000
