"""Where the champion's file is kept: a stand-in for the AWS CLI keeps objects in a folder."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from mlops_runtime.operations import champion
from mlops_runtime.operations.champion import ChampionError, fetch, keep

AWS = """
import shutil, sys
from pathlib import Path

root = Path(__file__).parent / "objects"
denied = "\\nAn error occurred (AccessDenied) when calling the operation: Access Denied"
if sys.argv[1:4] == ["s3", "cp", "--only-show-errors"]:
    source, url = sys.argv[4:]
    path = root / url.removeprefix("s3://")
    if path.is_relative_to(root / "broken"):
        sys.exit(denied)
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, path)
else:
    service, operation, _, bucket, _, key, target = sys.argv[1:]
    assert (service, operation) == ("s3api", "get-object")
    path = root / bucket / key
    if bucket == "broken":
        Path(target).write_text("half of a file")
        sys.exit(denied)
    if not path.exists():
        sys.exit("\\nAn error occurred (NoSuchKey) when calling the GetObject operation: The key does not exist.")
    shutil.copyfile(path, target)
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
    assert fetch(bucket, "production", "a1") is None
    # when
    keep(bucket, "production", "a1", held_out)
    # then
    fetched = fetch(bucket, "production", "a1")
    assert fetched
    assert fetched.read_text() == "predictions"
    assert fetch(bucket, "staging", "a1") is None
    assert fetch(bucket, "production", "b2") is None


def test_the_object_has_environment_and_artefact_in_its_key(held_out: Path, tmp_path: Path) -> None:
    keep("bucket", "production", "a1", held_out)

    assert (tmp_path / "a folder/objects/bucket/champion/production/a1.json").exists()
    assert not (tmp_path / "build").exists()


def test_a_champion_in_a_bucket_is_not_one_without_a_bucket(held_out: Path) -> None:
    keep("bucket", "production", "a1", held_out)
    fetch("bucket", "production", "a1")

    assert fetch("", "production", "a1") is None


@pytest.mark.usefixtures("held_out")
def test_a_bucket_that_cannot_be_read_is_no_missing_champion(tmp_path: Path) -> None:
    message = r"^s3://broken/champion/production/a1\.json cannot be read: .*AccessDenied.*; set BUCKET= to keep it"
    with pytest.raises(ChampionError, match=message):
        fetch("broken", "production", "a1")
    assert not list((tmp_path / "build").rglob("*.json"))


def test_a_bucket_that_cannot_be_written_is_an_error(held_out: Path) -> None:
    with pytest.raises(ChampionError, match=r"cannot be written: .*AccessDenied"):
        keep("broken", "production", "a1", held_out)


@pytest.mark.parametrize(
    ("files", "advice"),
    [
        pytest.param(("infrastructure.mk",), "to a bucket, which make infrastructure makes", id="a stack"),
        pytest.param((), "to a bucket that is there", id="no stack"),
    ],
)
def test_a_bucket_that_does_not_exist_is_named_with_how_to_get_one(
    held_out: Path, tmp_path: Path, files: tuple[str, ...], advice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "no bucket"
    program.write_text("#!/bin/sh\necho 'An error occurred (NoSuchBucket): it does not exist' >&2; exit 254\n")
    program.chmod(0o755)
    monkeypatch.setenv("AWS", f"'{program}'")
    (tmp_path / "make").mkdir()
    for name in files:
        (tmp_path / "make" / name).touch()

    with pytest.raises(ChampionError, match=rf"NoSuchBucket.*; set BUCKET in project\.mk {advice}"):
        keep("none", "production", "a1", held_out)


def test_a_file_that_does_not_exist_is_an_error(held_out: Path) -> None:
    with pytest.raises(ChampionError, match=r"none\.json cannot be copied to build/champion/production/a1\.json"):
        keep("", "production", "a1", held_out.with_name("none.json"))


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
        fetch("bucket", "production", "a1")


def test_the_module_needs_the_standard_library_alone() -> None:
    # given: a Python that has no packages
    runtime = Path(champion.__file__).parents[2]
    program = f"import sys; sys.path.insert(0, {str(runtime)!r}); import mlops_runtime.operations.champion"
    # then
    subprocess.run([sys.executable, "-I", "-S", "-c", program], check=True)
