"""Where the champion's file is kept: a stand-in for the AWS CLI keeps objects in a folder."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from mlops_runtime.operations import champion
from mlops_runtime.operations.champion import ChampionError, fetch, keep, main

AWS = """
import shutil, sys
from pathlib import Path

root = Path(__file__).parent / "objects"
_, operation, _, bucket, _, key, *rest = sys.argv[1:]
assert sys.argv[1] == "s3api"
if bucket == "broken":
    if operation == "get-object":
        Path(rest[0]).write_text("half of a file")
    sys.exit("\\nAn error occurred (AccessDenied) when calling the operation: Access Denied")
path = root / bucket / key
if operation == "put-object":
    assert rest[0] == "--body"
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(rest[1], path)
elif not path.exists():
    sys.exit("\\nAn error occurred (NoSuchKey) when calling the GetObject operation: The key does not exist.")
else:
    shutil.copyfile(path, rest[0])
print("{}")
"""


@pytest.fixture
def held_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Held-out predictions in the folder of a project, where the AWS CLI is one with two words and a space."""
    program = tmp_path / "a folder" / "aws.py"
    program.parent.mkdir()
    program.write_text(AWS)
    monkeypatch.setenv("AWS", shlex.join([sys.executable, str(program)]))
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "held-out.json"
    path.write_text("predictions")
    return path


@pytest.mark.parametrize("bucket", ["", "bucket"], ids=["without a bucket", "in a bucket"])
def test_what_is_kept_is_fetched_for_the_same_environment(bucket: str, held_out: Path) -> None:
    # given
    assert fetch(bucket, "production") is None
    # when
    keep(bucket, "production", held_out)
    # then
    fetched = fetch(bucket, "production")
    assert fetched
    assert fetched.read_text() == "predictions"
    assert fetch(bucket, "staging") is None


@pytest.mark.parametrize("bucket", ["", "bucket"], ids=["without a bucket", "in a bucket"])
def test_the_next_champion_replaces_the_one_before(bucket: str, held_out: Path) -> None:
    keep(bucket, "production", held_out)
    held_out.write_text("newer predictions")
    keep(bucket, "production", held_out)

    fetched = fetch(bucket, "production")

    assert fetched
    assert fetched.read_text() == "newer predictions"


def test_the_object_has_the_environment_in_its_key(held_out: Path, tmp_path: Path) -> None:
    keep("bucket", "production", held_out)

    assert (tmp_path / "a folder/objects/bucket/champion/production/held-out.json").exists()
    assert not (tmp_path / "build").exists()


def test_a_champion_in_a_bucket_is_not_one_without_a_bucket(held_out: Path) -> None:
    keep("bucket", "production", held_out)
    fetch("bucket", "production")

    assert fetch("", "production") is None


@pytest.mark.usefixtures("held_out")
def test_a_bucket_that_cannot_be_read_is_no_missing_champion(tmp_path: Path) -> None:
    message = r"^s3://broken/champion/production/held-out\.json cannot be read: .*AccessDenied.*; see make infra"
    with pytest.raises(ChampionError, match=message):
        fetch("broken", "production")
    assert not list((tmp_path / "build").rglob("*.json"))


def test_a_bucket_that_cannot_be_written_is_an_error(held_out: Path) -> None:
    with pytest.raises(ChampionError, match=r"cannot be written: .*AccessDenied"):
        keep("broken", "production", held_out)


def test_a_file_that_does_not_exist_is_an_error(held_out: Path) -> None:
    with pytest.raises(ChampionError, match=r"none\.json cannot be copied to build/champion/production/held-out\.json"):
        keep("", "production", held_out.with_name("none.json"))


@pytest.mark.usefixtures("held_out")
@pytest.mark.parametrize(
    ("command", "reason"),
    [
        pytest.param("/no/such/aws", "/no/such/aws does not start: No such file or directory", id="no program"),
        pytest.param("false", "false ended with status 1", id="no message"),
    ],
)
def test_an_aws_cli_that_does_not_work_is_an_error(command: str, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS", command)
    with pytest.raises(ChampionError, match=reason):
        fetch("bucket", "production")


def test_the_command_prints_the_path(
    held_out: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CHAMPION_BUCKET", "bucket")
    monkeypatch.setenv("ENVIRONMENT", "production")

    assert main() == 0
    assert capsys.readouterr().out == "\n"
    keep("bucket", "production", held_out)
    assert main() == 0
    assert Path(capsys.readouterr().out.strip()).read_text() == "predictions"


@pytest.mark.usefixtures("held_out")
@pytest.mark.parametrize(
    ("environment", "message"),
    [
        pytest.param({"ENVIRONMENT": "production"}, "compare: s3://broken/champion/production/", id="bucket"),
        pytest.param({}, "compare: ENVIRONMENT is not set: run this with make", id="environment"),
    ],
)
def test_the_command_fails_in_one_line(
    environment: dict[str, str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CHAMPION_BUCKET", "broken")
    monkeypatch.delenv("ENVIRONMENT", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    assert main() == 1
    error = capsys.readouterr().err
    assert error.startswith(message)
    assert error.count("\n") == 1


def test_the_module_needs_the_standard_library_alone() -> None:
    # given: a Python that has no packages
    runtime = Path(champion.__file__).parents[2]
    program = f"import sys; sys.path.insert(0, {str(runtime)!r}); import mlops_runtime.operations.champion"
    # then
    subprocess.run([sys.executable, "-I", "-S", "-c", program], check=True)
