import numpy as np
import pytest

from trainer.baseline import BINS, baseline
from trainer.ranges import field_ranges
from trainer.table import Table

from {{cookiecutter.__package}}_model.datamodel import FEATURES, Label


def test_each_field_is_described_as_numpy_describes_it(table: Table) -> None:
    found = baseline(table.features, table.labels)
    assert found.rows == len(table.records)
    assert tuple(found.fields) == FEATURES
    for name, column in zip(FEATURES, table.features.T, strict=True):
        field = found.fields[name]
        assert field.missing_share == pytest.approx(np.isnan(column).mean())
        assert field.mean == pytest.approx(np.nanmean(column))
        assert field.standard_deviation == pytest.approx(np.nanstd(column))
        assert (field.minimum, field.maximum) == (np.nanmin(column), np.nanmax(column))


def test_bins_span_the_range_of_the_contract_and_hold_every_value(table: Table) -> None:
    found = baseline(table.features[:50], table.labels[:50])
    for field in field_ranges():
        bins = found.fields[field.name]
        assert (bins.bin_edges[0], bins.bin_edges[-1]) == (field.minimum, field.maximum)
        assert len(bins.bin_shares) == len(bins.bin_edges) - 1 == BINS
        assert sum(bins.bin_shares) == pytest.approx(1)


def test_label_shares_are_those_of_the_rows(table: Table) -> None:
    shares = baseline(table.features, table.labels).label_shares
    assert set(shares) == set(Label)
    assert all(share == (table.labels == label).mean() for label, share in shares.items())
