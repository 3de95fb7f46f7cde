"""Replace the runtime in vendor/ by that of a template, on a branch to review.

Runs with the standard library alone, because the new runtime may need another environment.
"""

import argparse
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from mlops_runtime.operations.template_changes import changed_files, changelog_since

VERSION = re.compile(r'^__version__ = "(.+)"$', re.MULTILINE)


class UpgradeError(RuntimeError):
    """The runtime cannot be replaced."""


def upgrade(project: Path, template: str) -> str:
    """Replace the runtime of a project by a commit on a new branch; return what was done, and what else has changed.

    Args:
        project: folder of the project.
        template: folder or git address of the template.

    Raises:
        UpgradeError: if the project has no commit, vendor/ has uncommitted changes, the branch exists, or the template
            has no runtime: nothing has changed then. Or if the commit fails: the branch has the new vendor/ then.
    """
    vendor = project / "vendor"
    changes = _git("-C", str(project), "status", "--porcelain", "--", "vendor")
    if changes:
        names = ", ".join(line[3:] for line in changes.splitlines())
        raise UpgradeError(f"vendor/ has uncommitted changes, commit or undo them first: {names}")
    start = _git("-C", str(project), "rev-parse", "--abbrev-ref", "HEAD").strip()
    old = version_of(vendor)
    with _folder_of(template) as folder, TemporaryDirectory(dir=project, prefix=".upgrade-") as temporary:
        runtime = folder / "runtime"
        new = version_of(runtime)
        files = changed_files(folder, project, _original_of(project))
        changelog = folder / "CHANGELOG.md"
        entries = changelog_since(changelog.read_text(encoding="utf-8"), old) if changelog.is_file() else ""
        copy, previous = Path(temporary) / "vendor", Path(temporary) / "previous"
        shutil.copytree(runtime, copy, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info", "build"))
        branch = f"upgrade-runtime-{new}"
        _git("-C", str(project), "switch", "--quiet", "--create", branch)
        vendor.rename(previous)
        copy.rename(vendor)
    _git("-C", str(project), "add", "--all", "vendor")
    summary = _git("-C", str(project), "diff", "--cached", "--shortstat", "--", "vendor").strip()
    if not summary:
        _git("-C", str(project), "switch", "--quiet", "-")
        _git("-C", str(project), "branch", "--quiet", "--delete", branch)
        return "\n".join(filter(None, [f"vendor/ is that of the template already, version {old}", files]))
    _git("-C", str(project), "commit", "--quiet", "--message", f"Upgrade the runtime to {new}", "--", "vendor")
    lines = [
        f"the branch {branch} has version {new} of the runtime instead of {old}: {summary}",
        f"\n{entries}\n" if entries else "",
        files,
        f"run make unittest train test, then merge the branch: git switch {start} && git merge {branch}",
    ]
    return "\n".join(filter(None, lines))


def _original_of(project: Path) -> Callable[[str], str | None]:
    """Return a function that returns a file as it was when the project was made: in its first commit."""
    commits = _git("-C", str(project), "log", "--format=%H", "--", "project.mk").split() or ["HEAD"]
    names = _git("-C", str(project), "ls-tree", "-r", "-z", "--name-only", commits[-1], "--", ".").split("\0")

    def original(name: str) -> str | None:
        return _git("-C", str(project), "show", f"{commits[-1]}:./{name}") if name in names else None

    return original


def check(project: Path, template: str) -> str:
    """Return in a sentence that the runtime of a project is that of a template.

    Raises:
        UpgradeError: if the versions differ, or the template has no runtime.
    """
    old = version_of(project / "vendor")
    with _folder_of(template) as folder:
        new = version_of(folder / "runtime")
    if new != old:
        raise UpgradeError(f"the template has version {new} of the runtime, vendor/ has {old}: run make upgrade")
    return f"vendor/ has version {old} of the runtime, as the template has"


@contextmanager
def _folder_of(template: str) -> Iterator[Path]:
    """Yield the folder of a template, which is a folder or cloned from a git address."""
    if Path(template).is_dir():
        yield Path(template)
        return
    with TemporaryDirectory() as temporary:
        clone = Path(temporary) / "template"
        _git("clone", "--quiet", "--depth", "1", "--", template, str(clone))
        yield clone


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
    command = ["git", *arguments]
    result = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", check=False)
    if result.returncode != 0:
        reason = (result.stderr.strip().splitlines() or ["no message"])[-1]
        raise UpgradeError(f"git {' '.join(arguments)} failed: {reason}")
    return result.stdout


def main(argv: Sequence[str] | None = None) -> int:
    """Upgrade the project in the current folder, or only check its version; return the exit status."""
    parser = argparse.ArgumentParser(prog="mlops_runtime.operations.upgrade", description=__doc__)
    parser.add_argument("template", help="folder or git address of the template")
    parser.add_argument("--check", action="store_true", help="change nothing; the exit status is 1 for another version")
    arguments = parser.parse_args(argv)
    try:
        if not arguments.template:
            raise UpgradeError("set TEMPLATE to the folder or git address of the template")
        print((check if arguments.check else upgrade)(Path(), arguments.template))
    except (UpgradeError, OSError) as error:
        print(f"upgrade: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
