"""The contract in a file, compared with the one that the data give."""

import difflib
import sys
from pathlib import Path

EQUAL, DIFFERENT, FAILED = range(3)
"""Exit statuses of the commands that compare a contract."""


def write_or_compare(output: Path, data: Path, existing: str | None, rendered: str, *, force: bool) -> int:
    """Print how a contract differs from the data, or overwrite it; return the exit status.

    Args:
        output: path of the contract.
        data: path of the data, for messages.
        existing: source code in the file, or None if there is no file.
        rendered: source code that the data give.
        force: whether to overwrite the file.

    Raises:
        OSError: if the file can't be written.
    """
    if rendered == existing:
        print(f"{output} agrees with {data}")
        return EQUAL
    if force:
        output.write_text(rendered, encoding="utf-8")
        print(f"wrote {output}")
        return EQUAL
    before, after = ((text or "").splitlines(keepends=True) for text in (existing, rendered))
    sys.stdout.writelines(difflib.unified_diff(before, after, str(output), str(data)))
    print(f"{output} differs from {data}: run `make datamodel FORCE=1` to overwrite it")
    return DIFFERENT
