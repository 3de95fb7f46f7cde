"""The images, built by a real engine: what is in them, what they may do, and how they stop."""

import hashlib
import json
import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPResponse
from pathlib import Path

import pytest
import yaml
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from tests.live.workbench import Workbench, ask

pytestmark = pytest.mark.engine

Record = Callable[[str, object], None]
# Prints each program that installs or changes the user, each setuid or setgid file, and the folders of pip.
FIND_TOOLS = """\
for name in pip pip3 apt apt-get perl; do command -v $name; done
find / -xdev '(' -type f -perm /6000 -o -type d '(' -name pip -o -name ensurepip ')' ')'
"""
PYTHON_IMAGE = os.environ.get("PYTHON_IMAGE", "python:3.11-slim-bookworm")
READ_ONLY = ("--read-only", "--tmpfs", "/tmp:size=256m", "--cap-drop", "ALL", "--security-opt", "no-new-privileges")


@pytest.fixture(scope="module")
def images(workbench: Workbench) -> dict[str, str]:
    """Names of the images that `make docker` builds, by component."""
    version = workbench.commit("A version to build")
    # As in a clone under umask 077.
    run("chmod", "-R", "go=", *(str(workbench.folder / name) for name in ("Pipfile.lock", "data", "src", "vendor")))
    result = workbench.make("docker", "sbom")
    assert result.returncode == 0, result.stdout + result.stderr
    return {component: f"oncology/{component}:{version}" for component in ("webservice", "trainer")}


def run(*command: str) -> str:
    """Return what a command prints; fail the test with what it complains about."""
    result = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert result.returncode == 0, f"{' '.join(command)}: {result.stdout}{result.stderr}"
    return result.stdout.strip()


def inspect(engine: str, image: str, template: str) -> str:
    return run(engine, "image", "inspect", "--format", template, image)


@contextmanager
def started(engine: str, image: str, *options: str, port: str = "8000") -> Iterator[tuple[str, str]]:
    """Yield name and address of a container of the image that is ready to answer on a port."""
    container = run(engine, "run", "--detach", *READ_ONLY, *options, "--publish", f"127.0.0.1::{port}", image)
    try:
        address = run(engine, "port", container, f"{port}/tcp").splitlines()[0]
        for _ in range(100):
            try:
                if ask(address, "/readyz")[0] == 200:
                    break
            except OSError:
                pass
            time.sleep(0.1)
        else:
            pytest.fail(f"not ready after 10 s: {run(engine, 'logs', container)}")
        yield container, address
    finally:
        subprocess.run([engine, "rm", "--force", container], capture_output=True, check=False)


@pytest.mark.parametrize("module", ["sklearn", "scipy", "pandas", "matplotlib", "pytest", "pip", "awscli"])
def test_the_service_image_holds_nothing_that_trains_tests_or_builds(
    engine: str, images: dict[str, str], module: str
) -> None:
    program = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({module!r}) is not None)"

    run(engine, "run", "--rm", images["webservice"], "python", "-c", program)


@pytest.mark.parametrize("component", ["webservice", "trainer"])
def test_an_image_says_what_it_is_runs_as_a_number_and_installs_nothing(
    engine: str, images: dict[str, str], workbench: Workbench, component: str
) -> None:
    labels = json.loads(inspect(engine, images[component], "{{json .Config.Labels}}"))
    revision = run("git", "-C", str(workbench.folder), "rev-parse", "HEAD")

    assert labels["org.opencontainers.image.version"] == workbench.version()
    assert labels["org.opencontainers.image.revision"] == revision
    assert labels["org.opencontainers.image.title"] == f"Oncology {component}"
    assert "org.opencontainers.image.source" in labels
    assert inspect(engine, images[component], "{{.Config.User}}") == "10001:10001"
    assert run(engine, "run", "--rm", "--user", "0", "--entrypoint", "sh", images[component], "-c", FIND_TOOLS) == ""

    # And its bill of materials lists what it holds, and nothing that was removed
    bill = (workbench.folder / f"build/{component}.sbom.json").read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(bill) is None
    listed = {each["name"] for each in json.loads(bill)["components"]}
    assert listed >= {"python", "flask", "mlops-runtime", "libc6"}
    assert not listed & {"pip", "apt", "perl-base"}
    assert ("oncology_model" in listed) == (component == "webservice")


def test_sizes_are_reported(engine: str, images: dict[str, str], record_property: Record) -> None:
    sizes = {component: int(inspect(engine, image, "{{.Size}}")) / 1e6 for component, image in images.items()}
    print("image sizes in MB:", {component: round(size) for component, size in sizes.items()})
    for component, size in sizes.items():
        record_property(f"{component} MB", round(size))

    # The service has none of the trainer's libraries, which take more than 250 MB
    assert sizes["webservice"] < sizes["trainer"] - 250


