from collections.abc import Mapping
from pathlib import Path

import pytest

from mlops_runtime.operations.template_changes import changed_files, changelog_since

CHANGELOG = """\
# Changelog

## Unreleased

- Not in a version yet.

## [1.10.0] - 2026-12-01

- Tenth.

## 1.9.0

### Fixed

- Ninth.

## 1.8

- Eighth.
"""
SETTINGS = """\
PROJECT ?= {{cookiecutter.project_slug}}
PACKAGE ?= {{cookiecutter.__package}}_model
TITLE ?= {{cookiecutter.project_name}}
SEED ?= 0
"""
FOLDER = "{{cookiecutter.project_slug}}"
TEMPLATE = {
    "project.mk": SETTINGS,
    "make/job.mk": "train.job:\n\t@echo {{index .}}\n",
    "src/{{cookiecutter.__package}}_model/classifier.py": "from {{cookiecutter.__package}}_model import x\n",
    "README.md": "# {{cookiecutter.project_name}}\n{% raw %}{{ super() }}{% endraw %}\n",
}
PROJECT = {
    "project.mk": "PROJECT ?= zoe\nPACKAGE ?= zoe_model\nTITLE ?= Zoë's test\nSEED ?= 0\n",
    "make/job.mk": "train.job:\n\t@echo {{index .}}\n",
    "src/zoe_model/classifier.py": "from zoe_model import x\n",
    "README.md": "# Zoë's test\n{{ super() }}\n",
}


def write(folder: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


@pytest.fixture
def template(tmp_path: Path) -> Path:
    """A template from which the project can have been made."""
    write(tmp_path / "template" / FOLDER, TEMPLATE)
    return tmp_path / "template"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project as it was made."""
    return write(tmp_path / "project", PROJECT)


@pytest.mark.parametrize(
    ("version", "headings"),
    [
        pytest.param("1.9.0", ["## Unreleased", "## [1.10.0] - 2026-12-01"], id="a version with a section"),
        pytest.param("1.9.5", ["## Unreleased", "## [1.10.0] - 2026-12-01"], id="a version without one"),
        pytest.param("1.8", ["## Unreleased", "## [1.10.0] - 2026-12-01", "## 1.9.0"], id="two versions ago"),
        pytest.param("1.10.0", ["## Unreleased"], id="the newest version"),
        pytest.param("0.1", ["## Unreleased", "## [1.10.0] - 2026-12-01", "## 1.9.0", "## 1.8"], id="before all"),
    ],
)
def test_the_changelog_is_cut_at_the_version_of_the_project(version: str, headings: list[str]) -> None:
    entries = changelog_since(CHANGELOG, version)

    assert [line for line in entries.splitlines() if line.startswith("## ")] == headings


def test_a_project_that_is_as_the_template_makes_it_has_no_changes(template: Path, project: Path) -> None:
    assert changed_files(template, project, PROJECT.get) == ""


def test_changes_of_the_user_are_none_of_the_template(template: Path, project: Path) -> None:
    # Given a project whose user changed a file, and the settings that hold the answers
    (project / "make/job.mk").write_text("train.job:\n\t@echo mine\n")
    (project / "project.mk").write_text("PROJECT ?= zoe\nPACKAGE ?= zoe_model\nTITLE ?= Another title\n")
    (project / "README.md").unlink()

    assert changed_files(template, project, PROJECT.get) == ""


def test_changed_and_new_files_of_the_template_are_named(template: Path, project: Path) -> None:
    # Given a template with a changed file, a new one, and files that are the user's
    (template / FOLDER / "make/job.mk").write_text("train.job:\n\t@echo newer\n")
    others = {"docs/reading.md": "", "data/README.md": "", "vendor/x.py": ""}
    write(template / FOLDER, others | {"src/{{cookiecutter.__package}}_model/datamodel.py": ""})

    sentence = changed_files(template, project, PROJECT.get)

    assert sentence.startswith("other files of the template, changed: make/job.mk; new: docs/reading.md. Take over")


def test_a_change_that_the_project_has_taken_over_is_left_out(template: Path, project: Path) -> None:
    newer = "train.job:\n\t@echo newer\n"
    (template / FOLDER / "make/job.mk").write_text(newer)
    (project / "make/job.mk").write_text(newer)

    assert changed_files(template, project, PROJECT.get) == ""


@pytest.mark.parametrize(
    ("own", "fragment", "expected"),
    [
        pytest.param({}, "", "", id="the first platform, without a file of it"),
        pytest.param({"k8s/a.yaml": "a"}, "", "", id="the first platform"),
        pytest.param({"compose.yaml": "c"}, "HTTP_PORT ?= 80\n", "", id="another platform"),
        pytest.param({"compose.yaml": "old"}, "HTTP_PORT ?= 80\n", "changed: compose.yaml", id="a change of its file"),
        pytest.param({"compose.yaml": "c"}, "", "changed: project.mk", id="a change of its fragment"),
    ],
)
def test_only_the_platform_of_the_project_counts(
    template: Path, project: Path, own: dict[str, str], fragment: str, expected: str
) -> None:
    # Given a template with two platforms, each with a file and a fragment of its own
    files = {
        "platforms/files.json": '{"eks": ["k8s"], "docker-host": ["compose.yaml"]}',
        "platforms/eks/settings.mk": "",
        "platforms/docker-host/settings.mk": "HTTP_PORT ?= 80\n",
        "project.mk": f"{SETTINGS}# @PLATFORM@\n",
        "k8s/a.yaml": "a",
        "compose.yaml": "c",
    }
    write(template / FOLDER, files)
    # and a project of one of them
    write(project, own | {"project.mk": PROJECT["project.mk"] + fragment})
    if not own:
        files.pop("k8s/a.yaml")
        (template / FOLDER / "k8s/a.yaml").unlink()

    sentence = changed_files(template, project, lambda _: None)

    assert sentence.partition(". Take")[0].removeprefix("other files of the template, ") == expected
