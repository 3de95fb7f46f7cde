from collections.abc import Sequence

import pytest

from mlops_runtime.profiling.columns import Tally
from mlops_runtime.profiling.target import MAX_LABELS, MIN_ROWS, Target, TargetError, infer_target, sorted_labels


def target(cells: Sequence[object], task: str = "auto", sampled: bool = False) -> Target:
    tally = Tally("y", ".", 20_000)
    tally.add(tuple(map(str, cells)))
    return infer_target(tally, ".", task, sampled)


AMOUNTS = [n / 7 for n in range(200)]


@pytest.mark.parametrize(
    ("cells", "task", "labels"),
    [
        pytest.param(["no", "yes"] * 10, "binary", ("no", "yes"), id="two-words"),
        pytest.param([0, 1] * 10, "binary", ("0", "1"), id="two-numbers"),
        pytest.param([1.5, 2.5] * 10, "binary", ("1.5", "2.5"), id="two-decimals"),
        pytest.param(["b", "c", "a"] * 10, "multiclass", ("a", "b", "c"), id="three-words"),
        pytest.param([10, 9, 2] * 40, "multiclass", ("2", "9", "10"), id="few-integers"),
        pytest.param([1.0, 2.0, 3.0] * 40, "multiclass", ("1.0", "2.0", "3.0"), id="integral-floats"),
        pytest.param([10, 9, 2] * 15, "regression", (), id="integers-in-few-rows"),
        pytest.param([*range(20)] * 20, "multiclass", tuple(map(str, range(20))), id="maximum-of-integer-labels"),
        pytest.param([*range(21)] * 40, "regression", (), id="too-many-integers"),
        pytest.param([0.5, 1.5, 2] * 100, "regression", (), id="decimals"),
        pytest.param(AMOUNTS, "regression", (), id="numbers"),
        pytest.param(["a", "b", *"cc" * 9, *"dd" * 9], "binary", ("c", "d"), id="two-labels-after-exclusion"),
    ],
)
def test_the_task_is_inferred_from_the_values(cells: Sequence[object], task: str, labels: tuple[str, ...]) -> None:
    inferred = target(cells)
    assert (inferred.task, inferred.labels) == (task, labels)


@pytest.mark.parametrize(
    ("cells", "task", "labels"),
    [
        pytest.param([10, 9, 2] * 40, "regression", (), id="regression"),
        pytest.param([0, 1] * 10, "regression", (), id="regression-of-two"),
        pytest.param([1.5, 2, 3] * 10, "multiclass", ("1.5", "2", "3"), id="multiclass"),
        pytest.param(["a", "b"] * 10, "multiclass", ("a", "b"), id="multiclass-of-two"),
        pytest.param([0, 1] * 10, "binary", ("0", "1"), id="binary"),
    ],
)
def test_a_requested_task_is_used(cells: Sequence[object], task: str, labels: tuple[str, ...]) -> None:
    inferred = target(cells, task)
    assert (inferred.task, inferred.labels, inferred.reason) == (task, labels, f"{task}, as requested")


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ([1, 2, 3] * 40, "3 distinct integers in 120 rows are labels; set task=regression if they are amounts"),
        (AMOUNTS, "200 distinct numbers in 200 rows are amounts; set task=multiclass if they are labels"),
        (["a", "b"] * 10, "2 distinct values are labels"),
    ],
    ids=["labels", "amounts", "words"],
)
def test_the_reason_says_how_to_choose_another_task(cells: Sequence[object], reason: str) -> None:
    assert target(cells).reason.startswith(reason)


@pytest.mark.parametrize(
    ("cells", "task", "message"),
    [
        pytest.param([*"ab" * 5, "a"], "auto", f"at least {MIN_ROWS} are needed", id="too-few-rows"),
        pytest.param([*"ab" * 15, *[""] * 8], "auto", "missing in 8 of 38 rows", id="missing"),
        pytest.param([*["NA", "None", "mild"] * 15], "auto", r"\(empty\) 'NA' and 'None' are labels", id="words"),
        pytest.param(["a"] * 20, "auto", "is 'a' in every row", id="one-value"),
        pytest.param([f"v{n // 2}" for n in range(2 * MAX_LABELS + 2)], "auto", "an identifier or text", id="many"),
        pytest.param([f"v{n}" for n in range(30)], "auto", "0 of them in 2 rows or more", id="distinct-values"),
        pytest.param([*"abcdefghijkl", "l"], "auto", "1 of them in 2 rows or more", id="one-label-after-exclusion"),
        pytest.param(["a", "b"] * 10, "regression", "other values such as 'a'", id="regression-of-words"),
        pytest.param(["a", "b", "c"] * 10, "binary", "has 3: set task=multiclass", id="binary-of-three"),
        pytest.param(AMOUNTS, "multiclass", "set task=regression", id="multiclass-of-numbers"),
        pytest.param(["Y", ""] * 20, "auto", "the opposite of 'Y', write a word into them", id="empty-for-no"),
        pytest.param([f"{n % 12} km" for n in range(60)], "auto", "contains numbers with 'km': write", id="unit"),
        pytest.param([f"1:0{n % 9}:{n:02}" for n in range(60)], "auto", "contains durations: write", id="durations"),
    ],
)  # fmt: skip
def test_an_unsuitable_target_is_refused_with_advice(cells: Sequence[object], task: str, message: str) -> None:
    with pytest.raises(TargetError, match=message):
        target(cells, task)


def test_amounts_with_a_unit_may_be_labels() -> None:
    assert target([f"{n % 12} km" for n in range(60)], "multiclass").task == "multiclass"


def test_labels_of_a_single_row_are_excluded_unless_sampled() -> None:
    cells = [*"ab" * 10, "c"]
    assert target(cells).excluded == (("c", 1),)
    assert target(cells, sampled=True).labels == ("a", "b", "c")


@pytest.mark.parametrize(
    ("labels", "expected"),
    [(["10", "9", "-1"], ("-1", "9", "10")), (["10", "9", "x"], ("10", "9", "x")), (["1.0", "1"], ("1", "1.0"))],
    ids=["numbers", "words", "equal-numbers"],
)
def test_labels_are_sorted_as_numbers_or_words(labels: list[str], expected: tuple[str, ...]) -> None:
    assert sorted_labels(labels, ".") == expected
