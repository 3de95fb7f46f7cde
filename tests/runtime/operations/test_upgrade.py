import subprocess
from pathlib import Path

import pytest

from mlops_runtime.operations.upgrade import UpgradeError, check, main, upgrade

OLD = '__version__ = "1.0.0"\n'
NEW = '__version__ = "1.1.0"\n'


@pytest.fixture(autouse=True)
def identity(monkeypatch: pytest.MonkeyPatch) -> None:
    """The git identity of the user."""
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "Tester")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "tester@localhost")


def git(folder: Path, *arguments: str) -> str:
    command = ["git", *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def repository(folder: Path, files: dict[str, str]) -> Path:
    """Return a git repository with these files, committed."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    git(folder, "init", "--quiet", "--initial-branch", "main")
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

    # And a change of the project's own that is not committed yet
    (project / "README.md").write_text("Changed")

    message = upgrade(project, f"{scheme}{template}")

    # Then a branch has the new runtime, and the project's own change is not part of it
    assert message.startswith("the branch upgrade-runtime-1.1.0 has version 1.1.0 of the runtime instead of 1.0.0: 2 ")
    assert message.endswith("git switch main && git merge upgrade-runtime-1.1.0")
    assert git(project, "rev-parse", "--abbrev-ref", "HEAD") == "upgrade-runtime-1.1.0"
    assert git(project, "log", "-1", "--format=%s") == "Upgrade the runtime to 1.1.0"
    assert git(project, "diff", "--name-only", "main", "HEAD", "--", "README.md") == ""
    assert content(project) == {
        "vendor/mlops_runtime/__init__.py": NEW,
        "vendor/mlops_runtime/added.py": "",
        "README.md": "Changed",
    }


def test_what_else_has_changed_is_said(project: Path, template: Path) -> None:
    # Given a template with a changelog, a changed make file and one that the user has changed
    folder = template / "{{cookiecutter.project_slug}}"
    names = ("project.mk", "make/changed.mk", "make/users.mk", "binary.ico")
    for name, root in [(name, root) for name in names for root in (folder, project)]:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"a \xff\n")
    git(project, "add", "--all")
    git(project, "commit", "--quiet", "--message", "Make the project")
    (folder / "make/changed.mk").write_text("new\n")
    (project / "make/users.mk").write_text("mine\n")
    (template / "CHANGELOG.md").write_text("# Changelog\n\n## 1.1.0\n\n- Newer.\n\n## 1.0.0\n\n- Older.\n")

    message = upgrade(project, str(template))

    assert "## 1.1.0\n\n- Newer.\n" in message
    assert "Older" not in message
    assert "other files of the template, changed: make/changed.mk. Take over" in message


def test_the_same_runtime_changes_nothing(project: Path, template: Path) -> None:
    upgrade(project, str(template))
    git(project, "switch", "--quiet", "main")
    git(project, "merge", "--quiet", "upgrade-runtime-1.1.0")
    git(project, "branch", "--quiet", "--delete", "upgrade-runtime-1.1.0")

    assert upgrade(project, str(template)) == "vendor/ is that of the template already, version 1.1.0"

    assert git(project, "branch", "--format", "%(refname:short)") == "main"


def test_a_branch_of_an_earlier_upgrade_is_kept(project: Path, template: Path) -> None:
    git(project, "branch", "upgrade-runtime-1.1.0")
    before = content(project)

    with pytest.raises(UpgradeError, match=r"'upgrade-runtime-1\.1\.0' already exists"):
        upgrade(project, str(template))

    assert content(project) == before


@pytest.mark.parametrize("scheme", ["", "file://"], ids=["folder", "git address"])
def test_another_version_is_said_and_changes_nothing(project: Path, template: Path, scheme: str) -> None:
    before = content(project)

    with pytest.raises(UpgradeError, match=r"template has version 1\.1\.0 of the runtime, vendor/ has 1\.0\.0: run"):
        check(project, f"{scheme}{template}")

    assert content(project) == before


def test_the_same_version_passes_the_check(project: Path, template: Path) -> None:
    upgrade(project, str(template))

    assert check(project, str(template)) == "vendor/ has version 1.1.0 of the runtime, as the template has"


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


@pytest.mark.parametrize(("option", "status"), [([], 0), (["--check"], 1)], ids=["upgrade", "check"])
def test_the_command_prints_both_versions(
    project: Path,
    template: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    option: list[str],
    status: int,
) -> None:
    monkeypatch.chdir(project)

    assert main([*option, str(template)]) == status

    printed = capsys.readouterr()
    assert "1.0.0" in printed.out + printed.err
    assert "version 1.1.0 of the runtime" in printed.out + printed.err


def test_without_a_template_the_command_says_what_to_set(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(project)

    assert main([""]) == 1

    assert capsys.readouterr().err == "upgrade: set TEMPLATE to the folder or git address of the template\n"
