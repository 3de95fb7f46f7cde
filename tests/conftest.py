"""Fixtures: projects baked from this template, and tools that some tests need."""

import fcntl
import json
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
"""Required tools: a test that needs a missing one fails instead of being skipped."""

ENGINE_SETTINGS = ("DOCKER", "DOCKER_BUILD_FLAGS", "PYTHON_IMAGE")
"""Settings of a project that depend on the machine: the projects under test get them from the environment."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the tests of projects first, which take longest, so that processes which share the tests end together."""
    items.sort(key=lambda item: ("live" in item.path.parts, "runtime" in item.path.parts))


@pytest.fixture(scope="session", autouse=True)
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Isolate the tests from the user's settings, and the user's folders from the tests."""
    folder = tmp_path_factory.mktemp("environment")
    config = folder / "config.yml"
    config.write_text(f"replay_dir: {folder}/replay\ncookiecutters_dir: {folder}/templates\n")
    folder_of_project = TEMPLATE / "{{cookiecutter.project_slug}}"
    files = [folder_of_project / "project.mk", *folder_of_project.glob("*s/*/settings.mk")]
    settings = {name for file in files for name in re.findall(r"^(\w+) \?=", file.read_text(), flags=re.MULTILINE)}
    engine = {name: os.environ[name] for name in ENGINE_SETTINGS if name in os.environ}
    with pytest.MonkeyPatch.context() as patch:
        for name in tuple(os.environ):
            # `make test` exports its flags and variables; git exports the repository to a hook.
            inherited = name.startswith(("MAKE", "MFLAGS")) or name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE")
            account = name.startswith("AWS_") and name != "AWS_CA_BUNDLE"
            setting = name.startswith("MLOPS_") or name in settings | {"VERSION", "COMMIT"}
            if inherited or account or setting or name in ("PYTHONPATH", "VIRTUAL_ENV"):
                patch.delenv(name)
        for name, value in engine.items():
            patch.setenv(f"MLOPS_{name}", value)
        # The services under test are on this machine.
        others = os.environ.get("no_proxy") or os.environ.get("NO_PROXY", "")
        for name in ("NO_PROXY", "no_proxy"):
            patch.setenv(name, f"localhost,127.0.0.1,{others}")
        patch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
        patch.setenv("GIT_CONFIG_NOSYSTEM", "1")
        patch.setenv("COOKIECUTTER_CONFIG", str(config))
        # Cookiecutter and pipenv do not remove all their temporary files.
        patch.setenv("TMPDIR", str(folder))
        patch.setattr(tempfile, "tempdir", str(folder))
        # Projects differ in a few files: mypy compares those alone with what it has seen in another project.
        patch.setenv("MYPY_CACHE_DIR", str(folder / "mypy"))
        yield


def environment_of_a_user() -> dict[str, str]:
    """Return the environment in which Python writes bytecode, as for a user.

    Without it, pytest rewrites the assertions of Hypothesis in each run. Where it is written, nobody else may copy: the
    tests themselves write none, because projects are baked from the same sources.
    """
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def bake(folder: Path, **answers: str) -> Path:
    """Bake a project in the folder, with default answers except for these, and return its path."""
    return Path(cookiecutter(str(TEMPLATE), no_input=True, extra_context=answers, output_dir=str(folder)))


class Bakery:
    """Projects in which no command has run, baked once for each set of answers; tests must not change them."""

    def __init__(self, folders: pytest.TempPathFactory) -> None:
        self._folders = folders
        self._projects: dict[tuple[tuple[str, str], ...], tuple[Path, dict[str, str]]] = {}

    def project(self, **answers: str) -> Path:
        """Return the project with these answers."""
        return self._baked(answers)[0]

    def answers(self, **answers: str) -> dict[str, str]:
        """Return all answers of that project."""
        return self._baked(answers)[1]

    def copy(self, folder: Path, **answers: str) -> Path:
        """Return a copy of that project in a folder, which may be changed."""
        project = self.project(**answers)
        return Path(shutil.copytree(project, folder / project.name, symlinks=True))

    def _baked(self, answers: dict[str, str]) -> tuple[Path, dict[str, str]]:
        key = tuple(sorted(answers.items()))
        if key not in self._projects:
            project = bake(self._folders.mktemp("fresh"), **answers)
            replay = Path(os.environ["COOKIECUTTER_CONFIG"]).parent / f"replay/{TEMPLATE.name}.json"
            self._projects[key] = project, json.loads(replay.read_text())["cookiecutter"]
        return self._projects[key]


@pytest.fixture(scope="session")
def bakery(tmp_path_factory: pytest.TempPathFactory) -> Bakery:
    return Bakery(tmp_path_factory)


@pytest.fixture(scope="session")
def fresh_docker_host(bakery: Bakery) -> Path:
    """A project for a machine with Docker in which no command has run."""
    return bakery.project(platform="docker-host")


@pytest.fixture(scope="session")
def fresh(bakery: Bakery) -> Path:
    """A project with default answers in which no command has run."""
    return bakery.project()


def share_environment(folder: Path, project: Path) -> Path:
    """Link the installed environment of a project into another baked project, and return the folder of the latter."""
    (folder / ".venv").symlink_to(project / ".venv")
    os.utime(project / ".venv/.installed")
    return folder


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with default answers and an installed environment."""
    return installed(tmp_path_factory, "a folder with spaces")


