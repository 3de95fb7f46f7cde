"""Print the version of the model's wheel, which follows from the version of the project.

A wheel needs a version in the form of PEP 440, and the environment variable VERSION is a tag, or what
`git describe` makes of one, or a commit.
"""

import os
import re
import sys

TAG = re.compile(
    r"(?:v(?=\d)|(?=\d+\.\d))(?P<release>\d+(?:\.\d+)*)"
    r"(?:[-._]?(?P<phase>alpha|beta|a|b|rc)[-._]?(?P<number>\d+))?"
    r"(?:-(?P<commits>\d+)(?=-g[0-9a-f]))?"
    r"(?P<rest>(?:[^A-Za-z0-9].*)?)",
    re.IGNORECASE,
)
"""A tag that begins with a release: `v` and a number, or numbers with dots. A commit has neither."""

COMMIT_ONLY = "0"
"""The release of a version that names none."""


def wheel_version(version: str) -> str:
    """Return the version of PEP 440 that stands for a version of the project.

    The release and the number of commits since its tag order the wheels; the rest is a local version.

    Args:
        version: in letters, digits and `._-`, such as `v1.2`, `v1.2-3-gabc1234`, `abc1234` or `prod-2024-05`.
    """
    match = TAG.fullmatch(version)
    if not match:
        return f"{COMMIT_ONLY}+{local_version(version)}"
    release, phase, number, commits, rest = match.group("release", "phase", "number", "commits", "rest")
    public = (
        ".".join(map(_number, release.split(".")))
        + (f"{phase.lower()}{number}" if phase else "")
        + (f".post{commits}" if commits else "")
    )
    local = local_version(rest)
    return f"{public}+{local}" if local else public


def local_version(text: str) -> str:
    """Return text in the form of a local version: lower-case letters and digits, separated by dots."""
    return ".".join(map(_number, re.findall(r"[a-z0-9]+", text.lower())))


def _number(text: str) -> str:
    """Return a number without leading zeros, as the name of a wheel has it, and any other text unchanged."""
    return str(int(text)) if text.isdigit() else text


def main() -> int:
    """Print the version of the wheel; return the exit status."""
    version = os.environ.get("VERSION")
    if not version:
        print("wheel_version: VERSION is not set: run this with make", file=sys.stderr)
        return 1
    print(wheel_version(version))
    return 0


if __name__ == "__main__":
    sys.exit(main())
