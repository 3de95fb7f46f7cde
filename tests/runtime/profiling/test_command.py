from collections.abc import Callable
from pathlib import Path

import pytest

from mlops_runtime.profiling.__main__ import main
from mlops_runtime.profiling.contract_file import DIFFERENT, EQUAL, FAILED

TABLE = "size,label\n" + "1.5,a\n2.5,b\n3.5,a\n" * 9


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., int]:
    (tmp_path / "table.csv").write_text(TABLE)

    def run_command(*flags: str, **options: str) -> int:
        defaults = {
            "data": str(tmp_path / "table.csv"),
            "target": "label",
            "output": str(tmp_path / "datamodel.py"),
        }
        return main([*(f"--{name}={value}" for name, value in (defaults | options).items()), *flags])

    return run_command


def test_a_contract_that_differs_is_shown_but_not_changed(
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
    assert out.splitlines()[-1].endswith("run `make datamodel FORCE=1` to overwrite it")
    assert (tmp_path / "datamodel.py").read_text() == before


def test_a_contract_that_agrees_gives_one_line(run: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    run("--force")
    capsys.readouterr()
    assert run() == EQUAL
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_force_writes_the_contract_and_prints_a_summary(
    run: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run() == DIFFERENT
    assert not (tmp_path / "datamodel.py").exists()
    assert run("--force", task="multiclass") == EQUAL
    assert "TASK = Task.MULTICLASS" in (tmp_path / "datamodel.py").read_text()
    assert "'label', multiclass: multiclass, as requested" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param({"target": "labels"}, "did you mean 'label'?", id="table"),
        pytest.param({"data": "none.csv"}, "none.csv does not exist", id="file"),
        pytest.param({"output": "none/datamodel.py"}, "none/datamodel.py", id="output"),
    ],
)
def test_an_error_is_one_line(
    options: dict[str, str], message: str, run: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--force", **options) == FAILED
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


def test_an_invalid_contract_is_not_changed(
    run: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "datamodel.py").write_text("class Record(:\n")
    assert run("--force") == FAILED
    assert "is not valid Python" in capsys.readouterr().err
    assert (tmp_path / "datamodel.py").read_text() == "class Record(:\n"
