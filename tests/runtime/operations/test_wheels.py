"""Wheels in the bucket, which is a folder here. tests/test_homes.py has the real AWS CLI, pip and an index."""

import io
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from mlops_runtime.operations.wheels import WheelError, to_store
from tests.runtime.operations.test_data import Folder

GENERATOR = "Wheel-Version: 1.0\nGenerator: setuptools ({})\n"
METADATA = "Metadata-Version: {}\nName: x\nRequires-Dist: numpy{}\n\nA description.\n"


class Bucket(Folder):
    """Objects in a folder, and their keys."""

    __slots__ = ()

    def keys(self, prefix: str) -> list[str]:
        paths = (path.relative_to("bucket").as_posix() for path in Path("bucket").rglob("*") if path.is_file())
        return sorted(path for path in paths if path.startswith(prefix))


Upload = Callable[..., str]


def wheel(
    code: str,
    *,
    setuptools: str = "84.2",
    metadata: str = "2.4",
    mode: int = 0o644,
    requirement: str = ">=2",
    compression: int = zipfile.ZIP_STORED,
) -> bytes:
    """Return a wheel with a module."""
    files = {
        "package/__init__.py": code,
        "package-1.dist-info/METADATA": METADATA.format(metadata, requirement),
        "package-1.dist-info/WHEEL": GENERATOR.format(setuptools),
        "package-1.dist-info/RECORD": f"hashes of {setuptools} and {metadata}",
    }
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", compression) as archive:
        for name, text in files.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            archive.writestr(info, text, compression)
    return content.getvalue()


def damaged() -> dict[str, bytes]:
    """Return wheels that cannot be read, each for another reason."""
    packed = wheel("x = 1\n" * 100, compression=zipfile.ZIP_DEFLATED)
    start = packed.index(b"__init__.py") + len("__init__.py")
    directory = packed.index(b"PK\x01\x02")
    return {
        "damaged content": packed[:start] + b"\xff" * 8 + packed[start + 8 :],
        "unknown compression": packed[: directory + 10] + b"\x63" + packed[directory + 11 :],
        "encrypted": packed[: directory + 8] + b"\x01" + packed[directory + 9 :],
    }


@pytest.fixture
def upload(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Upload:
    """Uploads wheels of a version: that of the model, and one of version 1.0.0 of the runtime."""
    monkeypatch.chdir(tmp_path)
    Path("build").mkdir()
    report = Path("build/report.html")
    report.write_text("<p>A report</p>")
    folder = Path("build/wheel")
    folder.mkdir()

    def uploaded(version: str, runtime: bytes, *, release: str = "1.0.0", model: bytes = b"") -> str:
        paths = (
            folder / f"oncology_model-{version}-py3-none-any.whl",
            folder / f"mlops_runtime-{release}-py3-none-any.whl",
        )
        for path, content in zip(paths, (model or wheel(version), runtime), strict=True):
            path.write_bytes(content)
        return to_store(paths, report, Bucket(), version)

    return uploaded


def linked() -> list[str]:
    """Return the files that the page links."""
    page = Path("bucket/model/index.html").read_text()
    return [address.rpartition("/")[2] for address in re.findall('href="([^"]*)"', page)]


def test_versions_with_the_same_runtime_share_its_wheel(upload: Upload) -> None:
    upload("1.0", wheel("runtime"))
    upload("1.1", wheel("runtime"))

    assert linked() == [
        "mlops_runtime-1.0.0-py3-none-any.whl",
        "oncology_model-1.0-py3-none-any.whl",
        "oncology_model-1.1-py3-none-any.whl",
    ]


def test_a_changed_runtime_needs_a_version_of_its_own(upload: Upload) -> None:
    # given: a version that was uploaded
    upload("1.0", wheel("runtime"))
    # when: the next one has a change in vendor/, then nothing is uploaded, and the message says what to do
    with pytest.raises(WheelError, match=r"vendor/ was changed.*raise __version__ in vendor/mlops_runtime/__init__.py"):
        upload("1.1", wheel("edited"))
    assert not any("1.1" in path.name for path in Path("bucket").rglob("*"))
    # when: it has a version of its own, as after make upgrade
    upload("1.1", wheel("edited"), release="1.0.0.post1")
    # then: both are there
    assert [name for name in linked() if "runtime" in name] == [
        "mlops_runtime-1.0.0-py3-none-any.whl",
        "mlops_runtime-1.0.0.post1-py3-none-any.whl",
    ]


def test_another_model_needs_a_version_of_its_own(upload: Upload) -> None:
    upload("1.0", wheel("runtime"), model=wheel("first"))

    with pytest.raises(WheelError, match="commit, which makes a new version"):
        upload("1.0", wheel("runtime"), model=wheel("second"))


@pytest.mark.parametrize(
    "again",
    [
        pytest.param(wheel("runtime", mode=0o664), id="another umask"),
        pytest.param(wheel("runtime", setuptools="85.0", metadata="2.5"), id="another setuptools"),
    ],
)
def test_how_a_wheel_was_built_makes_no_difference(upload: Upload, again: bytes) -> None:
    upload("1.0", wheel("runtime"))
    upload("1.1", again)

    assert Path("bucket/model/mlops_runtime-1.0.0-py3-none-any.whl").read_bytes() == wheel("runtime")


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(wheel("runtime", requirement=">=3"), id="another requirement"),
        pytest.param(b"no wheel", id="no wheel"),
        *(pytest.param(content, id=name) for name, content in damaged().items()),
    ],
)
def test_what_is_installed_makes_a_difference(upload: Upload, other: bytes) -> None:
    upload("1.0", other)

    with pytest.raises(WheelError, match="is there with other content"):
        upload("1.1", wheel("runtime"))
