from collections import Counter

import pytest

from trainer.split import TEST_SHARE_BOUNDS, split_table
from trainer.table import Table

from {{cookiecutter.__package}}_model.datamodel import Label


@pytest.mark.parametrize("share", [*TEST_SHARE_BOUNDS, 0.25])
def test_labels_have_the_same_shares_on_both_sides(share: float, table: Table) -> None:
    training, held_out = split_table(table, seed=0, test_share=share)
    for label in Label:
        whole = (table.labels == label).mean()
        assert (training.labels == label).mean() == pytest.approx(whole, abs=0.01)
        assert (held_out.labels == label).mean() == pytest.approx(whole, abs=0.01)
    assert len(held_out.records) == pytest.approx(share * len(table.records), abs=1)


def test_each_row_is_on_one_side_with_its_label(table: Table) -> None:
    sides = split_table(table, seed=0, test_share=0.25)
    rows = Counter(pair for side in sides for pair in zip(side.records, side.labels.tolist(), strict=True))
    assert rows == Counter(zip(table.records, table.labels.tolist(), strict=True))


def test_the_seed_decides_the_split(table: Table) -> None:
    first, again, other = (split_table(table, seed, 0.25)[1].records for seed in (1, 1, 2))
    assert first == again
    assert first != other
