"""The base of the images by its digest. tests/live/test_images.py asks a real registry."""

import sys
from pathlib import Path

import pytest

from mlops_runtime.operations.base_image import pinned, update
from mlops_runtime.operations.registry import RegistryError

DIGEST = f"sha256:{'1' * 64}"
# Answers as Docker does: nothing to `pull`, and to `image inspect` the digests that it is started with.
ENGINE = """\
import json, sys
digests = sys.argv[1].split(",")
print(json.dumps([{"RepoDigests": digests}]) if "inspect" in sys.argv else "")
"""
REFUSING = "import sys; sys.exit('toomanyrequests: You have reached your pull rate limit.')"


def engine(*digests: str) -> list[str]:
    return [sys.executable, "-c", ENGINE, ",".join(digests)]


@pytest.mark.parametrize(
    ("image", "named"),
    [
        pytest.param("docker.io/library/python:3.11-slim", "python", id="Docker leaves out its registry"),
        pytest.param("docker.io/team/python:3.11", "docker.io/team/python", id="podman does not"),
        pytest.param(f"127.0.0.1:5000/base:3.11@sha256:{'0' * 64}", "127.0.0.1:5000/base", id="port, older digest"),
        pytest.param("127.0.0.1:5000/base", "127.0.0.1:5000/base", id="no tag"),
    ],
)
def test_an_image_gets_the_digest_of_its_tag(image: str, named: str) -> None:
    digests = ("other/python@sha256:0000", f"{named}@{DIGEST}")

    assert pinned(image, engine(*digests)) == f"{image.partition('@')[0]}@{DIGEST}"


def test_the_setting_is_replaced_and_its_comments_stay(tmp_path: Path) -> None:
    settings = tmp_path / "project.mk"
    settings.write_text("# Images\nPYTHON_IMAGE ?= base:1\nREGISTRY ?=\n")

    said = update(settings, "base:2", engine(f"base@{DIGEST}"))

    assert settings.read_text() == f"# Images\nPYTHON_IMAGE ?= base:2@{DIGEST}\nREGISTRY ?=\n"
    assert "the next make docker builds on it" in said
    assert "already" in update(settings, "base:2", engine(f"base@{DIGEST}"))


def test_a_registry_at_its_limit_changes_nothing(tmp_path: Path) -> None:
    settings = tmp_path / "project.mk"
    settings.write_text("PYTHON_IMAGE ?= base:1\n")

    with pytest.raises(RegistryError, match="the limit on pulls is met: log in"):
        update(settings, "base:1", [sys.executable, "-c", REFUSING])

    assert settings.read_text() == "PYTHON_IMAGE ?= base:1\n"


def test_a_file_without_the_setting_is_left_as_it_is(tmp_path: Path) -> None:
    settings = tmp_path / "project.mk"
    settings.write_text("REGISTRY ?=\n")

    with pytest.raises(RegistryError, match="has not one line PYTHON_IMAGE"):
        update(settings, "base:1", engine())
