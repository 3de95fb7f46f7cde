import hashlib
import json
import re
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError
from moto import mock_aws

from mlops_runtime.contract import Contract
from mlops_runtime.testing import synthetic
from mlops_runtime.training import bucket as bucket_module
from mlops_runtime.training import command, command_line
from mlops_runtime.training.bucket import Bucket, BucketError

NO_FLOOR = "skill=-1e9"


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of an existing bucket."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    with mock_aws():
        location = {"LocationConstraint": "eu-central-1"}
        boto3.client("s3").create_bucket(Bucket="models", CreateBucketConfiguration=location)
        yield "models"


def keys(bucket: str) -> set[str]:
    return {item["Key"] for item in boto3.client("s3").list_objects_v2(Bucket=bucket).get("Contents", [])}


def test_files_and_folders_are_uploaded_below_the_prefix(bucket: str, tmp_path: Path) -> None:
    (tmp_path / "artefact").mkdir()
    (tmp_path / "artefact/model.onnx").write_bytes(b"model")
    (tmp_path / "report.html").write_text("report")

    url = Bucket(bucket).upload("trainer/1.0", tmp_path / "artefact", tmp_path / "report.html")

    assert url == "s3://models/trainer/1.0/"
    assert keys(bucket) == {"trainer/1.0/artefact/model.onnx", "trainer/1.0/report.html"}