def test_the_service_predicts_with_a_read_only_root(engine: str, images: dict[str, str], workbench: Workbench) -> None:
    with started(engine, images["webservice"]) as (_, address):
        golden = workbench.golden()

        status, predictions = ask(address, "/v1/predictions", [one["record"] for one in golden])

    assert status == 200
    assert [one["label"] for one in predictions] == [one["prediction"]["label"] for one in golden]


@pytest.mark.parametrize(
    ("user", "port"),
    [pytest.param("54321:54321", "9753", id="unknown user"), pytest.param("1000:0", "8080", id="group of root")],
)
def test_the_service_takes_the_port_and_the_user_that_a_platform_gives(
    engine: str, images: dict[str, str], workbench: Workbench, user: str, port: str
) -> None:
    options = ("--user", user, "--env", f"PORT={port}")
    with started(engine, images["webservice"], *options, port=port) as (_, address):
        golden = workbench.golden()[0]

        status, prediction = ask(address, "/v1/predictions", golden["record"])

    assert (status, prediction["label"]) == (200, golden["prediction"]["label"])


def test_a_request_in_flight_is_answered_when_the_container_stops(
    engine: str, images: dict[str, str], workbench: Workbench
) -> None:
    body = json.dumps(workbench.golden()[0]["record"]).encode()
    head = (
        b"POST /v1/predictions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n" % len(body)
    )
    # With threads to spare, nobody is asked to hurry
    with started(engine, images["webservice"], "--env", "THREADS=32") as (container, address):
        # Given requests that have been sent but for the last byte
        host, port = address.split(":")
        sockets = [socket.create_connection((host, int(port)), timeout=20) for _ in range(8)]
        for connection in sockets:
            connection.sendall(head + body[:-1])
        time.sleep(0.5)

        # When the container is told to stop, and the last byte follows
        with subprocess.Popen([engine, "stop", "--time", "20", container], stdout=subprocess.DEVNULL) as stop:
            time.sleep(1)
            for connection in sockets:
                connection.sendall(body[-1:])
            statuses = []
            for connection in sockets:
                response = HTTPResponse(connection)
                response.begin()
                statuses.append(response.status)
                response.close()
                connection.close()
            stop.wait(timeout=30)

        # Then each is answered, and the container ends of its own accord
        assert statuses == [200] * len(sockets)
        assert run(engine, "inspect", "--format", "{{.State.ExitCode}}", container) == "0"


def test_a_code_change_leaves_the_dependency_layer(engine: str, images: dict[str, str], workbench: Workbench) -> None:
    before = json.loads(inspect(engine, images["webservice"], "{{json .RootFS.Layers}}"))
    source = workbench.folder / "src/webservice/__init__.py"
    source.write_text(source.read_text() + "# A change.\n")
    version = workbench.commit("Change the code")

    result = workbench.make("docker")
    workbench.restore()

    assert result.returncode == 0, result.stderr
    after = json.loads(inspect(engine, f"oncology/webservice:{version}", "{{json .RootFS.Layers}}"))
    # The base image and the dependencies are the same; the wheel has another version, and the code differs
    assert after[:-2] == before[:-2]
    assert after[-1] != before[-1]


def test_the_base_is_pinned_to_the_digest_of_its_tag(engine: str, registry: str, fresh: Path, tmp_path: Path) -> None:
    # Given a base whose tag moves
    workbench = Workbench(Path(shutil.copytree(fresh, tmp_path / "project", symlinks=True)), {"MLOPS_DOCKER": engine})
    base = f"{registry}/base:3.11"
    settings = workbench.folder / "project.mk"
    pins: list[str] = []
    for line in ("ENV MOVED=0", "ENV MOVED=1"):
        build = [engine, "build", "--quiet", "--tag", base, "-"]
        dockerfile = f"FROM {PYTHON_IMAGE}\n{line}\n"
        subprocess.run(build, input=dockerfile, text=True, check=True, capture_output=True)
        run(engine, "push", "--quiet", base)
        run(engine, "rmi", base)

        # When it is pinned, at first by the command line and then by what project.mk has
        result = workbench.make("base.update", **({} if pins else {"PYTHON_IMAGE": base}))

        assert result.returncode == 0, result.stderr
        pins += re.findall(r"^PYTHON_IMAGE \?= (\S+)$", settings.read_text(), flags=re.MULTILINE)

    # Then project.mk has another digest each time, by which the registry has that image
    assert len(set(pins)) == 2
    for number, pin in enumerate(pins):
        assert pin.startswith(f"{base}@sha256:")
        run(engine, "pull", "--quiet", pin)
        assert f"MOVED={number}" in inspect(engine, pin, "{{.Config.Env}}")


