#!/usr/bin/env python3
"""Write a table of made-up insurance charges: age, sex, bmi, children, smoker, region, charges.

No row is of a real person or taken from another data set. The same seed and number of rows give the same file. Needs
Python 3.11 alone.
"""

import argparse
import csv
import random
from pathlib import Path

COLUMNS = ("age", "sex", "bmi", "children", "smoker", "region", "charges")
SHARE_OF_SMOKERS = {"female": 0.17, "male": 0.23}
REGIONS = {"northeast": 1.04, "northwest": 1.0, "southeast": 1.02, "southwest": 0.97}
"""Level of prices in each region, relative to the northwest."""


def person(draw: random.Random) -> tuple[int, str, float, int, str, str, float]:
    """Return a row: a person, and what the insurance paid for this person in a year.

    Charges grow with age, faster in later years, and with each child. Smoking multiplies them, and more so above a
    body mass index of 30. One person in twelve was in hospital. Sex has no effect of its own.
    """
    age = draw.randint(18, 64)
    sex = draw.choice(("female", "male"))
    bmi = round(min(max(draw.gauss(27.5 + 0.05 * (age - 40), 5.5), 16), 53), 1)
    children = draw.choices((0, 1, 2, 3, 4, 5), weights=(43, 24, 18, 12, 2, 1))[0]
    smokes = draw.random() < SHARE_OF_SMOKERS[sex]
    region = draw.choice(tuple(REGIONS))

    charges = 1500 + 55 * (age - 18) + 2.6 * (age - 18) ** 2 + 480 * children + 60 * max(bmi - 25, 0)
    if smokes:
        charges = 2.1 * charges + 9000 + (14000 if bmi >= 30 else 0)
    charges *= REGIONS[region] * draw.lognormvariate(0, 0.12)
    if draw.random() < 1 / 12:
        charges += draw.expovariate(1 / 7000)
    return age, sex, bmi, children, "yes" if smokes else "no", region, round(charges, 2)


def write(path: Path, rows: int, seed: int) -> None:
    """Write the table."""
    draw = random.Random(seed)
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(COLUMNS)
        table.writerows(person(draw) for _ in range(rows))


def main() -> None:
    """Read the arguments and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("insurance.csv"))
    parser.add_argument("--rows", type=int, default=1500)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    write(arguments.output, arguments.rows, arguments.seed)


if __name__ == "__main__":
    main()
