"""Projects from a user's table, and tables that are refused."""

import csv
import gzip
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from io import StringIO
from pathlib import Path

import pytest

from answers import project_name
from tests import tables
from tests.conftest import TEMPLATE, bake, environment_of_a_user, share_environment
from tests.runtime.serving.own_tables import HEADER, PLAIN, TABLES, text
from tests.test_answers import cookiecutter_command
from tests.test_project import make, only_file

WriteTable = Callable[[Path], Path]
ROWS = "".join(f"{number % 7},{number % 5},{'yes' if number % 3 else 'no'}\n" for number in range(60))


@pytest.mark.parametrize(
    ("content", "answers", "message"),
    [
        pytest.param(None, {"target": "y"}, "table.csv", id="no such file"),
        pytest.param("", {"target": "y"}, "empty", id="empty"),
        pytest.param("a,b,y\n", {"target": "y"}, "row", id="header without rows"),
        pytest.param("1,2,3\n4,5,6\n7,8,9\n" * 20, {"target": "y"}, "header", id="no header"),
        pytest.param("a,b,churned\n" + ROWS, {"target": "chuned"}, "'churned'", id="misspelt target"),
        pytest.param("a,b,churned\n" + ROWS, {}, "churned", id="no target"),
        pytest.param("a,b,y\n" + "1,2,yes\n" * 60, {"target": "y"}, "yes", id="constant target"),
        pytest.param("a,b,y\n1,2,yes\n2,3,no\n", {"target": "y"}, "rows", id="too few rows"),
        pytest.param(
            "a,b,y\n" + "1,2,\n2,1,yes\n3,3,no\n" * 30,
            {"target": "y"},
            "missing in 30 of 90",
            id="many missing targets",
        ),
        pytest.param("a,y\n" + "1,yes\n1,no\n" * 30, {"target": "y"}, "no column", id="no suitable column"),
        pytest.param("a,b,y\n" + ROWS, {"target": "y", "task": "regression"}, "regression", id="task does not fit"),
        pytest.param(b"PK\x03\x04 and so on", {"target": "y"}, "unpacked", id="damaged zip"),
        pytest.param(b"\x00\x01\x02\x00" * 500, {"target": "y"}, "text", id="binary file"),
        pytest.param(b"PAR1 and so on", {"target": "y"}, "arquet", id="damaged Parquet"),
    ],
)
def test_an_unsuitable_table_is_refused_with_one_line(
    tmp_path: Path, content: str | bytes | None, answers: dict[str, str], message: str
) -> None:
    # Given an unsuitable table
    if content is not None:
        (tmp_path / "table.csv").write_bytes(content.encode() if isinstance(content, str) else content)
    folder = tmp_path / "here"
    folder.mkdir()

    # When a project is generated from it
    arguments = ("dataset=../table.csv", *(f"{name}={value}" for name, value in answers.items()))
    result = cookiecutter_command("--no-input", *arguments, folder=folder)

    # Then one line says why that fails, and there are no files
    output = (result.stdout + result.stderr).strip()
    assert result.returncode != 0
    assert output.count("\n") == 0
    assert message in output
    assert list(folder.iterdir()) == []


def test_a_target_without_a_table_is_refused(tmp_path: Path) -> None:
    result = cookiecutter_command("--no-input", "target=churned", folder=tmp_path)

    assert result.returncode != 0
    assert "dataset" in result.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["table", "entities"])
def test_a_project_from_own_data_needs_no_packages_beside_cookiecutter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    # Given data, and an environment without the packages of a project, as the README has it
    if kind == "table":
        answers = [f"dataset={tables.orders(tmp_path / 'data.csv')}", "target=Price paid"]
    else:
        texts = shutil.copy(
            TEMPLATE / "{{cookiecutter.project_slug}}/kinds/entities/files/data/messages.jsonl", tmp_path
        )
        answers = [f"dataset={texts}", "kind=entities"]
    packages = tmp_path / "packages"
    packages.mkdir()
    for name in ("numpy", "onnxruntime", "pydantic", "scipy", "sklearn", "spacy"):
        (packages / f"{name}.py").write_text(f"raise ModuleNotFoundError({name!r})\n")
    monkeypatch.setenv("PYTHONPATH", str(packages))
    folder = tmp_path / "here"
    folder.mkdir()

    # When a project is generated from the data
    result = cookiecutter_command("--no-input", *answers, "project_name=Own", folder=folder)

    # Then it is there
    assert result.returncode == 0, result.stdout + result.stderr
    assert (folder / "own/src/own_model/datamodel.py").is_file()


