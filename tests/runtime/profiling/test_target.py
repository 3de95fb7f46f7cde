from collections.abc import Sequence

import pytest

from mlops_runtime.profiling.columns import Tally
from mlops_runtime.profiling.target import MAX_LABELS, MINIMUM_ROWS, Target, TargetError, sorted_labels, target_of


def target(cells: Sequence[object], task: str = "auto", sampled: bool = False) -> Target:
    tally = Tally("y", ".", 20_000)
    tally.add(tuple(map(str, cells)))
    return target_of(tally, ".", task, sampled)


MANY = [n / 7 for n in range(200)]


@pytest.mark.parametrize(
    ("cells", "task", "labels"),
    [
        pytest.param(["no", "yes"] * 10, "binary", ("no", "yes"), id="two-words"),
        pytest.param([0, 1] * 10, "binary", ("0", "1"), id="two-numbers"),
        pytest.param([1.5, 2.5] * 10, "binary", ("1.5", "2.5"), id="two-decimals"),
        pytest.param(["b", "c", "a"] * 10, "multiclass", ("a", "b", "c"), id="three-words"),
        pytest.param([10, 9, 2] * 40, "multiclass", ("2", "9", "10"), id="few-whole-numbers"),
        pytest.param([1.0, 2.0, 3.0] * 40, "multiclass", ("1.0", "2.0", "3.0"), id="whole-numbers-with-points"),
        pytest.param([10, 9, 2] * 15, "regression", (), id="whole-numbers-that-hardly-repeat"),
        pytest.param([*range(20)] * 20, "multiclass", tuple(map(str, range(20))), id="most-whole-labels"),
        pytest.param([*range(21)] * 40, "regression", (), id="one-whole-label-too-many"),
        pytest.param([0.5, 1.5, 2] * 100, "regression", (), id="decimals"),
        pytest.param(MANY, "regression", (), id="numbers"),
        pytest.param(["a", "b", *"cc" * 9, *"dd" * 9], "binary", ("c", "d"), id="two-left"),
    ],
)
def test_the_task_is_told_from_the_values(cells: Sequence[object], task: str, labels: tuple[str, ...]) -> None:
    found = target(cells)
    assert (found.task, found.labels) == (task, labels)


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
def test_a_task_that_is_asked_for_is_taken(cells: Sequence[object], task: str, labels: tuple[str, ...]) -> None:
    found = target(cells, task)
    assert (found.task, found.labels, found.reason) == (task, labels, f"{task}, as asked")


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ([1, 2, 3] * 40, "3 distinct whole numbers in 120 rows are taken for labels; set task=regression"),
        (MANY, "200 distinct numbers in 200 rows are taken for amounts; set task=multiclass"),
        (["a", "b"] * 10, "2 distinct values are labels"),
    ],
    ids=["labels", "amounts", "words"],
)
def test_the_reason_says_how_to_have_another(cells: Sequence[object], reason: str) -> None:
    assert target(cells).reason.startswith(reason)


@pytest.mark.parametrize(
    ("cells", "task", "message"),
    [
        pytest.param([*"ab" * 5, "a"], "auto", f"at least {MINIMUM_ROWS} are needed", id="too-few-rows"),
        pytest.param([*"ab" * 15, *[""] * 8], "auto", "missing in 8 of 38 rows", id="missing"),
        pytest.param(["a"] * 20, "auto", "is 'a' in every row", id="one-value"),
        pytest.param([f"v{n // 2}" for n in range(2 * MAX_LABELS + 2)], "auto", "an identifier or text", id="many"),
        pytest.param([f"v{n}" for n in range(30)], "auto", "0 of them in 2 rows or more", id="none-that-repeats"),
        pytest.param([*"abcdefghijkl", "l"], "auto", "1 of them in 2 rows or more", id="one-value-that-repeats"),
        pytest.param(["a", "b"] * 10, "regression", "'a' is none", id="regression-of-words"),
        pytest.param([*map(str, MANY), "n.d."], "regression", "'n.d.' is none", id="regression-with-a-word"),
        pytest.param(["a", "b", "c"] * 10, "binary", "has 3: set task=multiclass", id="binary-of-three"),
        pytest.param(MANY, "multiclass", "set task=regression", id="multiclass-of-numbers"),
    ],
)  # fmt: skip
def test_what_does_not_suit_is_refused_with_what_to_do(cells: Sequence[object], task: str, message: str) -> None:
    with pytest.raises(TargetError, match=message):
        target(cells, task)


def test_labels_of_a_single_row_are_left_out_but_for_those_of_a_sample() -> None:
    cells = [*"ab" * 10, "c"]
    assert target(cells).left_out == (("c", 1),)
    assert target(cells, sampled=True).labels == ("a", "b", "c")


@pytest.mark.parametrize(
    ("labels", "expected"),
    [(["10", "9", "-1"], ("-1", "9", "10")), (["10", "9", "x"], ("10", "9", "x")), (["1.0", "1"], ("1", "1.0"))],
    ids=["numbers", "words", "equal-numbers"],
)
def test_labels_are_sorted_as_what_they_are(labels: list[str], expected: tuple[str, ...]) -> None:
    assert sorted_labels(dict.fromkeys(labels, 1), ".") == expected
