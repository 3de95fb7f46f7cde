from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from trainer import importance
from trainer.importance import COLUMNS, FieldColumns, importances

from {{cookiecutter.__package}}_model.features import CATEGORIES, FEATURES, NUMBERS, TEXTS, Features

ROWS = 300
COLUMNS_OF_ALL_KINDS = (
    FieldColumns("unused", numbers=(0,)),
    FieldColumns("date", numbers=(1, 2)),
    FieldColumns("category", categories=(0,)),
    FieldColumns("text", texts=(0,)),
)


@pytest.fixture
def features() -> Features:
    """Rows in which the parts of a date always say the same."""
    generator = np.random.default_rng(5)
    day = generator.normal(size=ROWS)
    words = generator.choice(["a", "b"], size=(ROWS, 2)).astype(object)
    return Features(np.column_stack([generator.normal(size=ROWS), day, 2 * day]), words[:, :1], words[:, 1:])


def outputs(features: Features) -> NDArray[np.float64]:
    """A model that takes half a date's part each, and adds 1 and 3 for a category and a text."""
    numbers = features.numbers
    value = (numbers[:, 1] + numbers[:, 2] / 2) / 2
    return (value + (features.categories[:, 0] == "a") + 3 * (features.texts[:, 0] == "a"))[:, None]


def squared_loss(features: Features):
    truth = outputs(features)
    return lambda rows, found: float(np.mean((found - truth[rows]) ** 2))


def by_name(features: Features, columns: Sequence[FieldColumns] = COLUMNS_OF_ALL_KINDS, seed: int = 0):
    return {found.feature: found for found in importances(outputs, features, squared_loss(features), seed, columns)}


def test_importance_is_the_rise_of_the_loss(features: Features) -> None:
    # given: a model that is always right, so that shuffling x costs twice the variance of what x adds
    found = by_name(features)
    # then
    assert found["date"].mean == pytest.approx(2 * np.var(features.numbers[:, 1]), rel=0.1)
    assert found["category"].mean == pytest.approx(2 * 0.25, rel=0.1)
    assert found["text"].mean == pytest.approx(2 * 9 * 0.25, rel=0.1)
    assert (found["unused"].mean, found["unused"].standard_deviation) == (0, 0)
    assert all(found[name].standard_deviation > 0 for name in ("date", "category", "text"))


def test_the_highest_comes_first(features: Features) -> None:
    assert list(by_name(features)) == ["text", "date", "category", "unused"]


def test_the_columns_of_a_field_are_shuffled_together(features: Features) -> None:
    # given: a model that fails if the parts of a date disagree
    def consistent(shuffled: Features) -> NDArray[np.float64]:
        assert np.array_equal(shuffled.numbers[:, 2], 2 * shuffled.numbers[:, 1])
        return outputs(shuffled)

    importances(consistent, features, squared_loss(features), 0, COLUMNS_OF_ALL_KINDS)


def test_one_field_at_a_time_is_shuffled_and_nothing_stays_so(features: Features) -> None:
    # given
    before = features.take(np.arange(ROWS))
    changed: list[tuple[str, ...]] = []

    def watched(shuffled: Features) -> NDArray[np.float64]:
        names = [
            field.name
            for field in COLUMNS_OF_ALL_KINDS
            if not np.array_equal(shuffled.numbers[:, field.numbers], before.numbers[:, field.numbers])
            or not np.array_equal(shuffled.categories[:, field.categories], before.categories[:, field.categories])
            or not np.array_equal(shuffled.texts[:, field.texts], before.texts[:, field.texts])
        ]
        changed.append(tuple(names))
        return outputs(shuffled)

    # when
    importances(watched, features, squared_loss(features), 0, COLUMNS_OF_ALL_KINDS)
    # then
    assert changed[0] == ()
    assert set(changed[1:]) == {(field.name,) for field in COLUMNS_OF_ALL_KINDS}
    assert np.array_equal(features.numbers, before.numbers)


def test_the_seed_decides_the_shuffles(features: Features) -> None:
    assert by_name(features, seed=1) == by_name(features, seed=1)
    assert by_name(features, seed=1) != by_name(features, seed=2)


def test_of_many_rows_some_are_taken_each_once(features: Features, monkeypatch: pytest.MonkeyPatch) -> None:
    # given
    monkeypatch.setattr(importance, "MOST_ROWS", 50)
    seen: list[NDArray[np.intp]] = []

    def loss(rows: NDArray[np.intp], found: NDArray[np.float64]) -> float:
        assert len(rows) == len(found)
        seen.append(rows)
        return squared_loss(features)(rows, found)

    # when
    importances(outputs, features, loss, 0, COLUMNS_OF_ALL_KINDS)
    # then
    assert len(set(seen[0].tolist())) == 50
    assert all(np.array_equal(rows, seen[0]) for rows in seen)


@pytest.mark.parametrize(
    ("rows", "numbers", "characters", "expected"),
    [
        pytest.param(171, 9, 0, (171, 20), id="small-table"),
        pytest.param(100_000, 20, 0, (2000, 20), id="many-rows"),
        pytest.param(100_000, 200, 0, (2000, 5), id="many-fields"),
        pytest.param(100_000, 500, 0, (533, 3), id="more-fields"),
        pytest.param(100_000, 5000, 0, (100, 3), id="very-many-fields"),
        pytest.param(3, 5000, 0, (3, 5), id="many-fields-few-rows"),
        pytest.param(2000, 10, 1000, (2000, 4), id="long-texts"),
    ],
)
def test_more_work_means_fewer_repeats_and_then_fewer_rows(
    rows: int, numbers: int, characters: int, expected: tuple[int, int]
) -> None:
    texts = np.full((rows, 1 if characters else 0), "x" * characters, dtype=object)
    features = Features(np.broadcast_to(0.0, (rows, numbers)), np.empty((rows, 0), dtype=object), texts)
    assert importance.affordable(features, numbers + texts.shape[1]) == expected


def test_every_column_of_the_contract_belongs_to_one_field() -> None:
    assert [field.name for field in COLUMNS] == list(FEATURES)
    for kind, known in (("numbers", NUMBERS), ("categories", CATEGORIES), ("texts", TEXTS)):
        places = [place for field in COLUMNS for place in getattr(field, kind)]
        assert sorted(places) == list(range(len(known)))
