"""Tags of images that are kept. tests/live/test_aws.py has the real AWS CLI."""

from pathlib import Path

import pytest

from mlops_runtime.operations import image_tags
from mlops_runtime.operations.aws_cli import AwsError
from mlops_runtime.operations.image_tags import keep, main, tag_of
from tests.runtime.operations.scripted_aws import ScriptedAws

DIGEST = f"sha256:{'a' * 64}"
IMAGE = f"123456789012.dkr.ecr.eu-west-1.amazonaws.com/oncology/webservice@{DIGEST}"
MEDIA_TYPE = "application/vnd.oci.image.manifest.v1+json"
IMAGES = {"images": [{"imageManifest": "{}", "imageManifestMediaType": MEDIA_TYPE}]}


def test_the_tag_names_kind_environment_and_version() -> None:
    environment = {"ENVIRONMENT": "production", "VERSION": "1.2"}

    assert tag_of("verified", environment) == "verified-production-1.2"


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


def test_a_version_that_was_tagged_before_is_left_as_it_is() -> None:
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


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Version 1 in staging, with the images of two components."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ENVIRONMENT", "staging")
    monkeypatch.setenv("VERSION", "1")
    (tmp_path / "build").mkdir()
    for component in ("trainer", "webservice"):
        (tmp_path / f"build/{component}.image").write_text(f"{IMAGE.replace('webservice', component)}\n")


@pytest.mark.usefixtures("environment")
def test_the_command_tags_each_component(monkeypatch: pytest.MonkeyPatch) -> None:
    aws = ScriptedAws(batch_get_image=[IMAGES])
    monkeypatch.setattr(image_tags, "AwsCli", lambda _: aws)

    assert main(["verified", "webservice", "trainer"]) == 0
    calls = [call for call in aws.calls if call[0] == "put-image"]
    assert [call[call.index("--repository-name") + 1] for call in calls] == ["oncology/webservice", "oncology/trainer"]
    assert {call[call.index("--image-tag") + 1] for call in calls} == {"verified-staging-1"}


@pytest.mark.parametrize(
    ("kind", "consequence"), [("verified", "what was deployed stays"), ("scheduled", "nothing was scheduled")]
)
@pytest.mark.usefixtures("environment")
def test_the_command_says_that_the_image_expires(
    kind: str, consequence: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(image_tags, "AwsCli", lambda _: ScriptedAws(batch_get_image=["no rights"]))

    assert main([kind, "trainer"]) == 1
    message = capsys.readouterr().err
    assert f"the image of the trainer was not tagged {kind}-staging-1" in message
    assert f"no rights; {consequence}, run the command again" in message
