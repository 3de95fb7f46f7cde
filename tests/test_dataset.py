"""A table of one's own: which are refused, and what a project made from one is like."""

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from answers import project_name
from tests import tables
from tests.conftest import TEMPLATE, bake
from tests.test_answers import cookiecutter_command
from tests.test_project import make

Make = Callable[[Path], Path]
GOOD_ROWS = "".join(f"{number % 7},{number % 5},{'yes' if number % 3 else 'no'}\n" for number in range(60))


@pytest.mark.parametrize(
    ("content", "answers", "said"),
    [
        pytest.param(None, {"target": "y"}, "table.csv", id="no such file"),
        pytest.param("", {"target": "y"}, "empty", id="empty"),
        pytest.param("a,b,y\n", {"target": "y"}, "row", id="header alone"),
        pytest.param("1,2,3\n4,5,6\n7,8,9\n" * 20, {"target": "y"}, "header", id="no header"),
        pytest.param("a,b,churned\n" + GOOD_ROWS, {"target": "chuned"}, "'churned'", id="target misspelt"),
        pytest.param("a,b,churned\n" + GOOD_ROWS, {}, "churned", id="no target"),
        pytest.param("a,b,y\n" + "1,2,yes\n" * 60, {"target": "y"}, "yes", id="one value in the target"),
        pytest.param("a,b,y\n1,2,yes\n2,3,no\n", {"target": "y"}, "rows", id="too few rows"),
        pytest.param(
            "a,b,y\n" + "1,2,\n2,1,yes\n3,3,no\n" * 30,
            {"target": "y"},
            "missing in 30 of 90",
            id="target often missing",
        ),
        pytest.param("a,y\n" + "1,yes\n1,no\n" * 30, {"target": "y"}, "no column", id="no usable column"),
        pytest.param("a,b,y\n" + GOOD_ROWS, {"target": "y", "task": "regression"}, "regression", id="task impossible"),
        pytest.param(b"PK\x03\x04 and so on", {"target": "y"}, "CSV", id="a workbook"),
        pytest.param(b"\x00\x01\x02\x00" * 500, {"target": "y"}, "text", id="no text"),
        pytest.param(b"PAR1 and so on", {"target": "y"}, "arquet", id="broken Parquet"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused_in_one_sentence(
    tmp_path: Path, content: str | bytes | None, answers: dict[str, str], said: str
) -> None:
    # Given a table that is none, or not enough of one
    if content is not None:
        (tmp_path / "table.csv").write_bytes(content.encode() if isinstance(content, str) else content)
    folder = tmp_path / "here"
    folder.mkdir()

    # When a project is asked for
    given = ("dataset=../table.csv", *(f"{name}={value}" for name, value in answers.items()))
    result = cookiecutter_command("--no-input", *given, folder=folder)

    # Then one line says why not, and nothing is left behind
    output = (result.stdout + result.stderr).strip()
    assert result.returncode != 0
    assert output.count("\n") == 0
    assert said in output
    assert list(folder.iterdir()) == []


def test_a_target_without_a_table_is_refused(tmp_path: Path) -> None:
    result = cookiecutter_command("--no-input", "target=churned", folder=tmp_path)

    assert result.returncode != 0
    assert "dataset" in result.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_project_is_named_after_its_table_and_says_what_was_found(tmp_path: Path) -> None:
    # Given a table with a class of one row, in a folder with a space
    folder = tmp_path / "my tables"
    folder.mkdir()
    table = tables.words_only(folder / "passengers_1912.csv")
    with table.open("a") as file:
        file.write("male,crew,adult,9\n")

    # When a project is made from it, named by a relative path
    result = cookiecutter_command(
        "--no-input", "dataset=my tables/passengers_1912.csv", "target=Survived", folder=tmp_path
    )

    # Then it is called like the table, and the task, its reason and the row that is left out are told
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
        pytest.param("json.csv.gz", "Json model", id="a word of Python"),
        pytest.param("2024.csv", "Model 2024", id="digits"),
        pytest.param("表.csv", "表", id="another script"),
        pytest.param("-.csv", "Model of a table", id="nothing"),
        pytest.param("x" * 90 + ".csv", "X" + "x" * 29, id="long"),
    ],
)
def test_a_name_is_made_of_the_files(file: str, name: str) -> None:
    assert project_name({"dataset": f"folder/{file}"}) == name


@pytest.mark.parametrize("home", [True, False], ids=["below the home folder", "absolute"])
def test_a_table_is_found_wherever_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: bool) -> None:
    table = tables.tiny(tmp_path / "stopping.csv")
    monkeypatch.setenv("HOME", str(tmp_path))

    project = bake(tmp_path / "out", dataset="~/stopping.csv" if home else str(table), target="distance")

    assert (project / "data/stopping.csv").is_file()


