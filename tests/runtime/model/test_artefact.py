import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from mlops_runtime.contract import Contract, Task
from mlops_runtime.model.artefact import (
    BASELINE_FILE,
    GOLDEN_FILE,
    METADATA_FILE,
    MODEL_FILE,
    REPORT_FILE,
    ArtefactError,
    read_artefact,
    read_metadata,
    sha256,
)
from mlops_runtime.model.baseline import ValueBaseline
from mlops_runtime.model.onnx_predictor import OnnxPredictor
from mlops_runtime.testing import synthetic as orders

CONTRACT = orders.CONTRACTS[Task.BINARY]
FILES = [MODEL_FILE, BASELINE_FILE, GOLDEN_FILE]


@pytest.fixture
def copy(artefact: Path, tmp_path: Path) -> Path:
    """A copy of the artefact that a test may damage."""
    return Path(shutil.copytree(artefact, tmp_path / "artefact"))


def change_metadata(folder: Path, **changes: Any) -> None:
    path = folder / METADATA_FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def replace_file(folder: Path, name: str, content: bytes) -> None:
    """Replace the content of a file, and its hash in the metadata."""
    (folder / name).write_bytes(content)
    files = json.loads((folder / METADATA_FILE).read_text())["files"]
    change_metadata(folder, files=files | {name: sha256(content)})


def test_a_complete_artefact_is_read(contract: Contract, artefact: Path) -> None:
    read = read_artefact(contract, artefact)
    assert set(read.model_files) == {MODEL_FILE}
    assert tuple(read.baseline.fields) == contract.features
    assert isinstance(read.baseline.target, ValueBaseline)
    assert read.golden_records


@pytest.mark.parametrize("name", [*FILES, REPORT_FILE])
def test_a_modified_file_is_refused(name: str, copy: Path) -> None:
    content = (copy / name).read_bytes()
    (copy / name).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(ArtefactError, match=f"{name} is not the file that {METADATA_FILE} describes"):
        OnnxPredictor.load(CONTRACT, copy)


@pytest.mark.parametrize("name", [*FILES, REPORT_FILE, METADATA_FILE])
def test_a_missing_file_is_refused_with_advice(name: str, copy: Path) -> None:
    (copy / name).unlink()
    with pytest.raises(ArtefactError, match=rf"{name}: No such file.*run `make train`"):
        OnnxPredictor.load(CONTRACT, copy)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        pytest.param(MODEL_FILE, "has no model.onnx", id="model"),
        pytest.param(BASELINE_FILE, "does not list 'baseline.json'", id="baseline"),
        pytest.param(GOLDEN_FILE, "does not list 'golden.json'", id="golden records"),
    ],
)
def test_a_file_without_a_hash_is_refused(name: str, message: str, copy: Path) -> None:
    files = json.loads((copy / METADATA_FILE).read_text())["files"]
    change_metadata(copy, files={other: digest for other, digest in files.items() if other != name})
    with pytest.raises(ArtefactError, match=message):
        OnnxPredictor.load(CONTRACT, copy)


def test_a_file_outside_the_folder_is_refused(copy: Path) -> None:
    secret = copy.parent / "secret"
    secret.write_bytes(b"secret")
    files = json.loads((copy / METADATA_FILE).read_text())["files"]
    change_metadata(copy, files=files | {"../secret": sha256(b"secret")})
    with pytest.raises(ArtefactError, match=r"'\.\./secret', which is not a file name"):
        OnnxPredictor.load(CONTRACT, copy)


def test_an_artefact_without_a_report_is_valid(copy: Path) -> None:
    files = json.loads((copy / METADATA_FILE).read_text())["files"]
    change_metadata(copy, files={name: digest for name, digest in files.items() if name != REPORT_FILE})
    (copy / REPORT_FILE).unlink()

    loaded = OnnxPredictor.load(CONTRACT, copy)

    assert loaded.gives_golden_predictions()
    with pytest.raises(ArtefactError, match="has no report; run `make train`"):
        loaded.artefact.report()


def test_a_report_is_verified_whenever_it_is_read(copy: Path) -> None:
    loaded = OnnxPredictor.load(CONTRACT, copy)
    report = (copy / REPORT_FILE).read_bytes()
    assert loaded.artefact.report() == report

    (copy / REPORT_FILE).write_bytes(report + b" ")

    with pytest.raises(ArtefactError, match=f"{REPORT_FILE} is not the file"):
        loaded.artefact.report()


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match="run `make train`"):
        OnnxPredictor.load(CONTRACT, tmp_path / "none")


@pytest.mark.parametrize("share", [0, 0.5, 0.99], ids=["empty", "half", "all-but-the-end"])
def test_truncated_metadata_are_refused(share: float, copy: Path) -> None:
    content = (copy / METADATA_FILE).read_bytes()
    (copy / METADATA_FILE).write_bytes(content[: int(share * len(content))])
    with pytest.raises(ArtefactError, match=rf"{METADATA_FILE} is not valid(.|\n)*run `make train`"):
        read_metadata(CONTRACT, copy)


def test_an_artefact_for_another_contract_is_refused(copy: Path) -> None:
    change_metadata(copy, contract=orders.CONTRACTS[Task.REGRESSION].sha256)
    with pytest.raises(ArtefactError, match="made for another contract; run `make train`"):
        OnnxPredictor.load(CONTRACT, copy)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        pytest.param(GOLDEN_FILE, b'[{"record": {"\\u2400": 1}}]', id="records-of-another-contract"),
        pytest.param(GOLDEN_FILE, b"", id="no-records"),
        pytest.param(BASELINE_FILE, b'{"rows": 1}', id="no-statistics"),
    ],
)
def test_an_invalid_file_is_refused_even_if_its_hash_matches(name: str, content: bytes, copy: Path) -> None:
    replace_file(copy, name, content)
    with pytest.raises(ArtefactError, match="is not valid"):
        OnnxPredictor.load(CONTRACT, copy)
