"""Projects baked from this template, and the parts of the machine that some tests need."""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from cookiecutter.main import cookiecutter

TEMPLATE = Path(__file__).parents[1]
REQUIRED = frozenset(filter(None, os.environ.get("REQUIRE", "").split(",")))
"""Parts that must be there: a test that would be skipped for want of one fails instead."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the live tests last: they start from what the project's own commands have made by then."""
    items.sort(key=lambda item: "live" in item.path.parts)


@pytest.fixture(scope="session", autouse=True)
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep settings of the person who runs the tests out of them, and files of the tests out of their folders."""
    folder = tmp_path_factory.mktemp("environment")
    config = folder / "config.yml"
    config.write_text(f"replay_dir: {folder}/replay\ncookiecutters_dir: {folder}/templates\n")
    project_mk = (TEMPLATE / "{{cookiecutter.project_slug}}/project.mk").read_text()
    settings = set(re.findall(r"^(\w+) \?=", project_mk, flags=re.MULTILINE)) - {
        "DOCKER",
        "DOCKER_BUILD_FLAGS",
        "PYTHON_IMAGE",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name in tuple(os.environ):
            # `make test` hands its flags and variables down; git tells a hook of the repository it runs in.
            inherited = name.startswith(("MAKE", "MFLAGS")) or name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE")
            account = name.startswith("AWS_") and name != "AWS_CA_BUNDLE"
            if inherited or account or name in settings | {"VERSION", "COMMIT", "PYTHONPATH", "VIRTUAL_ENV"}:
                patch.delenv(name)
        patch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
        patch.setenv("GIT_CONFIG_NOSYSTEM", "1")
        patch.setenv("COOKIECUTTER_CONFIG", str(config))
        # Cookiecutter and pipenv leave files of theirs where temporary files go.
        patch.setenv("TMPDIR", str(folder))
        patch.setattr(tempfile, "tempdir", str(folder))
        yield


def bake(folder: Path, **answers: str) -> Path:
    """Return the project that the template makes in the folder of these answers and the defaults."""
    return Path(cookiecutter(str(TEMPLATE), no_input=True, extra_context=answers, output_dir=str(folder)))


@pytest.fixture(scope="session")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project that the default answers make, as it is before any command has run."""
    return bake(tmp_path_factory.mktemp("fresh"))


def share_environment(folder: Path, project: Path) -> Path:
    """Give a baked project the environment that another one has installed, and return its folder."""
    (folder / ".venv").symlink_to(project / ".venv")
    os.utime(project / ".venv/.installed")
    return folder


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project that the default answers make, with its environment installed by its own command."""
    folder = bake(tmp_path_factory.mktemp("a folder with spaces"))
    result = subprocess.run(["make", "install"], cwd=folder, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return folder


def missing(part: str, how_to_get_it: str) -> None:
    """Skip the test for want of a part of the machine, or fail it where the part is required."""
    message = f"no {part} answers: {how_to_get_it}"
    if part in REQUIRED:
        pytest.fail(f"{message} (REQUIRE names it)")
    pytest.skip(message)


@pytest.fixture(scope="session")
def engine() -> str:
    """The command of an image engine that answers."""
    for program in ("docker", "podman"):
        if (
            shutil.which(program)
            and subprocess.run([program, "info"], capture_output=True, check=False).returncode == 0
        ):
            return program
    missing("engine", "install and start Docker or podman")
    raise AssertionError  # missing() never returns


@pytest.fixture(scope="session")
def cluster(engine: str) -> str:
    """Name of the Kubernetes cluster that kubectl is set to, which must be one to test on."""
    del engine  # a cluster without an engine has nothing to run
    how_to_get_it = "install kubectl and kind, then follow CONTRIBUTING.md"
    if shutil.which("kubectl") is None:
        missing("cluster", how_to_get_it)
    command = ["kubectl", "config", "view", "--minify", "--output", "jsonpath={.clusters[0].name}"]
    name = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    # Never a cluster that somebody works with.
    if not re.match(r"kind-|test$", name):
        missing("cluster", f"kubectl is set to {name!r}, which is neither kind-* nor test; {how_to_get_it}")
    ready = ["kubectl", "get", "nodes", "--request-timeout", "10s"]
    if subprocess.run(ready, capture_output=True, check=False).returncode != 0:
        missing("cluster", how_to_get_it)
    return name
