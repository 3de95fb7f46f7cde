"""The packages that a project has locked, by category. The standard library is enough to read them."""

import json
from dataclasses import dataclass
from pathlib import Path

NAMES = {"default": "packages", "develop": "dev-packages"}
"""Names of the categories in the Pipfile, where the lock has others."""


class LockError(RuntimeError):
    """The lock cannot be read; the message says what to do."""


@dataclass(frozen=True, slots=True)
class LockedPackage:
    """A package as it is locked.

    Attributes:
        name: of the package, in lower case with hyphens.
        version: of the package; empty if it comes from git or a folder.
        hashes: of its files, such as `sha256:…`.
    """

    name: str
    version: str
    hashes: tuple[str, ...]


def locked_packages(path: Path) -> dict[str, list[LockedPackage]]:
    """Return the packages of each category of a Pipfile.lock, by the name that the Pipfile gives it.

    Raises:
        LockError: if there is no such lock, or it is none of pipenv.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return {
            NAMES.get(category, category): [
                LockedPackage(name, each.get("version", "").removeprefix("=="), tuple(each.get("hashes", ())))
                for name, each in packages.items()
            ]
            for category, packages in content.items()
            if category != "_meta"
        }
    except (OSError, ValueError, AttributeError) as error:
        raise LockError(f"{path} is no lock of pipenv ({error}): run pipenv lock") from error
