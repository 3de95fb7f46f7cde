from pathlib import Path

import pytest

from mlops_runtime.entities.__main__ import main
from mlops_runtime.profiling.contract_file import DIFFERENT, EQUAL, FAILED


def test_a_contract_is_written_and_compared(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "datamodel.py"
    arguments = ["--data", str(data), "--output", str(output)]

    # Without a contract, or with one that has other labels, they differ
    assert main(arguments) == DIFFERENT
    assert not output.exists()
    # With --force, it is written
    assert main([*arguments, "--force"]) == EQUAL
    assert "31 texts with 60 entities" in capsys.readouterr().out
    assert main(arguments) == EQUAL
    output.write_text(output.read_text().replace('"ORG"', '"FIRM"'))
    assert main(arguments) == DIFFERENT
    assert '+    ORG = "ORG"' in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "source", "message"),
    [
        pytest.param("", None, "the file is empty", id="no dataset"),
        pytest.param(None, "class Label(", "not valid Python", id="no contract"),
    ],
)
def test_what_cannot_be_read_is_said_in_one_message(
    data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    content: str | None,
    source: str | None,
    message: str,
) -> None:
    output = tmp_path / "datamodel.py"
    if content is not None:
        data.write_text(content)
    if source is not None:
        output.write_text(source)

    assert main(["--data", str(data), "--output", str(output)]) == FAILED
    assert message in capsys.readouterr().err