def test_a_project_has_the_name_of_its_table_and_a_summary_is_printed(tmp_path: Path) -> None:
    # Given a table with a label of a single row, in a folder with a space
    folder = tmp_path / "my tables"
    folder.mkdir()
    table = tables.words_only(folder / "passengers_1912.csv")
    with table.open("a") as file:
        file.write("male,crew,adult,9\n")

    # When a project is generated from it, with a relative path
    result = cookiecutter_command(
        "--no-input", "dataset=my tables/passengers_1912.csv", "target=Survived", folder=tmp_path
    )

    # Then it has the name of the table, and the summary has the task, its reason and the excluded label
    assert result.returncode == 0, result.stdout + result.stderr
    project = tmp_path / "passengers-1912"
    assert "binary" in result.stdout
    assert "9" in result.stdout
    settings = (project / "project.mk").read_text()
    assert "DATA ?= data/passengers_1912.csv" in settings
    assert "TITLE ?= Passengers 1912" in settings
    assert [path.name for path in sorted((project / "data").iterdir())] == ["README.md", "passengers_1912.csv"]
    assert "Survived" in (project / "data/README.md").read_text()
    assert (project / "data/passengers_1912.csv").read_bytes() == table.read_bytes()
    assert 'TARGET = "Survived"' in (project / "src/passengers_1912_model/datamodel.py").read_text()


@pytest.mark.parametrize(
    ("file", "name"),
    [
        pytest.param("churn_2024-final.csv", "Churn 2024 final", id="words"),
        pytest.param("c.csv", "C model", id="one letter"),
        pytest.param("json.csv.gz", "Json model", id="Python module"),
        pytest.param("2024.csv", "Model 2024", id="digits"),
        pytest.param("表.csv", "表", id="another script"),
        pytest.param("-.csv", "Table model", id="punctuation alone"),
        pytest.param("x" * 90 + ".csv", "X" + "x" * 29, id="long"),
    ],
)
def test_the_project_name_is_derived_from_the_file_name(file: str, name: str) -> None:
    assert project_name({"kind": "table", "dataset": f"folder/{file}"}) == name


@pytest.mark.parametrize("home", [True, False], ids=["below the home folder", "absolute"])
def test_the_path_of_a_table_may_be_absolute_or_in_the_home_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: bool
) -> None:
    table = tables.tiny(tmp_path / "stopping.csv")
    monkeypatch.setenv("HOME", str(tmp_path))

    project = bake(tmp_path / "out", dataset="~/stopping.csv" if home else str(table), target="distance")

    assert (project / "data/stopping.csv").is_file()


def test_the_task_can_be_chosen(tmp_path: Path) -> None:
    table = tables.words_only(tmp_path / "passengers.csv")

    project = bake(tmp_path / "out", dataset=str(table), target="Survived", task="regression")

    assert "Task.REGRESSION" in (project / "src/passengers_model/datamodel.py").read_text()


def test_a_parquet_table_is_converted_to_csv(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="no pyarrow: python3 -m pip install pyarrow")
    from pyarrow import csv

    table = tables.flowers(tmp_path / "flowers.csv")
    parquet.write_table(csv.read_csv(table), tmp_path / "flowers.parquet")

    project = bake(tmp_path / "out", dataset=str(tmp_path / "flowers.parquet"), target="Species")

    assert len((project / "data/flowers.csv").read_text().splitlines()) == tables.ROWS + 1


def test_a_table_that_is_too_large_for_git_is_ignored(tmp_path: Path) -> None:
    # Given a table of 60 MB
    table = tmp_path / "large.csv"
    body = "".join(f"{number % 97},{'x' * 1000},{number % 2}\n" for number in range(600))
    table.write_text("a,b,y\n" + body * 100)

    # When a project is generated from it
    result = cookiecutter_command("--no-input", f"dataset={table}", "target=y", folder=tmp_path)

    # Then the project contains the table, git ignores it, and a message says so
    project = tmp_path / "large"
    assert result.returncode == 0, result.stdout
    assert "too large" in result.stdout
    assert "make data.push" in result.stdout
    assert (project / "data/large.csv").stat().st_size == table.stat().st_size
    tracked = subprocess.run(["git", "ls-files"], cwd=project, capture_output=True, text=True, check=True).stdout
    assert "data/large.csv" not in tracked.splitlines()
    assert "data/large.csv.sha256" in tracked.splitlines()
    subprocess.run(["sha256sum", "--check", "--quiet", "large.csv.sha256"], cwd=project / "data", check=True)
    status = subprocess.run(["git", "status", "--short"], cwd=project, capture_output=True, text=True, check=True)
    assert status.stdout == ""


