import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from mlops_runtime.profiling.profile import profile
from mlops_runtime.profiling.render.readme import LISTED, render

WriteColumns = Callable[..., Path]

ROWS = 40
LABELS = ["a", "b"] * (ROWS // 2)


@pytest.fixture
def page(write_columns: WriteColumns) -> Callable[..., str]:
    def page_of(**columns: object) -> str:
        return render(profile(write_columns(**columns, y=LABELS), "y"), "churn.csv")

    return page_of


def test_the_page_says_what_the_table_holds(write_columns: WriteColumns) -> None:
    # given
    path = write_columns(id=range(ROWS), size=[*["1.5", "2.5", "9"] * 13, ""], copy=LABELS, y=LABELS)
    # when
    lines = render(profile(path, "y"), "churn.csv").splitlines()
    # then
    assert "`churn.csv` is the table that the contract was made for." in lines
    assert "| Rows | 40 |" in lines
    assert "| Columns | 4, of which the contract takes 2 |" in lines
    assert "| Target | `y`, binary: 2 distinct values are labels |" in lines
    assert f"| SHA-256 | `{hashlib.sha256(path.read_bytes()).hexdigest()}` |" in lines
    assert "| `size` | number | 2 % | 1.5 to 9, half of them 1.5 to 9 |" in lines
    assert "| `copy` | choice | 0 % | most often a (50 %), b (50 %) |" in lines
    assert "| `id` | it numbers the rows |" in lines
    assert any(line.startswith("- each value of 'copy' goes with a single value of the target") for line in lines)


def test_of_many_columns_the_rest_is_counted(page: Callable[..., str]) -> None:
    taken = {f"taken {place}": ["x", "x", "y", "y"] * (ROWS // 4) for place in range(LISTED + 5)}
    empty = {f"empty {place}": [""] * ROWS for place in range(LISTED + 7)}
    lines = page(**taken, **empty).splitlines()
    assert sum(line.startswith("| `taken") for line in lines) == LISTED
    assert sum(line.startswith("| `empty") for line in lines) == LISTED
    assert "And 5 columns more." in lines
    assert "And 7 columns more." in lines


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("a|b", "`a\\|b`"),
        ("a`b", "a\\`b"),
        ("<b>*x*", "`<b>*x*`"),
        ("x" * 99, f"`{'x' * 79}…`"),
    ],
    ids=["bar", "backtick", "markup", "long"],
)
def test_names_mean_nothing_to_markdown(name: str, written: str, page: Callable[..., str]) -> None:
    assert f"| {written} | choice |" in page(**{name: ["x", "x", "y", "y"] * (ROWS // 4)})


def test_values_mean_nothing_to_markdown(page: Callable[..., str]) -> None:
    assert "most often \\*\\*x\\*\\* (50 %), \\<y\\|z\\> (50 %)" in page(
        column=["**x**", "**x**", "<y|z>", "<y|z>"] * (ROWS // 4)
    )
