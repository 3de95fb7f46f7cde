"""The resource of an app, with the values of the settings that it names."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from mlops_runtime.operations.azure.render import SOURCES, RenderError, main, rendered
from mlops_runtime.serving.settings import Settings
from tests.runtime.operations.docker_host.test_platform import FIXED_SETTINGS, PROJECT


def test_settings_take_the_place_of_their_names() -> None:
    resource = {
        "location": "${PLACE}",
        "identities": {"/group/${PROJECT}": {}},
        "env": [{"name": "WORKERS"}, {"name": "KEYS", "secretRef": "keys"}, {"name": "MODE", "value": "x"}],
        "replicas": 2,
    }

    assert rendered(resource, {"PLACE": "here", "PROJECT": "p", "WORKERS": "3"}) == {
        "location": "here",
        "identities": {"/group/p": {}},
        "env": [
            {"name": "WORKERS", "value": "3"},
            {"name": "KEYS", "secretRef": "keys"},
            {"name": "MODE", "value": "x"},
        ],
        "replicas": 2,
    }


def test_a_setting_that_is_not_set_is_named() -> None:
    with pytest.raises(RenderError, match=r"azure/ names PLACE, which is not set: see project.mk"):
        rendered({"location": "${PLACE}"}, {"PLACE": ""})


def variables(file: str) -> list[dict[str, str]]:
    """Return the variables that a file of azure/ gives the containers."""
    properties: dict[str, Any] = yaml.safe_load((PROJECT / SOURCES / f"{file}.yaml").read_text())["properties"]
    found = (
        properties["siteConfig"]["appSettings"] if file == "webapp" else properties["template"]["containers"][0]["env"]
    )
    return list(found)


@pytest.mark.parametrize("file", ["containerapp", "webapp"])
def test_the_containers_get_every_setting_of_the_service(file: str) -> None:
    names = {item["name"] for item in variables(file)}

    assert {name.upper() for name in set(Settings.model_fields) - FIXED_SETTINGS} <= names


def test_a_file_that_cannot_be_read_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)

    assert main(["containerapp"]) == 1
    assert capsys.readouterr().err.count("\n") == 1