def test_the_task_can_be_told(tmp_path: Path) -> None:
    table = tables.words_only(tmp_path / "passengers.csv")

    project = bake(tmp_path / "out", dataset=str(table), target="Survived", task="regression")

    assert "Task.REGRESSION" in (project / "src/passengers_model/datamodel.py").read_text()


def test_a_table_of_parquet_becomes_one_of_csv_where_its_library_is_there(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="no pyarrow: python3 -m pip install pyarrow")
    from pyarrow import csv

    table = tables.flowers(tmp_path / "flowers.csv")
    parquet.write_table(csv.read_csv(table), tmp_path / "flowers.parquet")

    project = bake(tmp_path / "out", dataset=str(tmp_path / "flowers.parquet"), target="Species")

    assert len((project / "data/flowers.csv").read_text().splitlines()) == tables.ROWS + 1


def test_a_table_too_large_for_git_is_kept_out_of_it(tmp_path: Path) -> None:
    # Given 60 MB of table
    table = tmp_path / "large.csv"
    body = "".join(f"{number % 97},{'x' * 1000},{number % 2}\n" for number in range(600))
    table.write_text("a,b,y\n" + body * 100)

    # When a project is made from it
    result = cookiecutter_command("--no-input", f"dataset={table}", "target=y", folder=tmp_path)

    # Then the table is there, git does not have it, and that is said
    project = tmp_path / "large"
    assert result.returncode == 0, result.stdout
    assert "too large" in result.stdout
    assert (project / "data/large.csv").stat().st_size == table.stat().st_size
    listed = subprocess.run(["git", "ls-files"], cwd=project, capture_output=True, text=True, check=True).stdout
    assert "data/large.csv" not in listed
    status = subprocess.run(["git", "status", "--short"], cwd=project, capture_output=True, text=True, check=True)
    assert status.stdout == ""


@pytest.fixture
def own(tmp_path: Path, project: Path) -> Callable[..., Path]:
    """Return a function that makes a project from a table, with the environment that another one has installed."""

    def make_project(table: Path, target: str, **answers: str) -> Path:
        made = bake(tmp_path / "out", dataset=str(table), target=target, **answers)
        (made / ".venv").symlink_to(project / ".venv")
        os.utime(project / ".venv/.installed")
        return made

    return make_project


def asked_with_rows_of_its_own(project: Path, data: Path) -> None:
    """Ask the served model for its own training rows, by the trainer's own reading of the table."""
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
    answers = json.loads(fetch(url + "/v1/predictions", [record.model_dump(mode="json") for record in records]))
    assert len(answers) == len(records)
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
        pytest.param(tables.orders, "Price paid", "regression", id="every kind of column, regression"),
        pytest.param(tables.flowers, "Species", "multiclass", id="missing values, a rare label"),
        pytest.param(tables.words_only, "Survived", "binary", id="choices alone"),
        pytest.param(tables.tiny, "distance", "regression", id="twenty rows, one column"),
    ],
)
def test_a_project_from_ones_own_table_trains_and_serves_without_an_edit(
    tmp_path: Path, own: Callable[..., Path], table: Make, target: str, task: str
) -> None:
    made = own(table(tmp_path / "mine.csv"), target, project_name="Mine")

    for command in ("lint", "type-check", "test", "predict"):
        result = make(made, command)
        assert result.returncode == 0, f"{command}: {result.stdout}{result.stderr}"

    assert json.loads((made / "build/metrics.json").read_text())["task"] == task
    asked_with_rows_of_its_own(made, next((made / "data").glob("*.csv")))


