import contextlib
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlops_runtime.profiling import profile as module
from mlops_runtime.profiling.profile import Profile, ProfileError, profile, summary
from mlops_runtime.profiling.render import datamodel, readme
from mlops_runtime.tables.cells import cell_reader
from mlops_runtime.tables.source import SourceError

WriteColumns = Callable[..., Path]

GENERATOR = random.Random(0)
ROWS = 60
LABELS = [GENERATOR.choice(["no", "yes"]) for _ in range(ROWS)]
NOISE = [f"{GENERATOR.gauss(0, 1):.3f}" for _ in range(ROWS)]
SIZES = [GENERATOR.choice(["large", "small"]) for _ in range(ROWS)]


def test_a_table_is_profiled(write_columns: WriteColumns) -> None:
    # given
    path = write_columns(id=range(1, ROWS + 1), noise=NOISE, size=SIZES, empty=[""] * ROWS, y=LABELS)
    # when
    table = profile(path, "y")
    # then
    assert (table.rows, table.sampled, table.task, table.labels) == (ROWS, False, "binary", ("no", "yes"))
    assert [(column.name, column.kind) for column in table.columns] == [("noise", "number"), ("size", "choice")]
    assert table.excluded == (("id", "it numbers the rows"), ("empty", "all values are missing"))
    assert table.warnings == ()


@pytest.mark.parametrize(
    ("text", "target", "task", "message"),
    [
        pytest.param("a,b\n1,2\n", "b", "guess", "task=guess is not valid: choose auto, binary", id="task"),
        pytest.param("1,2\n3,4\n5,6\n", "b", "auto", "has no header, its first row is data", id="no-header"),
        pytest.param("x,2.5\ny,3.5\n", "b", "auto", "has no header", id="no-header-and-words"),
        pytest.param("first,second\n1,2\n", "secnd", "auto", "did you mean 'second'?", id="misspelt"),
        pytest.param("first,second\n1,2\n", "zzz", "auto", "its columns are 'first', 'second'", id="absent"),
        pytest.param("first,second\n1,2\n", "", "auto", "to one of the columns 'first', 'second'", id="none"),
        pytest.param(",".join(f"c{n}" for n in range(99)) + "\n", "", "auto", "'c9', …", id="many-columns"),
        pytest.param("first,second\n", "second", "auto", "has a header but no rows", id="no-rows"),
        pytest.param("a,b\n1,x\n1,y\n", "b", "auto", "at least 12 are needed", id="few-rows"),
        pytest.param("b\n" + "x\ny\n" * 9, "b", "auto", "the target is its only column", id="one-column"),
        pytest.param("a,b\n" + "1,x\n1,y\n" * 9, "b", "auto", "is suitable for training: 'a': its only value is '1'",
                     id="constant-column"),
    ],
)  # fmt: skip
def test_an_unsuitable_table_is_refused_with_advice(
    text: str, target: str, task: str, message: str, write: Callable[[str], Path]
) -> None:
    with pytest.raises(ProfileError) as caught:
        profile(write(text), target, task)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_number_may_be_the_name_of_a_column(write: Callable[[str], Path]) -> None:
    # given: years as names, and a misspelt target
    path = write("region,2019,2020\n" + "north,1,2\nsouth,3,4\n" * 9)
    with pytest.raises(ProfileError, match="has no column 'regin': did you mean 'region'"):
        profile(path, "regin")


@pytest.mark.parametrize(
    ("cells", "sentence"),
    [
        pytest.param([*LABELS[:-1], ""], "1 row is without a value of the target 'y': excluded", id="one-row"),
        pytest.param([*LABELS[:-2], "", "NA"], "2 rows are without a value of the target 'y': excluded", id="two-rows"),
        pytest.param([*LABELS[:-1], "perhaps"], "labels of a single row are excluded: 'perhaps'", id="label"),
        pytest.param([*LABELS[:-4], *"abcd"], "are excluded: 'a', 'b', 'c' and 1 more", id="labels"),
    ],
)
def test_excluded_rows_give_a_warning(cells: Sequence[str], sentence: str, write_columns: WriteColumns) -> None:
    table = profile(write_columns(noise=NOISE, y=cells), "y")
    assert table.labels == ("no", "yes")
    assert any(sentence in warning for warning in table.warnings)