@pytest.fixture
def bake_table(tmp_path: Path, project: Path) -> Callable[..., Path]:
    """Return a function that bakes a project from a table, with an installed environment."""

    def bake_project(table: Path, target: str, **answers: str) -> Path:
        return share_environment(bake(tmp_path / "out", dataset=str(table), target=target, **answers), project)

    return bake_project


def assert_training_rows_get_predictions(project: Path, data: Path) -> None:
    """Request a prediction for each row of the training table from the project's service."""
    (package,) = (path.name for path in (project / "src").glob("*_model"))
    program = f"""
import json
from pathlib import Path
from mlops_runtime.operations.golden import fetch
from mlops_runtime.operations.predict import local_service
from mlops_runtime.training.table import read_table
from {package}.datamodel import CONTRACT
records = list(read_table(CONTRACT, Path({str(data)!r})).records.values())
with local_service() as url:
    predictions = json.loads(fetch(url + "/v1/predictions", [record.model_dump(mode="json") for record in records]))
    assert len(predictions) == len(records)
    fetch(url + "/")
    fetch(url + "/openapi.json")
"""
    environment = os.environ | {"PYTHONPATH": f"{project / 'src'}{os.pathsep}{project / 'vendor'}"}
    result = subprocess.run(
        [project / ".venv/bin/python", "-c", program], cwd=project, env=environment, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    ("table", "target", "task"),
    [
        pytest.param(tables.orders, "Price paid", "regression", id="all kinds of columns, regression"),
        pytest.param(tables.flowers, "Species", "multiclass", id="missing values, a rare label"),
    ],
)
def test_a_project_from_a_table_trains_and_serves_without_edits(
    tmp_path: Path, bake_table: Callable[..., Path], table: WriteTable, target: str, task: str
) -> None:
    baked = bake_table(table(tmp_path / "mine.csv"), target, project_name="Mine")

    # The tests of other tables run below, without these commands.
    unittest = ("unittest",) if table is tables.orders else ()
    for command in ("lint", "type-check", *unittest, "test", "predict"):
        # One attempt of each candidate, as far as a second goes.
        result = make(baked, command, "BUDGET=1")
        assert result.returncode == 0, f"{command}: {result.stdout}{result.stderr}"

    assert json.loads((baked / "build/metrics.json").read_text())["task"] == task
    assert_training_rows_get_predictions(baked, next((baked / "data").glob("*.csv")))


DIALECTS = {
    "plain", "semicolons", "bars", "tabs", "line ends of Windows", "decimal commas", "UTF-8 with a mark", "UTF-16",
    "days of the USA", "Y and N", "t and f", "TRUE and FALSE", "blanks around cells", "amounts in reais",
    "amounts in lakhs", "times of Oracle", "days of Japan", "cells of Hive", "titles, sums and notes",
    "questions below the header", "ISO-2022-JP", "Cyrillic of a Mac", "thousands", "thousands and decimal commas",
    "currency", "per cent", "amounts of accounts", "a repeated header", "a line below the header", "days of France",
    "Latin-1", "empty rows",
}  # fmt: skip
"""Tables that differ from others in what is read, not in names and values."""

COLUMNS = {
    "yes and no", "0 and 1", "words for missing numbers", "words for missing words", "None as a word",
    "commas and quotes", "line breaks", "long categories", "days of Europe", "dates and times", "a mark in some rows",
    "names of answers", "names of Python", "names with signs", "names of several lines",
    "names of hundreds of letters", "an identifier and a constant",
}  # fmt: skip
"""Tables whose columns fit into one: service and page are tested with each of them, a project with all at once."""


@pytest.fixture(scope="module")
def fork_server(project: Path) -> Iterator[subprocess.Popen[str]]:
    """The process that trains projects and runs their tests, without the reports of coverage."""
    command = [str(project / ".venv/bin/python"), str(TEMPLATE / "tests/fork_server.py")]
    environment = os.environ | {"PYTHONPATH": str(TEMPLATE / "runtime")}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, text=True) as process:
        yield process


