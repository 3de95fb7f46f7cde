"""Lock the packages of a project anew: the shared categories, then that of each dashboard as a fragment of its own.

Run by `make relock`.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

PROJECT = Path(__file__).parent / "{{cookiecutter.project_slug}}"
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


def main() -> int:
    """Lock, and return the exit status."""
    pipfile = (PROJECT / "Pipfile").read_text(encoding="utf-8")
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "Pipfile").write_text(pipfile, encoding="utf-8")
        # Without it, pipenv would make an environment in the user's home.
        os.environ["PIPENV_VENV_IN_PROJECT"] = "1"
        shared = lock(folder, CATEGORIES)
        (PROJECT / "Pipfile.lock").write_text(written(shared), encoding="utf-8")
        for fragment in sorted(PROJECT.glob("dashboards/*/Pipfile")):
            (folder / "Pipfile").write_text(pipfile.replace(MARKER, fragment.read_text(encoding="utf-8")))
            (folder / "Pipfile.lock").write_text(written(shared), encoding="utf-8")
            own = lock(folder, "dashboard")
            part = {"hash": own["_meta"]["hash"], "dashboard": own["dashboard"]}
            fragment.with_suffix(".lock").write_text(written(part), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
