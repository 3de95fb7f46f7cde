from collections.abc import Callable
from pathlib import Path

import pytest

from mlops_runtime.profiling.__main__ import DIFFERENT, EQUAL, REFUSED, main

TABLE = "size,label\n" + "1.5,a\n2.5,b\n3.5,a\n" * 9


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., int]:
    (tmp_path / "table.csv").write_text(TABLE)

    def run_command(*options: str, **changed: str) -> int:
        arguments = {
            "data": str(tmp_path / "table.csv"),
            "target": "label",
            "output": str(tmp_path / "datamodel.py"),
        }
        return main([*(f"--{name}={value}" for name, value in (arguments | changed).items()), *options])

    return run_command


def test_a_contract_that_differs_is_shown_and_left(
    run: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # given: a contract, and a table that has changed since
    assert run("--force") == EQUAL
    before = (tmp_path / "datamodel.py").read_text()
    (tmp_path / "table.csv").write_text(TABLE.replace("size", "length"))
    capsys.readouterr()
    # when
    code = run()
    # then
    out = capsys.readouterr().out
    assert code == DIFFERENT
    assert '-        alias="size",\n' in out
    assert '+        alias="length",\n' in out
    assert out.splitlines()[-1].endswith("`make datamodel FORCE=1` overwrites it")
    assert (tmp_path / "datamodel.py").read_text() == before


def test_a_contract_that_agrees_takes_one_line(run: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    run("--force")
    capsys.readouterr()
    assert run() == EQUAL
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_a_contract_is_written_with_what_it_was_made_from(
    run: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run() == DIFFERENT
    assert not (tmp_path / "datamodel.py").exists()
    assert run("--force", task="multiclass") == EQUAL
    assert "TASK = Task.MULTICLASS" in (tmp_path / "datamodel.py").read_text()
    assert "'label', multiclass: multiclass, as asked" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        pytest.param({"target": "labels"}, "did you mean 'label'?", id="table"),
        pytest.param({"data": "none.csv"}, "none.csv does not exist", id="file"),
        pytest.param({"output": "none/datamodel.py"}, "none/datamodel.py", id="output"),
    ],
)
def test_what_is_wrong_is_one_line(
    changed: dict[str, str], message: str, run: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--force", **changed) == REFUSED
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


def test_a_contract_that_is_no_python_is_left(
    run: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "datamodel.py").write_text("class Record(:\n")
    assert run("--force") == REFUSED
    assert "is not valid Python" in capsys.readouterr().err
    assert (tmp_path / "datamodel.py").read_text() == "class Record(:\n"
