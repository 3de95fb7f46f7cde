import subprocess
from pathlib import Path

import pytest

from mlops_runtime.operations.upgrade import UpgradeError, main, upgrade

OLD = '__version__ = "1.0.0"\n'
NEW = '__version__ = "1.1.0"\n'


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=Tester", "-c", "user.email=tester@localhost"]
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


def repository(folder: Path, files: dict[str, str]) -> Path:
    """Return a git repository with these files, committed."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    git(folder, "init", "--quiet")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "Start")
    return folder


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with the old runtime."""
    files = {"vendor/mlops_runtime/__init__.py": OLD, "vendor/mlops_runtime/removed.py": "", "README.md": "Project"}
    return repository(tmp_path / "project", files)


@pytest.fixture
def template(tmp_path: Path) -> Path:
    """A template with the new runtime."""
    files = {"runtime/mlops_runtime/__init__.py": NEW, "runtime/mlops_runtime/added.py": "", "README.md": "Template"}
    return repository(tmp_path / "template", files)


def content(folder: Path) -> dict[str, str]:
    """Return the files of a folder, without those of git."""
    paths = (path for path in folder.rglob("*") if path.is_file() and ".git" not in path.parts)
    return {str(path.relative_to(folder)): path.read_text() for path in paths}


@pytest.mark.parametrize("scheme", ["", "file://"], ids=["folder", "git address"])
def test_the_runtime_becomes_that_of_the_template(project: Path, template: Path, scheme: str) -> None:
    # Given files that Python and setuptools leave in a template
    (template / "runtime/mlops_runtime/__pycache__").mkdir()
    (template / "runtime/mlops_runtime/__pycache__/x.pyc").touch()

    versions = upgrade(project, f"{scheme}{template}")

    assert versions == ("1.0.0", "1.1.0")
    assert content(project) == {
        "vendor/mlops_runtime/__init__.py": NEW,
        "vendor/mlops_runtime/added.py": "",
        "README.md": "Project",
    }


def test_uncommitted_changes_are_not_overwritten(project: Path, template: Path) -> None:
    # Given a file of the project's own in vendor/
    (project / "vendor/mine.py").write_text("mine")
    before = content(project)

    with pytest.raises(UpgradeError, match=r"uncommitted changes, commit or undo them first: vendor/mine.py"):
        upgrade(project, str(template))

    assert content(project) == before


@pytest.mark.parametrize(
    ("name", "message"),
    [
        pytest.param("project", "set TEMPLATE to a folder", id="a folder without a runtime"),
        pytest.param("missing", "clone .* failed", id="neither folder nor repository"),
    ],
)
def test_a_template_without_a_runtime_is_refused(project: Path, name: str, message: str) -> None:
    before = content(project)

    with pytest.raises(UpgradeError, match=message):
        upgrade(project, str(project.parent / name))

    assert content(project) == before


def test_the_command_prints_both_versions(
    project: Path, template: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(project)

    assert main([str(template)]) == 0

    assert "had version 1.0.0 of the runtime, and has version 1.1.0 now" in capsys.readouterr().out


def test_without_a_template_the_command_says_what_to_set(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(project)

    assert main([""]) == 1

    assert capsys.readouterr().err == "upgrade: set TEMPLATE to the folder or git address of the template\n"
