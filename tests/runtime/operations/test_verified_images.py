"""Tags of verified images. tests/live/test_aws.py has the real AWS CLI."""

from pathlib import Path

import pytest

from mlops_runtime.operations import verified_images
from mlops_runtime.operations.aws_cli import AwsError
from mlops_runtime.operations.verified_images import keep, main, tag_of
from tests.runtime.operations.scripted_aws import ScriptedAws

DIGEST = f"sha256:{'a' * 64}"
IMAGE = f"123456789012.dkr.ecr.eu-west-1.amazonaws.com/oncology/webservice@{DIGEST}"
MEDIA_TYPE = "application/vnd.oci.image.manifest.v1+json"
IMAGES = {"images": [{"imageManifest": "{}", "imageManifestMediaType": MEDIA_TYPE}]}


def test_the_tag_names_environment_and_version() -> None:
    assert tag_of({"ENVIRONMENT": "production", "VERSION": "1.2"}) == "verified-production-1.2"


def test_an_image_is_tagged_where_it_is() -> None:
    # Given an image in another region than that of the project
    aws = ScriptedAws(batch_get_image=[IMAGES])

    # When it is kept
    assert keep(aws, IMAGE, "verified-production-1")

    # Then its manifest is put there once more, with the tag, and only if it is that digest
    assert aws.value("put-image", "--region") == "eu-west-1"
    assert aws.value("put-image", "--registry-id") == "123456789012"
    assert aws.value("put-image", "--repository-name") == "oncology/webservice"
    assert aws.value("put-image", "--image-tag") == "verified-production-1"
    assert aws.value("put-image", "--image-digest") == DIGEST
    assert aws.value("put-image", "--image-manifest") == "{}"
    assert aws.value("put-image", "--image-manifest-media-type") == MEDIA_TYPE


@pytest.mark.parametrize("image", [f"127.0.0.1:5000/oncology/webservice@{DIGEST}", f"docker.io/a/b@{DIGEST}"])
def test_another_registry_is_left_alone(image: str) -> None:
    aws = ScriptedAws()

    assert not keep(aws, image, "verified-production-1")
    assert aws.calls == []


def test_a_second_deploy_of_a_version_changes_nothing() -> None:
    answer = "An error occurred (ImageAlreadyExistsException) when calling the PutImage operation: it is there"

    assert keep(ScriptedAws(batch_get_image=[IMAGES], put_image=[answer]), IMAGE, "verified-production-1")


@pytest.mark.parametrize(
    ("aws", "message"),
    [
        pytest.param(ScriptedAws(batch_get_image=[{"images": []}]), "is not there any more", id="no image"),
        pytest.param(
            ScriptedAws(batch_get_image=[IMAGES], put_image=["An error occurred (X) when calling: no"]), "no", id="no"
        ),
    ],
)
def test_a_refusal_is_an_error(aws: ScriptedAws, message: str) -> None:
    with pytest.raises(AwsError, match=message):
        keep(aws, IMAGE, "verified-production-1")


def test_the_command_says_that_the_image_expires(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ENVIRONMENT", "staging")
    monkeypatch.setenv("VERSION", "1")
    monkeypatch.setattr(verified_images, "AwsCli", lambda _: ScriptedAws(batch_get_image=["no rights"]))
    (tmp_path / "build").mkdir()
    (tmp_path / "build/webservice.image").write_text(f"{IMAGE}\n")

    assert main(["webservice"]) == 1
    assert "1 runs, but the image of the webservice could not be tagged verified-staging-1" in capsys.readouterr().err