def test_repeated_headers_are_excluded_with_a_warning(write: Callable[[str], Path]) -> None:
    # given: two concatenated tables with their headers
    rows = "".join(f"{noise},{label}\n" for noise, label in zip(NOISE, LABELS, strict=True))
    table = profile(write(f"noise,y\n{rows}noise,y\n{rows}"), "y")
    assert (table.rows, table.labels, table.columns[0].kind) == (2 * ROWS, ("no", "yes"), "number")
    assert "1 row repeats the header: excluded" in table.warnings


def test_ambiguous_dates_give_a_warning(write_columns: WriteColumns) -> None:
    table = profile(write_columns(when=["3/4/2020", "5/6/2020"] * 30, y=LABELS), "y")
    assert table.warnings == ("the dates of 'when' are ambiguous and read as %m/%d/%Y",)


def test_spaces_around_the_target_are_ignored(write_columns: WriteColumns) -> None:
    assert profile(write_columns(noise=NOISE, y=LABELS), " y ").target == "y"


def test_a_leaking_column_gives_a_warning_and_is_included(write_columns: WriteColumns) -> None:
    table = profile(write_columns(copy=LABELS, noise=NOISE, y=LABELS), "y")
    assert [column.name for column in table.columns] == ["copy", "noise"]
    assert table.warnings[0].startswith("each value of 'copy' occurs with a single value of the target")


def test_decimal_commas_are_read(write: Callable[[str], Path]) -> None:
    # given: a number and its double
    values = [row / 4 for row in range(ROWS)]
    lines = [f"{value};{2 * value};{row % 3}\n".replace(".", ",") for row, value in enumerate(values)]
    table = profile(write("x;y;z\n" + "".join(lines)), "y")
    assert (table.task, table.columns[0].high, table.columns[0].quartiles) == ("regression", 14.75, (3.6875, 11.0625))
    assert table.warnings[0].startswith("'x' contains the same information")


