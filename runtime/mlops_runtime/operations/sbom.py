"""The bill of materials of an image: `python -m mlops_runtime.operations.sbom [--published] COMPONENT …`.

build/COMPONENT.sbom.json lists in the format of CycloneDX what the image holds, as a container of it says: its packages
with the hashes of Pipfile.lock, those of Debian, the runtime and the model. That of a published image goes to the
bucket, as COMPONENT/sbom/sbom-VERSION.json. Settings come from the environment, where make puts those of project.mk.
"""

import argparse
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, Property, XsUri
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from mlops_runtime.operations import image_contents
from mlops_runtime.operations.lock import LockError, locked_packages
from mlops_runtime.operations.registry import last_line
from mlops_runtime.operations.store import Store, StoreError

Hashes = dict[tuple[str, str], tuple[str, ...]]
"""Hashes of the files of a locked package, by its name and version."""


class SbomError(RuntimeError):
    """The contents of an image cannot be listed; the message says what to do."""


def read_image(image: str) -> dict[str, Any]:
    """Return what an image holds, as `image_contents` says in a container of it.

    Raises:
        SbomError: if the container does not say it.
    """
    engine = shlex.split(os.environ.get("DOCKER") or "docker")
    command = [*engine, "run", "--rm", "--interactive", "--network", "none", "--entrypoint", "python", image, "-"]
    program = Path(image_contents.__file__).read_text(encoding="utf-8")
    try:
        result = subprocess.run(command, input=program, capture_output=True, text=True, check=False)
        found: dict[str, Any] = json.loads(result.stdout)
    except OSError as error:
        raise SbomError(f"{engine[0]} does not start: {error.strerror}; see make doctor") from error
    except ValueError as error:
        raise SbomError(f"{engine[0]} cannot run {image}: {last_line(result.stderr)}") from error
    return found


def locked_hashes(lock: Path) -> Hashes:
    """Return the hashes of all locked packages.

    Raises:
        LockError: if the lock cannot be read.
    """
    categories = locked_packages(lock).values()
    return {(each.name, each.version): each.hashes for packages in categories for each in packages}


def bill(name: str, version: str, image: str, found: dict[str, Any], hashes: Hashes) -> str:
    """Return the bill of materials of an image, as JSON.

    Args:
        name: of the image.
        version: of the image.
        image: by which the engine finds it: its ID, or its digest in a registry.
        found: what it holds.
        hashes: of the locked packages.

    Raises:
        SbomError: if it holds another version of a package than the lock.
    """
    bom = Bom()
    properties = [Property(name="mlops-runtime:image", value=image)]
    bom.metadata.component = Component(
        type=ComponentType.CONTAINER, name=name, version=version, properties=properties, bom_ref="image"
    )
    components = [*python_components(found, hashes), *debian_components(found), *model_components(found)]
    bom.components.update(components)
    bom.register_dependency(bom.metadata.component, components)
    return str(JsonV1Dot6(bom).output_as_string(indent=2)) + "\n"


def python_components(found: dict[str, Any], hashes: Hashes) -> Iterator[Component]:
    """Yield Python, its packages, and the runtime where it is source.

    Raises:
        SbomError: if a package has another version than the lock.
    """
    python = str(found["python"])
    url = PackageURL("generic", name="python", version=python)
    yield Component(type=ComponentType.PLATFORM, name="python", version=python, purl=url, bom_ref=str(url))
    locked = {name for name, _ in hashes}
    names = set()
    for name, version in found["distributions"]:
        key = normalized(name)
        names.add(key)
        files = hashes.get((key, version), ())
        if key in locked and not files:
            raise SbomError(f"the image holds {name} {version}, which Pipfile.lock has not: run make docker again")
        yield python_component(key, version, files)
    if found["runtime"] and "mlops-runtime" not in names:
        yield python_component("mlops-runtime", found["runtime"], ())


def python_component(name: str, version: str, files: Sequence[str]) -> Component:
    """Return the entry of a package of Python, with the hashes of its locked files."""
    url = PackageURL("pypi", name=name, version=version)
    reference = ExternalReference(
        type=ExternalReferenceType.DISTRIBUTION,
        url=XsUri(f"https://pypi.org/project/{name}/{version}/#files"),
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=each.removeprefix("sha256:")) for each in files],
    )
    references = [reference] if files else []
    return Component(name=name, version=version, purl=url, bom_ref=str(url), external_references=references)


def debian_components(found: dict[str, Any]) -> Iterator[Component]:
    """Yield the system and its packages."""
    system = found["system"]
    distribution = system.get("ID", "linux")
    release = system.get("VERSION_ID", "")
    yield Component(
        type=ComponentType.OPERATING_SYSTEM, name=distribution, version=release or None, bom_ref=distribution
    )
    for name, version, architecture in found["packages"]:
        qualifiers = {"arch": architecture, "distro": f"{distribution}-{release}"}
        url = PackageURL("deb", distribution, name, version, qualifiers)
        yield Component(name=name, version=version, purl=url, bom_ref=str(url))


def model_components(found: dict[str, Any]) -> Iterator[Component]:
    """Yield each model with the hashes of its files."""
    for model in found["models"]:
        files = [
            Component(
                type=ComponentType.FILE,
                name=file,
                bom_ref=f"{model['name']}/{file}",
                hashes=[HashType(alg=HashAlgorithm.SHA_256, content=sha256)],
            )
            for file, sha256 in model["files"].items()
        ]
        origin = [Property(name=f"mlops-runtime:{each}", value=model[each]) for each in ("git_commit", "data_sha256")]
        yield Component(
            type=ComponentType.MACHINE_LEARNING_MODEL,
            name=model["name"],
            version=model["version"],
            components=files,
            properties=origin,
            bom_ref=model["name"],
        )


def normalized(name: str) -> str:
    """Return the name of a package as an index has it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def write_bill(component: str, published: bool) -> str:
    """Write the bill of materials of an image, and upload that of a published one; return a sentence about it.

    Raises:
        LockError: if the lock cannot be read.
        SbomError: if the contents of the image cannot be listed.
        StoreError: if the bucket cannot be used.
        OSError: if a file cannot be read or written.
    """
    image = Path(f"build/{component}.{'image' if published else 'built'}").read_text(encoding="utf-8").strip()
    project, version = os.environ.get("PROJECT", ""), os.environ.get("VERSION", "")
    found = read_image(image)
    path = Path(f"build/{component}.sbom.json")
    text = bill(f"{project}/{component}", version, image, found, locked_hashes(Path("Pipfile.lock")))
    path.write_text(text, encoding="utf-8")
    counts = f"{len(found['distributions'])} packages of Python and {len(found['packages'])} of the system"
    said = f"{path} lists {counts}"
    if not published:
        return said
    store, key = Store.of_project(), f"{component}/sbom/sbom-{version}.json"
    store.put(key, path)
    return f"{said}; {store.url(key)} has it"


def main(argv: Sequence[str] | None = None) -> int:
    """Write the bills of materials of images; return the exit status."""
    parser = argparse.ArgumentParser(prog="mlops_runtime.operations.sbom", description=__doc__)
    parser.add_argument("--published", action="store_true", help="of the images in the registry, and upload them")
    parser.add_argument("components", nargs="+", metavar="COMPONENT")
    arguments = parser.parse_args(argv)
    try:
        for component in arguments.components:
            print(write_bill(component, arguments.published))
    except (LockError, SbomError, StoreError, OSError) as error:
        print(f"sbom: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
