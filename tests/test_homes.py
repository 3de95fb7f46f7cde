"""What a project keeps elsewhere than in git, with the real AWS CLI against a server that keeps buckets."""

from pathlib import Path

import boto3
import pytest

from tests.conftest import Bakery, share_environment
from tests.live.conftest import aws  # noqa: F401 - a fixture
from tests.live.workbench import Workbench, one_error_line

BUCKET = "homes-123456789012"


@pytest.fixture(scope="module")
def bucket(aws: dict[str, str]) -> dict[str, str]:  # noqa: F811
    """Environment with a bucket."""
    client = boto3.client(
        "s3",
        endpoint_url=aws["AWS_ENDPOINT_URL"],
        region_name="eu-central-1",
        aws_access_key_id=aws["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=aws["AWS_SECRET_ACCESS_KEY"],
    )
    client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    return aws | {"MLOPS_BUCKET": BUCKET}


@pytest.fixture
def bench(bakery: Bakery, project: Path, bucket: dict[str, str], tmp_path: Path) -> Workbench:
    return Workbench(share_environment(bakery.copy(tmp_path), project), bucket)


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
