"""An estimate of the memory that a training run needs, and the memory that it may use."""

import os
from contextlib import suppress
from pathlib import Path

from mlops_runtime.contract import Contract, FieldSpec, Kind

MEGABYTE = 1 << 20

LIBRARIES = 400 * MEGABYTE
"""Memory of the libraries and of a model."""

COPIES = 11
"""Copies of the numbers while an estimator is fitted: features, matrix, imputed, scaled and joined columns, solver."""

MAX_ONE_HOT = 20
"""Maximum number of values of a category to one-hot encode for trees; others are target-encoded."""

ONE_HOT_COPIES = 2
"""Dense copies of the one-hot encoded columns of trees."""

LABEL_COPIES = 4
"""Copies of a number for each row and label: outputs, probabilities, gradients."""

TEXT = 500
"""Bytes of the text of a row with its words."""

MAX_TREE_TERMS = 300
MAX_TREE_TERM_CELLS = 30_000_000
"""Number of the most common words that trees use, and of their counts: trees try every column at every node, and
need a dense matrix."""

TERM_COPIES = 2
"""Dense copies of the word counts of trees."""

MIN_USEFUL_ROWS = 1000
"""Minimum number of rows to advise instead of more memory."""

LIMIT_FILES = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
"""Files with the limit of a container, for both versions of cgroups."""


def estimated_memory(contract: Contract, rows: int) -> int:
    """Return the bytes that training on this number of rows needs at most, approximately.

    Training runs in one process, whose threads share the matrix. An estimator of the project's own may need more.
    """
    layout = contract.layout
    cells = rows * (len(layout.numbers) + len(layout.categories) + 1)
    one_hot = rows * sum(_one_hot_columns(field) for field in layout.fields)
    terms = min(rows * MAX_TREE_TERMS, MAX_TREE_TERM_CELLS)
    numbers = COPIES * cells + ONE_HOT_COPIES * one_hot + LABEL_COPIES * rows * len(contract.labels)
    texts = len(layout.texts) * (8 * TERM_COPIES * terms + TEXT * rows)
    return LIBRARIES + 8 * numbers + texts + contract.prediction.TRAINING_BYTES * rows


def _one_hot_columns(field: FieldSpec) -> int:
    """Return the number of columns of a field for trees, at most, if it is one-hot encoded; otherwise 0."""
    match field.kind:
        case Kind.CHOICE if len(field.choices) <= MAX_ONE_HOT:
            return len(field.choices)
        case Kind.CATEGORY:
            return MAX_ONE_HOT
        case _:
            return 0


def memory_limit() -> int:
    """Return the bytes that this process may use: the limit of its container, or the memory of the machine."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for path in LIMIT_FILES:
        with suppress(OSError, ValueError):  # no such file, or no limit: max
            limits.append(int(path.read_text()))
    return min(limits)


def memory_warning(contract: Contract, rows: int, limit: int) -> str:
    """Return a sentence if training on this number of rows may exceed the limit; empty if it does not."""
    needed = estimated_memory(contract, rows)
    if needed <= limit:
        return ""
    fitting = rows
    while fitting > 1 and estimated_memory(contract, fitting) > limit:
        fitting = fitting * 9 // 10
    fewer = f"set MAX_ROWS={_rounded(fitting)}, or " if fitting >= MIN_USEFUL_ROWS else ""
    return (
        f"Training on {rows:,} rows may need {needed / MEGABYTE:,.0f} MB of memory, and {limit / MEGABYTE:,.0f} MB are "
        f"there: if it is killed, {fewer}raise the limit of memory (of a Job: JOB_MEMORY in project.mk)."
    )


def _rounded(rows: int) -> int:
    """Return the number rounded down to two digits."""
    unit: int = 10 ** max(len(str(rows)) - 2, 0)
    return rows // unit * unit
