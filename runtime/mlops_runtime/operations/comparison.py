"""The command of `make compare`: compares the trained model with the one that was verified last."""

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path

from mlops_runtime.training.comparison import ComparisonError, check, read_held_out


def main(argv: Sequence[str] | None = None) -> int:
    """Compare two models and return the exit status, 1 if the candidate is refused."""
    parser = argparse.ArgumentParser(prog="mlops_runtime.operations.comparison", description=__doc__)
    parser.add_argument("champion", type=Path, help="held-out predictions of the model verified last, if there is one")
    parser.add_argument("candidate", type=Path, help="held-out predictions of the trained model")
    parser.add_argument("--margin", required=True, help="share of the champion's loss that is allowed")
    parser.add_argument("--overrule", default="", metavar="REASON", help="why a refused model is deployed all the same")
    arguments = parser.parse_args(argv)
    margin = _margin(arguments.margin)
    if not 0 <= margin < math.inf:
        example = "give a number of at least 0, as in MARGIN=0.02"
        print(f"compare: MARGIN={arguments.margin} is not usable: {example}", file=sys.stderr)
        return 1
    try:
        candidate = read_held_out(arguments.candidate)
    except ComparisonError as error:
        print(f"compare: {error}; train the model again", file=sys.stderr)
        return 1
    try:
        check(arguments.champion, candidate, margin)
    except ComparisonError as error:
        if not arguments.overrule:
            print(f'compare: {error}; improve the model, or set OVERRULE="reason"', file=sys.stderr)
            return 1
        print(f"compare: {error}; overruled: {arguments.overrule}")
    return 0


def _margin(text: str) -> float:
    """Return the number in a text; not a number if it has none."""
    try:
        return float(text)
    except ValueError:
        return math.nan


if __name__ == "__main__":
    sys.exit(main())
