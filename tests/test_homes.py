"""What a project keeps elsewhere than in git, with the real AWS CLI against a server that keeps buckets."""

import base64
import hashlib
import json
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import boto3
import pytest

from mlops_runtime.operations.wheel_version import wheel_version
from mlops_runtime.tables.recorded import sha256_of, write_record
from tests.conftest import Bakery, program, share_environment
from tests.live.conftest import aws  # noqa: F401 - a fixture
from tests.live.workbench import Workbench, one_error_line

BUCKET = "homes-123456789012"
METADATA = "Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
TAGS = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
PIP = (sys.executable, "-m", "pip", "--isolated", "--disable-pip-version-check", "download", "--quiet", "--no-deps")
PASSWORD = "a secret of the index"


@pytest.fixture(scope="module")
def bucket(aws: dict[str, str]) -> Any:  # noqa: F811
    """A bucket on the server."""
    s3 = boto3.resource(
        "s3",
        endpoint_url=aws["AWS_ENDPOINT_URL"],
        region_name="eu-central-1",
        aws_access_key_id=aws["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=aws["AWS_SECRET_ACCESS_KEY"],
    )
    return s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})


@pytest.fixture
def bench(bakery: Bakery, project: Path, aws: dict[str, str], bucket: Any, tmp_path: Path) -> Workbench:  # noqa: F811
    # Without pipenv, which takes longer than the command that it starts.
    settings = {"MLOPS_BUCKET": bucket.name, "MLOPS_AWS": ".venv/bin/python -m awscli"}
    return Workbench(share_environment(bakery.copy(tmp_path), project), aws | settings)


def test_data_that_are_not_in_git_come_from_the_bucket(bench: Workbench, project: Path, tmp_path: Path) -> None:
    # Given a table that git ignores, and that was pushed
    table = next(bench.folder.glob("data/*.csv")).relative_to(bench.folder)
    bench.git("rm", "--quiet", "--cached", str(table))
    with (bench.folder / ".gitignore").open("a") as gitignore:
        gitignore.write(f"/{table}\n")
    pushed = bench.make("data.push")
    assert pushed.returncode == 0, pushed.stderr
    bench.commit("Keep the table in the bucket")

    # When the project is cloned, then training says how to get the table
    bench.git("clone", "--quiet", ".", str(tmp_path / "clone"))
    clone = Workbench(share_environment(tmp_path / "clone", project), bench.environment)
    assert one_error_line(clone.make("train")) == f"there is no {table}: make data.pull gets it from the bucket"
    pulled = clone.make("data.pull")

    # Then it is there, and no change
    assert pulled.returncode == 0, pulled.stderr
    assert (clone.folder / table).read_bytes() == (bench.folder / table).read_bytes()
    assert clone.git("status", "--short") == ""


def test_a_model_is_trained_again_when_other_data_are_recorded(bakery: Bakery, tmp_path: Path) -> None:
    # Given a model that was trained after its data were recorded
    bench = Workbench(bakery.copy(tmp_path), {})
    table = next(bench.folder.glob("data/*.csv"))
    record = write_record(table, sha256_of(table))
    assert bench.make("build/settings/model").returncode == 0
    (bench.folder / "build/trained").touch()
    assert "-m trainer" not in bench.make("--dry-run", "build/trained").stdout

    # When another record comes, as by git pull
    result = bench.make("--dry-run", f"--what-if={record.relative_to(bench.folder)}", "build/trained")

    # Then training runs, which says that the data are others
    assert "-m trainer" in result.stdout


def put(bucket: Any, key: str, content: Any) -> None:
    bucket.put_object(Key=key, Body=json.dumps(content).encode())


def test_the_trend_has_what_is_in_the_bucket(bench: Workbench, bucket: Any) -> None:
    # Given measurements of two versions and a sample of drift, and a copy of what is no longer in the bucket
    for version, value in (("v1", 0.75), ("v2", 0.8125)):
        metrics = {"roc_auc": {"value": value, "low": value - 0.1, "high": value + 0.1}}
        origin = {"trained_at": f"2026-11-0{version[1]}T12:00:00+00:00", "task": "binary", "floors": {}}
        put(bucket, f"trainer/metrics/metrics-{version}.json", origin | {"metrics": metrics})
        coverage = {"meta": {"timestamp": "2026-11-05T12:00:00"}, "totals": {"percent_covered": 93.75}}
        put(bucket, f"model/unittest-coverage/unittest-coverage-{version}.json", coverage)
    put(bucket, "trainer/metrics/latest.json", {})
    put(bucket, "webservice/drift/drift-1.json", {"time": "2026-11-03T12:00:00+00:00", "records": 512, "index": {}})
    gone = bench.folder / f"build/trend/{BUCKET}/trainer/metrics/metrics-v0.json"
    gone.parent.mkdir(parents=True)
    gone.write_text("{}")

    # When the trend is shown
    result = bench.make("report.trend")

    # Then it has what is in the bucket
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == "build/trend.html has 2 versions, 1 samples of drift and 0 deploys\n"
    page = (bench.folder / "build/trend.html").read_text()
    assert "ROC AUC is 0.812 in version <code>v2</code>" in page
    assert "93.8 %" in page
    assert ">512<" in page


