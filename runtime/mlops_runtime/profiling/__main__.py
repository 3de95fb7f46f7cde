"""The command `python -m mlops_runtime.profiling`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from mlops_runtime.profiling.contract_file import FAILED, write_or_compare
from mlops_runtime.profiling.profile import ProfileError, profile, summary
from mlops_runtime.profiling.render.datamodel import render
from mlops_runtime.profiling.target import TASKS
from mlops_runtime.profiling.user_edits import InvalidContractError, read_edits
from mlops_runtime.tables.source import SourceError


def main(argv: Sequence[str] | None = None) -> int:
    """Compare the contract with the table and return the exit status.

    0: they agree, or the contract was overwritten. 1: they differ. 2: the table or the arguments are not valid.
    """
    arguments = _arguments(argv)
    try:
        return _compare(arguments)
    except (SourceError, ProfileError, InvalidContractError) as error:
        print(error, file=sys.stderr)
    except (OSError, UnicodeDecodeError) as error:
        print(f"{arguments.output}: {error}", file=sys.stderr)
    return FAILED


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m mlops_runtime.profiling", description="Compare the contract with the table."
    )
    parser.add_argument("--data", type=Path, required=True, help="training table")
    parser.add_argument("--target", help="column to predict (default: the target of the contract)")
    parser.add_argument("--task", choices=TASKS, help="task (default: the task of the contract)")
    parser.add_argument("--output", type=Path, required=True, help="path of the contract, datamodel.py")
    parser.add_argument("--force", action="store_true", help="overwrite the contract")
    return parser.parse_args(argv)


def _compare(arguments: argparse.Namespace) -> int:
    output: Path = arguments.output
    existing = output.read_text(encoding="utf-8") if output.exists() else None
    edits = read_edits(existing)
    target, task = arguments.target or edits.target, arguments.task or edits.task
    table = profile(arguments.data, target or "", task or TASKS[0], edits.named())
    rendered = render(table, existing)
    if arguments.force and rendered != existing:
        print(summary(table))
    return write_or_compare(output, arguments.data, existing, rendered, force=arguments.force)


if __name__ == "__main__":
    sys.exit(main())
