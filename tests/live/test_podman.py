"""Rootless podman in place of Docker: a user without rights builds and pushes, and the cluster runs the images."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import missing
from tests.live.conftest import QUICK_TRAINING, SKIPPED
from tests.live.registries import ACCOUNT, TOKEN, digest_of
from tests.live.site import NAMESPACE, fit_to_server, remove_namespace
from tests.live.workbench import Workbench, one_error_line

pytestmark = pytest.mark.engine

ONE_IMAGE = "IMAGES=webservice"

BASE = "docker.io/library/python:3.11-slim-bookworm"
PATH = "/usr/local/bin:/usr/bin:/bin"
# Where a user's other images are, podman keeps the driver that came first: perhaps vfs, which copies each layer.
STORAGE = """[storage]
driver = "overlay"
rootless_storage_path = "{folder}/storage"
runroot = "{folder}/run/containers"
"""
# crun knows one hierarchy of control groups, not two side by side.
CONTAINERS = """[containers]
cgroups = "disabled"
[engine]
cgroup_manager = "cgroupfs"
runtime = "runc"
"""


@dataclass
class Podman:
    """A user without rights who has podman.

    Attributes:
        name: of the user.
        folder: of that user, for these tests.
        environment: of the commands.
    """

    name: str
    folder: Path
    environment: dict[str, str]

    def run(self, *command: str, given: str = "", folder: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command as the user."""
        other = [] if os.getuid() else ["runuser", "--user", self.name, "--"]
        variables = [f"{name}={value}" for name, value in self.environment.items()]
        return subprocess.run(
            [*other, "env", "--ignore-environment", *variables, *command],
            cwd=folder or self.folder,
            input=given,
            capture_output=True,
            text=True,
            timeout=1800,
            check=False,
        )

    def own(self, folder: Path) -> None:
        """Give the user a folder."""
        if not os.getuid():
            subprocess.run(["chown", "--recursive", f"{self.name}:", folder], check=True)


def user_of_podman() -> str:
    """Return this user, or for root the first one that may have user ids of its own."""
    if os.getuid():
        return pwd.getpwuid(os.getuid()).pw_name
    ranges = Path("/etc/subuid")
    names = [line.split(":")[0] for line in ranges.read_text().splitlines()] if ranges.exists() else []
    users = {user.pw_name for user in pwd.getpwall() if user.pw_uid}
    for name in names:
        if name in users:
            return name
    missing("podman", "create a user without rights, with useradd --create-home podman")
    raise AssertionError  # missing() never returns


@pytest.fixture(scope="module")
def podman(registry: str, registry_with_password: str) -> Iterator[Podman]:
    """Rootless podman, which reaches the registries of these tests without TLS."""
    if shutil.which("podman") is None:
        missing("podman", "install podman, uidmap, slirp4netns and runc")
    name = user_of_podman()
    home = Path(pwd.getpwnam(name).pw_dir)
    folder = Path(tempfile.mkdtemp(prefix="podman-tests-", dir=home))
    registries = "".join(
        f'[[registry]]\nlocation = "{address}"\ninsecure = true\n' for address in (registry, registry_with_password)
    )
    (folder / "registries.conf").write_text(f"unqualified-search-registries = []\n{registries}")
    (folder / "storage.conf").write_text(STORAGE.format(folder=folder))
    (folder / "containers.conf").write_text("" if Path("/sys/fs/cgroup/cgroup.controllers").exists() else CONTAINERS)
    (folder / "auth.json").write_text("{}")
    (folder / "run").mkdir(mode=0o700)
    environment = {
        "HOME": str(home),
        "PATH": PATH,
        "LANG": "C.UTF-8",
        "XDG_RUNTIME_DIR": str(folder / "run"),
        "CONTAINERS_CONF": str(folder / "containers.conf"),
        "CONTAINERS_REGISTRIES_CONF": str(folder / "registries.conf"),
        "CONTAINERS_STORAGE_CONF": str(folder / "storage.conf"),
        "REGISTRY_AUTH_FILE": str(folder / "auth.json"),
        "MLOPS_DOCKER": "podman",
        "MLOPS_DOCKER_BUILD_FLAGS": "--network host",
        "MLOPS_SKIP_TESTS": SKIPPED,
        # With other settings of the training, the user would have to train anew.
        **{f"MLOPS_{name}": value for name, value in QUICK_TRAINING.items()},
    }
    user = Podman(name, folder, environment)
    user.own(folder)
    info = user.run("podman", "info", "--format", "{{.Host.Security.Rootless}}")
    if info.stdout.strip() != "true":
        missing("podman", f"podman info says {info.stdout}{info.stderr}")
    yield user
    # Files of containers belong to other users of the user's own range.
    user.run("podman", "unshare", "rm", "--recursive", "--force", str(folder / "run"), str(folder / "storage"))
    shutil.rmtree(folder, ignore_errors=True)


