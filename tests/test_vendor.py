"""The copy of the runtime in the `vendor/` folder of a project."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cookiecutter.main import cookiecutter

from tests.conftest import TEMPLATE
from tests.test_bake import git

IGNORED = shutil.ignore_patterns(".git", ".venv", "__pycache__", "*.egg-info", "build", ".*_cache", ".hypothesis")


def commit_everything(folder: Path) -> None:
    git(folder, "init", "--quiet")
    git(folder, "add", "--all")
    identity = ("-c", "user.name=Tester", "-c", "user.email=tester@localhost")
    git(folder, *identity, "commit", "--quiet", "--message", "The template")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A git repository with the current template, and a bare clone of it."""
    folder = tmp_path_factory.mktemp("template") / "template"
    shutil.copytree(TEMPLATE, folder, symlinks=True, ignore=IGNORED)
    commit_everything(folder)
    git(folder, "clone", "--quiet", "--bare", str(folder), str(folder.with_name("bare.git")))
    return folder


def by_cookiecutter(address: str, folder: Path) -> None:
    cookiecutter(address, no_input=True, output_dir=str(folder))


def by_cruft(address: str, folder: Path) -> None:
    command = [sys.executable, "-m", "cruft", "create", address, "--no-input", "--output-dir", str(folder)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def by_path(template: Path) -> str:
    return str(template)


def by_git_address(template: Path) -> str:
    return f"file://{template.with_name('bare.git')}"


@pytest.mark.parametrize("address", [by_path, by_git_address])
@pytest.mark.parametrize("create", [by_cookiecutter, by_cruft])
def test_a_project_contains_all_files_of_the_runtime(
    template: Path, tmp_path: Path, create: Callable[[str, Path], None], address: Callable[[Path], str]
) -> None:
    names = git(template, "ls-files", "-z", "runtime").strip("\0").split("\0")
    expected = {name.removeprefix("runtime/"): (template / name).read_bytes() for name in names}

    create(address(template), tmp_path)

    vendor = tmp_path / "oncology/vendor"
    copied = {str(path.relative_to(vendor)): path.read_bytes() for path in vendor.rglob("*") if path.is_file()}
    assert not vendor.is_symlink()
    assert copied == expected


@pytest.mark.parametrize(
    "name", ["mlops_runtime/__pycache__/x.pyc", "mlops_runtime.egg-info/PKG-INFO", "build/lib/x.py"]
)
def test_build_files_of_the_runtime_are_not_copied(template: Path, tmp_path: Path, name: str) -> None:
    path = template / "runtime" / name
    path.parent.mkdir(parents=True)
    path.touch()

    by_cookiecutter(str(template), tmp_path)
    path.unlink()
    path.parent.rmdir()

    assert not (tmp_path / "oncology/vendor" / name).exists()


def test_vendor_is_a_link_in_git_and_excluded_from_language_statistics(template: Path) -> None:
    entry = git(template, "ls-files", "--stage", "--", "{{cookiecutter.project_slug}}/vendor")
    attributes = (template / "{{cookiecutter.project_slug}}/.gitattributes").read_text()

    assert entry.startswith("120000 ")
    assert "vendor/** linguist-vendored" in attributes


def test_cruft_update_updates_the_runtime(template: Path, tmp_path: Path) -> None:
    # Given a project from a copy of the template, which changes afterwards
    copy = tmp_path / "template"
    shutil.copytree(template, copy, symlinks=True)
    by_cruft(str(copy), tmp_path)
    project = tmp_path / "oncology"
    identity = ("-c", "user.name=Tester", "-c", "user.email=tester@localhost")
    git(project, "add", "--all")
    git(project, *identity, "commit", "--quiet", "--message", "Note the template")
    (copy / "runtime/mlops_runtime/__init__.py").write_text('"""The runtime."""\n\n__version__ = "1.0.1"\n')
    git(copy, *identity, "commit", "--quiet", "--all", "--message", "Change the runtime")

    # When the project is updated
    command = [sys.executable, "-m", "cruft", "update", "--skip-apply-ask"]
    result = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)

    # Then it has the change
    assert result.returncode == 0, result.stdout + result.stderr
    assert '__version__ = "1.0.1"' in (project / "vendor/mlops_runtime/__init__.py").read_text()
