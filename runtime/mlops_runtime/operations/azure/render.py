"""Write the resource of the project: a file of azure/ with the values of the settings that it names.

`${NAME}` in a text is the value of a setting, and so is an environment variable of the container without a value.
The values come from the environment, where make puts those of project.mk.
"""

import argparse
import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from mlops_runtime.operations.azure.platform import RENDERED

SOURCES = Path("azure")
PLACEHOLDER = re.compile(r"\$\{([A-Z][A-Z0-9_]*)\}")


class RenderError(RuntimeError):
    """The file of the resource cannot be used."""


def rendered(node: Any, settings: Mapping[str, str]) -> Any:
    """Return a part of the resource with the values of the settings that it names.

    Raises:
        RenderError: if there is no such setting.
    """
    match node:
        case {"name": str(name), **rest} if not rest and name.isupper():
            return {"name": name, "value": settings.get(name, "")}
        case dict():
            return {rendered(key, settings): rendered(value, settings) for key, value in node.items()}
        case list():
            return [rendered(each, settings) for each in node]
        case str():
            return PLACEHOLDER.sub(lambda match: _value(match[1], settings), node)
    return node


def _value(name: str, settings: Mapping[str, str]) -> str:
    if not settings.get(name):
        raise RenderError(f"{SOURCES}/ names {name}, which is not set: see project.mk")
    return settings[name]


def main(argv: Sequence[str] | None = None) -> int:
    """Write the resource; return the exit status."""
    parser = argparse.ArgumentParser(prog="mlops_runtime.operations.azure.render", description=__doc__)
    parser.add_argument("file", help="of azure/, without its suffix")
    file = parser.parse_args(argv).file
    try:
        source = (SOURCES / f"{file}.yaml").read_text(encoding="utf-8")
        resource = rendered(yaml.safe_load(source), os.environ)
        RENDERED.mkdir(parents=True, exist_ok=True)
        (RENDERED / f"{file}.json").write_text(json.dumps(resource, indent=1), encoding="utf-8")
    except (RenderError, OSError, yaml.YAMLError) as error:
        print(f"deploy: {error}: nothing was changed", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
