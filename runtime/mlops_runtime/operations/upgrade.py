"""Replace the runtime in vendor/ by that of a template.

Runs with the standard library alone, because the new runtime may need another environment.
"""

import argparse
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

VERSION = re.compile(r'^__version__ = "(.+)"$', re.MULTILINE)


class UpgradeError(RuntimeError):
    """The runtime cannot be replaced."""


def upgrade(project: Path, template: str) -> tuple[str, str]:
    """Replace the runtime of a project and return its old and its new version.

    Args:
        project: folder of the project.
        template: folder or git address of the template.

    Raises:
        UpgradeError: if vendor/ has uncommitted changes, or the template has no runtime; vendor/ is unchanged.
    """
    vendor = project / "vendor"
    changes = _git("-C", str(project), "status", "--porcelain", "--", "vendor")
    if changes:
        names = ", ".join(line[3:] for line in changes.splitlines())
        raise UpgradeError(f"vendor/ has uncommitted changes, commit or undo them first: {names}")
    old = version_of(vendor)
    with TemporaryDirectory(dir=project, prefix=".upgrade-") as temporary:
        folder = Path(template)
        if not folder.is_dir():
            folder = Path(temporary) / "template"
            _git("clone", "--quiet", "--depth", "1", "--", template, str(folder))
        new = version_of(folder / "runtime")
        copy, previous = Path(temporary) / "vendor", Path(temporary) / "previous"
        shutil.copytree(folder / "runtime", copy, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info", "build"))
        vendor.rename(previous)
        copy.rename(vendor)
    return old, new


def version_of(folder: Path) -> str:
    """Return the version of the runtime in a folder.

    Raises:
        UpgradeError: if there is none.
    """
    path = folder / "mlops_runtime/__init__.py"
    match = VERSION.search(path.read_text(encoding="utf-8")) if path.is_file() else None
    if match is None:
        raise UpgradeError(
            f"{path} has no version of the runtime: set TEMPLATE to a folder or git address that has one"
        )
    return match[1]


def _git(*arguments: str) -> str:
    result = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)  # noqa: S607
    if result.returncode != 0:
        reason = (result.stderr.strip().splitlines() or ["no message"])[-1]
        raise UpgradeError(f"git {' '.join(arguments)} failed: {reason}")
    return result.stdout


def main(argv: Sequence[str] | None = None) -> int:
    """Upgrade the project in the current folder; return the exit status."""
    parser = argparse.ArgumentParser(prog="mlops_runtime.operations.upgrade", description=__doc__)
    parser.add_argument("template", help="folder or git address of the template")
    template = parser.parse_args(argv).template
    try:
        if not template:
            raise UpgradeError("set TEMPLATE to the folder or git address of the template")
        old, new = upgrade(Path(), template)
    except (UpgradeError, OSError) as error:
        print(f"upgrade: {error}", file=sys.stderr)
        return 1
    print(f"vendor/ had version {old} of the runtime, and has version {new} now: run make unittest test, then commit")
    return 0


if __name__ == "__main__":
    sys.exit(main())