@pytest.mark.parametrize(
    ("table", "target"),
    [
        pytest.param(tables.orders, "Price paid", id="every kind of column, regression"),
        pytest.param(tables.flowers, "Species", id="missing values, a rare label"),
    ],
)
def test_its_unit_tests_are_its_own(tmp_path: Path, own: Callable[..., Path], table: Make, target: str) -> None:
    made = own(table(tmp_path / "mine.csv"), target, project_name="Mine")

    result = make(made, "unittest")

    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    "pack",
    [
        pytest.param(lambda text: gzip.compress(text.encode()), id="gzip"),
        pytest.param(lambda text: text.encode("utf-8-sig").replace(b",", b"\t"), id="tabs and a byte-order mark"),
        pytest.param(lambda text: text.replace("north", "nörd").encode("latin-1"), id="latin-1"),
        pytest.param(lambda text: text.replace(",", ";").replace(".", ",").encode(), id="decimal comma"),
        pytest.param(lambda text: text.replace("\n", "\r\n").encode("utf-16"), id="UTF-16"),
    ],
)
def test_a_dialect_is_understood_at_the_start_and_in_training(
    tmp_path: Path, own: Callable[..., Path], pack: Callable[[str], bytes]
) -> None:
    table = tmp_path / "flowers.csv"
    table.write_bytes(pack(tables.flowers(table).read_text()))

    made = own(table, "Species")
    result = make(made, "train", "BUDGET=1")

    assert result.returncode == 0, result.stdout + result.stderr
    metadata = json.loads((made / "src/flowers_model/artefact/metadata.json").read_text())
    assert len(metadata["features"]) == 3
    assert sum(metadata["rows"].values()) == tables.ROWS


def test_changed_data_show_as_a_difference_that_nobody_writes_unasked(tmp_path: Path, own: Callable[..., Path]) -> None:
    # Given a project whose contract is that of its table
    made = own(tables.flowers(tmp_path / "flowers.csv"), "Species")
    contract = made / "src/flowers_model/datamodel.py"
    before = contract.read_text()
    assert make(made, "datamodel").returncode == 0

    # When a column changes
    data = made / "data/flowers.csv"
    data.write_text(data.read_text().replace("slope", "aspect"))
    result = make(made, "datamodel")

    # Then the difference is shown, and the file is as it was
    assert result.returncode != 0
    assert '+        alias="aspect"' in result.stdout
    assert contract.read_text() == before

    # And it is written when that is asked for
    assert make(made, "datamodel", "FORCE=1").returncode == 0
    assert '"aspect"' in contract.read_text()
    assert make(made, "datamodel").returncode == 0


def test_the_shipped_contract_is_what_the_shipped_table_gives(project: Path) -> None:
    # But for the descriptions, which are kept
    result = make(project, "datamodel")

    assert result.returncode == 0, result.stdout + result.stderr


def test_nothing_compiled_gets_into_template_or_project(tmp_path: Path) -> None:
    table = tables.tiny(tmp_path / "tiny.csv")

    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    subprocess.run(
        [sys.executable, "-m", "cookiecutter", str(TEMPLATE), "--no-input", f"dataset={table}", "target=distance"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        check=True,
    )

    for folder in (TEMPLATE / "{{cookiecutter.project_slug}}", tmp_path / "tiny"):
        assert not list(folder.rglob("*.pyc"))
