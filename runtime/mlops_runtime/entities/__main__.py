"""The command `python -m mlops_runtime.entities`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from mlops_runtime.entities.documents import DatasetError
from mlops_runtime.entities.profile import profile, summary
from mlops_runtime.entities.render import datamodel
from mlops_runtime.profiling.contract_file import FAILED, write_or_compare
from mlops_runtime.profiling.user_edits import InvalidContractError


def main(argv: Sequence[str] | None = None) -> int:
    """Compare the labels of the contract with those of the dataset and return the exit status.

    0: they agree, or the contract was overwritten. 1: they differ. 2: the dataset or the arguments are not valid.
    """
    parser = argparse.ArgumentParser(
        prog="python -m mlops_runtime.entities", description="Compare the labels of the contract with the dataset."
    )
    parser.add_argument("--data", type=Path, required=True, help="annotated texts")
    parser.add_argument("--output", type=Path, required=True, help="path of the contract, datamodel.py")
    parser.add_argument("--force", action="store_true", help="overwrite the labels in the contract")
    arguments = parser.parse_args(argv)
    output: Path = arguments.output
    try:
        existing = output.read_text(encoding="utf-8") if output.exists() else None
        found = profile(arguments.data)
        rendered = datamodel(found, existing)
        if arguments.force and rendered != existing:
            print(summary(found))
        return write_or_compare(output, arguments.data, existing, rendered, force=arguments.force)
    except (DatasetError, InvalidContractError) as error:
        print(error, file=sys.stderr)
    except (OSError, UnicodeDecodeError) as error:
        print(f"{output}: {error}", file=sys.stderr)
    return FAILED


if __name__ == "__main__":
    sys.exit(main())
