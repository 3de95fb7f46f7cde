"""The target: what is to be predicted, and which values it takes."""

from collections.abc import Mapping
from dataclasses import dataclass

from mlops_runtime.profiling.columns import Tally, told
from mlops_runtime.tables.cells import number

TASKS = ("auto", "binary", "multiclass", "regression")

MINIMUM_ROWS = 12
"""Fewest rows with a target: fewer can't be split into rows to learn from and rows to judge by."""

MAX_MISSING = 0.2
"""Greatest share of rows without a target: with more, it is likely to be the wrong column."""

MAX_LABELS = 100
"""Most labels: more of them are names or words."""

ROWS_OF_A_LABEL = 2
"""Fewest rows of a label: one to learn from, one to judge by."""

MAX_INTEGER_LABELS = 20
"""Most distinct whole numbers that are taken for labels."""

WHOLE_LABELS_SHARE = 0.05
"""Most distinct whole numbers that are taken for labels, as a share of the rows: amounts repeat less."""

TO_OVERRIDE = "set task={other} if they are {what}"


class TargetError(ValueError):
    """There is nothing to learn about this target; the message is a sentence that says what to do next."""


@dataclass(frozen=True, slots=True)
class Target:
    """What is to be predicted.

    Attributes:
        task: binary, multiclass or regression.
        reason: why that task, and how to have another.
        labels: sorted, as they are written; none for a regression.
        left_out: labels with too few rows, which are left out, with the number of rows.
    """

    task: str
    reason: str
    labels: tuple[str, ...]
    left_out: tuple[tuple[str, int], ...] = ()


def target_of(tally: Tally, decimal: str, task: str, sampled: bool) -> Target:
    """Return what is to be predicted.

    Args:
        tally: of the target's cells.
        decimal: mark of the table's numbers.
        task: asked for, or auto.
        sampled: whether rows were passed over: then a label that was seen once is kept.

    Raises:
        TargetError: if the column does not suit the task, or any task.
    """
    if tally.present < MINIMUM_ROWS:
        raise TargetError(
            f"{tally.present} rows of {tally.rows} have a value of the target {told(tally.name)}: "
            f"at least {MINIMUM_ROWS} are needed"
        )
    if tally.rows - tally.present > MAX_MISSING * tally.rows:
        raise TargetError(
            f"the target {told(tally.name)} is missing in {tally.rows - tally.present} of {tally.rows} rows: "
            "name another column, or leave those rows out of the file"
        )
    if tally.values is not None and len(tally.values) == 1:
        value = told(next(iter(tally.values)))
        raise TargetError(f"the target {told(tally.name)} is {value} in every row: there is nothing to predict")
    if task == "regression" or (task == "auto" and _is_amount(tally)):
        return _regression(tally, decimal, task)
    return _labelled(tally, decimal, task, sampled)


def _is_amount(tally: Tally) -> bool:
    if not tally.is_number or (tally.values is not None and len(tally.values) == 2):
        return False
    most = min(MAX_INTEGER_LABELS, WHOLE_LABELS_SHARE * tally.present)
    return not tally.integral or tally.values is None or len(tally.values) > most


def _regression(tally: Tally, decimal: str, task: str) -> Target:
    if not tally.is_number:
        odd = next((value for value in tally.values or () if number(value, decimal) is None), None)
        example = f", {told(odd)} is none" if odd is not None else ""
        raise TargetError(
            f"task=regression needs numbers, and {told(tally.name)} holds others{example}: "
            "empty those cells, or set task=multiclass"
        )
    if task == "regression":
        return Target("regression", "regression, as asked", ())
    distinct = "many" if tally.values is None else str(len(tally.values))
    other = TO_OVERRIDE.format(other="multiclass", what="labels")
    return Target(
        "regression", f"{distinct} distinct numbers in {tally.present} rows are taken for amounts; {other}", ()
    )


def _labelled(tally: Tally, decimal: str, task: str, sampled: bool) -> Target:
    values = tally.values
    if values is None or len(values) > MAX_LABELS:
        count = "too many to count" if values is None else str(len(values))
        advice = "set task=regression" if tally.is_number else "is it an identifier or text?"
        raise TargetError(
            f"the target {told(tally.name)} has {count} distinct values, and at most {MAX_LABELS} labels can be "
            f"told apart: {advice}"
        )
    left_out = () if sampled else tuple(sorted(pair for pair in values.items() if pair[1] < ROWS_OF_A_LABEL))
    kept = {value: count for value, count in values.items() if (value, count) not in left_out}
    if len(kept) < 2:
        raise TargetError(
            f"the target {told(tally.name)} has {len(values)} distinct values, {len(kept)} of them in "
            f"{ROWS_OF_A_LABEL} rows or more: name a column whose values repeat"
        )
    if task == "binary" and len(kept) != 2:
        raise TargetError(
            f"task=binary needs two labels, and the target {told(tally.name)} has {len(kept)}: set task=multiclass"
        )
    found = task if task != "auto" else "binary" if len(kept) == 2 else "multiclass"
    return Target(found, _reason(tally, task, len(values)), sorted_labels(kept, decimal), left_out)


def _reason(tally: Tally, task: str, distinct: int) -> str:
    if task != "auto":
        return f"{task}, as asked"
    if not tally.is_number:
        return f"{distinct} distinct values are labels"
    other = TO_OVERRIDE.format(other="regression", what="amounts")
    kind = "whole numbers" if tally.integral else "numbers"
    return f"{distinct} distinct {kind} in {tally.present} rows are taken for labels; {other}"


def sorted_labels(labels: Mapping[str, int], decimal: str) -> tuple[str, ...]:
    """Return the labels in the order of their numbers, if they are numbers, else of the alphabet."""
    numbers = {label: number(label, decimal) for label in labels}
    if None in numbers.values():
        return tuple(sorted(labels))
    return tuple(sorted(labels, key=lambda label: (float(numbers[label] or 0), label)))
