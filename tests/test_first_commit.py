"""The first commit, with various git settings of the user."""

from pathlib import Path

import pytest

from tests.conftest import bake
from tests.test_bake import git


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's git configuration, initially empty."""
    path = tmp_path / "gitconfig"
    path.touch()
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(path))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    return path


def test_the_identity_of_the_user_is_used(settings: Path, tmp_path: Path) -> None:
    settings.write_text("[user]\n\tname = Ada\n\temail = ada@example.org\n")

    project = bake(tmp_path / "out", __author="Somebody Else")

    assert git(project, "log", "--format=%an <%ae>").strip() == "Ada <ada@example.org>"


def test_the_global_ignore_file_does_not_apply(settings: Path, tmp_path: Path) -> None:
    ignored = tmp_path / "ignored"
    ignored.write_text("*.csv\n*.lock\ndata/\n")
    settings.write_text(f"[core]\n\texcludesFile = {ignored}\n")

    project = bake(tmp_path / "out")

    committed = git(project, "ls-files").splitlines()
    assert "Pipfile.lock" in committed
    assert any(name.endswith(".csv") for name in committed)


@pytest.mark.parametrize(
    "setting",
    [
        pytest.param("[commit]\n\tgpgSign = true\n[gpg]\n\tprogram = false\n", id="signing fails"),
        pytest.param("[core]\n\thooksPath = {hooks}\n", id="a hook fails"),
    ],
)
def test_a_commit_that_fails_gives_a_complete_project_and_one_line(
    settings: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], setting: str
) -> None:
    # Given settings with which a commit fails
    hook = tmp_path / "hooks/pre-commit"
    hook.parent.mkdir()
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    settings.write_text(setting.format(hooks=hook.parent))

    # When a project is baked
    project = bake(tmp_path / "out")

    # Then all files are staged, and one line says that there is no commit
    printed = capfd.readouterr().out.splitlines()
    assert len([line for line in printed if line.startswith("No first commit")]) == 1
    assert (project / "makefile").is_file()
    assert git(project, "status", "--porcelain").startswith("A  ")


def test_a_clone_has_the_same_bytes_with_line_endings_of_windows(settings: Path, tmp_path: Path) -> None:
    # Given the git settings of Windows
    settings.write_text("[core]\n\tautocrlf = true\n")
    project = bake(tmp_path / "out")

    # When the project is cloned
    git(tmp_path, "clone", "--quiet", str(project), "clone")

    # Then each file is unchanged
    names = git(project, "ls-files", "-z").strip("\0").split("\0")
    changed = [name for name in names if (project / name).read_bytes() != (tmp_path / "clone" / name).read_bytes()]
    assert changed == []


def test_a_bake_inside_a_git_hook_does_not_change_that_repository(
    settings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del settings
    git(tmp_path, "init", "--quiet", "other")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other/.git"))

    bake(tmp_path / "out")

    assert git(tmp_path / "other", "ls-files") == ""
