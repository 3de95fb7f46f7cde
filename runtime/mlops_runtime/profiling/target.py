"""Inference of the task and the labels from the target column."""

from collections import Counter, defaultdict
from collections.abc import Collection
from dataclasses import dataclass

from mlops_runtime.profiling.columns import Tally, quoted
from mlops_runtime.profiling.notations import notation_of
from mlops_runtime.tables.cells import number

TASKS = ("auto", "binary", "multiclass", "regression")

MIN_ROWS = 12
"""Minimum number of rows with a target: fewer can't be split into training and held-out rows."""

MAX_MISSING_SHARE = 0.2
"""Maximum share of rows without a target: with more missing values, it is probably the wrong column."""

MAX_LABELS = 100
"""Maximum number of labels: a column with more distinct values contains names or text."""

MIN_ROWS_OF_A_LABEL = 2
"""Minimum number of rows of a label: one training row and one held-out row."""

MAX_INTEGER_LABELS = 20
"""Maximum number of distinct integers that are taken as labels."""

MAX_INTEGER_LABEL_SHARE = 0.05
"""Maximum number of distinct integers that are taken as labels, as a share of the rows."""

OVERRIDE_ADVICE = "set task={task} if they are {meaning}"


class TargetError(ValueError):
    """The column is not suitable as target; the message says what to do next."""


@dataclass(frozen=True, slots=True)
class Target:
    """The task and the labels.

    Attributes:
        task: binary, multiclass or regression.
        reason: reason for the task, and how to choose another one.
        labels: sorted labels, as in the table; empty for regression.
        excluded: labels with too few rows, each with its number of rows.
        odd: number of cells that are no number, though the others are; these rows are excluded.
        odd_cells: some of these cells.
    """

    task: str
    reason: str
    labels: tuple[str, ...]
    excluded: tuple[tuple[str, int], ...] = ()
    odd: int = 0
    odd_cells: tuple[str, ...] = ()


def infer_target(tally: Tally, decimal: str, task: str, sampled: bool) -> Target:
    """Infer the task and the labels.

    Args:
        tally: statistics of the target's cells.
        decimal: decimal mark of the table.
        task: requested task, or auto.
        sampled: whether only a sample of the rows was read: then labels of a single row are kept.

    Raises:
        TargetError: if the column is not suitable for the task, or for any task.
    """
    if tally.present < MIN_ROWS:
        raise TargetError(
            f"{tally.present} rows of {tally.rows} have a value of the target {quoted(tally.name)}: "
            f"at least {MIN_ROWS} are needed"
        )
    if tally.rows - tally.present > MAX_MISSING_SHARE * tally.rows:
        most_common = sorted(tally.markers, key=lambda word: (-tally.markers[word], word))[:2]
        words = " and ".join(map(quoted, most_common))
        advice = f"; with missing= (empty) {words} are labels" if words else ""
        if tally.values is not None and len(tally.values) == 1 and not words:
            advice = f"; if empty cells mean the opposite of {quoted(next(iter(tally.values)))}, write a word into them"
        raise TargetError(
            f"the target {quoted(tally.name)} is missing in {tally.rows - tally.present} of {tally.rows} rows: "
            f"name another column, or remove these rows from the file{advice}"
        )
    if tally.values is not None and len(tally.values) == 1:
        value = quoted(next(iter(tally.values)))
        raise TargetError(f"the target {quoted(tally.name)} is {value} in every row: there is nothing to predict")
    if task == "regression" or (task == "auto" and _is_amount(tally)):
        return _regression(tally, decimal, task)
    return _labelled(tally, decimal, task, sampled)


def _is_amount(tally: Tally) -> bool:
    distinct = tally.distinct
    if not tally.is_number or distinct == 2 or _has_labels_of_words(tally):
        return False
    max_labels = min(MAX_INTEGER_LABELS, MAX_INTEGER_LABEL_SHARE * tally.present)
    return not tally.numbers.integral or tally.values is None or distinct > max_labels


def _has_labels_of_words(tally: Tally) -> bool:
    """Return whether words beside integers are labels: each occurs in several rows."""
    words, values = tally.numbers.odd_cells, tally.values
    if not words or values is None or len(values) > MAX_LABELS or not tally.numbers.integral:
        return False
    return all(values[cell] >= MIN_ROWS_OF_A_LABEL for cell in words)