def write_wheels(bench: Workbench, content: str) -> dict[str, bytes]:
    """Write the wheels of the current version, with a module each, as `make package.model` does; return their bytes."""
    folder = bench.folder / "build/wheel"
    folder.mkdir(parents=True, exist_ok=True)
    (folder.parent / "report.html").write_text("<p>A report</p>")
    for name, version in (("oncology_model", wheel_version(bench.version())), ("mlops_runtime", "1.0.0")):
        info = f"{name}-{version}.dist-info"
        files = {
            f"{name}/__init__.py": f"content = {content!r}\n",
            f"{info}/METADATA": METADATA.format(name=name, version=version),
            f"{info}/WHEEL": TAGS,
            f"{info}/RECORD": "",
        }
        with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
            for path, text in files.items():
                wheel.writestr(zipfile.ZipInfo(path), text)
    return {path.name: path.read_bytes() for path in folder.glob("*.whl")}


def upload(bench: Workbench, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run `make upload.model` with the wheels that are there."""
    return bench.make("--old-file=build/wheel/built", "upload.model", **settings)


def downloaded(folder: Path, *options: str) -> dict[str, bytes]:
    """Return what pip gets of the model and the runtime."""
    subprocess.run([*PIP, *options, "--dest", str(folder), "oncology-model", "mlops-runtime"], check=True)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_wheels_in_the_bucket_are_found_by_pip_and_never_replaced(
    bench: Workbench, bucket: Any, tmp_path: Path
) -> None:
    # Given wheels that were uploaded
    wheels = write_wheels(bench, "first")
    result = upload(bench)
    assert (result.returncode, result.stderr) == (0, "")
    assert f"s3://{BUCKET}/model/ has " in result.stdout

    # When the same version has other content, then nothing is uploaded
    write_wheels(bench, "second")
    refused = upload(bench)
    assert refused.returncode != 0
    assert "is there with other content, and a version is uploaded once" in one_error_line(refused)

    # Then pip finds those that were there first, by the page in a copy of the folder
    for item in bucket.objects.filter(Prefix="model/"):
        (tmp_path / item.key).parent.mkdir(parents=True, exist_ok=True)
        bucket.download_file(item.key, str(tmp_path / item.key))
    page = str(tmp_path / "model/index.html")
    assert downloaded(tmp_path / "got", "--no-index", "--find-links", page) == wheels
    assert (tmp_path / "model" / bench.version() / "report.html").exists()


@pytest.fixture
def index(tmp_path: Path) -> Iterator[str]:
    """Address of a package index that asks for a password."""
    server = program("pypi-server", "TEST_PYPISERVER", "pip install pypiserver passlib")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    digest = base64.b64encode(hashlib.sha1(PASSWORD.encode(), usedforsecurity=False).digest()).decode()
    (tmp_path / "htpasswd").write_text(f"team:{{SHA}}{digest}\n")
    packages = tmp_path / "packages"
    packages.mkdir()
    login = ["--authenticate", "update,list,download", "--passwords", str(tmp_path / "htpasswd")]
    command = [str(server), "run", "--interface", "127.0.0.1", "--port", str(port), *login, str(packages)]
    with (tmp_path / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            for _ in range(200):
                try:
                    urlopen(f"http://127.0.0.1:{port}/health", timeout=1).close()
                    break
                except OSError:
                    time.sleep(0.1)
            else:
                pytest.fail((tmp_path / "log").read_text())
            yield f"http://127.0.0.1:{port}/"
        finally:
            process.terminate()


def test_wheels_go_to_an_index_that_asks_for_a_password(bench: Workbench, index: str, tmp_path: Path) -> None:
    # Given an index, and no account of AWS
    twine = str(program("twine", "TEST_TWINE", "pipx install twine"))
    login = {"TWINE_USERNAME": "team", "TWINE_PASSWORD": PASSWORD, "HOME": str(tmp_path)}
    at_index = Workbench(bench.folder, login, {"MODEL_INDEX": index, "TWINE": twine})
    wheels = write_wheels(bench, "first")

    # When the password is wrong, then nothing is there, and no output has it
    wrong = upload(Workbench(bench.folder, login | {"TWINE_PASSWORD": "wrong"}, at_index.variables))
    assert wrong.returncode != 0
    assert "set TWINE_USERNAME and TWINE_PASSWORD in the environment" in one_error_line(wrong)
    assert list((tmp_path / "packages").iterdir()) == []

    # When it is right, then the wheels are there; a second time changes nothing
    results = [upload(at_index), upload(at_index)]
    assert [(result.returncode, result.stderr) for result in results] == [(0, "")] * 2
    assert PASSWORD not in "".join(result.stdout for result in results)

    # When the same version has other content, then it is refused
    write_wheels(bench, "second")
    refused = upload(at_index)
    assert refused.returncode != 0
    assert "is there with other content" in one_error_line(refused)
    address = index.replace("//", f"//team:{PASSWORD.replace(' ', '%20')}@")
    assert downloaded(tmp_path / "got", "--index-url", f"{address}simple/") == wheels


def test_an_address_with_a_password_is_refused(bench: Workbench) -> None:
    write_wheels(bench, "first")

    refused = upload(Workbench(bench.folder, {}), MODEL_INDEX="http://[")
    assert "MODEL_INDEX is no address" in one_error_line(refused)
    refused = upload(Workbench(bench.folder, {}), MODEL_INDEX="https://team:secret@index.example.org/")

    assert refused.returncode != 0
    assert "MODEL_INDEX has a user or a password in it" in one_error_line(refused)
    assert "secret" not in refused.stdout + refused.stderr