def test_a_large_table_is_sampled(write_columns: WriteColumns, monkeypatch: pytest.MonkeyPatch) -> None:
    # given: a table of which every tenth row is read
    rows = 5000
    monkeypatch.setattr(module, "MAX_ROWS", rows // 2)
    monkeypatch.setattr(module, "SAMPLE_ROWS", rows // 10)
    path = write_columns(
        id=range(rows), count=[n % 7 for n in range(rows)], size=SIZES[:50] * (rows // 50), y=LABELS[:50] * (rows // 50)
    )
    # when
    table = profile(path, "y")
    # then: the columns have no restrictions that the other rows could violate
    assert table.sampled
    assert table.rows == pytest.approx(rows, rel=0.01)
    assert [(column.kind, column.optional, column.minimum) for column in table.columns] == [
        ("number", True, None),
        ("category", True, None),
    ]
    assert table.excluded == (("id", "it numbers the rows"),)
    assert "about 49" in summary(table)


def test_the_profile_does_not_depend_on_the_size_of_chunks(
    write_columns: WriteColumns, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_columns(noise=NOISE, size=SIZES, y=LABELS)
    expected = profile(path, "y")
    monkeypatch.setattr(module, "CHUNK_ROWS", 7)
    assert profile(path, "y") == expected


@pytest.mark.parametrize("columns", [1, 300])
def test_the_summary_of_a_wide_table_is_short(columns: int, write_columns: WriteColumns) -> None:
    # given: leaking columns, and empty ones
    leaks = {f"leak {number}": LABELS for number in range(columns)}
    empty = {f"empty {number}": [""] * ROWS for number in range(columns)}
    # when
    lines = summary(profile(write_columns(**leaks, **empty, y=LABELS), "y")).splitlines()
    # then
    assert len(lines) <= 15
    assert lines[0] == f"table.csv: {ROWS} rows, {2 * columns + 1} columns"
    assert any("'y', binary: 2 distinct values are labels" in line for line in lines)
    assert any(f"{columns} in the contract: {columns} boolean" in line for line in lines)
    assert ("  warning   and 297 more: see data/README.md" in lines) == (columns == 300)


CELLS = st.one_of(
    st.sampled_from(
        ["", "NA", "1", "2", "0", "-1.5", "1e5", "1,5", "1.234,5", "007", "inf", "9007199254740993", "1e99"]
    ),
    st.sampled_from(
        ["2020-01-05", "3/4/2020", "3/4/2020 10:30", "10:30", "yes", "no", "x", "5e-324", "$x$", "a b", "#"]
    ),
    st.text(max_size=5),
)
HEADERS = st.one_of(
    st.sampled_from(["a", "A", "class", "copy", "date", "float", "label", "model_dump", "", "1", "größe", "大小", "l"]),
    st.text(max_size=12),
)
TARGETS = st.sampled_from([["x", "y"], ["1", "2", "3"], ["0.5", "1.5", "7"], ["1", ""]])


@st.composite
def tables(draw: st.DrawFn) -> str:
    """Draw a table of unusual names and cells; each value occurs in several rows."""
    delimiter = draw(st.sampled_from(",;\t|"))
    columns = [
        [draw(HEADERS), *draw(st.lists(CELLS, min_size=1, max_size=6)) * 12][:13]
        for _ in range(draw(st.integers(1, 5)))
    ]
    columns.append(["target", *draw(TARGETS) * 12][:13])
    length = min(map(len, columns))
    rows = zip(*(column[:length] for column in columns), strict=True)
    quoted = ['"' + cell.replace('"', '""') + '"' for row in rows for cell in row]
    width = len(columns)
    return "\n".join(delimiter.join(quoted[start : start + width]) for start in range(0, len(quoted), width))


@given(text=tables())
@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_the_contract_of_any_table_accepts_all_its_rows(
    text: str, tmp_path: Path, import_contract: Callable[[str], ModuleType]
) -> None:
    # given
    path = tmp_path / "table.csv"
    path.write_bytes(text.encode("utf-8", errors="replace"))
    # when
    table = profile_or_none(path, "target")
    # then
    if table is not None:
        contract = import_contract(datamodel.render(table))
        assert len(validated_records(table, contract)) == table.rows
        assert readme.render(table, "table.csv")


def profile_or_none(path: Path, target: str) -> Profile | None:
    """Return the profile, or None if the table is refused with a message of one line."""
    try:
        return profile(path, target)
    except (ProfileError, SourceError) as error:
        message = str(error)
    assert message.isprintable()
    return None


def validated_records(table: Profile, contract: ModuleType) -> list[Any]:
    """Return the record of each row; raise a ValidationError if a row is not valid."""
    header = table.source.header
    readers = [
        (
            column.name,
            header.index(column.name),
            cell_reader(column.kind, table.source.decimal, column.date_format, contract.CONTRACT.missing[column.name]),
        )
        for column in table.columns
    ]
    rows = [{name: read(cells[index]) for name, index, read in readers} for _, cells in table.source.raw_rows()]
    return [contract.Record.model_validate_strings({name: text for name, text in row.items() if text}) for row in rows]


@given(content=st.one_of(st.binary(max_size=200), st.text("a1,;\"'\n\t\r\0é|.", max_size=80).map(str.encode)))
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_give_a_profile_or_a_message_of_one_line(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(content * 12)
    profile_or_none(path, "a")
    with contextlib.suppress(SourceError):
        for name in module.open_source(path).header[:2]:
            profile_or_none(path, name)


def test_a_table_is_read_once_for_its_contract_and_its_readme(
    write_columns: WriteColumns, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given
    path = write_columns(noise=NOISE, y=LABELS)
    opened: list[Path] = []
    original = Path.open

    def counting(path: Path, *arguments: Any, **options: Any) -> Any:
        opened.append(path)
        return original(path, *arguments, **options)

    monkeypatch.setattr(Path, "open", counting)
    # when
    table = profile(path, "y")
    readme.render(table, path.name)
    datamodel.render(table)
    # then
    assert opened == [path]
