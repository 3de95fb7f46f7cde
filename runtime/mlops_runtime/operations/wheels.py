"""Upload the wheels of a version: `python -m mlops_runtime.operations.wheels FOLDER REPORT`.

They go to the package index MODEL_INDEX by twine, without that setting to the bucket: `model/VERSION/` has the wheels
and the report, and `model/index.html` links all wheels, as `pip install --find-links` reads it. A wheel that is there
with the same bytes stays; one with other bytes is refused before anything is uploaded. This module needs the standard
library alone.
"""

import argparse
import html
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from urllib.parse import quote

from mlops_runtime.operations.package_index import PackageIndex, PackageIndexError
from mlops_runtime.operations.store import Store, StoreError
from mlops_runtime.operations.wheel_version import wheel_version

PREFIX = "model/"
PAGE = PREFIX + "index.html"
BUILD = Path("build")


class WheelError(RuntimeError):
    """A wheel cannot be uploaded; the message says what to do."""


def missing_of(wheels: Iterable[Path], content: Callable[[str], bytes | None]) -> list[Path]:
    """Return the wheels that are not there.

    Args:
        wheels: to upload.
        content: function from the name of a wheel to what is there by this name, if anything is.

    Raises:
        WheelError: if one is there with other bytes.
    """
    missing = []
    for wheel in wheels:
        there = content(wheel.name)
        if there is None:
            missing.append(wheel)
        elif there != wheel.read_bytes():
            raise WheelError(
                f"{wheel.name} is there with other bytes, and a version is uploaded once: commit, which makes a new "
                "version, or use the model that is there; nothing was uploaded"
            )
    return missing


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
        WheelError: if one is there with other bytes.
        PackageIndexError: if the index cannot be used.
    """
    missing = missing_of(wheels, index.content)
    if missing:
        index.upload(missing)
    return f"{index.url} has {_listed(wheels)}"


def to_store(wheels: Sequence[Path], report: Path, store: Store, version: str) -> str:
    """Put wheels and report into the bucket, and write the page that links all wheels; return a sentence about it.

    Raises:
        WheelError: if one is there with other bytes.
        StoreError: if the bucket cannot be used.
        OSError: if a file cannot be read.
    """
    folder = f"{PREFIX}{version}/"

    def content(name: str) -> bytes | None:
        copy = BUILD / "uploaded.whl"
        if not store.get(folder + name, copy):
            return None
        there = copy.read_bytes()
        copy.unlink()
        return there

    for wheel in missing_of(wheels, content):
        store.put(folder + wheel.name, wheel)
    store.put(folder + report.name, report)
    # Written last, from what the bucket lists: of two uploads at once, the later page has the wheels of both.
    page = BUILD / "index.html"
    page.write_text(page_of(key for key in store.keys(PREFIX) if key.endswith(".whl")), encoding="utf-8")
    store.put(PAGE, page)
    return f"{store.url(folder)} has {_listed(wheels)} and the report; {store.url(PAGE)} links the wheels"


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
