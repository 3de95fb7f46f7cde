from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.linear_model import LogisticRegression

from mlops_runtime.contract import Contract, Task
from mlops_runtime.testing import synthetic as orders
from mlops_runtime.testing.synthetic import TARGET
from mlops_runtime.training import command, command_line
from mlops_runtime.training.candidates import Candidate
from tests.runtime.conftest import NO_FLOOR

EXPECTED_WORDS = {
    Task.BINARY: ["log loss", "accuracy 0.", "roc_auc 0.", "skill "],
    Task.MULTICLASS: ["log loss", "accuracy 0.", "macro_f1 0.", "skill "],
    Task.REGRESSION: ["root mean squared error", "r2 0.", "mae ", "coverage ", "skill "],
}
of_labels = pytest.mark.parametrize("each_contract", [Task.BINARY], indirect=True)
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


def call(
    each_contract: Contract, arguments: dict[str, str], *more: str, candidates: Sequence[Candidate] | None = None
) -> int:
    argv = [*(part for pair in arguments.items() for part in pair), *more]
    return command.main(each_contract, Path(), argv, candidates)


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
    assert code == command_line.GATE_REFUSED == 3
    assert "skill is " in printed.err
    assert "its floor is 0.0200" in printed.err
    assert arguments["--report"] in printed.out
    assert not (tmp_path / "artefact").exists()
    assert (tmp_path / "report.html").exists()


