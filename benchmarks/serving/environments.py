"""An environment for each server with the newest packages, and its size."""

import json
import shutil
import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path

MODEL_PACKAGES = ("numpy", "onnxruntime", "pydantic")
"""Packages that the model package of a project needs."""

OTHER_PYTHONS = ("python3.12", "python3.13")
"""Python versions to try if a server cannot be installed on the current version."""


class StepError(RuntimeError):
    """A command failed; the message has its last output."""


def output_of(
    command: Sequence[str | Path], *, folder: Path | None = None, environment: dict[str, str] | None = None
) -> str:
    """Run a command and return its output.

    Raises:
        StepError: if it fails.
    """
    texts = [str(part) for part in command]
    result = subprocess.run(texts, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        lines = [*result.stdout.strip().splitlines(), *result.stderr.strip().splitlines()] or ["no output"]
        raise StepError(f"{Path(texts[0]).name} exits {result.returncode}: " + " / ".join(lines[-4:])[:800])
    return result.stdout


def tools(work: Path) -> Path:
    """Return the folder of the commands that make projects and environments; create it on the first run."""
    folder = work / "tools"
    if not (folder / "ready").exists():
        venv.create(folder, with_pip=True)
        output_of([folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--upgrade", "pip", "cookiecutter"])
        (folder / "ready").touch()
    return folder / "bin"


def locked(project: Path) -> dict[str, dict[str, str]]:
    """Return the locked versions of a project by category and package."""
    lock = json.loads((project / "Pipfile.lock").read_text())
    return {
        category: {name: entry["version"].removeprefix("==") for name, entry in packages.items() if "version" in entry}
        for category, packages in lock.items()
        if category != "_meta"
    }


def requirements(project: Path, packages: Sequence[str]) -> list[str]:
    """Return packages with their locked versions, if any, so that the code of the model runs on the same packages."""
    versions = locked(project)
    known = versions["trainer"] | versions["default"]
    return [f"{name}=={known[name]}" if name in known else name for name in packages]


def environment(work: Path, commands: Path, name: str, wanted: Sequence[str]) -> Path:
    """Return the folder of an environment with packages; create it on the first run.

    It has no pip, like an image for serving.

    Raises:
        StepError: if no Python version of this machine can install them; with the output of pip on the current version.
    """
    folder = work / "environments" / name
    ready = folder / "ready"
    if ready.exists() and ready.read_text() == "\n".join(wanted):
        return folder
    failures = []
    for python in (sys.executable, *filter(None, map(shutil.which, OTHER_PYTHONS))):
        shutil.rmtree(folder, ignore_errors=True)
        try:
            output_of([python, "-m", "venv", "--without-pip", folder])
            pip: list[str | Path] = [commands / "python", "-m", "pip", "--python", folder / "bin" / "python"]
            output_of([*pip, "install", "--quiet", "--disable-pip-version-check", *wanted])
        except StepError as error:
            failures.append(str(error))
            continue
        ready.write_text("\n".join(wanted))
        return folder
    raise StepError(f"can't be installed: {failures[0]}")


def versions(folder: Path, packages: Sequence[str]) -> dict[str, str]:
    """Return the versions of Python and of some packages in an environment."""
    script = (
        "import importlib.metadata, json, platform, sys\n"
        "found = {name: importlib.metadata.version(name) for name in sys.argv[1:]}\n"
        "print(json.dumps({'python': platform.python_version()} | found))"
    )
    installed: dict[str, str] = json.loads(output_of([folder / "bin" / "python", "-c", script, *packages]))
    return installed


def size(folder: Path) -> int:
    """Return the size of the files of an environment, without the interpreter, in bytes."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
