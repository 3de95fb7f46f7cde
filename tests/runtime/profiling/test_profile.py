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
from mlops_runtime.tables.cells import canonicalizer
from mlops_runtime.tables.source import SourceError

WriteColumns = Callable[..., Path]

GENERATOR = random.Random(0)
COUNT = 60
LABELS = [GENERATOR.choice(["no", "yes"]) for _ in range(COUNT)]
NOISE = [f"{GENERATOR.gauss(0, 1):.3f}" for _ in range(COUNT)]
SIZES = [GENERATOR.choice(["large", "small"]) for _ in range(COUNT)]


def test_a_table_becomes_a_profile(write_columns: WriteColumns) -> None:
    # given
    path = write_columns(id=range(1, COUNT + 1), noise=NOISE, size=SIZES, empty=[""] * COUNT, y=LABELS)
    # when
    found = profile(path, "y")
    # then
    assert (found.rows, found.sampled, found.task, found.labels) == (COUNT, False, "binary", ("no", "yes"))
    assert [(column.name, column.kind) for column in found.columns] == [("noise", "number"), ("size", "choice")]
    assert found.left_out == (("id", "it numbers the rows"), ("empty", "it has no value"))
    assert found.warnings == ()


@pytest.mark.parametrize(
    ("text", "target", "task", "message"),
    [
        pytest.param("a,b\n1,2\n", "b", "guess", "task=guess is none: choose auto, binary", id="task"),
        pytest.param("1,2\n3,4\n5,6\n", "b", "auto", "has no header, its first row is data", id="no-header"),
        pytest.param("x,2.5\ny,3.5\n", "b", "auto", "has no header", id="no-header-beside-words"),
        pytest.param("first,second\n1,2\n", "secnd", "auto", "did you mean 'second'?", id="misspelt"),
        pytest.param("first,second\n1,2\n", "zzz", "auto", "its columns are 'first', 'second'", id="absent"),
        pytest.param("first,second\n1,2\n", "", "auto", "to one of the columns 'first', 'second'", id="none"),
        pytest.param(",".join(f"c{n}" for n in range(99)) + "\n", "", "auto", "'c9', …", id="many-columns"),
        pytest.param("first,second\n", "second", "auto", "has a header and no row", id="no-row"),
        pytest.param("a,b\n1,x\n1,y\n", "b", "auto", "at least 12 are needed", id="few-rows"),
        pytest.param("b\n" + "x\ny\n" * 9, "b", "auto", "the target is its only column", id="one-column"),
        pytest.param("a,b\n" + "1,x\n1,y\n" * 9, "b", "auto", "can be learned from: 'a': its only value is '1'",
                     id="nothing-to-learn-from"),
    ],
)  # fmt: skip
def test_a_table_that_gives_no_contract_is_refused_with_what_to_do(
    text: str, target: str, task: str, message: str, write: Callable[[str], Path]
) -> None:
    with pytest.raises(ProfileError) as caught:
        profile(write(text), target, task)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_column_may_be_named_by_a_number(write: Callable[[str], Path]) -> None:
    # given: years as names, and a target that is misspelt
    path = write("region,2019,2020\n" + "north,1,2\nsouth,3,4\n" * 9)
    with pytest.raises(ProfileError, match="has no column 'regin': did you mean 'region'"):
        profile(path, "regin")


@pytest.mark.parametrize(
    ("cells", "sentence"),
    [
        pytest.param([*LABELS[:-1], ""], "1 row is without a value of the target 'y': left out", id="one"),
        pytest.param([*LABELS[:-2], "", "NA"], "2 rows are without a value of the target 'y': left out", id="two"),
        pytest.param([*LABELS[:-1], "perhaps"], "labels that a single row has are left out: 'perhaps'", id="label"),
        pytest.param([*LABELS[:-4], *"abcd"], "are left out: 'a', 'b', 'c' and 1 more", id="labels"),
    ],
)
def test_rows_that_are_left_out_are_told(cells: Sequence[str], sentence: str, write_columns: WriteColumns) -> None:
    found = profile(write_columns(noise=NOISE, y=cells), "y")
    assert found.labels == ("no", "yes")
    assert any(sentence in warning for warning in found.warnings)


def test_repeated_headers_are_left_out_with_a_warning(write: Callable[[str], Path]) -> None:
    # given: two tables that were put together with their headers
    rows = "".join(f"{noise},{label}\n" for noise, label in zip(NOISE, LABELS, strict=True))
    found = profile(write(f"noise,y\n{rows}noise,y\n{rows}"), "y")
    assert (found.rows, found.labels, found.columns[0].kind) == (2 * COUNT, ("no", "yes"), "number")
    assert "1 row repeats the header: left out" in found.warnings


def test_dates_that_could_be_others_are_told(write_columns: WriteColumns) -> None:
    found = profile(write_columns(when=["3/4/2020", "5/6/2020"] * 30, y=LABELS), "y")
    assert found.warnings == ("the dates of 'when' are read as %m/%d/%Y: no value tells day from month",)