def wide(names: Iterable[str]) -> str:
    """Return one table with the columns of several, those of no name of their own named after their table."""
    columns = dict(zip(HEADER, map(list, zip(*PLAIN, strict=True)), strict=True))
    for name in names:
        header, *cells = csv.reader(StringIO(str(TABLES[name]), newline=""))
        further = dict(zip(header, map(list, zip(*cells, strict=True)), strict=True))
        columns |= {name if column == "v" else column: further[column] for column in header if column not in HEADER}
    return text(tuple(columns), list(zip(*columns.values(), strict=True)))


ODD_TABLES = {"columns of many tables": wide(COLUMNS)} | {
    name: TABLES[name] for name in sorted(TABLES.keys() - DIALECTS - COLUMNS)
}


def odd_table(content: str | bytes) -> WriteTable:
    """Return a function that writes this content."""

    def write(path: Path) -> Path:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


@pytest.mark.parametrize(
    ("table", "target"),
    [
        pytest.param(tables.words_only, "Survived", id="choices alone"),
        pytest.param(tables.tiny, "distance", id="twenty rows, one column"),
        *(pytest.param(odd_table(content), "y", id=name) for name, content in ODD_TABLES.items()),
    ],
)
def test_the_tests_of_a_project_from_an_odd_table_pass(
    tmp_path: Path, bake_table: Callable[..., Path], fork_server: subprocess.Popen[str], table: WriteTable, target: str
) -> None:
    baked = bake_table(table(tmp_path / "mine.csv"), target, project_name="Mine")

    assert fork_server.stdin is not None
    assert fork_server.stdout is not None
    data = only_file(baked, "data/*.csv").relative_to(baked)
    print(baked, data, tmp_path / "log", sep="\t", file=fork_server.stdin, flush=True)

    status = fork_server.stdout.readline()

    assert status == "0\n", (tmp_path / "log").read_text()


@pytest.mark.parametrize(
    "encode",
    [
        pytest.param(lambda text: gzip.compress(text.encode()), id="gzip"),
        pytest.param(
            lambda text: text.replace(",", ";").replace(".", ",").replace("north", "nörd").encode("latin-1"),
            id="decimal comma and latin-1",
        ),
        pytest.param(lambda text: text.replace(",", "\t").replace("\n", "\r\n").encode("utf-16"), id="tabs and UTF-16"),
    ],
)
def test_cookiecutter_and_training_read_a_dialect(
    tmp_path: Path, bake_table: Callable[..., Path], encode: Callable[[str], bytes]
) -> None:
    table = tmp_path / "flowers.csv"
    table.write_bytes(encode(tables.flowers(table).read_text()))

    baked = bake_table(table, "Species")
    result = make(baked, "train", "BUDGET=1")

    assert result.returncode == 0, result.stdout + result.stderr
    metadata = json.loads((baked / "src/flowers_model/artefact/metadata.json").read_text())
    assert len(metadata["features"]) == 3
    assert sum(metadata["rows"].values()) == tables.ROWS


def test_the_contract_is_updated_only_on_request(tmp_path: Path, bake_table: Callable[..., Path]) -> None:
    # Given a project whose contract agrees with its table
    baked = bake_table(tables.flowers(tmp_path / "flowers.csv"), "Species")
    contract = baked / "src/flowers_model/datamodel.py"
    before = contract.read_text()
    assert make(baked, "datamodel").returncode == 0

    # When a column of the table changes
    data = baked / "data/flowers.csv"
    data.write_text(data.read_text().replace("slope", "aspect"))
    result = make(baked, "datamodel")

    # Then the difference is shown, and the contract is unchanged
    assert result.returncode != 0
    assert '+        alias="aspect"' in result.stdout
    assert contract.read_text() == before

    # And FORCE=1 overwrites it
    assert make(baked, "datamodel", "FORCE=1").returncode == 0
    assert '"aspect"' in contract.read_text()
    assert make(baked, "datamodel").returncode == 0


def test_the_shipped_contract_agrees_with_the_shipped_table(project: Path) -> None:
    result = make(project, "datamodel")

    assert result.returncode == 0, result.stdout + result.stderr


def test_template_and_project_contain_no_bytecode(tmp_path: Path) -> None:
    table = tables.tiny(tmp_path / "tiny.csv")

    subprocess.run(
        [sys.executable, "-m", "cookiecutter", str(TEMPLATE), "--no-input", f"dataset={table}", "target=distance"],
        cwd=tmp_path,
        env=environment_of_a_user(),
        capture_output=True,
        check=True,
    )

    for folder in (TEMPLATE / "{{cookiecutter.project_slug}}", tmp_path / "tiny"):
        assert not list(folder.rglob("*.pyc"))
