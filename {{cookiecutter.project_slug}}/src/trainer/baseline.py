"""Baseline statistics: how the training rows are distributed, for live records to be compared with."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from trainer.ranges import FieldRange, field_ranges

from {{cookiecutter.__package}}_model.metadata import Baseline, FieldBaseline

BINS = 10


def baseline(features: NDArray[np.float64], labels: Sequence[str] | NDArray[np.str_]) -> Baseline:
    """Return the distribution of each field and the share of each label.

    Args:
        features: shape (rows, features), NaN where a value is missing, at least one value a column.
        labels: shape (rows,).
    """
    names, counts = np.unique(np.asarray(labels), return_counts=True)
    return Baseline(
        rows=len(features),
        fields={field.name: _field(field, column) for field, column in zip(field_ranges(), features.T, strict=True)},
        label_shares={str(name): int(count) / len(features) for name, count in zip(names, counts, strict=True)},
    )


def _field(field: FieldRange, column: NDArray[np.float64]) -> FieldBaseline:
    values = column[~np.isnan(column)]
    # The bins span what the contract allows, not what training saw: a live record always has a bin.
    counts, edges = np.histogram(values, BINS, (field.minimum, field.maximum))
    return FieldBaseline(
        missing_share=1 - len(values) / len(column),
        mean=float(values.mean()),
        standard_deviation=float(values.std()),
        minimum=float(values.min()),
        maximum=float(values.max()),
        bin_edges=tuple(edges.tolist()),
        bin_shares=tuple((counts / len(values)).tolist()),
    )