def copy_base_image(podman: Podman, engine: str) -> None:
    """Give podman the base image that the engine has, so that none is pulled."""
    if engine == "podman" or podman.run("podman", "image", "exists", BASE).returncode == 0:
        return
    archive = podman.folder / "base.tar"
    if subprocess.run([engine, "save", "--output", archive, BASE], capture_output=True, check=False).returncode:
        return  # podman pulls it
    podman.own(archive)
    loaded = podman.run("podman", "load", "--quiet", "--input", str(archive))
    assert loaded.returncode == 0, loaded.stderr
    name = loaded.stdout.strip().rpartition(" ")[2]
    assert podman.run("podman", "tag", name, BASE).returncode == 0
    archive.unlink()


@pytest.fixture(scope="module")
def packaged(workbench: Workbench, podman: Podman) -> Path:
    """A clone of the user, with a model and wheels, and nothing to install or to test."""
    fit_to_server(workbench.folder)
    workbench.commit("A version for podman")
    made = workbench.make("package.model")
    assert made.returncode == 0, made.stdout + made.stderr
    folder = podman.folder / "project"
    shutil.copytree(workbench.folder, folder, symlinks=True, ignore=shutil.ignore_patterns(".venv"))
    for made_by_docker in ("*.built", "*.image", "registry"):
        for path in (folder / "build").glob(made_by_docker):
            path.unlink()
    # Make installs what is older than the lock.
    (folder / ".venv").mkdir()
    (folder / ".venv/.installed").touch()
    lock = (folder / "Pipfile.lock").stat()
    os.utime(folder / ".venv/.installed", ns=(lock.st_atime_ns, lock.st_mtime_ns))
    podman.own(folder)
    return folder


@pytest.fixture(scope="module")
def published(packaged: Path, podman: Podman, engine: str, registry: str) -> str:
    """The image of the service, after podman has built and pushed it and that of the trainer."""
    copy_base_image(podman, engine)
    command = ("make", "docker", "publish", f"REGISTRY={registry}/{ACCOUNT}")
    result = podman.run(*command, folder=packaged)
    assert result.returncode == 0, result.stdout + result.stderr
    return (packaged / "build/webservice.image").read_text().strip()


def test_a_digest_is_that_of_the_registry(published: str, workbench: Workbench, engine: str, registry: str) -> None:
    repository = f"{ACCOUNT}/oncology-webservice"

    digest = digest_of(registry, repository, workbench.version())

    assert published == f"{registry}/{repository}@{digest}"
    pulled = subprocess.run([engine, "pull", "--quiet", published], capture_output=True, check=False)
    assert pulled.returncode == 0, pulled.stderr


@pytest.mark.usefixtures("published")
def test_a_published_version_is_used_as_it_is(podman: Podman, packaged: Path, registry: str) -> None:
    image = packaged / "build/webservice.image"
    before = image.read_text()
    image.unlink()

    result = podman.run("make", "publish", ONE_IMAGE, f"REGISTRY={registry}/{ACCOUNT}", folder=packaged)

    assert result.returncode == 0, result.stdout + result.stderr
    assert "was published before" in result.stdout
    assert image.read_text() == before


@pytest.mark.parametrize(
    ("login", "given", "message"),
    [
        pytest.param("token", "wrong", "does not accept this password of acct", id="wrong token"),
        pytest.param("none", "", "asks for a login: run podman login", id="no login"),
        pytest.param("token", TOKEN, "", id="token"),
    ],
)
@pytest.mark.usefixtures("published")
def test_podman_logs_in(
    podman: Podman, packaged: Path, registry_with_password: str, login: str, given: str, message: str
) -> None:
    settings = (ONE_IMAGE, f"REGISTRY={registry_with_password}/{ACCOUNT}", f"LOGIN={login}")

    result = podman.run("make", "publish", *settings, given=given, folder=packaged)

    if message:
        assert result.returncode != 0
        (line,) = one_error_line(result).splitlines()
        assert message in line
    else:
        assert result.returncode == 0, result.stderr


@pytest.mark.cluster
def test_the_cluster_runs_what_podman_pushed(published: str, workbench: Workbench, registry: str, cluster: str) -> None:
    # Given a deploy of the version that podman has published
    namespace = f"{NAMESPACE}-podman"
    settings = {
        "REGISTRY": f"{registry}/{ACCOUNT}",
        "NAMESPACE": namespace,
        "CLUSTER": cluster,
        "LOGIN": "none",
        "SKIP_TESTS": SKIPPED,
    }
    try:
        result = workbench.make("deploy", ONE_IMAGE, KUBECTL="kubectl", **settings)
        status = workbench.make("status", KUBECTL="kubectl", **settings)
    finally:
        remove_namespace(namespace, wait=False)

    # Then its digest is what runs, verified
    assert result.returncode == 0, result.stdout + result.stderr
    assert "was published before" in result.stdout
    assert f"image     {published}" in status.stdout
    assert f"verified  {workbench.version()}" in status.stdout
