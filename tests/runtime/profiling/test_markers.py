from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType

import pytest

from mlops_runtime.contract import Contract
from mlops_runtime.profiling.markers import Named
from mlops_runtime.profiling.profile import Profile, profile
from mlops_runtime.profiling.render.datamodel import render
from mlops_runtime.profiling.user_edits import read_edits
from mlops_runtime.training.table import read_table

WriteColumns = Callable[..., Path]
Import = Callable[[str], ModuleType]

ROWS = 120
NOISE = [f"{(37 * row) % 101 / 7:.2f}" for row in range(ROWS)]
LABELS = ["yes" if row % 3 else "no" for row in range(ROWS)]


def repeated(*cells: str) -> list[str]:
    return [cells[row % len(cells)] for row in range(ROWS)]


@pytest.fixture
def column_of(write_columns: WriteColumns) -> Callable[..., tuple[str, int, tuple[str, ...]]]:
    """Return a function that profiles a column, and returns its kind, missing cells, and words that are values."""

    def profiled(cells: Sequence[str], named: Named | None = None, **others: Sequence[str]) -> tuple[object, ...]:
        path = write_columns(column=cells, noise=NOISE, y=LABELS, **others)
        table = profile(path, "y", named=named or Named())
        (column,) = [column for column in table.columns if column.name == "column"]
        return column.kind, column.missing, column.values

    return profiled  # type: ignore[return-value]


@pytest.mark.parametrize("marker", [r"\N", ".", "-", "--", "na", "none", "nil", "Missing", "unknown", "*", "#DIV/0!"])
@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        pytest.param(["1.5", "2.5", "7.1"], "number", id="numbers"),
        pytest.param(["3", "4", "81"], "integer", id="integers"),
        pytest.param(["2020-01-05", "2021-02-06", "2022-10-10"], "date", id="dates"),
        pytest.param(["10:30", "11:45", "23:15"], "time", id="times"),
        pytest.param(["yes", "no", "no"], "boolean", id="truth-values"),
    ],
)
def test_a_marker_costs_no_column(
    marker: str, cells: list[str], kind: str, column_of: Callable[..., tuple[object, ...]]
) -> None:
    assert column_of(repeated(*cells, marker)) == (kind, ROWS // 4, ())


@pytest.mark.parametrize(
    ("cells", "others", "missing"),
    [
        pytest.param(["None", "Mild", "Severe"], {}, 0, id="none-without-an-empty-cell"),
        pytest.param(["None", "Mild", "", "Severe"], {}, 2, id="none-beside-an-empty-cell"),
        pytest.param(["None", "Mild", "Severe"], {"n": repeated("1.5", "None", "2.5")}, 1, id="none-among-numbers"),
        pytest.param(["NA", "Mild", "Severe"], {}, 1, id="not-available"),
        pytest.param(["NA", "EU", "AS"], {}, 0, id="code-of-two-letters"),
        pytest.param(["NA", "EU", "AS"], {"n": repeated("1.5", "NA", "2.5")}, 1, id="code-that-marks-numbers"),
        pytest.param(["-", "Mild", "Severe"], {}, 1, id="dash"),
        pytest.param(["-", "+", "+-"], {}, 0, id="sign"),
        pytest.param(["unknown", "Mild", "Severe"], {}, 0, id="unknown"),
        pytest.param(["null", "Mild", "Severe"], {}, 1, id="null"),
    ],
)
def test_evidence_decides_what_a_word_is(
    cells: list[str], others: dict[str, list[str]], missing: int, column_of: Callable[..., tuple[object, ...]]
) -> None:
    assert column_of(repeated(*cells), **others) == ("choice", missing * ROWS // len(cells), ())


@pytest.mark.parametrize(
    ("words", "missing"),
    [
        pytest.param(("NA",), 0, id="other-word"),
        pytest.param((), 0, id="no-word"),
        pytest.param(("None",), ROWS // 3, id="this-word"),
    ],
)
def test_named_words_overrule_the_evidence(
    words: tuple[str, ...], missing: int, column_of: Callable[..., tuple[object, ...]]
) -> None:
    assert column_of(repeated("None", "Mild", "Severe"), Named(words=words))[1] == missing


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        pytest.param("auto", None, id="auto"),
        pytest.param("", (), id="none"),
        pytest.param("NA,-", ("NA", "-"), id="words"),
        pytest.param(" NA , - ,", ("NA", "-"), id="spaces"),
        pytest.param("auto,-999", ("auto", "-999"), id="further"),
    ],
)
def test_an_answer_names_words(answer: str, words: tuple[str, ...] | None) -> None:
    assert Named.from_answer(answer).words == words


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        pytest.param(["None", "Mild", "Severe"], ("Mild", "None", "Severe"), id="none"),
        pytest.param(["NA", "Low", "High"], ("High", "Low", "NA"), id="not-available"),
        pytest.param(["unknown", "Low", "High"], ("High", "Low", "unknown"), id="unknown"),
        pytest.param(["-", "+"], ("+", "-"), id="signs"),
    ],
)
def test_a_label_may_be_a_word_that_means_a_missing_value_elsewhere(
    labels: list[str], expected: tuple[str, ...], write_columns: WriteColumns, import_contract: Import
) -> None:
    # when
    path = write_columns(noise=NOISE, y=repeated(*labels))
    table = profile(path, "y")
    contract: Contract = import_contract(render(table)).CONTRACT
    # then
    assert table.labels == expected
    assert len(read_table(contract, path)) == ROWS
    assert any(
        repr(word) in warning and "is a value in 'y'" in warning for word in labels for warning in table.warnings
    )


