"""Golden records and artefact of an image, read by a stand-in for the image engine."""

import json
import shlex
import sys
import tarfile
from io import BytesIO
from pathlib import Path

import pytest

from mlops_runtime.operations.azure.az import AzureError
from mlops_runtime.operations.azure.image_files import ModelFiles, read_image
from mlops_runtime.operations.verify import artefact_hash

ENGINE = """
import sys
from pathlib import Path

folder = Path(__file__).parent
with (folder / "calls").open("a") as calls:
    calls.write(" ".join(sys.argv[1:]) + "\\n")
match sys.argv[1]:
    case "create":
        print("Pulling\\nabc") if sys.argv[2] == "r@sha256:1" else sys.exit("no such image")
    case "cp":
        sys.stdout.buffer.write((folder / "archive").read_bytes())
"""


def engine_with(folder: Path, files: dict[str, str]) -> str:
    (folder / "engine.py").write_text(ENGINE)
    with tarfile.open(folder / "archive", "w") as archive:
        for name, text in files.items():
            entry = tarfile.TarInfo(f"model/x_model/artefact/{name}")
            entry.size = len(text)
            archive.addfile(entry, BytesIO(text.encode()))
    return shlex.join([sys.executable, str(folder / "engine.py")])


def test_the_files_of_an_image_are_read_and_its_container_is_removed(tmp_path: Path) -> None:
    golden = [{"record": {"a": 1}, "prediction": {"label": "b"}}]
    engine = engine_with(tmp_path, {"metadata.json": "{}\n", "golden.json": json.dumps(golden)})

    files = read_image(engine, "r@sha256:1")

    assert files == ModelFiles(golden, artefact_hash("{}"))
    assert ModelFiles.from_json(files.to_json()) == files
    assert (tmp_path / "calls").read_text().splitlines()[-1] == "rm abc"


@pytest.mark.parametrize(
    ("files", "image", "message"),
    [
        pytest.param({}, "r@sha256:1", "has no golden records", id="no model"),
        pytest.param({"metadata.json": "{}"}, "r@sha256:1", "has no golden records", id="no golden records"),
        pytest.param({}, "r@sha256:2", "cannot be read: no such image", id="no image"),
    ],
)
def test_an_image_without_them_is_refused(tmp_path: Path, files: dict[str, str], image: str, message: str) -> None:
    with pytest.raises(AzureError, match=message):
        read_image(engine_with(tmp_path, files), image)