def test_spaces_around_the_target_do_not_matter(write_columns: WriteColumns) -> None:
    assert profile(write_columns(noise=NOISE, y=LABELS), " y ").target == "y"


def test_a_leak_is_told_and_the_column_kept(write_columns: WriteColumns) -> None:
    found = profile(write_columns(copy=LABELS, noise=NOISE, y=LABELS), "y")
    assert [column.name for column in found.columns] == ["copy", "noise"]
    assert found.warnings[0].startswith("each value of 'copy' goes with a single value of the target")


def test_a_decimal_comma_is_read_everywhere(write: Callable[[str], Path]) -> None:
    # given: a number and its double
    values = [n / 4 for n in range(COUNT)]
    lines = [f"{value};{2 * value};{place % 3}\n".replace(".", ",") for place, value in enumerate(values)]
    found = profile(write("x;y;z\n" + "".join(lines)), "y")
    assert (found.task, found.columns[0].high, found.columns[0].quartiles) == ("regression", 14.75, (3.6875, 11.0625))
    assert found.warnings[0].startswith("'x' holds the same information")


def test_of_a_large_table_a_sample_is_read(write_columns: WriteColumns, monkeypatch: pytest.MonkeyPatch) -> None:
    # given: a table of which every tenth row is read
    rows = 5000
    monkeypatch.setattr(module, "MAX_ROWS", rows // 2)
    monkeypatch.setattr(module, "SAMPLE_ROWS", rows // 10)
    path = write_columns(
        id=range(rows), count=[n % 7 for n in range(rows)], size=SIZES[:50] * (rows // 50), y=LABELS[:50] * (rows // 50)
    )
    # when
    found = profile(path, "y")
    # then: nothing is claimed that the other rows could refute
    assert found.sampled
    assert found.rows == pytest.approx(rows, rel=0.01)
    assert [(column.kind, column.optional, column.minimum) for column in found.columns] == [
        ("number", True, None),
        ("category", True, None),
    ]
    assert found.left_out == (("id", "it numbers the rows"),)
    assert "about 49" in summary(found)


def test_chunks_and_the_rows_compared_make_no_difference(
    write_columns: WriteColumns, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_columns(noise=NOISE, size=SIZES, y=LABELS)
    expected = profile(path, "y")
    monkeypatch.setattr(module, "CHUNK_ROWS", 7)
    assert profile(path, "y") == expected


@pytest.mark.parametrize("columns", [1, 300])
def test_a_summary_is_short_however_wide_the_table(columns: int, write_columns: WriteColumns) -> None:
    # given: leaks, and columns to leave out
    leaks = {f"leak {place}": LABELS for place in range(columns)}
    empty = {f"empty {place}": [""] * COUNT for place in range(columns)}
    # when
    lines = summary(profile(write_columns(**leaks, **empty, y=LABELS), "y")).splitlines()
    # then
    assert len(lines) <= 15
    assert lines[0] == f"table.csv: {COUNT} rows, {2 * columns + 1} columns"
    assert any("'y', binary: 2 distinct values are labels" in line for line in lines)
    assert any(f"{columns} taken: {columns} boolean" in line for line in lines)
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
    """Draw a table of awkward names and cells, every value of which stands in several rows."""
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
def test_whatever_the_table_its_contract_takes_every_row(
    text: str, tmp_path: Path, import_contract: Callable[[str], ModuleType]
) -> None:
    # given
    path = tmp_path / "table.csv"
    path.write_bytes(text.encode("utf-8", errors="replace"))
    # when
    found = profile_or_none(path, "target")
    # then
    if found is not None:
        contract = import_contract(datamodel.render(found))
        assert len(accepted(found, contract)) == found.rows
        assert readme.render(found, "table.csv")


def profile_or_none(path: Path, target: str) -> Profile | None:
    """Return the profile, or None where the table is refused in a sentence."""
    try:
        return profile(path, target)
    except (ProfileError, SourceError) as error:
        refusal = str(error)
    assert refusal.isprintable()
    return None


def accepted(found: Profile, contract: ModuleType) -> list[Any]:
    """Return the records of the table's rows, all of which must be valid."""
    header = found.source.header
    columns = [
        (column.name, header.index(column.name), canonicalizer(column.kind, found.source.decimal, column.date_format))
        for column in found.columns
    ]
    return [
        contract.Record.model_validate_strings(
            {name: canonical(cells[place]) for name, place, canonical in columns if cells[place]}
        )
        for _, cells in found.source.rows()
    ]


@given(content=st.one_of(st.binary(max_size=200), st.text("a1,;\"'\n\t\r\0é|.", max_size=80).map(str.encode)))
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_the_bytes_a_refusal_is_one_sentence(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(content * 12)
    profile_or_none(path, "a")
    with contextlib.suppress(SourceError):
        for name in module.open_source(path).header[:2]:
            profile_or_none(path, name)


def test_a_table_is_opened_once_for_its_contract_and_its_readme(
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
    found = profile(path, "y")
    readme.render(found, path.name)
    datamodel.render(found)
    # then
    assert opened == [path]