def _regression(tally: Tally, decimal: str, task: str) -> Target:
    numbers = tally.numbers
    if not tally.is_number:
        word = next((value for value in tally.values or () if number(value, decimal) is None), None)
        example = f" such as {quoted(word)}" if word is not None else ""
        raise TargetError(
            f"task=regression needs numbers, and {quoted(tally.name)} contains other values{example}: "
            "empty these cells, or set task=multiclass"
        )
    odd_cells = tuple(numbers.odd_cells)
    if task == "regression":
        return Target("regression", "regression, as requested", (), odd=numbers.odd, odd_cells=odd_cells)
    distinct = "many" if tally.values is None else str(len(tally.values) - (numbers.odd > 0))
    advice = OVERRIDE_ADVICE.format(task="multiclass", meaning="labels")
    reason = f"{distinct} distinct numbers in {numbers.count} rows are amounts; {advice}"
    return Target("regression", reason, (), odd=numbers.odd, odd_cells=odd_cells)


def merged_labels(values: Counter[str], decimal: str) -> dict[str, str]:
    """Return the label of each value: numbers that are equal are one label, in its shortest notation.

    Args:
        values: values of the target with their counts.
        decimal: decimal mark of the table.
    """
    numbers = {value: number(value, decimal) for value in values}
    if None in numbers.values():
        return {value: value for value in values}
    groups: defaultdict[float, list[str]] = defaultdict(list)
    for value, text in numbers.items():
        groups[float(text or 0)].append(value)
    return {value: min(group, key=lambda each: (len(each), each)) for group in groups.values() for value in group}


def _labelled(tally: Tally, decimal: str, task: str, sampled: bool) -> Target:
    notation = notation_of(tally.statistics.examples, decimal)
    if task == "auto" and notation is not None:
        advice = OVERRIDE_ADVICE.format(task="multiclass", meaning="labels")
        raise TargetError(
            f"the target {quoted(tally.name)} contains {notation}: write plain numbers in the table, or {advice}"
        )
    values = tally.values and _merged(tally.values, decimal)
    if values is None or len(values) > MAX_LABELS:
        count = "too many to count" if values is None else str(len(values))
        advice = "set task=regression" if tally.is_number else "is it an identifier or text?"
        raise TargetError(
            f"the target {quoted(tally.name)} has {count} distinct values, and a target has at most {MAX_LABELS} "
            f"labels: {advice}"
        )
    excluded = () if sampled else tuple(sorted(pair for pair in values.items() if pair[1] < MIN_ROWS_OF_A_LABEL))
    labels = values.keys() - dict(excluded).keys()
    if len(labels) < 2:
        raise TargetError(
            f"the target {quoted(tally.name)} has {len(values)} distinct values, {len(labels)} of them in "
            f"{MIN_ROWS_OF_A_LABEL} rows or more: name a column with values that occur several times"
        )
    if task == "binary" and len(labels) != 2:
        raise TargetError(
            f"task=binary needs two labels, and the target {quoted(tally.name)} has {len(labels)}: set task=multiclass"
        )
    inferred = task if task != "auto" else "binary" if len(labels) == 2 else "multiclass"
    return Target(inferred, _reason(tally, task, len(values)), sorted_labels(labels, decimal), excluded)


def _reason(tally: Tally, task: str, distinct: int) -> str:
    if task != "auto":
        return f"{task}, as requested"
    if not tally.is_number or tally.numbers.odd:
        return f"{distinct} distinct values are labels"
    advice = OVERRIDE_ADVICE.format(task="regression", meaning="amounts")
    kind = "integers" if tally.numbers.integral else "numbers"
    return f"{distinct} distinct {kind} in {tally.present} rows are labels; {advice}"


def _merged(values: Counter[str], decimal: str) -> Counter[str]:
    labels = merged_labels(values, decimal)
    merged: Counter[str] = Counter()
    for value, count in values.items():
        merged[labels[value]] += count
    return merged


def sorted_labels(labels: Collection[str], decimal: str) -> tuple[str, ...]:
    """Return the labels in numerical order if they are numbers, else in alphabetical order."""
    numbers = {label: number(label, decimal) for label in labels}
    if None in numbers.values():
        return tuple(sorted(labels))
    return tuple(sorted(labels, key=lambda label: (float(numbers[label] or 0), label)))