def open_column(word: str, share: int = 4) -> list[str]:
    return [word if row % share == 0 else f"town {row % 50}" for row in range(ROWS)]


def counted_missing(contract: Contract, table: Profile, name: str) -> int:
    index = table.source.header.index(name)
    return sum(contract.is_missing(name, cells[index]) for _, cells in table.source.rows())


@pytest.mark.parametrize(
    ("cells", "word", "missing", "mark"),
    [
        pytest.param(open_column("None"), "None", 0, 'Values("None")', id="value"),
        pytest.param(open_column("NA"), "NA", ROWS // 4, None, id="missing-value"),
        pytest.param(open_column("unknown"), "unknown", 0, None, id="word"),
    ],
)
def test_the_decision_is_part_of_the_contract_and_said(
    cells: list[str], word: str, missing: int, mark: str | None, write_columns: WriteColumns, import_contract: Import
) -> None:
    # when
    table = profile(write_columns(column=cells, noise=NOISE, y=LABELS), "y")
    text = render(table)
    # then
    contract: Contract = import_contract(text).CONTRACT
    assert counted_missing(contract, table, "column") == missing
    assert ("Values(" in text) is (mark is not None)
    assert mark is None or mark in text
    meaning = "means a missing value" if missing else "is a value"
    assert any(warning.startswith(f"'{word}' {meaning} in 'column'") for warning in table.warnings)


@pytest.mark.parametrize("mark", ['Missing("unknown")', 'Missing("unknown", "town 1")'])
def test_marks_that_a_person_wrote_are_kept(mark: str, write_columns: WriteColumns, import_contract: Import) -> None:
    # given a contract with a mark
    path = write_columns(column=open_column("unknown"), noise=NOISE, y=LABELS)
    edited = render(profile(path, "y")).replace("column: Category", f"column: Annotated[Category, {mark}]")
    # when the table is profiled again
    table = profile(path, "y", named=read_edits(edited).named())
    text = render(table, edited)
    # then
    contract: Contract = import_contract(text).CONTRACT
    assert mark in text
    column = next(column for column in table.columns if column.name == "column")
    assert column.missing == counted_missing(contract, table, "column") >= ROWS // 4
    assert render(profile(path, "y", named=read_edits(text).named()), text) == text


def test_named_words_are_part_of_the_contract(write_columns: WriteColumns, import_contract: Import) -> None:
    # given
    path = write_columns(column=open_column("None"), noise=[*NOISE[:-1], "-"], y=LABELS)
    # when
    table = profile(path, "y", named=Named(words=("None", "n.a.")))
    text = render(table)
    # then
    contract: Contract = import_contract(text).CONTRACT
    assert 'MISSING = ("None", "n.a.")' in text
    assert contract.is_missing("column", "None")
    assert not contract.is_missing("column", "NA")
    assert contract.is_missing("noise", "-")
    assert read_edits(text).named().words == ("None", "n.a.")
