from pathlib import Path

import pytest

from mlops_runtime.contract import Contract, Task
from mlops_runtime.testing import synthetic as orders
from mlops_runtime.testing.synthetic import TARGET
from mlops_runtime.training import command
from tests.runtime.conftest import NO_FLOOR

EXPECTED_WORDS = {
    Task.BINARY: ["log loss", "accuracy 0.", "roc_auc 0.", "skill "],
    Task.MULTICLASS: ["log loss", "accuracy 0.", "macro_f1 0.", "skill "],
    Task.REGRESSION: ["root mean squared error", "r2 0.", "mae ", "coverage ", "skill "],
}
of_values = pytest.mark.parametrize("each_contract", [Task.REGRESSION], indirect=True)


@pytest.fixture
def arguments(each_contract: Contract, lock: Path, tmp_path: Path) -> dict[str, str]:
    table = orders.write_table(tmp_path / "orders.csv", orders.rows_of_table(120, each_contract.task))
    return {
        "--data": str(table),
        "--lock": str(lock),
        "--artefact": str(tmp_path / "artefact"),
        "--report": str(tmp_path / "report.html"),
        "--metrics": str(tmp_path / "metrics.json"),
        "--budget": "0",
    }


def call(each_contract: Contract, arguments: dict[str, str], *more: str) -> int:
    return command.main(each_contract, Path(), [*(part for pair in arguments.items() for part in pair), *more])


def test_a_run_prints_its_results(
    each_contract: Contract, arguments: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # given: a table with an unknown column, and a row without a target
    rows = orders.rows_of_table(120, each_contract.task)
    rows[3][-1] = ""
    orders.write_table(tmp_path / "orders.csv", [[*cells, "Unknown"] for cells in rows])
    # when
    code = call(each_contract, arguments, "--floors", NO_FLOOR, "--version", "3.1.4", "--test-share", "0.5")
    # then
    printed = capsys.readouterr()
    assert (code, printed.err) == (0, "")
    read, note, chose, measured, written = printed.out.splitlines()
    assert read == f"Read 119 rows of {arguments['--data']} (not in the contract, ignored: Unknown)."
    assert note == f"1 row without a value in {TARGET[each_contract.task]}: not used."
    assert "1 candidate was compared" in chose
    assert measured.startswith("On 60 held-out rows: ")
    assert all(words in chose + measured for words in EXPECTED_WORDS[each_contract.task])
    assert "version 3.1.4" in written


def test_the_gate_is_on_by_default(
    each_contract: Contract, arguments: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # given: a target that is independent of the features
    rows = orders.rows_of_table(120, each_contract.task)
    targets = [cells[-1] for cells in orders.rows_of_table(120, each_contract.task, seed=8)]
    orders.write_table(
        tmp_path / "orders.csv", [[*cells[:-1], cell] for cells, cell in zip(rows, targets, strict=True)]
    )
    # when
    code = call(each_contract, arguments)
    # then
    printed = capsys.readouterr()
    assert code == command.GATE_REFUSED == 3
    assert "skill is " in printed.err
    assert "its floor is 0.0200" in printed.err
    assert arguments["--report"] in printed.out
    assert not (tmp_path / "artefact").exists()
    assert (tmp_path / "report.html").exists()


@of_values
def test_a_table_that_breaks_the_contract_is_refused(
    each_contract: Contract, arguments: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # given
    table = tmp_path / "orders.csv"
    table.write_text(table.read_text().replace("Weight", "Mass", 1))
    # when
    code = call(each_contract, arguments)
    # then
    assert code == command.DATA_REFUSED == 2
    error = capsys.readouterr().err
    assert "row 1, column Weight (kg)" in error
    assert "artefact is unchanged." in error
    assert list(tmp_path.iterdir()) == [table]


@of_values
def test_a_missing_file_is_named_in_one_line(
    each_contract: Contract, arguments: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = call(each_contract, arguments | {"--lock": str(tmp_path / "none.lock")})
    assert code == command.FAILED == 1
    first, second = capsys.readouterr().err.splitlines()
    assert "none.lock" in first
    assert second.endswith("artefact is unchanged.")


@of_values
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        pytest.param(["--floors", "rr=0.9"], "'rr' cannot have a floor", id="unknown-metric"),
        pytest.param(
            ["--floors", "accuracy=0.9"], "'accuracy' cannot have a floor in a regression task", id="other-task"
        ),
        pytest.param(["--floors", "mae=0.1"], "'mae' cannot have a floor", id="lower-is-better"),
        pytest.param(["--floors", "r2=nan"], "'nan' cannot be the floor of r2", id="nan"),
        pytest.param(["--floors"], "expected at least one argument", id="no-floor"),
        pytest.param(["--floors", "r2=0.1", "r2=0.9"], "a metric has more than one floor", id="two-floors"),
        pytest.param(["--test-share", "0.9"], "0.9 is not between 0.1 and 0.5", id="test-share"),
        pytest.param(["--test-share", "nan"], "nan is not between 0.1 and 0.5", id="test-share-nan"),
        pytest.param(["--seed", "x"], "invalid int value", id="seed"),
        pytest.param(["--budget", "long"], "invalid float value", id="budget"),
    ],
)
def test_wrong_arguments_are_refused_before_anything_runs(
    wrong: list[str],
    message: str,
    each_contract: Contract,
    arguments: dict[str, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as caught:
        call(each_contract, arguments, *wrong)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["orders.csv"]


def test_a_table_without_columns_of_the_contract_is_refused(
    contract: Contract, lock: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "table.csv"
    table.write_text("\u2400,\u2401\nred,round\n", encoding="utf-8")
    paths = {name: str(tmp_path / name) for name in ("artefact", "report", "metrics")} | {"data": str(table)}
    code = command.main(
        contract, Path(), ["--lock", str(lock), *(part for name, path in paths.items() for part in (f"--{name}", path))]
    )
    assert code == 2
    assert "has no column of the contract" in capsys.readouterr().err
