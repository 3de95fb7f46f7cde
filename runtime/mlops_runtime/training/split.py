"""The split of a table into training rows and held-out rows."""

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split

from mlops_runtime.training.table import Table


def split_table(table: Table, seed: int, test_share: float, labels: int) -> tuple[Table, Table]:
    """Return the training rows and the held-out rows, stratified by label.

    Args:
        table: table to split.
        seed: seed of the split.
        test_share: share of the rows to hold out.
        labels: number of labels; 0 for regression.
    """
    rows = np.arange(len(table))
    held_out_rows = int(np.ceil(test_share * len(table)))
    if labels and held_out_rows < labels:
        # With fewer held-out rows than labels, the first row of each label is a training row.
        _, first = np.unique(table.target, return_index=True)
        training, held_out = _parts(np.setdiff1d(rows, first), held_out_rows, seed, None)
        training = np.concatenate([first, training])
    else:
        training, held_out = _parts(rows, held_out_rows, seed, table.target if labels else None)
    return table.take(training), table.take(held_out)


def _parts(
    rows: NDArray[np.intp], held_out_rows: int, seed: int, labels: NDArray[np.intp] | None
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    training, held_out = train_test_split(rows, test_size=held_out_rows, random_state=seed, stratify=labels)
    return training, held_out