@pytest.fixture(scope="session")
def project_of_entities(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that finds entities in texts, with an installed environment."""
    return installed(tmp_path_factory, "entities", kind="entities")


def installed(folders: pytest.TempPathFactory, name: str, **answers: str) -> Path:
    """Bake a project in a folder, and link an installed environment into it.

    The processes of a run have one environment, and with TEST_ENVIRONMENT those of other runs have the same.
    """
    own = folders.getbasetemp()
    of_run = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    parent = Path(os.environ.get("TEST_ENVIRONMENT") or of_run / "installed")
    parent.mkdir(exist_ok=True)
    with (parent / f"{name}.lock").open("w") as lock:
        # The others wait for the process that installs.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if made := list((parent / name).glob("*/.venv/.installed")):
            first = made[0].parents[1]
        else:
            first = bake(parent / name, **answers)
            result = subprocess.run(["make", "install"], cwd=first, capture_output=True, text=True, check=False)
            assert result.returncode == 0, result.stdout + result.stderr
    return share_environment(bake(folders.mktemp(name), **answers), first)


def missing(part: str, how_to_get_it: str) -> None:
    """Skip the test because a tool is missing, or fail it if the tool is required."""
    message = f"no {part} answers: {how_to_get_it}"
    if part in REQUIRED:
        pytest.fail(f"{message} (REQUIRE names it)")
    pytest.skip(message)


def program(name: str, variable: str, how_to_get_it: str) -> Path:
    """Return the path of a program; skip the tests where there is none."""
    found = os.environ.get(variable) or shutil.which(name)
    if found is None:
        missing(name, f"{how_to_get_it}, or set {variable}")
    return Path(str(found))


@pytest.fixture(scope="session")
def engine() -> str:
    """The command of a running container engine."""
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
    """Name of kubectl's current cluster, which must be a test cluster."""
    del engine  # without an engine there are no images to run
    how_to_get_it = "install kubectl and kind, then follow CONTRIBUTING.md"
    if shutil.which("kubectl") is None:
        missing("cluster", how_to_get_it)
    command = ["kubectl", "config", "view", "--minify", "--output", "jsonpath={.clusters[0].name}"]
    name = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    # Never run on a cluster that is in use.
    if not re.match(r"kind-|test$", name):
        missing("cluster", f"kubectl is set to {name!r}, which is neither kind-* nor test; {how_to_get_it}")
    ready = ["kubectl", "get", "nodes", "--request-timeout", "10s"]
    if subprocess.run(ready, capture_output=True, check=False).returncode != 0:
        missing("cluster", how_to_get_it)
    return name
