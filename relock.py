"""Lock the packages of a project anew: those of each kind of model, then that of each dashboard as a fragment.

Run by `make relock`; `KIND=table` or `KIND=entities` locks one of them alone.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

PROJECT = Path(__file__).parent / "{{cookiecutter.project_slug}}"
FOLDERS = {"table": PROJECT, "entities": PROJECT / "kinds/entities/files"}
"""Folder with the Pipfile and its lock, by kind."""
MARKER = "# @DASHBOARD@\n"
CATEGORIES = "packages dev-packages trainer arrow"


def lock(folder: Path, categories: str) -> dict[str, Any]:
    """Run pipenv lock, and return the lock."""
    # Pip's own configuration would enter the hash, and a name of an index the lock.
    environment = os.environ | {"PIP_CONFIG_FILE": os.devnull, "PIPENV_IGNORE_VIRTUALENVS": "1"}
    subprocess.run(["pipenv", "lock", "--categories", categories], cwd=folder, env=environment, check=True)
    content: dict[str, Any] = json.loads((folder / "Pipfile.lock").read_text(encoding="utf-8"))
    content["_meta"]["sources"] = []
    return content


def written(content: dict[str, Any]) -> str:
    """Return a lock as pipenv writes it."""
    return json.dumps(content, indent=4, separators=(",", ": "), sort_keys=True) + "\n"


def lock_kind(kind: str) -> None:
    """Write the lock of a kind, without dashboards."""
    pipfile = (FOLDERS[kind] / "Pipfile").read_text(encoding="utf-8")
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "Pipfile").write_text(pipfile.replace(MARKER, ""), encoding="utf-8")
        (FOLDERS[kind] / "Pipfile.lock").write_text(written(lock(folder, CATEGORIES)), encoding="utf-8")


def lock_dashboards() -> None:
    """Write the fragment of the lock for each dashboard, which tables alone have."""
    pipfile = (PROJECT / "Pipfile").read_text(encoding="utf-8")
    shared = (PROJECT / "Pipfile.lock").read_text(encoding="utf-8")
    for fragment in sorted(PROJECT.glob("dashboards/*/Pipfile")):
        with TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "Pipfile").write_text(pipfile.replace(MARKER, fragment.read_text(encoding="utf-8")))
            (folder / "Pipfile.lock").write_text(shared, encoding="utf-8")
            own = lock(folder, "dashboard")
            part = {"hash": own["_meta"]["hash"], "dashboard": own["dashboard"]}
            fragment.with_suffix(".lock").write_text(written(part), encoding="utf-8")


def main() -> int:
    """Lock, and return the exit status."""
    parser = argparse.ArgumentParser(description="Lock the packages of a project anew.")
    parser.add_argument("kind", nargs="?", choices=list(FOLDERS), help="kind to lock (default: all)")
    kind = parser.parse_args().kind
    # Without it, pipenv would make an environment in the user's home.
    os.environ["PIPENV_VENV_IN_PROJECT"] = "1"
    for each in [kind] if kind else FOLDERS:
        lock_kind(each)
    if kind != "entities":
        lock_dashboards()
    return 0


if __name__ == "__main__":
    sys.exit(main())
