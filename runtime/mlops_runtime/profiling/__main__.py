"""The command: `python -m mlops_runtime.profiling`."""

import argparse
import difflib
import sys
from collections.abc import Sequence
from pathlib import Path

from mlops_runtime.profiling.profile import ProfileError, profile, summary
from mlops_runtime.profiling.render.datamodel import render
from mlops_runtime.profiling.target import TASKS
from mlops_runtime.profiling.user_edits import ExistingError, read_existing
from mlops_runtime.tables.source import SourceError

EQUAL, DIFFERENT, REFUSED = range(3)


def main(argv: Sequence[str] | None = None) -> int:
    """Compare the contract with the table and return the exit code.

    0: they agree, or the contract was written anew. 1: they differ, as shown. 2: the table or the
    arguments are wrong.
    """
    arguments = _arguments(argv)
    try:
        return _compare(arguments)
    except (SourceError, ProfileError, ExistingError) as error:
        print(error, file=sys.stderr)
    except (OSError, UnicodeDecodeError) as error:
        print(f"{arguments.output}: {error}", file=sys.stderr)
    return REFUSED


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m mlops_runtime.profiling", description="Compare the contract with the table."
    )
    parser.add_argument("--data", type=Path, required=True, help="training table")
    parser.add_argument("--target", help="column to predict, by default that of the contract")
    parser.add_argument("--task", choices=TASKS, help="what to predict, by default what the contract says")
    parser.add_argument("--output", type=Path, required=True, help="the contract, datamodel.py")
    parser.add_argument("--force", action="store_true", help="write the contract anew")
    return parser.parse_args(argv)


def _compare(arguments: argparse.Namespace) -> int:
    output: Path = arguments.output
    existing = output.read_text(encoding="utf-8") if output.exists() else None
    kept = read_existing(existing)
    target, task = arguments.target or kept.target_name, arguments.task or kept.task
    found = profile(arguments.data, target or "", task or TASKS[0])
    written = render(found, existing)
    if written == existing:
        print(f"{output} agrees with {arguments.data}")
        return EQUAL
    if arguments.force:
        output.write_text(written, encoding="utf-8")
        print(f"{summary(found)}\n{output} is written")
        return EQUAL
    before, after = ((text or "").splitlines(keepends=True) for text in (existing, written))
    sys.stdout.writelines(difflib.unified_diff(before, after, str(output), str(arguments.data)))
    print(f"{output} differs from {arguments.data}: `make datamodel FORCE=1` overwrites it")
    return DIFFERENT


if __name__ == "__main__":
    sys.exit(main())
