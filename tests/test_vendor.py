"""The copy of the runtime in the `vendor/` folder of a project."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cookiecutter.main import cookiecutter

from mlops_runtime.operations.template_changes import changelog_since
from mlops_runtime.operations.upgrade import upgrade, version_of
from tests.conftest import TEMPLATE, bake, share_environment
from tests.test_bake import git
from tests.test_project import make

IDENTITY = ("-c", "user.name=Tester", "-c", "user.email=tester@localhost")
IGNORED = shutil.ignore_patterns(".git", ".venv", "__pycache__", "*.egg-info", "build", ".*_cache", ".hypothesis")


def commit_everything(folder: Path) -> None:
    git(folder, "init", "--quiet")
    git(folder, "add", "--all")
    git(folder, *IDENTITY, "commit", "--quiet", "--message", "Everything")


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


def test_the_changelog_names_the_version_of_the_runtime() -> None:
    newest = changelog_since((TEMPLATE / "CHANGELOG.md").read_text(), "0")

    released = [line for line in newest.splitlines() if line.startswith("## ") and line != "## Unreleased"]
    assert released[0].startswith(f"## {version_of(TEMPLATE / 'runtime')}")


ROWS = [f"{20 + row % 50},{'ab'[row % 2]},{'yes' if row % 3 else 'no'}" for row in range(60)]
TABLE = "\n".join(["age,ward,ill", *ROWS, ""])


def change(path: Path, old: str, new: str, count: int = -1) -> None:
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, count))


@pytest.mark.parametrize(
    ("table", "dashboard", "expected"),
    [
        pytest.param("", "streamlit", "make/image.mk, src/dashboard/app.py", id="the example table, with a dashboard"),
        pytest.param(TABLE, "none", "make/image.mk", id="a table of the user"),
    ],
)
def test_upgrade_names_the_files_that_a_newer_template_makes_otherwise(
    template: Path, tmp_path: Path, table: str, dashboard: str, expected: str
) -> None:
    # Given a project with an edited contract and setting, and a newer template
    dataset = tmp_path / "table.csv"
    dataset.write_text(table)
    answers = {"dataset": str(dataset), "target": "ill"} if table else {}
    edited = bake(tmp_path, **answers, project_name="Zoë's test", project_slug="zoe", dashboard=dashboard)
    change(edited / "src/zoe_model/datamodel.py", 'description="', 'description="Edited: ')
    change(edited / "project.mk", "SEED ?= 0", "SEED ?= 7")
    commit_everything(edited)
    for name, value in (("name", "Tester"), ("email", "tester@localhost")):
        git(edited, "config", f"user.{name}", value)
    newer = tmp_path / "template"
    shutil.copytree(template, newer, symlinks=True)
    change(newer / "runtime/mlops_runtime/__init__.py", '"1.0.0"', '"1.0.1"')
    change(newer / "CHANGELOG.md", "## ", "## 1.0.1\n\n- Newer.\n\n## ", 1)
    change(newer / "{{cookiecutter.project_slug}}/make/image.mk", "Build the images", "Build all images")
    change(newer / "{{cookiecutter.project_slug}}/src/dashboard/app.py", 'layout="wide"', 'layout="centered"')
    (newer / "{{cookiecutter.project_slug}}/docs/new.md").touch()

    # When it is upgraded
    message = upgrade(edited, str(newer))

    # Then the entries of the changelog since its version, and these files, are named
    assert [line for line in message.splitlines() if line.startswith("## ")] == ["## 1.0.1"]
    assert f"other files of the template, changed: {expected}; new: docs/new.md. Take over" in message


MANIFESTS = {
    "eks": ("k8s/overlays/staging/kustomization.yaml", "count: 1", "count: 2"),
    "docker-host": ("compose.yaml", "scale: 2", "scale: 3"),
    "azure-container-apps": ("azure/containerapp.yaml", "maxReplicas: 2", "maxReplicas: 3"),
    "azure-web-app": ("azure/webapp.yaml", "healthCheckPath: /readyz", "healthCheckPath: /healthz"),
}
"""A file that only the projects of a platform have, and an edit of it."""


@pytest.mark.parametrize(
    ("table", "platform", "dashboard"),
    [
        pytest.param("", "eks", "none", id="the example table"),
        pytest.param(TABLE, "eks", "none", id="a table of the user"),
        pytest.param("", "docker-host", "streamlit", id="a machine with Docker, and a dashboard"),
    ],
)
def test_cruft_update_merges_the_template_and_keeps_what_is_the_users(
    template: Path, project: Path, tmp_path: Path, table: str, platform: str, dashboard: str
) -> None:
    # Given a project made by cruft, without a commit, as its .cruft.json is written last
    copy, dataset = tmp_path / "template", tmp_path / "a table.csv"
    shutil.copytree(template, copy, symlinks=True)
    dataset.write_text(table)
    own = {"dataset": str(dataset), "target": "ill", "project_name": "Oncology"} if table else {}
    answers = [json.dumps(own | {"platform": platform, "dashboard": dashboard})]
    command = [sys.executable, "-m", "cruft", "create", str(copy), "--no-input", "--output-dir", str(tmp_path)]
    run(tmp_path, *command, "--extra-context", *answers)
    edited = tmp_path / "oncology"
    assert not (edited / ".git").exists()
    # and an estimator, a description, a setting and a manifest that the user changed
    change(edited / "src/trainer/estimators.py", "CANDIDATES = default", "# Ours.\nCANDIDATES = default")
    change(edited / "src/oncology_model/datamodel.py", 'description="', 'description="Edited: ')
    change(edited / "project.mk", "SEED ?= 0", "SEED ?= 7")
    manifest, old, new = MANIFESTS[platform]
    change(edited / manifest, old, new)
    page = edited / "src/dashboard/app.py"
    if dashboard != "none":
        change(page, "height=1200", "height=900")
    kept = {name: (edited / name).read_bytes() for name in ("project.mk", "src/oncology_model/datamodel.py")}
    commit_everything(edited)
    # and a template with another runtime, README and setting, while the table is no longer where it was
    change(copy / "runtime/mlops_runtime/__init__.py", '"1.0.0"', '"1.0.1"')
    folder = copy / "{{cookiecutter.project_slug}}"
    change(folder / "README.md", "## Deploy", "## Deploy it")
    change(folder / "project.mk", "SEED ?= 0", "SEED ?= 1")
    change(folder / "src/dashboard/app.py", '"What drives it"', '"What drives the prediction"')
    git(copy, *IDENTITY, "commit", "--quiet", "--all", "--message", "Change the template")
    dataset.unlink()

    # When the project is updated
    run(edited, sys.executable, "-m", "cruft", "update", "--skip-apply-ask")

    # Then it has the changes, and what is the user's is as it was
    assert '__version__ = "1.0.1"' in (edited / "vendor/mlops_runtime/__init__.py").read_text()
    assert "## Deploy it" in (edited / "README.md").read_text()
    assert {name: (edited / name).read_bytes() for name in kept} == kept
    assert "# Ours." in (edited / "src/trainer/estimators.py").read_text()
    assert new in (edited / manifest).read_text()
    # of this platform alone
    assert [name for name, (path, _, _) in MANIFESTS.items() if (edited / path).exists()] == [platform]
    assert page.exists() == (dashboard != "none")
    if page.exists():
        assert "height=900" in page.read_text()
        assert '"What drives the prediction"' in page.read_text()
    changed = git(edited, "status", "--porcelain").splitlines()
    assert not [line for line in changed if "data/" in line or line.endswith((".rej", ".orig"))]
    # and its tests pass, but for those that need Streamlit, which the shared environment has not
    (edited / "tests/test_dashboard.py").unlink(missing_ok=True)
    result = make(share_environment(edited, project), "unittest", "MIN_COVERAGE=0")
    assert result.returncode == 0, result.stdout + result.stderr


def test_cruft_update_of_a_project_of_texts_brings_nothing_of_tables(template: Path, tmp_path: Path) -> None:
    # Given a project of texts made by cruft, with a pipeline and a setting that the user changed
    copy = tmp_path / "template"
    shutil.copytree(template, copy, symlinks=True)
    command = [sys.executable, "-m", "cruft", "create", str(copy), "--no-input", "--output-dir", str(tmp_path)]
    run(tmp_path, *command, "--extra-context", json.dumps({"kind": "entities"}))
    edited = tmp_path / "mailroom"
    change(edited / "src/trainer/pipeline.py", "The pipeline that training fits", "Our pipeline, which training fits")
    change(edited / "project.mk", "SEED ?= 0", "SEED ?= 7")
    before = {path.relative_to(edited) for path in edited.rglob("*") if ".git" not in path.parts}
    commit_everything(edited)
    # and a template with another README, pipeline and estimators
    folder = copy / "{{cookiecutter.project_slug}}"
    own = folder / "kinds/entities/files"
    change(own / "README.md", "## Deploy", "## Deploy it")
    change(own / "src/trainer/pipeline.py", "from the texts alone", "from your texts alone")
    change(folder / "src/trainer/estimators.py", "CANDIDATES", "ESTIMATORS")
    git(copy, *IDENTITY, "commit", "--quiet", "--all", "--message", "Change the template")

    # When the project is updated
    run(edited, sys.executable, "-m", "cruft", "update", "--skip-apply-ask")

    # Then it has the changes for texts, what is the user's is as it was, and no file is new
    assert "## Deploy it" in (edited / "README.md").read_text()
    pipeline = (edited / "src/trainer/pipeline.py").read_text()
    assert "Our pipeline" in pipeline
    assert "from your texts alone" in pipeline
    assert "SEED ?= 7" in (edited / "project.mk").read_text()
    assert {path.relative_to(edited) for path in edited.rglob("*") if ".git" not in path.parts} == before


def run(folder: Path, *command: str) -> None:
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
