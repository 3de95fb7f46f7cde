from pathlib import Path

import pytest

from trainer.__main__ import DATA_REFUSED, FAILED, GATE_REFUSED, main

from {{cookiecutter.__package}}_model.datamodel import FEATURES


@pytest.fixture
def arguments(data: Path, lock: Path, tmp_path: Path) -> dict[str, str]:
    return {
        "--data": str(data),
        "--lock": str(lock),
        "--artefact": str(tmp_path / "artefact"),
        "--report": str(tmp_path / "report.html"),
        "--metrics": str(tmp_path / "metrics.json"),
    }


def call(arguments: dict[str, str], *more: str) -> int:
    return main([*(part for pair in arguments.items() for part in pair), *more])


def test_a_run_says_what_it_did(arguments: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    # when
    code = call(arguments, "--floors", "recall=0.8", "--version", "3.1.4")
    # then
    printed = capsys.readouterr()
    assert code == 0
    assert printed.err == ""
    read, chose, measured, made = printed.out.splitlines()
    assert read.startswith("Read ")
    assert "log loss" in chose
    assert "recall 0." in measured
    assert "version 3.1.4" in made


def test_wrong_data_are_refused(arguments: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # given
    data = tmp_path / "wrong.csv"
    data.write_text(Path(arguments["--data"]).read_text().replace(FEATURES[0], "Other", 1))
    # when
    code = call(arguments | {"--data": str(data)})
    # then
    assert code == DATA_REFUSED == 2
    error = capsys.readouterr().err
    assert f"row 1, column {FEATURES[0]}" in error
    assert "Nothing was changed" in error
    assert list(tmp_path.iterdir()) == [data]


def test_the_gate_names_metric_value_and_floor(
    arguments: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = call(arguments, "--floors", "accuracy=1", "recall=0.5")
    assert code == GATE_REFUSED == 3
    printed = capsys.readouterr()
    assert "accuracy is 0.9" in printed.err
    assert "its floor 1.0000" in printed.err
    assert arguments["--report"] in printed.out
    assert not (tmp_path / "artefact").exists()
    assert (tmp_path / "report.html").exists()


def test_what_is_missing_is_named_in_one_line(
    arguments: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = call(arguments | {"--lock": str(tmp_path / "none.lock")})
    assert code == FAILED == 1
    first, second = capsys.readouterr().err.splitlines()
    assert "none.lock" in first
    assert second.startswith("Nothing was changed")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        pytest.param(["--floors", "recal=0.9"], "'recal' is no metric", id="unknown-metric"),
        pytest.param(["--floors", "brier=0.1"], "'brier' is no metric that has a floor", id="lower-is-better"),
        pytest.param(["--floors", "recall=nan"], "is no floor for recall", id="no-number"),
        pytest.param(["--floors"], "expected at least one argument", id="no-floor"),
        pytest.param(["--floors", "recall=0.1", "recall=0.9"], "a metric has two floors", id="twice"),
        pytest.param(["--test-share", "0.9"], "0.9 is not from 0.1 to 0.5", id="test-share"),
        pytest.param(["--test-share", "nan"], "nan is not from 0.1 to 0.5", id="test-share-nan"),
        pytest.param(["--seed", "x"], "invalid int value", id="seed"),
    ],
)
def test_wrong_arguments_are_refused_before_anything_runs(
    wrong: list[str], message: str, arguments: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        call(arguments, *wrong)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
