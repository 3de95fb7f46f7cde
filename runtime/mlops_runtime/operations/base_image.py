"""Pin the base of the images: `python -m mlops_runtime.operations.base_image`.

The registry is asked for the digest that the tag of PYTHON_IMAGE has now, and project.mk gets both. The engine is
called as a process, by the command in DOCKER. This module needs the standard library alone.
"""

import json
import os
import re
import shlex
import sys
from pathlib import Path

from mlops_runtime.operations.registry import RegistryError, kind_of, last_line, run

SETTING = re.compile(r"^(PYTHON_IMAGE *[:?]?= *)\S+$", re.MULTILINE)


def pinned(image: str, engine: list[str]) -> str:
    """Return an image with the digest that its tag has in the registry, in place of the digest that it names.

    Args:
        image: with its registry, such as `docker.io/library/python:3.11-slim`.
        engine: command of the engine.

    Raises:
        RegistryError: if the registry does not say it.
    """
    tagged = image.partition("@")[0]
    pulled = run([*engine, "pull", "--quiet", tagged])
    if pulled.returncode != 0:
        limit = "the limit on pulls is met: log in, as an account may pull more, or wait"
        reason = limit if kind_of(pulled.stderr) == "limit" else last_line(pulled.stderr)
        raise RegistryError(f"cannot ask for {tagged}: {reason}; PYTHON_IMAGE is unchanged")
    shown = run([*engine, "image", "inspect", tagged])
    digests = json.loads(shown.stdout)[0].get("RepoDigests") or () if shown.returncode == 0 else ()
    # A colon behind the last slash begins the tag, one before it the port. Docker leaves out its own registry.
    folder, slash, name = tagged.rpartition("/")
    repository = f"{folder}{slash}{name.partition(':')[0]}"
    names = {repository, repository.removeprefix("docker.io/"), repository.removeprefix("docker.io/library/")}
    for each in digests:
        found, _, digest = each.partition("@")
        if found in names:
            return f"{tagged}@{digest}"
    raise RegistryError(f"{engine[0]} names no digest of {tagged}; PYTHON_IMAGE is unchanged")


def update(settings: Path, image: str, engine: list[str]) -> str:
    """Write the pinned image into the settings; return a sentence about it.

    Args:
        settings: path of project.mk.
        image: to pin.
        engine: command of the engine.

    Raises:
        RegistryError: if the registry does not say the digest, or the file has not one line with PYTHON_IMAGE.
        OSError: if the file cannot be read or written.
    """
    text = settings.read_text(encoding="utf-8")
    if len(SETTING.findall(text)) != 1:
        raise RegistryError(f"{settings} has not one line PYTHON_IMAGE ?= IMAGE: put it back")
    now = pinned(image, engine)
    changed = SETTING.sub(lambda match: f"{match[1]}{now}", text)
    if changed == text:
        return f"PYTHON_IMAGE is {now} already"
    settings.write_text(changed, encoding="utf-8")
    return f"{settings} has PYTHON_IMAGE ?= {now}: the next make docker builds on it"


def main() -> int:
    """Pin the base; return the exit status."""
    image = os.environ.get("PYTHON_IMAGE", "")
    try:
        print(update(Path("project.mk"), image, shlex.split(os.environ.get("DOCKER") or "docker")))
    except (RegistryError, OSError) as error:
        print(f"base.update: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
