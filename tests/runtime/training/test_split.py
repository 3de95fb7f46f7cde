from collections import Counter
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mlops_runtime.testing import synthetic as orders
from mlops_runtime.training.settings import TEST_SHARE_BOUNDS
from mlops_runtime.training.split import split_table
from mlops_runtime.training.table import Table

ROWS = 200
LABELLED = np.repeat(np.arange(3), [120, 60, 20])


def made(target: NDArray[Any]) -> Table:
    """Return a table of orders with a target; every second row is kept as a record."""
    rows = orders.some_orders(len(target))
    kept = {index: order for index, order in enumerate(rows) if index % 2 == 0}
    return Table(orders.LAYOUT.encode(rows), target, kept, ("other",), ("A note.",), "0" * 64)


def identities(table: Table) -> list[tuple[float, ...]]:
    """Return a unique key for each row."""
    return [tuple(row) for row in np.nan_to_num(table.features.numbers).tolist()]


@pytest.mark.parametrize("share", [*TEST_SHARE_BOUNDS, 0.25])
def test_the_split_is_stratified_by_label(share: float) -> None:
    training, held_out = split_table(made(LABELLED), 0, share, 3)
    for label in range(3):
        for side in (training, held_out):
            assert np.mean(side.target == label) == pytest.approx(np.mean(label == LABELLED), abs=0.02)


@pytest.mark.parametrize("labels", [3, 0], ids=["labels", "values"])
@pytest.mark.parametrize(("rows", "share", "held_out"), [(200, 0.25, 50), (199, 0.1, 20), (12, 0.25, 3)])
def test_the_number_of_held_out_rows_is_rounded_up(labels: int, rows: int, share: float, held_out: int) -> None:
    target = np.arange(rows) % 3
    sides = split_table(made(target if labels else target.astype(float)), 0, share, labels)
    assert [len(side) for side in sides] == [rows - held_out, held_out]


@pytest.mark.parametrize("labels", [3, 0], ids=["labels", "values"])
def test_each_row_is_in_one_part_with_its_target_and_record(labels: int) -> None:
    # given
    table = made(LABELLED if labels else np.arange(ROWS, dtype=float))
    # when
    sides = split_table(table, 0, 0.25, labels)
    # then
    actual = Counter(pair for side in sides for pair in zip(identities(side), side.target.tolist(), strict=True))
    assert actual == Counter(zip(identities(table), table.target.tolist(), strict=True))
    assert sum(len(side.records) for side in sides) == len(table.records)
    for side in sides:
        rows, records = zip(*side.records.items(), strict=True)
        np.testing.assert_array_equal(side.features.take(rows).numbers, orders.LAYOUT.encode(records).numbers)
        assert (side.ignored, side.notes, side.sha256) == (table.ignored, table.notes, table.sha256)


def test_the_seed_determines_the_split() -> None:
    first, again, other = (identities(split_table(made(LABELLED), seed, 0.25, 3)[1]) for seed in (1, 1, 2))
    assert first == again
    assert first != other


@pytest.mark.parametrize("seed", range(5))
def test_each_label_has_a_training_row_if_there_are_more_labels_than_held_out_rows(seed: int) -> None:
    # given: ten labels with two rows each, and three held-out rows
    table = made(np.repeat(np.arange(10), 2))
    # when
    training, held_out = split_table(table, seed, 0.15, 10)
    # then
    assert len(held_out) == 3
    assert set(training.target.tolist()) == set(range(10))


def test_a_label_with_two_rows_may_be_held_out() -> None:
    target = np.repeat([0, 1], [22, 2])
    training, held_out = split_table(made(target), 0, 0.5, 2)
    assert Counter(training.target.tolist()) == Counter(held_out.target.tolist()) == {0: 11, 1: 1}
