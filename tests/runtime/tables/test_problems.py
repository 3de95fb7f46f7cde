import pytest

from mlops_runtime.tables.problems import MAX_LISTED, MAX_PROBLEMS, problem_list


@pytest.mark.parametrize(
    ("count", "heading", "last"),
    [
        pytest.param(1, "a.csv has 1 problem:", "row 0", id="one"),
        pytest.param(MAX_LISTED, f"a.csv has {MAX_LISTED} problems:", f"row {MAX_LISTED - 1}", id="all listed"),
        pytest.param(MAX_LISTED + 2, f"a.csv has {MAX_LISTED + 2} problems:", "and 2 more", id="more than listed"),
        pytest.param(MAX_PROBLEMS, f"a.csv has {MAX_PROBLEMS} problems or more:", "and 990 more", id="some left"),
    ],
)
def test_the_first_problems_are_listed_and_all_are_counted(count: int, heading: str, last: str) -> None:
    lines = problem_list("a.csv has", [f"row {number}" for number in range(count)]).split("\n  ")

    assert (lines[0], lines[-1]) == (heading, last)
    assert len(lines) <= MAX_LISTED + 2