def test_a_report_is_uploaded_with_its_content_type(bucket: str, tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text("report")

    Bucket(bucket).upload("trainer/1.0", tmp_path / "report.html")

    report = boto3.client("s3").get_object(Bucket=bucket, Key="trainer/1.0/report.html")
    assert report["ContentType"] == "text/html"


@pytest.mark.usefixtures("bucket")
def test_a_bucket_that_does_not_exist_is_refused() -> None:
    with pytest.raises(BucketError, match="the bucket unknown cannot be used"):
        Bucket("unknown")


def test_permission_to_write_objects_is_enough(bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # given: a service that refuses HeadBucket, as S3 does for the role of the trainer's pod
    (tmp_path / "report.html").write_text("report")
    make_call = BaseClient._make_api_call

    def refuse_head(client: Any, operation: str, arguments: Any) -> Any:
        if operation == "HeadBucket":
            response = {"Error": {"Code": "403"}, "ResponseMetadata": {"HTTPStatusCode": 403}}
            raise ClientError(response, operation)
        return make_call(client, operation, arguments)

    monkeypatch.setattr(BaseClient, "_make_api_call", refuse_head)
    # when
    Bucket(bucket).upload("trainer/1.0", tmp_path / "report.html")
    # then
    assert keys(bucket) == {"trainer/1.0/report.html"}


def test_missing_credentials_are_refused_before_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(BucketError, match="the bucket models cannot be used: Unable to locate credentials"):
        Bucket("models")


def test_a_file_that_cannot_be_read_is_named(bucket: str, tmp_path: Path) -> None:
    connected = Bucket(bucket)
    with pytest.raises(BucketError, match=r"the upload to s3://models/a/ failed: .*No such file"):
        connected.upload("a", tmp_path / "none")


def test_the_message_names_boto3_if_it_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(BucketError, match="S3 needs boto3: add it to the Pipfile"):
        Bucket("models")


def test_a_run_without_upload_does_not_need_boto3(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    runpy.run_path(bucket_module.__file__)


@pytest.fixture
def run_environment(contract: Contract, lock: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Set the options of a run as environment variables, and return the folder of its artefact."""
    table = synthetic.write_table(tmp_path / "orders.csv", synthetic.rows_of_table(120, contract.task))
    environment = {
        "DATA": table,
        "LOCK": lock,
        "ARTEFACT": tmp_path / "artefact",
        "REPORT": tmp_path / "report.html",
        "METRICS": tmp_path / "metrics.json",
        "FLOORS": f"{NO_FLOOR} accuracy=0",
        "BUDGET": 0,
        "VERSION": "1.2.3",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, str(value))
    return tmp_path / "artefact"


def test_a_run_takes_its_options_from_the_environment_and_uploads(
    contract: Contract, bucket: str, run_environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BUCKET", bucket)

    code = command.main(contract, Path(), ["--upload"])

    assert code == command_line.MADE
    artefact = {f"trainer/1.2.3/artefact/{path.name}" for path in run_environment.iterdir()}
    files = {f"trainer/1.2.3/{name}" for name in ("report.html", "metrics.json", "held-out.json")}
    assert keys(bucket) == artefact | files


def test_a_refused_model_is_not_uploaded(
    contract: Contract, bucket: str, run_environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLOORS", "accuracy=1.0")

    code = command.main(contract, Path(), ["--upload", "--bucket", bucket])

    assert code == command_line.GATE_REFUSED
    assert keys(bucket) == set()
    assert not run_environment.exists()


def test_a_run_downloads_the_data_that_its_hash_names(
    contract: Contract, bucket: str, run_environment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given: data that are in the bucket alone
    table = tmp_path / "orders.csv"
    sha256 = hashlib.sha256(table.read_bytes()).hexdigest()
    boto3.client("s3").upload_file(str(table), bucket, f"data/{sha256}")
    table.unlink()
    monkeypatch.setenv("DATA_SHA256", sha256)
    # when
    code = command.main(contract, Path(), ["--download", str(tmp_path / "input"), "--bucket", bucket])
    # then: it is trained on them, and nothing is uploaded without --upload
    assert code == command_line.MADE
    assert json.loads((run_environment / "metadata.json").read_text())["data_sha256"] == sha256
    assert keys(bucket) == {f"data/{sha256}"}
    # and data that are there need no bucket
    boto3.client("s3").delete_object(Bucket=bucket, Key=f"data/{sha256}")
    assert command.main(contract, Path(), ["--download", str(tmp_path / "input"), "--bucket", bucket]) == 0


@pytest.fixture
def newest_data(bucket: str, run_environment: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """SHA-256 of newer data in the bucket than those that the settings name."""
    table = run_environment.with_name("orders.csv")
    sha256 = hashlib.sha256(table.read_bytes()).hexdigest()
    client = boto3.client("s3")
    client.upload_file(str(table), bucket, f"data/{sha256}")
    client.put_object(Bucket=bucket, Key="data/orders.csv.sha256", Body=f"{sha256}  orders.csv\n".encode())
    monkeypatch.setenv("DATA_SHA256", "0" * 64)
    return sha256


@pytest.fixture
def pipeline(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Versions with which the pipeline was called."""
    called: list[str] = []
    monkeypatch.setattr(command_line, "call_pipeline", lambda version, _: called.append(version) or "example.org")
    return called


def scheduled(folder: Path) -> list[str]:
    """Return the arguments of a scheduled run."""
    return ["--scheduled", "--upload", "--download", str(folder / "input"), "--bucket", "models"]


def test_a_scheduled_run_trains_on_the_newest_data_and_calls_the_pipeline(
    contract: Contract,
    bucket: str,
    newest_data: str,
    pipeline: list[str],
    run_environment: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    code = command.main(contract, Path(), scheduled(tmp_path))
    # then: the model has a version of the time, and the pipeline is called with it
    assert code == command_line.MADE
    metadata = json.loads((run_environment / "metadata.json").read_text())
    assert metadata["data_sha256"] == newest_data
    assert re.fullmatch(r"retrained-\d{8}-\d{6}", metadata["version"])
    assert f"trainer/{metadata['version']}/metrics.json" in keys(bucket)
    assert pipeline == [metadata["version"]]
    output = capsys.readouterr().out
    assert f"Nothing to compare {metadata['version']} with: no held-out predictions of a deployed model." in output
    assert "Called the pipeline at example.org." in output


@pytest.mark.usefixtures("newest_data")
def test_a_scheduled_model_that_is_worse_than_the_champion_is_not_uploaded(
    contract: Contract,
    bucket: str,
    pipeline: list[str],
    run_environment: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    # given: a champion that is right about each of the same rows
    assert command.main(contract, Path(), scheduled(tmp_path)) == command_line.MADE
    (path,) = run_environment.parent.rglob("held-out.json")
    champion = json.loads(path.read_text()) | {"version": "1.0"}
    champion["predicted"] = [[0.01, 0.99] if label else [0.99, 0.01] for label in champion["truth"]]
    boto3.client("s3").put_object(Bucket=bucket, Key="champion/staging/a.json", Body=json.dumps(champion).encode())
    monkeypatch.setenv("CHAMPION", "champion/staging/a.json")
    before = keys(bucket)
    pipeline.clear()
    capsys.readouterr()
    # when
    code = command.main(contract, Path(), scheduled(tmp_path))
    # then
    assert code == command_line.GATE_REFUSED
    output = capsys.readouterr()
    assert re.search(r"^on the same rows +1\.0 +retrained-", output.out, flags=re.MULTILINE)
    assert output.err.endswith("worse by more than MARGIN=0 of it: nothing was uploaded.\n")
    assert keys(bucket) == before
    assert pipeline == []
    # and a margin lets it pass
    monkeypatch.setenv("MARGIN", "1000")
    assert command.main(contract, Path(), scheduled(tmp_path)) == command_line.MADE


@pytest.mark.usefixtures("newest_data", "run_environment")
def test_a_champion_that_was_not_kept_is_said(
    contract: Contract,
    bucket: str,
    pipeline: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("CHAMPION", "champion/staging/a.json")

    assert command.main(contract, Path(), scheduled(tmp_path)) == command_line.MADE

    assert f"s3://{bucket}/champion/staging/a.json is not there, or may not be read" in capsys.readouterr().out
    assert len(pipeline) == 1


@pytest.mark.usefixtures("run_environment")
@pytest.mark.parametrize(
    ("record", "message"),
    [
        pytest.param(None, "make data.push says which data are the newest", id="missing"),
        pytest.param(b"of something else", "has not the SHA-256 of orders.csv", id="of other data"),
    ],
)
def test_without_newest_data_a_scheduled_run_fails(
    contract: Contract,
    bucket: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    record: bytes | None,
    message: str,
) -> None:
    if record is not None:
        boto3.client("s3").put_object(Bucket=bucket, Key="data/orders.csv.sha256", Body=record)

    code = command.main(contract, Path(), scheduled(tmp_path))

    assert code == command_line.FAILED
    error = capsys.readouterr().err
    assert error.startswith("s3://models/data/orders.csv.sha256 ")
    assert message in error


def test_a_pipeline_that_does_not_start_is_told_with_the_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PIPELINE_URL", "http://127.0.0.1:9")

    assert command_line._call_pipeline("1.0") == command_line.FAILED

    error = capsys.readouterr().err
    assert error.startswith("127.0.0.1 did not start the pipeline: ")
    assert error.endswith("Deploy the model by make deploy MODEL=1.0 VERSION=1.0.\n")


@pytest.mark.usefixtures("run_environment")
def test_a_schedule_needs_data_and_upload(contract: Contract, capsys: pytest.CaptureFixture[str]) -> None:
    code = command.main(contract, Path(), ["--scheduled", "--bucket", "models"])

    assert code == command_line.SETTINGS_REFUSED
    assert "--scheduled needs --download and --upload" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(None, "make data.push puts the data there", id="missing"),
        pytest.param(b"others", "has another content than its name says", id="others"),
    ],
)
def test_data_that_cannot_be_had_are_named(bucket: str, tmp_path: Path, content: bytes | None, message: str) -> None:
    if content is not None:
        boto3.client("s3").put_object(Bucket=bucket, Key=f"data/{'0' * 64}", Body=content)

    with pytest.raises(BucketError, match=rf"s3://models/data/0+ .*{message}"):
        Bucket(bucket).download_data("0" * 64, tmp_path / "input/orders.csv")


@pytest.mark.usefixtures("run_environment")
def test_a_download_without_a_hash_is_refused(
    contract: Contract, bucket: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code = command.main(contract, Path(), ["--download", "/input", "--bucket", bucket])

    assert code == command_line.SETTINGS_REFUSED
    assert "set BUCKET and DATA_SHA256" in capsys.readouterr().err


@pytest.mark.usefixtures("run_environment")
def test_ctrl_c_during_the_upload_is_told_in_one_line(
    contract: Contract, bucket: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: object) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(Bucket, "upload", interrupt)

    code = command.main(contract, Path(), ["--upload", "--bucket", bucket])

    assert code == command_line.INTERRUPTED
    assert capsys.readouterr().err == "stopped: the upload is incomplete: run the command again.\n"


@pytest.mark.usefixtures("bucket", "newest_data", "pipeline", "run_environment")
@pytest.mark.parametrize(
    ("function", "state"),
    [
        pytest.param("check", "nothing was uploaded", id="comparison"),
        pytest.param("call_pipeline", "the pipeline may not have been called", id="pipeline"),
    ],
)
def test_ctrl_c_at_the_end_of_a_scheduled_run_is_told_in_one_line(
    contract: Contract,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    function: str,
    state: str,
) -> None:
    def interrupt(*_: object) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(command_line, function, interrupt)

    assert command.main(contract, Path(), scheduled(tmp_path)) == command_line.INTERRUPTED

    assert capsys.readouterr().err == f"stopped: {state}.\n"


@pytest.mark.parametrize(
    ("bucket_option", "message"),
    [
        pytest.param("unknown", "the bucket unknown cannot be used", id="unknown-bucket"),
        pytest.param("", "--upload needs a bucket: name it with --bucket, or set BUCKET", id="no-bucket"),
    ],
)
@pytest.mark.usefixtures("bucket")
def test_a_missing_bucket_is_refused_before_training(
    contract: Contract,
    run_environment: Path,
    bucket_option: str,
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    code = command.main(contract, Path(), ["--upload", "--bucket", bucket_option])

    assert code in {command_line.FAILED, command_line.SETTINGS_REFUSED}
    assert message in capsys.readouterr().err
    assert not run_environment.exists()
