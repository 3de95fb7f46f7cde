"""Print the training rows, the held-out rows and the kinds of fields of a project as JSON.

Usage: split.py PACKAGE DATA SEED TEST_SHARE.
Runs in the environment of the project, with its src/ on the path, and uses the split of the project.
"""

import argparse
import json
from collections import Counter
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np
from mlops_runtime.training.split import split_table
from mlops_runtime.training.table import read_table


def main() -> None:
    """Print the indices of the rows among the used rows, and the number of fields of each kind."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("package")
    parser.add_argument("data", type=Path)
    parser.add_argument("seed", type=int)
    parser.add_argument("test_share", type=float)
    arguments = parser.parse_args()
    contract = import_module(f"{arguments.package}.datamodel").CONTRACT
    table = read_table(contract, arguments.data)
    labels = [str(label) for label in contract.labels]
    # The index of a row, as its only feature, identifies it after the split.
    rows = np.arange(len(table))
    numbered = replace(table, features=replace(table.features, numbers=rows.reshape(-1, 1)))
    training, held_out = split_table(numbered, arguments.seed, arguments.test_share, len(labels))
    print(
        json.dumps(
            {
                "kinds": Counter(str(field.kind) for field in contract.fields),
                "target": [labels[index] for index in table.target] if labels else table.target.tolist(),
                "training": training.features.numbers[:, 0].astype(int).tolist(),
                "held_out": held_out.features.numbers[:, 0].astype(int).tolist(),
            }
        )
    )


if __name__ == "__main__":
    main()
