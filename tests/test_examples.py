"""The pages of examples/: their commands are run, and print what the pages say."""

import os
import re
import shlex
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest

from tests.conftest import TEMPLATE

EXAMPLES = sorted(path.parent.name for path in TEMPLATE.glob("examples/*/README.md"))
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
NUMBER = re.compile(r"\d[\d,]*\.?\d*(?:e-?\d+)?")


def blocks(page: Path) -> list[tuple[str, str]]:
    """Return the commands of a page, each with what it prints."""
    found = BLOCK.findall(page.read_text())
    answers = {first: output for (_, first), (kind, output) in pairwise(found) if kind == "text"}
    return [(command, answers.get(command, "")) for kind, command in found if kind == "bash"]


def without_numbers(text: str) -> str:
    return NUMBER.sub("N", re.sub(r"version \w+", "version N", text)).strip()


def numbers(text: str) -> list[float]:
    return [float(number.replace(",", "").rstrip(".")) for number in NUMBER.findall(re.sub(r"version \w+", "", text))]


@contextmanager
def shell(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Yield a shell in a folder; what it started is stopped with it."""
    with subprocess.Popen(
        ["bash", "-e"], cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            yield process
        finally:
            os.killpg(process.pid, signal.SIGTERM)


def run(process: subprocess.Popen[str], commands: str) -> str:
    """Return what commands print in a shell."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{commands}\necho; echo END OF BLOCK\n")
    process.stdin.flush()
    lines: list[str] = []
    for line in process.stdout:
        if line == "END OF BLOCK\n":
            return "".join(lines)
        lines.append(line)
    pytest.fail(f"{commands} failed after {''.join(lines)}")


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_commands_of_a_page_print_what_it_says(name: str, project: Path, tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    page = TEMPLATE / "examples" / name / "README.md"
    assert blocks(page)
    with shell(tmp_path) as process:
        # Given another port than that of the page, the environment of another project, and time for every candidate
        run(process, f"export MLOPS_PORT={port} MLOPS_BUDGET=3600")
        for commands, expected in blocks(page):
            commands = commands.replace("path/to/cookiecutter-mlops-eks", shlex.quote(str(TEMPLATE)))

            printed = run(process, commands.replace(":8000", f":{port}"))

            if expected:
                expected = re.sub(r"(?m)^Installing .* into \.venv .*\n", "", expected)
                assert without_numbers(printed) == without_numbers(expected), printed
                assert numbers(printed) == pytest.approx(numbers(expected), rel=0.05)
            for folder in tmp_path.glob("*/Pipfile.lock"):
                environment = folder.with_name(".venv")
                if not environment.exists():
                    environment.symlink_to(project / ".venv")
                    os.utime(project / ".venv/.installed")


@pytest.mark.parametrize("name", EXAMPLES)
@pytest.mark.parametrize("seed", ["0", "1"])
def test_a_seed_gives_the_same_table(name: str, seed: str, tmp_path: Path) -> None:
    # given
    generate = [str(TEMPLATE / "examples" / name / "generate.py"), "--rows", "50", "--seed", seed, "--output"]
    # when
    for path in ("a.csv", "b.csv"):
        subprocess.run(["python3", *generate, path], cwd=tmp_path, check=True)
    # then
    rows = (tmp_path / "a.csv").read_text().splitlines()
    assert (tmp_path / "b.csv").read_text().splitlines() == rows
    assert len(set(rows)) == 51
