"""Print as JSON what an image holds: packages of Python, those of Debian, the runtime and the model.

This module is not imported there: its text is sent to the Python of a container. So it uses the standard library alone.
"""

import json
import platform
import sys
from importlib.metadata import distributions
from pathlib import Path
from typing import Any


def contents(root: Path, paths: list[str]) -> dict[str, Any]:
    """Return what there is.

    Args:
        root: of the file system.
        paths: folders from which Python imports.
    """
    return {
        "python": platform.python_version(),
        "distributions": sorted({(each.name, each.version) for each in distributions(path=paths)}),
        "runtime": runtime_version(paths),
        "system": settings_of(root / "etc/os-release"),
        "packages": debian_packages(root / "var/lib/dpkg/status"),
        "models": models(paths),
    }


def runtime_version(paths: list[str]) -> str:
    """Return the version of the runtime, which some images hold as source; empty if there is none."""
    for path in paths:
        source = Path(path, "mlops_runtime/__init__.py")
        if source.is_file():
            lines = [line for line in source.read_text(encoding="utf-8").splitlines() if line.startswith("__version__")]
            return lines[0].partition('"')[2].rstrip('"')
    return ""


def models(paths: list[str]) -> list[dict[str, Any]]:
    """Return the name of each model package with an artefact, and its metadata."""
    found = [path for folder in paths for path in sorted(Path(folder).glob("*/artefact/metadata.json"))]
    return [{"name": path.parts[-3], **json.loads(path.read_text(encoding="utf-8"))} for path in found]


def debian_packages(status: Path) -> list[tuple[str, str, str]]:
    """Return name, version and architecture of each installed package; none on another system."""
    if not status.is_file():
        return []
    found = []
    for paragraph in status.read_text(encoding="utf-8").split("\n\n"):
        fields = dict(line.split(": ", 1) for line in paragraph.splitlines() if ": " in line and line[0] != " ")
        if fields.get("Status") == "install ok installed":
            found.append((fields["Package"], fields["Version"], fields["Architecture"]))
    return found


def settings_of(path: Path) -> dict[str, str]:
    """Return the settings in a file of lines `NAME=value`; none if there is no such file."""
    if not path.is_file():
        return {}
    lines = path.read_text(encoding="utf-8").splitlines()
    return {name: value.strip("\"'") for name, _, value in (line.partition("=") for line in lines)}


if __name__ == "__main__":
    # An environment does not import what is installed beside the interpreter, but the image has it.
    beside = f"{sys.base_prefix}/lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
    json.dump(contents(Path("/"), [*filter(None, sys.path), beside]), sys.stdout)
