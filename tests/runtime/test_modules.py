"""What holds for every module of the runtime."""

import ast
from pathlib import Path

import pytest

import mlops_runtime

ROOT = Path(mlops_runtime.__file__).parent
COMMANDS = [path for path in sorted(ROOT.rglob("*.py")) if '\nif __name__ == "__main__":' in path.read_text("utf-8")]


@pytest.mark.parametrize("path", COMMANDS, ids=[path.relative_to(ROOT).as_posix() for path in COMMANDS])
def test_a_command_has_nothing_after_its_start(path: Path) -> None:
    # What is defined later is there when the module is imported, and missing when it runs.
    last = ast.parse(path.read_text("utf-8")).body[-1]

    assert isinstance(last, ast.If)
    assert ast.unparse(last.test) == "__name__ == '__main__'"
