"""Upload the wheels of a version: `python -m mlops_runtime.operations.wheels FOLDER REPORT`.

They go to the package index MODEL_INDEX by twine, without that setting to the bucket: `model/` has the wheels of all
versions, of which `model/index.html` links each, as `pip install --find-links` reads it, and `model/VERSION/` has the
report. A wheel that is there with the same content stays; one with other content is refused before anything is
uploaded. This module needs the standard library alone.
"""

import argparse
import html
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from io import BytesIO
from lzma import LZMAError
from pathlib import Path
from urllib.parse import quote
from zipfile import BadZipFile, ZipFile
from zlib import error as ZlibError  # noqa: N812 - a class

from mlops_runtime.operations.package_index import PackageIndex, PackageIndexError
from mlops_runtime.operations.store import Store, StoreError
from mlops_runtime.operations.wheel_version import wheel_version

PREFIX = "model/"
PAGE = PREFIX + "index.html"
BUILD = Path("build")
RUNTIME = "mlops_runtime-"
METADATA = ".dist-info/METADATA"
BUILT = (".dist-info/RECORD", ".dist-info/WHEEL")
"""Ends of the names of files that say how a wheel was built."""

DAMAGED = (BadZipFile, ZlibError, LZMAError, EOFError, OSError, RuntimeError, ValueError)
"""Errors of a zip that is damaged, encrypted, or compressed otherwise than a wheel."""


class WheelError(RuntimeError):
    """A wheel cannot be uploaded; the message says what to do."""


def missing_of(wheels: Iterable[Path], content: Callable[[str], bytes | None]) -> list[Path]:
    """Return the wheels that are not there.

    Args:
        wheels: to upload.
        content: function from the name of a wheel to what is there by this name, if anything is.

    Raises:
        WheelError: if one is there with other content.
    """
    missing = []
    for wheel in wheels:
        there = content(wheel.name)
        if there is None:
            missing.append(wheel)
        elif not same(there, wheel.read_bytes()):
            raise WheelError(
                f"{wheel.name} is there with other content, and a version is uploaded once: "
                f"{what_to_do(wheel)}; nothing was uploaded"
            )
    return missing


def what_to_do(wheel: Path) -> str:
    """Return what gives a wheel that has changed a version of its own."""
    if wheel.name.startswith(RUNTIME):
        return (
            "vendor/ was changed, here or where that wheel is from; undo the change, or raise __version__ in"
            " vendor/mlops_runtime/__init__.py and commit (1.0.0.post1 comes after 1.0.0)"
        )
    return "commit, which makes a new version, or use the model that is there"


def same(one: bytes, other: bytes) -> bool:
    """Return whether two wheels install the same."""
    try:
        return one == other or content_of(one) == content_of(other)
    except DAMAGED:
        return False


def content_of(wheel: bytes) -> dict[str, bytes]:
    """Return the files that a wheel installs, and of its METADATA what it requires.

    Another umask or another setuptools gives other modes, and writes WHEEL, RECORD and the rest of METADATA otherwise.

    Raises:
        BadZipFile, or another one of DAMAGED: if it is no wheel.
    """
    with ZipFile(BytesIO(wheel)) as archive:
        files = {name: archive.read(name) for name in archive.namelist() if not name.endswith(BUILT)}
    return {name: _requirements(text) if name.endswith(METADATA) else text for name, text in files.items()}


def _requirements(metadata: bytes) -> bytes:
    return b"\n".join(sorted(line for line in metadata.splitlines() if line.startswith(b"Requires-Dist:")))


def check_version(wheels: Sequence[Path], version: str) -> None:
    """Check that a wheel of the model is there, and has the version of the project.

    Raises:
        WheelError: if not.
    """
    expected = wheel_version(version)
    if not any(wheel.name.split("-")[1] == expected for wheel in wheels):
        raise WheelError(f"there is no wheel of version {expected}: run make package.model")


def to_index(wheels: Sequence[Path], index: PackageIndex) -> str:
    """Upload wheels to a package index; return a sentence about it.

    Raises:
        WheelError: if one is there with other content.
        PackageIndexError: if the index cannot be used.
    """
    missing = missing_of(wheels, index.content)
    if missing:
        index.upload(missing)
    return f"{index.url} has {_listed(wheels)}"


def to_store(wheels: Sequence[Path], report: Path, store: Store, version: str) -> str:
    """Put wheels and report into the bucket, and write the page that links all wheels; return a sentence about it.

    Raises:
        WheelError: if one is there with other content.
        StoreError: if the bucket cannot be used.
        OSError: if a file cannot be read.
    """
    folder = f"{PREFIX}{version}/"

    def content(name: str) -> bytes | None:
        copy = BUILD / "uploaded.whl"
        if not store.get(PREFIX + name, copy):
            return None
        there = copy.read_bytes()
        copy.unlink()
        return there

    for wheel in missing_of(wheels, content):
        store.put(PREFIX + wheel.name, wheel)
    store.put(folder + report.name, report)
    # Written last, from what the bucket lists: of two uploads at once, the later page has the wheels of both.
    page = BUILD / "index.html"
    page.write_text(page_of(key for key in store.keys(PREFIX) if key.endswith(".whl")), encoding="utf-8")
    store.put(PAGE, page)
    return (
        f"{store.url(PREFIX)} has {_listed(wheels)}, and the report in {version}/; {store.url(PAGE)} links all wheels"
    )


def page_of(keys: Iterable[str]) -> str:
    """Return an HTML page that links wheels.

    Args:
        keys: of the wheels in the bucket.
    """
    links = [
        f'<a href="{html.escape(quote(key.removeprefix(PREFIX)))}">{html.escape(key.rpartition("/")[2])}</a><br>'
        for key in sorted(keys)
    ]
    head = '<!DOCTYPE html>\n<html lang="en">\n<head><meta charset="utf-8"><title>Wheels</title></head>\n<body>'
    return "\n".join([head, *links, "</body>\n</html>\n"])


def _listed(wheels: Iterable[Path]) -> str:
    return ", ".join(wheel.name for wheel in wheels)


def main(argv: Sequence[str] | None = None) -> int:
    """Upload the wheels; return the exit status."""
    parser = argparse.ArgumentParser(prog="mlops_runtime.operations.wheels", description=__doc__)
    parser.add_argument("folder", type=Path, help="folder with the wheels")
    parser.add_argument("report", type=Path, help="report of the training")
    arguments = parser.parse_args(argv)
    wheels = sorted(arguments.folder.glob("*.whl"))
    version, address = os.environ.get("VERSION", ""), os.environ.get("MODEL_INDEX", "").strip()
    try:
        check_version(wheels, version)
        said = (
            to_index(wheels, PackageIndex.of_environment(address))
            if address
            else to_store(wheels, arguments.report, Store.of_project(), version)
        )
    except (WheelError, PackageIndexError, StoreError, OSError) as error:
        print(f"upload.model: {error}", file=sys.stderr)
        return 1
    print(said)
    return 0


if __name__ == "__main__":
    sys.exit(main())