@of_labels
def test_a_candidate_of_the_user_that_does_not_converge_is_named_once(
    each_contract: Contract,
    arguments: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    # given: a default candidate and one of the user, neither of which converges
    def few_iterations(_: Contract) -> tuple[Candidate, ...]:
        return (Candidate("logistic regression", LogisticRegression(max_iter=1), {"C": 1.0}),)

    monkeypatch.setattr(command, "default_candidates", few_iterations)
    candidates = (*few_iterations(each_contract), Candidate("mine", LogisticRegression(max_iter=3)))
    # when
    call(each_contract, arguments | {"--floors": NO_FLOOR, "--budget": "100"}, candidates=candidates)
    # then
    printed = capsys.readouterr()
    notes = [line for line in printed.out.splitlines() if "did not converge" in line]
    assert notes == ["mine did not converge: give it more iterations, as with max_iter."]
    assert printed.err == ""


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
    assert code == command_line.DATA_REFUSED == 2
    error = capsys.readouterr().err
    assert "row 1, column Weight (kg)" in error
    assert "artefact is unchanged." in error
    assert list(tmp_path.iterdir()) == [table]


@of_values
def test_a_missing_file_is_named_in_one_line(
    each_contract: Contract, arguments: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = call(each_contract, arguments | {"--lock": str(tmp_path / "none.lock")})
    assert code == command_line.FAILED == 1
    first, second = capsys.readouterr().err.splitlines()
    assert "none.lock" in first
    assert second.endswith("artefact is unchanged.")


@of_values
@pytest.mark.parametrize(
    ("setting", "message"),
    [
        pytest.param("FLOORS=rr=0.9", "FLOORS: 'rr' cannot have a floor", id="unknown-metric"),
        pytest.param(
            "FLOORS=skill=0.1 accuracy=0.9",
            "FLOORS: 'accuracy' cannot have a floor in a regression task: choose from r2, coverage, skill",
            id="other-task",
        ),
        pytest.param("FLOORS=mae=0.1", "FLOORS: 'mae' cannot have a floor", id="lower-is-better"),
        pytest.param("FLOORS=r2=nan", "FLOORS: 'nan' cannot be the floor of r2: give a number", id="nan"),
        pytest.param("FLOORS=-r2", "FLOORS: '-r2' cannot have a floor", id="floor-with-a-dash"),
        pytest.param("FLOORS=r2=0.1 r2=0.9", "FLOORS: r2 has more than one floor: give one", id="two-floors"),
        pytest.param(
            "TEST_SHARE=25%",
            "TEST_SHARE=25% is not usable: give a number from 0.1 to 0.5, as in TEST_SHARE=0.25",
            id="test-share-in-percent",
        ),
        pytest.param("TEST_SHARE=0.9", "TEST_SHARE=0.9 is not usable: give a number from 0.1", id="test-share"),
        pytest.param("TEST_SHARE=nan", "TEST_SHARE=nan is not usable", id="test-share-nan"),
        pytest.param(
            "SEED=x", "SEED=x is not usable: give a whole number from 0 to 4294967295, as in SEED=0", id="seed"
        ),
        pytest.param("SEED=-1", "SEED=-1 is not usable", id="negative-seed"),
        pytest.param("MAX_ROWS=1e6", "MAX_ROWS=1e6 is not usable: give a whole number of at least 12", id="max-rows"),
        pytest.param("MAX_ROWS=11", "MAX_ROWS=11 is not usable", id="few-max-rows"),
        pytest.param(
            "BUDGET=long", "BUDGET=long is not usable: give a number of at least 0, as in BUDGET", id="budget"
        ),
        pytest.param("BUDGET=-5s", "BUDGET=-5s is not usable", id="budget-with-a-unit"),
    ],
)
def test_a_wrong_setting_is_refused_in_one_line_before_anything_runs(
    setting: str,
    message: str,
    each_contract: Contract,
    arguments: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    # given
    name, _, value = setting.partition("=")
    arguments.pop(f"--{name.lower()}", None)
    monkeypatch.setenv(name, value)
    # when
    code = call(each_contract, arguments)
    # then
    assert code == command_line.SETTINGS_REFUSED == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(message)
    assert [path.name for path in tmp_path.iterdir()] == ["orders.csv"]


@of_values
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        pytest.param(["--test-share", "0.9"], "TEST_SHARE=0.9 is not usable", id="value-of-an-option"),
        pytest.param(["--floors", "r2=0.1", "r2=0.9"], "FLOORS: r2 has more than one floor", id="two-floors"),
        pytest.param(["--floors"], "argument --floors: expected at least one argument", id="no-floor"),
        pytest.param(["--sed", "1", "--x"], "unrecognized arguments: --sed 1 --x", id="unknown-option"),
    ],
)
def test_wrong_arguments_are_refused_in_one_line(
    wrong: list[str],
    message: str,
    each_contract: Contract,
    arguments: dict[str, str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert call(each_contract, arguments, *wrong) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(message)


@of_values
def test_a_run_without_a_table_is_refused(
    each_contract: Contract, arguments: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    del arguments["--data"]
    assert call(each_contract, arguments) == 2
    assert capsys.readouterr().err == "DATA is empty: give the path of the training table\n"


class Interrupting(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """An estimator in whose fit the user presses Ctrl-C."""

    def fit(self, _matrix: Any, _target: Any) -> Any:
        raise KeyboardInterrupt


@of_values
def test_ctrl_c_stops_training_with_one_line_and_the_old_artefact_stays(
    each_contract: Contract, arguments: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # given
    metadata = tmp_path / "artefact" / "metadata.json"
    metadata.parent.mkdir()
    metadata.write_text("old")
    # when
    code = call(each_contract, arguments, candidates=[Candidate("mine", Interrupting())])
    # then
    assert code == command_line.INTERRUPTED == 130
    assert capsys.readouterr().err == f"stopped: {metadata.parent} is unchanged.\n"
    assert metadata.read_text() == "old"
    assert {path.name for path in tmp_path.iterdir()} == {"artefact", "orders.csv"}


@of_values
def test_ctrl_c_after_the_artefact_was_replaced_does_not_claim_that_it_is_unchanged(
    each_contract: Contract,
    arguments: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    # given
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("mlops_runtime.training.run.held_out_predictions", interrupt)
    # when
    code = call(each_contract, arguments, "--floors", NO_FLOOR)
    # then
    assert code == command_line.INTERRUPTED
    (line,) = capsys.readouterr().err.splitlines()
    assert line == f"stopped: {tmp_path / 'artefact'} is new, but its report and metrics may be missing: train again."
    assert (tmp_path / "artefact" / "metadata.json").exists()


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
