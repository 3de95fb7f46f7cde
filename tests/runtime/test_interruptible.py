"""Ctrl-C during the imports of a command."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

RUNTIME = Path(__file__).parents[2] / "runtime"


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(folder), str(RUNTIME)])}
    command = [sys.executable, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_a_module_is_run_with_its_arguments(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text("import sys; print(__name__, sys.argv[1:]); sys.exit(3)")

    result = run(tmp_path, "-m", "mlops_runtime.interruptible", "program", "--option", "-m")

    assert (result.returncode, result.stdout, result.stderr) == (3, "__main__ ['--option', '-m']\n", "")


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(("mlops_runtime.interruptible", "program"), id="a program that is not ours"),
        pytest.param(("mlops_runtime.operations.manifests", "trainer"), id="a command of ours"),
    ],
)
def test_ctrl_c_during_the_imports_leaves_no_traceback(tmp_path: Path, command: tuple[str, ...]) -> None:
    # Given an import in which the process gets the signal of Ctrl-C
    for name in ("program", "yaml"):
        (tmp_path / f"{name}.py").write_text("import os, signal; os.kill(os.getpid(), signal.SIGINT)\n")

    result = run(tmp_path, "-m", *command)

    assert (result.returncode, result.stdout, result.stderr) == (-signal.SIGINT, "", "")


def test_importing_the_runtime_changes_no_handler(tmp_path: Path) -> None:
    code = "import signal, mlops_runtime; assert signal.getsignal(signal.SIGINT) is signal.default_int_handler"

    assert run(tmp_path, "-c", code).returncode == 0
