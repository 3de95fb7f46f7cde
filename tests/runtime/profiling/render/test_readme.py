import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from mlops_runtime.profiling.profile import profile
from mlops_runtime.profiling.render.readme import MAX_LISTED, render

WriteColumns = Callable[..., Path]

ROWS = 40
LABELS = ["a", "b"] * (ROWS // 2)


@pytest.fixture
def page(write_columns: WriteColumns) -> Callable[..., str]:
    def page_of(**columns: object) -> str:
        return render(profile(write_columns(**columns, y=LABELS), "y"), "churn.csv")

    return page_of


def test_the_page_describes_the_table(write_columns: WriteColumns) -> None:
    # given
    path = write_columns(id=range(ROWS), size=[*["1.5", "2.5", "9"] * 13, ""], copy=LABELS, y=LABELS)
    # when
    lines = render(profile(path, "y"), "churn.csv").splitlines()
    # then
    assert "`churn.csv` is the table from which the contract was inferred." in lines
    assert "| Rows | 40 |" in lines
    assert "| Columns | 4 (2 in the contract) |" in lines
    assert "| Target | `y`, binary: 2 distinct values are labels |" in lines
    assert f"| SHA-256 | `{hashlib.sha256(path.read_bytes()).hexdigest()}` |" in lines
    assert "| `size` | number | 2 % | 1.5 to 9, half of them 1.5 to 9 |" in lines
    assert "| `copy` | choice | 0 % | most often a (50 %), b (50 %) |" in lines
    assert "| `id` | it numbers the rows |" in lines
    assert any(line.startswith("- each value of 'copy' occurs with a single value of the target") for line in lines)


def test_the_number_of_listed_columns_is_limited(page: Callable[..., str]) -> None:
    included = {f"choice {number}": ["x", "x", "y", "y"] * (ROWS // 4) for number in range(MAX_LISTED + 5)}
    excluded = {f"empty {number}": [""] * ROWS for number in range(MAX_LISTED + 7)}
    lines = page(**included, **excluded).splitlines()
    assert sum(line.startswith("| `choice") for line in lines) == MAX_LISTED
    assert sum(line.startswith("| `empty") for line in lines) == MAX_LISTED
    assert "And 5 more columns." in lines
    assert "And 7 more columns." in lines


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a|b", "`a\\|b`"),
        ("a`b", "a\\`b"),
        ("<b>*x*", "`<b>*x*`"),
        ("x" * 99, f"`{'x' * 79}…`"),
    ],
    ids=["bar", "backtick", "markup", "long"],
)
def test_names_are_escaped(name: str, expected: str, page: Callable[..., str]) -> None:
    assert f"| {expected} | choice |" in page(**{name: ["x", "x", "y", "y"] * (ROWS // 4)})


def test_values_are_escaped(page: Callable[..., str]) -> None:
    assert "most often \\*\\*x\\*\\* (50 %), \\<y\\|z\\> (50 %)" in page(
        column=["**x**", "**x**", "<y|z>", "<y|z>"] * (ROWS // 4)
    )
