"""The bill of materials of an image, valid by the schema of CycloneDX."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from mlops_runtime.operations.image_contents import contents
from mlops_runtime.operations.sbom import Hashes, SbomError, bill, locked_hashes, read_image

STATUS = """\
Package: libc6
Status: install ok installed
Architecture: amd64
Version: 2.36-9+deb12u10
Description: GNU C Library
 Contains: the standard libraries

Package: perl-base
Status: deinstall ok config-files
Architecture: amd64
Version: 5.36.0-7
"""
LOCK = {"default": {"flask": {"version": "==3.1.2", "hashes": [f"sha256:{'a' * 64}", f"sha256:{'b' * 64}"]}}}
METADATA = {"version": "1.2", "git_commit": "c0ffee", "data_sha256": "d" * 64, "files": {"model.onnx": "e" * 64}}


@pytest.fixture
def found(tmp_path: Path) -> dict[str, Any]:
    """What an image holds whose files are in a folder."""
    site = tmp_path / "app"
    texts = {
        "etc/os-release": 'ID=debian\nVERSION_ID="12"\n',
        "var/lib/dpkg/status": STATUS,
        "app/Flask-3.1.2.dist-info/METADATA": "Metadata-Version: 2.1\nName: Flask\nVersion: 3.1.2\n",
        "app/mlops_runtime/__init__.py": '"""The runtime."""\n\n__version__ = "1.0.0"\n',
        "app/churn_model/artefact/metadata.json": json.dumps(METADATA),
    }
    for name, text in texts.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    content: dict[str, Any] = json.loads(json.dumps(contents(tmp_path, [str(site)])))
    return content


@pytest.fixture
def hashes(tmp_path: Path) -> Hashes:
    path = tmp_path / "Pipfile.lock"
    path.write_text(json.dumps({"_meta": {}, **LOCK}))
    return locked_hashes(path)


def test_a_bill_lists_what_the_image_holds_with_the_hashes_of_the_lock(found: dict[str, Any], hashes: Hashes) -> None:
    text = bill("churn/webservice", "1.2", "sha256:1234", found, hashes)

    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    content = json.loads(text)
    assert content["metadata"]["component"]["name"] == "churn/webservice"
    components = {each["name"]: each for each in content["components"]}
    # What was removed is not listed
    assert components.keys() == {"python", "flask", "mlops-runtime", "debian", "libc6", "churn_model"}
    assert components["python"]["version"] == ".".join(map(str, sys.version_info[:3]))
    assert components["flask"]["purl"] == "pkg:pypi/flask@3.1.2"
    (files,) = components["flask"]["externalReferences"]
    assert {each["content"] for each in files["hashes"]} == {"a" * 64, "b" * 64}
    assert components["libc6"]["purl"] == "pkg:deb/debian/libc6@2.36-9%2Bdeb12u10?arch=amd64&distro=debian-12"
    assert components["churn_model"]["type"] == "machine-learning-model"
    assert components["churn_model"]["components"][0]["hashes"][0]["content"] == "e" * 64


def test_an_image_that_was_built_from_another_lock_has_no_bill(found: dict[str, Any], hashes: Hashes) -> None:
    found["distributions"] = [["flask", "3.0.0"]]

    with pytest.raises(SbomError, match=r"flask 3\.0\.0, which Pipfile\.lock has not: run make docker again"):
        bill("churn/webservice", "1.2", "sha256:1234", found, hashes)


def test_an_image_that_does_not_run_has_a_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = tmp_path / "engine"
    message = "docker: Error response from daemon: no such image"
    engine.write_text(f"#!/bin/sh\nprintf '%s\\n' \"{message}\" \"Run 'docker run --help' for more information\" >&2\n")
    engine.chmod(0o755)
    monkeypatch.setenv("DOCKER", str(engine))

    with pytest.raises(SbomError, match=r"cannot run churn/webservice: .*no such image$"):
        read_image("churn/webservice")