def docker_with_buildkit() -> str:
    """Return a docker client that builds with BuildKit: one with the buildx plugin, or one from before the plugin."""
    for folder in os.get_exec_path():
        program = shutil.which("docker", path=folder)
        if program is None:
            continue
        version = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
        before = re.search(r"version (19|20)\.", version)
        if before or subprocess.run([program, "buildx", "version"], capture_output=True, check=False).returncode == 0:
            return program
    pytest.skip("no BuildKit: install Docker's buildx plugin")


def test_buildkit_builds_an_image_that_serves(engine: str, images: dict[str, str], workbench: Workbench) -> None:
    docker = docker_with_buildkit()
    (workbench.folder / "build/webservice.built").unlink()
    bench = Workbench(workbench.folder, workbench.environment | {"DOCKER_BUILDKIT": "1"})

    result = bench.make("docker", DOCKER=docker)

    assert result.returncode == 0, result.stderr
    assert "[internal] load" in (workbench.folder / "build/webservice.log").read_text(), "BuildKit did not build this"
    with started(engine, images["webservice"]) as (_, address):
        assert ask(address, "/readyz")[0] == 200


def job_container(workbench: Workbench) -> dict[str, object]:
    """Return the container of the training job as the manifests describe it."""
    job = yaml.safe_load((workbench.folder / "k8s/trainer/job.yaml").read_text())
    (container,) = job["spec"]["template"]["spec"]["containers"]
    return dict(container)


def train_as_the_job_does(
    engine: str, image: str, workbench: Workbench, work: Path, **settings: str
) -> subprocess.CompletedProcess[str]:
    """Run the command of the training job in its image, with a read-only root, against our AWS, which has the data."""
    container = job_container(workbench)
    arguments = container["args"]
    assert isinstance(arguments, list)
    # The image's own entry point is what trains.
    assert "command" not in container
    environment = {
        **{name: value for name, value in workbench.environment.items() if name.startswith("AWS")},
        "AWS_DEFAULT_REGION": "eu-central-1",
        "DATA": "data/breast_cancer_wisconsin.csv",
        "SEED": "0",
        "TEST_SHARE": "0.25",
        "MAX_ROWS": "1000000",
        "BUDGET": "120",
        "FLOORS": "accuracy=0.9",
        "VERSION": "1.0.0",
        "COMMIT": "none",
        "BUCKET": "training",
        **settings,
    }
    data = workbench.folder / environment["DATA"]
    sha256 = hashlib.sha256(data.read_bytes()).hexdigest()
    put = [*workbench.aws, "s3", "cp", str(data), f"s3://{environment['BUCKET']}/data/{sha256}"]
    subprocess.run(put, env=environment | {"PATH": os.environ["PATH"]}, check=True, capture_output=True)
    environment["DATA_SHA256"] = sha256
    work.chmod(0o777)
    return subprocess.run(
        [engine, "run", "--rm", "--network", "host", "--read-only", "--tmpfs", "/tmp", "--tmpfs", "/input:mode=1777"]
        + ["--volume", f"{work}:/output"]
        + [part for name, value in environment.items() for part in ("--env", f"{name}={value}")]
        + [image, *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def uploaded(workbench: Workbench) -> str:
    """Return the listing of the training bucket."""
    command = [*workbench.aws, "s3", "ls", "--recursive", "s3://training/trainer/"]
    environment = workbench.environment | {"AWS_DEFAULT_REGION": "eu-central-1", "PATH": "/usr/bin:/bin"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False).stdout


def test_the_training_job_trains_gates_and_uploads(
    engine: str, images: dict[str, str], workbench: Workbench, tmp_path: Path
) -> None:
    environment = workbench.environment | {"AWS_DEFAULT_REGION": "eu-central-1", "PATH": "/usr/bin:/bin"}
    subprocess.run([*workbench.aws, "s3", "mb", "s3://training"], env=environment, check=True, capture_output=True)
    # Given an image that has the data in no layer
    (table,) = (workbench.folder / "data").glob("*.csv")
    find = ("--user", "0", "--entrypoint", "find", images["trainer"], "/", "-xdev", "-name", table.name)
    assert run(engine, "run", "--rm", *find) == ""

    # When a floor is out of reach, then the job fails and uploads nothing
    refused = train_as_the_job_does(engine, images["trainer"], workbench, tmp_path, FLOORS="accuracy=1.0")
    assert refused.returncode == 3, refused.stderr
    assert uploaded(workbench) == ""

    # When it is within reach, then model, metrics and report are uploaded
    made = train_as_the_job_does(engine, images["trainer"], workbench, tmp_path)
    assert made.returncode == 0, made.stderr
    listing = uploaded(workbench)
    for name in ("artefact/model.onnx", "artefact/metadata.json", "metrics.json", "report.html"):
        assert f"trainer/1.0.0/{name}" in listing
