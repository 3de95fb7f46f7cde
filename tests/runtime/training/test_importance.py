from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from mlops_runtime.contract import Features, FieldSpec, Kind, Layout
from mlops_runtime.training import importance
from mlops_runtime.training.importance import Importance, field_columns, importances

ROWS = 300


def layout_of(**kinds: Kind) -> Layout:
    return Layout(
        [
            FieldSpec(name=name, attribute=name, kind=kind, description="", optional=False)
            for name, kind in kinds.items()
        ]
    )


@pytest.fixture
def features() -> Features:
    """Rows with four fields; the parts of the date are multiples of each other."""
    generator = np.random.default_rng(5)
    layout = layout_of(unused=Kind.NUMBER, category=Kind.CATEGORY, date=Kind.DATE, text=Kind.TEXT)
    day = generator.normal(size=ROWS)
    parts = [day * factor for factor in range(1, len(layout.numbers))]
    words = generator.choice(["a", "b"], size=(ROWS, 2)).astype(object)
    return Features(layout, np.column_stack([generator.normal(size=ROWS), *parts]), words[:, :1], words[:, 1:])


def outputs(features: Features) -> NDArray[np.float64]:
    """The output of a model that uses two parts of a date, the category and the text, but not the other number."""
    numbers = features.numbers
    value = (numbers[:, 1] + numbers[:, 2] / 2) / 2
    text = (features.texts[:, 0] == "a").astype(np.float64)
    return np.asarray(value + (features.categories[:, 0] == "a") + 3 * text)[:, None]


def squared_loss(features: Features) -> Callable[[NDArray[np.intp], NDArray[np.float64]], float]:
    truth = outputs(features)
    return lambda rows, actual: 5 + float(np.mean((actual - truth[rows]) ** 2))


def by_name(features: Features, seed: int = 0) -> dict[str, Importance]:
    return {actual.feature: actual for actual in importances(outputs, features, squared_loss(features), seed)}


def test_importance_is_the_increase_of_the_loss(features: Features) -> None:
    # given: a perfect model, so that shuffling a field increases the loss by twice the variance of its term
    actual = by_name(features)
    # then
    assert actual["date"].mean == pytest.approx(2 * np.var(features.numbers[:, 1]), rel=0.1)
    assert actual["category"].mean == pytest.approx(2 * 0.25, rel=0.1)
    assert actual["text"].mean == pytest.approx(2 * 9 * 0.25, rel=0.1)
    assert (actual["unused"].mean, actual["unused"].standard_deviation) == (0, 0)
    assert all(actual[name].standard_deviation > 0 for name in ("date", "category", "text"))


def test_importances_are_in_descending_order(features: Features) -> None:
    assert list(by_name(features)) == ["text", "date", "category", "unused"]


def test_the_columns_of_a_field_are_shuffled_together(features: Features) -> None:
    # given: a model that fails for inconsistent parts of a date
    def consistent(shuffled: Features) -> NDArray[np.float64]:
        assert np.array_equal(shuffled.numbers[:, 2], 2 * shuffled.numbers[:, 1])
        return outputs(shuffled)

    importances(consistent, features, squared_loss(features), 0)


def test_a_single_field_is_shuffled_at_a_time_and_the_features_are_not_changed(features: Features) -> None:
    # given
    before = features.take(np.arange(ROWS))
    changed: list[tuple[str, ...]] = []

    def watched(shuffled: Features) -> NDArray[np.float64]:
        names = [
            name
            for name, (numbers, categories, texts) in field_columns(features.layout).items()
            if not np.array_equal(shuffled.numbers[:, numbers], before.numbers[:, numbers])
            or not np.array_equal(shuffled.categories[:, categories], before.categories[:, categories])
            or not np.array_equal(shuffled.texts[:, texts], before.texts[:, texts])
        ]
        changed.append(tuple(names))
        return outputs(shuffled)

    # when
    importances(watched, features, squared_loss(features), 0)
    # then
    assert changed[0] == ()
    assert set(changed[1:]) == {("unused",), ("category",), ("date",), ("text",)}
    assert np.array_equal(features.numbers, before.numbers)


def test_the_seed_determines_the_shuffles(features: Features) -> None:
    assert by_name(features, seed=1) == by_name(features, seed=1)
    assert by_name(features, seed=1) != by_name(features, seed=2)


def test_large_tables_are_sampled_without_replacement(features: Features, monkeypatch: pytest.MonkeyPatch) -> None:
    # given
    monkeypatch.setattr(importance, "MAX_ROWS", 50)
    squared = squared_loss(features)
    seen: list[NDArray[np.intp]] = []

    def loss(rows: NDArray[np.intp], actual: NDArray[np.float64]) -> float:
        assert len(rows) == len(actual)
        seen.append(rows)
        return squared(rows, actual)

    # when
    importances(outputs, features, loss, 0)
    # then
    assert len(set(seen[0].tolist())) == 50
    assert seen[0].max() > 100
    assert all(np.array_equal(rows, seen[0]) for rows in seen)


@pytest.mark.parametrize(
    ("rows", "numbers", "characters", "expected"),
    [
        pytest.param(171, 9, 0, (171, 20), id="small-table"),
        pytest.param(100_000, 20, 0, (2000, 20), id="many-rows"),
        pytest.param(100_000, 200, 0, (1666, 3), id="many-fields"),
        pytest.param(100_000, 500, 0, (266, 3), id="more-fields"),
        pytest.param(100_000, 5000, 0, (100, 1), id="very-many-fields"),
        pytest.param(3, 5000, 0, (3, 1), id="many-fields-few-rows"),
        pytest.param(2000, 10, 1000, (1511, 3), id="long-texts"),
    ],
)
def test_large_tables_have_fewer_repeats_and_then_fewer_rows(
    rows: int, numbers: int, characters: int, expected: tuple[int, int]
) -> None:
    texts = np.full((rows, 1 if characters else 0), "x" * characters, dtype=object)
    features = Features(Layout([]), np.broadcast_to(0.0, (rows, numbers)), np.empty((rows, 0), dtype=object), texts)
    assert importance.affordable(features, numbers + texts.shape[1]) == expected


@pytest.mark.parametrize(
    ("terms", "expected"),
    [pytest.param(100, (2000, 20), id="few-words"), pytest.param(5000, (2000, 3), id="many-words")],
)
def test_a_large_vocabulary_has_fewer_repeats(terms: int, expected: tuple[int, int]) -> None:
    texts = np.full((2000, 1), "x" * 100, dtype=object)
    features = Features(Layout([]), np.zeros((2000, 2)), np.empty((2000, 0), dtype=object), texts)
    assert importance.affordable(features, 3, terms) == expected


def test_every_column_belongs_to_a_field() -> None:
    layout = layout_of(a=Kind.TEXT, b=Kind.DATE, c=Kind.CHOICE, d=Kind.CATEGORY, e=Kind.TEXT, f=Kind.BOOLEAN)
    assert field_columns(layout) == {
        "a": ([], [], [0]),
        "b": ([0, 1, 2, 3, 4], [], []),
        "c": ([5], [], []),
        "d": ([], [0], []),
        "e": ([], [], [1]),
        "f": ([6], [], []),
    }
